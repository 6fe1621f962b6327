"""Arrays in files that nobody vouches for: checked digests, npz and safetensors, and pickles of plain arrays."""

import hashlib
import io
import math
import pickle
import re
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from scrn_jax.errors import UserError
from scrn_jax.runtime.file_bytes import open_regular
from scrn_jax.runtime.nesting import parse_json

# The one function that NumPy's own pickles of arrays name, whatever private module it lives in.
_RECONSTRUCT = np.empty(0).__reduce__()[0]
_ADMITTED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}
_MAX_HEADER_BYTES = 10_000_000
# Four times the largest network's weights; an archive may claim and unpack to any number.
MAX_ARRAYS_BYTES = 1 << 31


def sha256(path: Path) -> str:
    """The hexadecimal SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_in_name(path: Path) -> str | None:
    """The first digits of the SHA-256 that PyTorch's model files carry in their names, as in vgg19-dcbb9e9d.pth."""
    match = re.search(r"-([0-9a-f]{8,64})$", path.stem)
    return match.group(1) if match else None


def check_sha256(path: Path, expected: str, mend: str) -> str:
    """Returns the file's SHA-256, which must begin with the hexadecimal digits `expected`.

    Raises:
      UserError: it does not; the message names the file, both digests and the mend.
    """
    found = sha256(path)
    if not found.startswith(expected.lower()):
        raise UserError(
            f"{path}: wrong sha256, expected {expected}{'...' if len(expected) < 64 else ''}, found {found};"
            f" the file is damaged or another one: {mend}"
        )
    return found


class _ArraysOnly(pickle.Unpickler):
    """Admits dicts, strings, numbers and NumPy arrays; any other callable in the pickle is refused unseen."""

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise UserError(f"the pickle asks for {module}.{name}, but only NumPy arrays are admitted") from None


def read_pickled_arrays(content: bytes, origin: Path) -> Any:
    """Reads a pickle of nested dicts of arrays without running any code that it names.

    Raises:
      UserError: the pickle needs anything but NumPy's array constructors, or is broken.
    """
    try:
        return _ArraysOnly(io.BytesIO(content)).load()
    except Exception as error:
        raise UserError(f"{origin}: not read, {error}; get the file anew from a source you trust") from error


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Reads every array of an .npz without pickle, of at most `MAX_ARRAYS_BYTES` together.

    Raises UserError for a broken file, one with Python objects, and one that unpacks to more, or to less than it says.
    """
    try:
        with open_regular(path) as stream:
            return arrays_in(stream, MAX_ARRAYS_BYTES)
    except (ValueError, OSError) as error:
        raise UserError(
            f"{path}: not a readable .npz of arrays ({error}); write it anew with python -m scrn_jax.convert"
        ) from error


def arrays_in(stream: BinaryIO, most_bytes: int) -> dict[str, np.ndarray]:
    """Every array of an .npz in `stream`, without pickle, of at most `most_bytes` together.

    Raises ValueError with the reason where `read_npz` raises UserError.
    """
    try:
        with zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
            if (total := sum(member.file_size for member in members)) > most_bytes:
                raise ValueError(f"it unpacks to {total:,} bytes, at most {most_bytes:,} are read")
            arrays = {}
            for member in members:
                with archive.open(member) as content:
                    arrays[member.filename.removesuffix(".npy")] = read_array(content, member.file_size)
            return arrays
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, AttributeError, RuntimeError) as error:
        raise ValueError(str(error)) from error


def read_array(stream: BinaryIO, size: int) -> np.ndarray:
    """The array in NumPy's format in `stream`, of `size` bytes, whose header is checked before the rest is believed.

    Raises ValueError (or what NumPy raises) for Python objects, and for a shape that needs other bytes than there are.
    """
    version = np.lib.format.read_magic(stream)
    read_head = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read_head(stream)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    count = math.prod(shape)
    if not 0 <= count * dtype.itemsize <= size:
        raise ValueError(f"its header claims {dtype} {shape}, more than its {size:,} bytes")
    data = np.empty(count * dtype.itemsize, np.uint8)
    room = memoryview(data)
    while room and (done := stream.readinto(room)):
        room = room[done:]
    if room:
        raise ValueError("it is cut off")
    return data.view(dtype).reshape(shape, order="F" if fortran else "C")


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Reads the float32 tensors of a .safetensors file, memory-mapped. Raises UserError for a broken file."""
    try:
        with open_regular(path) as stream:
            content = np.memmap(stream, np.uint8, mode="r")
        length = int.from_bytes(content[:8].tobytes(), "little")
        if not 0 < length <= min(_MAX_HEADER_BYTES, content.size - 8):
            raise ValueError(f"its header claims {length} bytes")
        header = parse_json(content[8 : 8 + length].tobytes())
        body = content[8 + length :]
        entries = {name: entry for name, entry in header.items() if name != "__metadata__" and entry["dtype"] == "F32"}
        if sum(entry["data_offsets"][1] - entry["data_offsets"][0] for entry in entries.values()) > body.size:
            raise ValueError("its tensors overlap")
        return {name: _tensor(body, entry) for name, entry in entries.items()}
    except (ValueError, LookupError, TypeError, OSError, AttributeError, OverflowError) as error:
        raise UserError(f"{path}: not a readable .safetensors file ({error}); download it anew") from error


def _tensor(body: np.ndarray, entry: dict[str, Any]) -> np.ndarray:
    """One tensor of a safetensors body; the offsets must lie inside it and fit the shape."""
    begin, end = entry["data_offsets"]
    if not 0 <= begin <= end <= body.size:
        raise ValueError(f"a tensor at bytes {begin} to {end} lies outside the file")
    return np.frombuffer(body[begin:end].tobytes(), "<f4").reshape(entry["shape"])
