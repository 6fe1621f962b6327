"""Where the bytes of a picture are: a file, a member of a zip archive, or memory. Reading is bounded and named."""

import dataclasses
import functools
import zipfile
import zlib
from pathlib import Path

from scrn_jax.errors import UserError

# 256 MiB: more than any picture of at most `images.MAX_PIXELS` needs.
MAX_BYTES = 1 << 28


@dataclasses.dataclass(frozen=True)
class Stored:
    """A file, or with `member` a member of the zip archive `path`. As a string it is how an error names it."""

    path: str
    member: str | None = None

    def __str__(self) -> str:
        return self.path if self.member is None else f"{self.path}, {self.member}"

    def read(self) -> bytes:
        """The bytes. Raises UserError naming the file when it is absent, too large, encrypted or damaged."""
        try:
            if self.member is not None:
                return _read_member(self.path, self.member)
            with Path(self.path).open("rb") as stream:
                data = stream.read(MAX_BYTES + 1)
        except UserError as error:
            raise UserError(f"{self}: {error}") from error
        except OSError as error:
            reason = f"cannot be read ({error.strerror}); restore the file or remove its pairs"
            raise UserError(f"{self}: {reason}") from error
        except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError, RuntimeError) as error:
            reason = f"cannot be read ({error}); unpack the archive, or get it anew"
            raise UserError(f"{self}: {reason}") from error
        if len(data) > MAX_BYTES:
            raise UserError(f"{self}: more than {MAX_BYTES >> 20} MiB; replace the file or remove its pairs")
        return data


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


@functools.lru_cache(maxsize=4)
def open_archive(path: str) -> zipfile.ZipFile:
    """The zip archive, opened once per process. Raises UserError for what is none."""
    try:
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise UserError(f"{path}: not a readable zip archive ({error}); get it anew or unpack it") from error


def _read_member(path: str, member: str) -> bytes:
    archive = open_archive(path)
    info = archive.getinfo(member)
    if info.flag_bits & 1:
        raise UserError("encrypted; unpack the archive with the password that came with the set")
    with archive.open(info) as stream:
        # What the archive says of the size is not believed.
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise UserError(f"unpacks to more than {MAX_BYTES >> 20} MiB; get the archive anew")
    return data
