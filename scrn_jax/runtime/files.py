"""What is in files that nobody vouches for, read within bounds: so many rows, so much JSON; and files written whole.

Whatever a data set, an export or a workdir holds is read through here, by its bytes as `file_bytes` gives them: what a
file or archive says of itself is never believed.
"""

import csv
import dataclasses
import errno
import functools
import hashlib
import io
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from scrn_jax.errors import UserError
from scrn_jax.runtime.file_bytes import PICTURE_BYTES, open_regular, read_bytes, shown_size
from scrn_jax.runtime.nesting import parse_json

# Ten times what DeepFashion's largest list takes.
TEXT_BYTES = 1 << 27
# Five times DeepFashion's pairs; a row costs some 700 bytes before it is a pair.
TABLE_ROWS = 1 << 19
# What a JSON text may take once it is lists and numbers: an annotation of one person takes some 2.5 kB.
_JSON_BYTES = 1 << 29
# An archive's list of members; DeepFashion's takes 6 MB.
_ARCHIVE_LIST_BYTES = 1 << 25
# So many broken lines are no slips of the pen, and each is kept as a message.
MOST_PROBLEMS = 10_000

Problems = list[UserError]


def meet(error: UserError, problems: Problems | None) -> None:
    """Raises `error` at once or, when someone collects problems, notes it there and lets the reader go on.

    Raises UserError, too, when there are more than `MOST_PROBLEMS`.
    """
    if problems is None:
        raise error
    problems.append(error)
    if len(problems) > MOST_PROBLEMS:
        raise UserError(f"{error} (and {MOST_PROBLEMS:,} before it); mend these first, or take the right file")


def read_text(path: str | Path, limit: int = TEXT_BYTES) -> str:
    """The text of a UTF-8 file; raises UserError when it is absent, larger than `limit` or in another encoding."""
    try:
        return read_bytes(path, limit, "check the path").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error


def read_lines(path: str | Path) -> list[str]:
    """The lines of such a file, at most `TABLE_ROWS`; raises UserError as `read_text` does."""
    return _few_lines(path, read_text(path)).splitlines()


def _few_lines(path: str | Path, text: str) -> str:
    lines = text.count("\n") + text.count("\r")
    if lines > 2 * TABLE_ROWS:
        raise UserError(f"{path}: {lines:,} lines, at most {TABLE_ROWS:,} are read; split it, or take the right file")
    return text


def read_json(path: str | Path, limit: int = TEXT_BYTES) -> Any:
    """What a JSON file of at most `limit` bytes holds; raises UserError when it is no JSON, or too much to hold."""
    text = read_text(path, limit)
    # A number takes 32 bytes in its list, an empty list 64, an object and each of its entries 128.
    needed = 32 * text.count(",") + 64 * text.count("[") + 128 * (text.count("{") + text.count(":"))
    if needed > _JSON_BYTES:
        raise UserError(f"{path}: would take {needed >> 20} MiB once read, at most {_JSON_BYTES >> 20}; split it")
    try:
        return parse_json(text)
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({error}); write the file anew") from error


def read_table(file: Path, columns: tuple[str, ...], problems: Problems | None = None) -> list[tuple[int, list[str]]]:
    """(line number, values of `columns`) of every row of a CSV file with a header; other columns are skipped.

    Raises UserError naming file, line and mend for another header, for what is no CSV, for too many rows.
    """
    rows = csv.reader(io.StringIO(_few_lines(file, read_text(file))), strict=True)
    found = []
    try:
        header = next(rows, None)
        if not set(columns) <= set(header or ()):
            wanted = ",".join(columns)
            raise UserError(f"{file}, line 1: expected the columns {wanted}, found {header}; mend the header")
        places = [header.index(column) for column in columns]
        for row in rows:
            if row and len(row) <= max(places):
                short = f"{file}, line {rows.line_num}: has fewer fields than the header; mend the line"
                meet(UserError(short), problems)
            elif row:
                found.append((rows.line_num, [row[place].strip() for place in places]))
    except csv.Error as error:
        raise UserError(f"{file}, line {rows.line_num}: not readable as CSV ({error}); mend the line") from error
    return found


@dataclasses.dataclass(frozen=True)
class Stored:
    """A file, or with `member` a member of the zip archive `path`. As a string it is how an error names it."""

    path: str
    member: str | None = None

    def __str__(self) -> str:
        return self.path if self.member is None else f"{self.path}, {self.member}"

    def read(self) -> bytes:
        """The bytes. Raises UserError naming the file when it is absent, too large, encrypted, damaged or no file."""
        if self.member is None:
            return read_bytes(self.path, mend="restore the file or remove its pairs")
        try:
            return _read_member(self.path, self.member)
        except UserError as error:
            raise UserError(f"{self}: {error}") from error
        except (
            OSError,
            EOFError,
            KeyError,
            NotImplementedError,
            RuntimeError,
            zipfile.BadZipFile,
            zlib.error,
        ) as error:
            reason = f"cannot be read ({error}); unpack the archive, or get it anew"
            raise UserError(f"{self}: {reason}") from error

    def mark(self) -> str:
        """What tells the contents from others: a file's SHA-256, a member's size and CRC-32 as its archive says them.

        Raises UserError as `read` does, for a file; an archive checks the sum when the member is read.
        """
        if self.member is None:
            return hashlib.sha256(self.read()).hexdigest()
        try:
            info = open_archive(self.path).getinfo(self.member)
        except KeyError as error:
            raise UserError(f"{self}: no such member; get the archive anew") from error
        return f"{info.file_size} {info.CRC:08x}"


@dataclasses.dataclass(frozen=True)
class Held:
    """Bytes in memory, with the name that errors give them."""

    data: bytes = dataclasses.field(repr=False)
    where: str

    def __str__(self) -> str:
        return self.where

    def read(self) -> bytes:
        """The bytes."""
        return self.data


def open_archive(path: str) -> zipfile.ZipFile:
    """The zip archive, opened once per process as long as it is the same file. Raises UserError for what is none."""
    try:
        found = os.stat(path)
        return _opened(path, found.st_ino, found.st_size, found.st_mtime_ns)
    except UserError as error:
        raise UserError(f"{path}: no zip archive ({error}); get it anew or unpack it") from error
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise UserError(f"{path}: not a readable zip archive ({error}); get it anew or unpack it") from error


class _Listing(io.BufferedReader):
    """The file of an archive that is being opened: zipfile reads the list of members at once, as long as it claims."""

    is_open = False

    def read(self, size: int | None = -1) -> bytes:
        if self.is_open:
            return super().read(size)
        wanted = _ARCHIVE_LIST_BYTES if size is None or size < 0 else size  # all that is left: the end of the list
        if wanted > _ARCHIVE_LIST_BYTES:
            raise zipfile.BadZipFile(f"its list of members takes {size} bytes, at most {_ARCHIVE_LIST_BYTES} are read")
        return super().read(wanted)


@functools.lru_cache(maxsize=4)
def _opened(path: str, *_: int) -> zipfile.ZipFile:
    stream = _Listing(open_regular(path).detach())
    try:
        archive = zipfile.ZipFile(stream)
    except BaseException:
        stream.close()
        raise
    stream.is_open = True
    return archive


def _read_member(path: str, member: str) -> bytes:
    archive = open_archive(path)
    info = archive.getinfo(member)
    if info.flag_bits & 1:
        raise UserError("encrypted; unpack the archive with the password that came with the set")
    if info.file_size > PICTURE_BYTES:
        raise UserError(f"claims {info.file_size:,} bytes, at most {shown_size(PICTURE_BYTES)}; get the archive anew")
    with archive.open(info) as stream:
        # What the archive says of the size is not believed.
        data = stream.read(PICTURE_BYTES + 1)
    if len(data) > PICTURE_BYTES:
        raise UserError(f"unpacks to more than {shown_size(PICTURE_BYTES)}; get the archive anew")
    return data


@contextmanager
def written_whole(path: Path, mend: str = "give another place") -> Iterator[Path]:
    """Yields a temporary path beside `path`, which replaces `path` when the block succeeds and vanishes otherwise.

    Raises:
      UserError: the folder is not there and cannot be made, or cannot be written to; `path` is a folder; the disk is
        full. It names `path` and `mend`.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        temporary.touch()
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be written ({error}); {mend}") from error
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        if error.filename not in (None, str(temporary)):
            raise  # of another file, which the block reads
        raise UserError(f"{path}: cannot be written ({error.strerror}); free some space, or {mend}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def check_writable(path: Path, mend: str = "give another place") -> None:
    """Raises UserError when `path` could not be written now: to be asked before the work whose result goes there."""
    is_new = not path.parent.exists()
    temporary = path.with_name(f".{path.name}.{os.getpid()}.look")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        temporary.touch()
        temporary.unlink()
        if is_new:
            path.parent.rmdir()
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be written ({error}); {mend}") from error


def cache_folder() -> Path:
    """$SCRN_JAX_CACHE, else scrn_jax under $XDG_CACHE_HOME, else ~/.cache/scrn_jax."""
    if own := os.environ.get("SCRN_JAX_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "scrn_jax"


def is_number(value: object) -> bool:
    """Whether a JSON value is a finite number that float32 can hold; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e38
