"""The command line: python -m scrn_jax.main --config configs/demo.py --workdir runs/demo."""

import contextlib
import logging
import os
import sys
from pathlib import Path

from absl import app, flags
from absl import logging as absl_logging
from ml_collections import config_flags

from scrn_jax.errors import UserError

MODES = ("train", "evaluate")

config_flags.DEFINE_config_file("config", None, "Config file; override a key with --config.section.key=value.")
flags.DEFINE_string("workdir", None, "Folder of the run: checkpoints, samples, metrics, report.", required=True)
flags.DEFINE_enum("mode", "train", MODES, "train (and evaluate at the end), or evaluate a workdir's newest checkpoint.")


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument {argv[1]!r}")
    # After the flags, so that --help and mistyped flags answer at once.
    with silent_stderr():
        from scrn_jax import evaluate, settings, startup, train

    workdir = Path(flags.FLAGS.workdir).expanduser()
    if flags.FLAGS.config is not None:
        chosen = settings.from_config(flags.FLAGS.config)
    elif flags.FLAGS.mode == "train":
        raise UserError("--mode train needs a --config, e.g. --config configs/demo.py")
    else:
        chosen = startup.read_config(workdir)
    {"train": train.train, "evaluate": evaluate.evaluate}[flags.FLAGS.mode](chosen, workdir)


@contextlib.contextmanager
def silent_stderr():
    """Drop what C++ libraries print while they are imported, which no log level of theirs can stop."""
    sys.stderr.flush()
    with open(os.devnull, "w") as nowhere:
        kept = os.dup(2)
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def parse_flags(argv: list[str]) -> list[str]:
    """Parse the flags; a config file or an override that does not fit ends as a UserError, too."""
    try:
        return app.parse_flags_with_usage(argv)
    except (AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        sys.exit(f"error: the config or an override of it does not fit: {error}")


def run() -> None:
    """Parse flags and run; what a user can mend ends as one line and exit code 1."""

    def guarded(argv: list[str]) -> None:
        try:
            main(argv)
        except UserError as error:
            sys.exit(f"error: {error}")

    quiet_libraries()
    app.run(guarded, flags_parser=parse_flags)


def quiet_libraries() -> None:
    """Our own lines on the screen with the time of day; of the libraries only errors."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    absl_logging.set_verbosity(absl_logging.ERROR)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    for package in ("scrn_jax", "input_pipeline"):
        ours = logging.getLogger(package)
        ours.addHandler(handler)
        ours.setLevel(logging.INFO)
        ours.propagate = False


if __name__ == "__main__":
    run()
