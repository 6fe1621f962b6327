"""The bytes of files that nobody vouches for: of regular files only, and so many at most.

A pipe or device is refused before it is opened, and a size is looked at before a byte is read.
"""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from scrn_jax.errors import UserError

# 128 MiB: more than any picture of at most `image_files.MAX_PIXELS` pixels takes, whatever its format.
PICTURE_BYTES = 1 << 27

_KINDS = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))


def open_regular(path: str | Path) -> BinaryIO:
    """The file opened for reading. Raises OSError, and UserError without a name for a pipe, device or folder."""
    return os.fdopen(_open(path), "rb")


def _open(path: str | Path) -> int:
    _check_regular(os.stat(path))  # before it is opened: opening a device may do something, opening a pipe waits
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        _check_regular(os.fstat(handle))
    except BaseException:
        os.close(handle)
        raise
    return handle


def _check_regular(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = next((name for test, name in _KINDS if test(found.st_mode)), "a device")
        raise UserError(f"{kind}, not a file")


def read_bytes(path: str | Path, limit: int = PICTURE_BYTES, mend: str = "restore or replace the file") -> bytes:
    """The bytes of a regular file of at most `limit`. Raises UserError naming it, the reason and `mend`."""
    try:
        handle = _open(path)
        try:
            return _read_all(handle, limit)
        finally:
            os.close(handle)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {mend}") from error
    except UserError as error:
        raise UserError(f"{path}: cannot be read ({error}); {mend}") from error
    except ValueError as error:  # a name with a zero byte
        raise UserError(f"{str(path)!r}: cannot be read ({error}); {mend}") from error


def _read_all(handle: int, limit: int) -> bytes:
    """Everything, without the buffers of Python's streams: training reads four files a pair."""
    size = os.fstat(handle).st_size
    if size > limit:
        raise UserError(f"larger than {shown_size(limit)}")
    pieces, total = [], 0
    while piece := os.read(handle, size + 1 if not total else 1 << 16):
        pieces.append(piece)
        total += len(piece)
        if total > limit:  # it grew meanwhile
            raise UserError(f"larger than {shown_size(limit)}")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def shown_size(limit: int) -> str:
    """A number of bytes as errors give it: whole MiB, or KiB of what is less."""
    return f"{limit >> 20} MiB" if limit >= 1 << 20 else f"{limit >> 10} KiB"
