"""What the commands of this package share: their flags, what they print, how they end."""

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator

from absl import app, flags
from absl import logging as absl_logging

from scrn_jax.errors import UserError


def define_layout_flags() -> None:
    """The flags about a DeepFashion folder and about the work, which all commands have."""
    flags.DEFINE_integer("annotation_width", None, "Width of the annotations' frame: 176, or 256 with side bars.")
    flags.DEFINE_string("merge", None, "Classes of the parsing maps: regions (default), lip, cihp, or a list 0,1,1,...")
    flags.DEFINE_string("images", None, "Folder or archive of the images below the data set's, when there are several.")
    flags.DEFINE_integer("processes", None, "Worker processes; default: one per core.", lower_bound=0)
    flags.DEFINE_integer("samples", 24, "Pictures on the page.", lower_bound=0)


def layout_options() -> dict[str, object]:
    """Those of `layout.Options` that were given as flags."""
    given = {key: flags.FLAGS[key].value for key in ("annotation_width", "merge", "images")}
    if given["merge"] is not None:
        given["merge"] = merge_from_text(given["merge"])
    return {key: value for key, value in given.items() if value is not None}


def merge_from_text(text: str) -> str | tuple[int, ...]:
    """A merge as a flag gives it: the name of a table, or the regions of class 0, of class 1, ..., with commas."""
    if "," not in text:
        return text
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise UserError(f"--merge {text}: name a table or list numbers with commas ({error})") from error


def run(program: Callable[[], int]) -> None:
    """Parses the flags and runs a command; what a user can mend ends as one line and exit code 1."""

    def guarded(argv: list[str]) -> int:
        if len(argv) > 1:
            raise app.UsageError(f"unexpected argument {argv[1]!r}")
        try:
            return program()
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1

    _log_to_screen()
    app.run(guarded)


def _log_to_screen() -> None:
    """Our own lines with the time of day; of the libraries only errors."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    absl_logging.set_verbosity(absl_logging.ERROR)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    ours = logging.getLogger("input_pipeline")
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)
    ours.propagate = False


@contextlib.contextmanager
def silent_stderr() -> Iterator[None]:
    """Drops what TensorFlow's C++ code prints while it is imported, which no log level stops."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
