"""What every command shares: flags and their help, errors of one line, a quiet screen, a progress bar."""

import contextlib
import logging
import os
import sys
import textwrap
import time
import traceback
import types
from collections.abc import Callable, Iterator
from pathlib import Path

from absl import app, flags
from absl import logging as absl_logging

from scrn_jax.errors import UserError

log = logging.getLogger(__name__)

PACKAGES = ("scrn_jax", "input_pipeline")

_HELP = ("h", "help", "helpfull", "helpshort")
_GROUPS: dict[str, list[str]] = {}  # title -> names of flags
_UNGROUPED = "Flags"
_LIBRARIES = ("absl", "jax", "ml_collections", "tensorflow")
_COLUMNS = 100

_BAR = 30
_LONGEST = 300  # characters of a library's warning
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


@contextlib.contextmanager
def flag_group(title: str, values: flags.FlagValues = flags.FLAGS) -> Iterator[None]:
    """The flags that are defined inside stand under `title` in the help; those of the same title together."""
    before = set(values)
    yield
    _GROUPS.setdefault(title, []).extend(name for name in values if name not in before)


def given_flags(values: flags.FlagValues = flags.FLAGS) -> set[str]:
    """The names of this program's flags that were given, libraries' own and single keys of --config aside."""
    modules = values.flags_by_module_dict().items()
    libraries = {flag.name for module, defined in modules if module.startswith(_LIBRARIES) for flag in defined}
    return {name for name in values if values[name].present and name not in libraries and "." not in name}


def help_text(about: str, values: flags.FlagValues = flags.FLAGS) -> str:
    """What --help says: `about`, which is the command's docstring with its example, and every flag by its group.

    Flags of no group come first, those of libraries not at all.
    """
    titles = {name: title for title, names in _GROUPS.items() for name in names}
    groups: dict[str, list[str]] = {_UNGROUPED: []} | {title: [] for title in _GROUPS}
    for module, defined in sorted(values.flags_by_module_dict().items()):
        for flag in defined if not module.startswith(_LIBRARIES) else ():
            groups[titles.get(flag.name, _UNGROUPED)].append(flag.name)
    lines = [about.strip(), ""]
    for title, names in groups.items():
        if names:
            lines += [f"{title}:", *(line for name in dict.fromkeys(names) for line in _flag_lines(values[name])), ""]
    return "\n".join(lines)


def _flag_lines(flag: flags.Flag) -> list[str]:
    kind = {"bool": "", "string": " TEXT", "int": " NUMBER", "float": " NUMBER"}.get(flag.flag_type(), " TEXT")
    if isinstance(flag.parser, flags.EnumParser):
        kind = f" {'|'.join(flag.parser.enum_values)}"
    name = f"--[no]{flag.name}" if flag.boolean else f"--{flag.name}{kind}"
    given = "" if flag.default in (None, False, "") else f" (default: {flag.default})"
    needed = " (needed)" if any(v.message and "must have a value" in v.message for v in flag.validators) else ""
    about = " ".join((flag.help or "").split())
    about = about.partition(">: ")[2] if about.startswith("<") else about  # absl puts an enum's choices there, too
    text = about + given + needed
    return [f"  {name}", *textwrap.wrap(text, _COLUMNS, initial_indent=" " * 6, subsequent_indent=" " * 6)]


def _parse_flags(argv: list[str]) -> list[str]:
    """Parse the flags; one that is unknown, or a config that cannot be made, ends as one line.

    A call for help is answered whatever else is given, also without the flags that the command needs.
    """
    options = argv[1 : argv.index("--")] if "--" in argv else argv[1:]
    if any(option.lstrip("-") in _HELP and option.startswith("-") for option in options):
        print(help_text(sys.modules["__main__"].__doc__ or ""), end="")
        sys.exit(0)
    try:
        return flags.FLAGS(argv)
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        cause = error.args[0] if error.args and isinstance(error.args[0], KeyError) else error
        # Of an override of an unknown key the library says the key alone, and a similar one if there is.
        text = f"there is no key {cause.args[0]}".replace("\n", "; ") if isinstance(cause, KeyError) else str(cause)
        lines = text.strip().splitlines()
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
    """Our own lines with the time of day; of the libraries what they warn of, each once."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    absl_logging.set_verbosity(absl_logging.WARNING)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    for package in PACKAGES:
        ours = logging.getLogger(package)
        ours.addHandler(handler)
        ours.setLevel(logging.INFO)
        ours.propagate = False
    _show_libraries_warnings()
    _drop_afterthoughts()


def _show_libraries_warnings() -> None:
    """Lets the warnings of libraries through to the standard error, each once and as one line that names its library.

    That a GPU is there and not used is one of them.
    """
    handler = absl_logging.get_absl_handler().python_handler  # absl's `app.run` puts it on the root logger
    # A descriptor of its own: `silent_stderr` is not for what Python says.
    handler.setStream(os.fdopen(os.dup(2), "w", buffering=1, errors="backslashreplace"))
    handler.setFormatter(_OneLine())
    handler.addFilter(Once())


def _drop_afterthoughts() -> None:
    """Keeps to itself what Orbax's abandoned reads and writes print when another of them has failed, and no more.

    Orbax raises the first error and closes its event loop; TensorStore's threads still report to that loop, and the
    coroutines that wait for them are thrown away with errors of their own. All of that comes after the one line that
    says what is wrong, or before it.
    """
    report, ignore = sys.excepthook, sys.unraisablehook

    def uncaught(kind, error, trace) -> None:
        if not _is_of_a_closed_loop(error, trace):
            report(kind, error, trace)

    def unraisable(found) -> None:
        code = getattr(found.object, "cr_code", None)
        if not _is_of_a_closed_loop(found.exc_value, found.exc_traceback) and not (code and _is_of_orbax(code)):
            ignore(found)

    sys.excepthook, sys.unraisablehook = uncaught, unraisable


def _is_of_a_closed_loop(error: BaseException | None, trace: types.TracebackType | None) -> bool:
    """Whether asyncio refused a call that no Python code made, because its loop is closed."""
    files = {Path(frame.f_code.co_filename) for frame, _ in traceback.walk_tb(trace)}
    from_outside = bool(files) and all(file.parent.name == "asyncio" for file in files)
    return isinstance(error, RuntimeError) and str(error) == "Event loop is closed" and from_outside


def _is_of_orbax(code: types.CodeType) -> bool:
    return "orbax" in Path(code.co_filename).parts


class Once:
    """A filter that lets a library's warning through once, whatever its numbers, and errors always.

    None of Orbax's warnings passes, who warns of every option that it will change one day, and no error of a task of
    its that nobody waits for any more.
    """

    def __init__(self):
        self._seen: set[tuple[str, int]] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.ERROR:
            # asyncio tells of reads that Orbax gave up for an error that it raised. It names the coroutine's file; of
            # several reads together, the error alone.
            frames = traceback.walk_tb(record.exc_info[2]) if record.exc_info else ()
            given_up = f"{os.sep}orbax{os.sep}" in record.getMessage() or any(_is_of_orbax(f.f_code) for f, _ in frames)
            return not (record.name == "asyncio" and given_up)
        place = record.pathname, record.lineno
        known = place in self._seen or "orbax" in Path(record.pathname).parts
        self._seen.add(place)
        return not known


class _OneLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        library = record.name.split(".")[0]
        text = " ".join(record.getMessage().split())
        return f"{record.levelname.lower()} of {library}: {text[:_LONGEST]}"


@contextlib.contextmanager
def silent_stderr() -> Iterator[None]:
    """Drop what C++ libraries print while they are imported, which no log level of theirs can stop.

    What Python writes to sys.stderr meanwhile, as warnings are, is shown.
    """
    sys.stderr.flush()
    kept, before = os.dup(2), sys.stderr
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        with open(kept, "w", closefd=False, buffering=1, errors="backslashreplace") as sys.stderr:
            yield
    finally:
        sys.stderr = before
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
