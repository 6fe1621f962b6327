"""What every command shares: flags that end as one line when they do not fit, a quiet screen, a progress bar."""

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator

from absl import app, flags
from absl import logging as absl_logging

from scrn_jax.errors import UserError

log = logging.getLogger(__name__)

PACKAGES = ("scrn_jax", "input_pipeline")

_BAR = 30
_TERMINAL_PERIOD, _LOG_PERIOD = 0.2, 30.0  # seconds


def run(program: Callable[[], int | None]) -> None:
    """Parse the flags and run a command, which may return its exit code; what a user can mend ends as one line and 1.

    This ends the process.
    """

    def guarded(argv: list[str]) -> int | None:
        try:
            if len(argv) > 1:
                raise UserError(f"unexpected argument {argv[1]!r}; every option has a name, see --help")
            return program()
        except UserError as error:
            sys.exit(f"error: {error}")

    _log_to_screen()
    app.run(guarded, flags_parser=_parse_flags)


def _parse_flags(argv: list[str]) -> list[str]:
    """Parse the flags; one that is unknown, or a config that cannot be made, ends as one line."""
    try:
        return flags.FLAGS(argv)
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        cause = error.args[0] if error.args and isinstance(error.args[0], KeyError) else error
        lines = str(cause.args[0] if isinstance(cause, KeyError) else cause).strip().splitlines()
        # The libraries' messages may begin with a whole traceback, or end with a hint on a line of its own.
        reason = lines[-1] if "Traceback (most recent call last):" in lines else " ".join(lines)
        sys.exit(f"error: the flags or the config do not fit: {reason}")


def config_flag():
    """What --config says as a dict, None without it; a file that cannot be read shows only here, as a UserError."""
    try:
        return None if flags.FLAGS.config is None else flags.FLAGS.config.to_dict()
    except OSError as error:
        raise UserError(f"--config: {str(error).splitlines()[-1].strip()}; give the path of a config file") from error


def _log_to_screen() -> None:
    """Our own lines with the time of day; of the libraries only errors."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    absl_logging.set_verbosity(absl_logging.ERROR)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    for package in PACKAGES:
        ours = logging.getLogger(package)
        ours.addHandler(handler)
        ours.setLevel(logging.INFO)
        ours.propagate = False


@contextlib.contextmanager
def silent_stderr() -> Iterator[None]:
    """Drop what C++ libraries print while they are imported, which no log level of theirs can stop."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


class Progress:
    """How far a task is, and when it will be over.

    Use it as a context manager; `add` says that more is done.
    """

    def __init__(self, title: str, total: int, done: int = 0):
        self._title, self._total, self._done, self._begun_at = title, total, done, done
        self._terminal = sys.stderr.isatty()
        self._start = self._shown = time.monotonic()

    def __enter__(self) -> "Progress":
        if self._begun_at:
            log.info("%s: going on after %d of %d", self._title, self._begun_at, self._total)
        return self

    def __exit__(self, *_) -> None:
        if self._terminal:
            sys.stderr.write(f"\r{self._line()}\n")
            sys.stderr.flush()
        else:
            log.info("%s", self._line())

    def add(self, count: int) -> None:
        """`count` more items are done."""
        self._done += count
        now = time.monotonic()
        if self._done >= self._total or now - self._shown < (_TERMINAL_PERIOD if self._terminal else _LOG_PERIOD):
            return
        self._shown = now
        if self._terminal:
            sys.stderr.write(f"\r{self._line()} ")
            sys.stderr.flush()
        else:
            log.info("%s", self._line())

    def _line(self) -> str:
        filled = _BAR * self._done // max(self._total, 1)
        seconds = time.monotonic() - self._start
        rate = (self._done - self._begun_at) / max(seconds, 1e-9)
        left = f", {(self._total - self._done) / rate:.0f} s left" if rate and self._done < self._total else ""
        bar = f"[{'#' * filled}{'.' * (_BAR - filled)}] " if self._terminal else ""
        return f"{self._title} {bar}{self._done}/{self._total}, {rate:.1f}/s{left}"
