"""The one way to open a picture: its header is read and held to limits before anything is decoded, and then believed.

A header costs nothing to write and says how much memory its reader asks for. So size, shape, length and structure are
looked at in the bytes, and a decoder that reads another size from them than was looked at is not let on.
"""

import contextlib
import dataclasses
import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath

from PIL import Image

from scrn_jax.errors import UserError
from scrn_jax.runtime.workers import Turn

# 50 megapixels, what the cameras of telephones give at most; as RGB Pillow holds them in 200 MB.
MAX_PIXELS = 3 << 24
MAX_SIDE = 1 << 14
# The longer side by the shorter one. Strips of panels and panoramas stay far below.
MAX_RATIO = 64
# Bytes a file may have for each pixel (16-bit RGBA takes 8 without any compression), and beside them, for a profile,
# a preview or a short film behind the picture.
_BYTES_A_PIXEL, _BYTES_BESIDE = 8, 1 << 22
# Every scan of a JPEG costs a pass over all of its pixels, and every chunk or segment a step of Python.
_MAX_SCANNED_PIXELS, _MAX_PARTS = 1 << 31, 1 << 16
_LEAST_SCAN_BYTES = 8
# Pictures above so many pixels are decoded one at a time, see `in_turn`.
LARGE = 1 << 23

# What Pillow's decoders raise for bytes that are no picture, or only part of one.
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_FIRST_CHUNK = b"\0\0\0\rIHDR"
_SECOND_HEADER = "has two headers, of which readers take either; save the image anew"
_ORIENTATION = 0x0112
GENDERS = ("MEN", "WOMEN")


@dataclasses.dataclass(frozen=True)
class Header:
    """What an image file says of itself. `is_plain_grey` holds for PNGs of one 8-bit channel without a palette."""

    kind: str
    height: int
    width: int
    is_plain_grey: bool

    @property
    def pixels(self) -> int:
        """How many."""
        return self.height * self.width


def read_header(data: bytes, where: str) -> Header:
    """The header of JPEG or PNG bytes, within the limits of this module.

    Raises UserError naming `where` for other bytes, a second header, an animation, and more pixels, longer sides, a
    flatter shape, more bytes a pixel or more passes over them than a picture of this field has.
    """
    if data.startswith(_PNG_SIGNATURE) and len(data) >= 26:
        header, passes = _png(data, where), 1
    elif data.startswith(b"\xff\xd8"):
        header, passes = _jpeg(data, where)
    else:
        raise UserError(f"{where}: neither a JPEG nor a PNG ({len(data)} bytes); save the image as one of them")
    claim = f"{where}: claims {header.width} x {header.height} pixels"
    if not 0 < header.pixels <= MAX_PIXELS:
        raise UserError(f"{claim}, allowed are 1 to {MAX_PIXELS:,}; replace the file, or make it smaller")
    longer, shorter = max(header.height, header.width), min(header.height, header.width)
    if longer > MAX_SIDE:
        raise UserError(f"{claim}, allowed are {MAX_SIDE:,} a side; replace the file, or make it smaller")
    if longer > MAX_RATIO * shorter:
        raise UserError(f"{claim}, more than {MAX_RATIO} times as long as wide; replace the file, or cut it")
    if len(data) > _BYTES_A_PIXEL * header.pixels + _BYTES_BESIDE:
        raise UserError(f"{claim} in {len(data):,} bytes, far more than they need; save the image anew")
    if passes * header.pixels > _MAX_SCANNED_PIXELS:
        raise UserError(f"{claim} in {passes:,} scans, which takes too long to decode; save the image anew")
    return header


def _png(data: bytes, where: str) -> Header:
    """Walks the chunks, the first of which alone may be a header."""
    width, height, depth, colour_type = struct.unpack(">IIBB", data[16:26])
    at, parts = 8, 0
    while at + 8 <= len(data) and parts < _MAX_PARTS:
        kind = data[at + 4 : at + 8]
        if (kind == b"IHDR") != (at == 8) or (at == 8 and not data.startswith(_FIRST_CHUNK, at)):
            raise UserError(f"{where}: {_SECOND_HEADER if at > 8 else 'a PNG without a header; replace the file'}")
        if kind == b"acTL":
            raise UserError(f"{where}: an animation, of which readers take different pictures; save one of them")
        if kind == b"IEND":
            break
        at += 12 + int.from_bytes(data[at : at + 4], "big")
        parts += 1
    if parts == _MAX_PARTS:
        raise UserError(f"{where}: a PNG of more than {_MAX_PARTS:,} chunks; save the image anew")
    return Header("png", height, width, is_plain_grey=depth == 8 and colour_type == 0)


def _jpeg(data: bytes, where: str) -> tuple[Header, int]:
    """Walks the segments up to the first scan; the frame header (SOF) among them holds the size.

    Returns it and the number of scans, or 1 when there are few at most.
    """
    header, at = None, 2
    for _ in range(_MAX_PARTS):
        if at + 9 > len(data) or data[at] != 0xFF:
            break
        marker = data[at + 1]
        if marker == 0xDA:
            break
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            if header is not None:
                raise UserError(f"{where}: {_SECOND_HEADER}")
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            header = Header("jpeg", height, width, is_plain_grey=False)
        if marker == 0xFF:
            at += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:
            at += 2
        else:
            at += 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
    else:
        raise UserError(f"{where}: a JPEG of more than {_MAX_PARTS:,} segments; save the image anew")
    if header is None:
        raise UserError(f"{where}: a JPEG without a size, cut off or damaged; replace the file")
    if (len(data) - at) // _LEAST_SCAN_BYTES * header.pixels <= _MAX_SCANNED_PIXELS:
        return header, 1  # as many scans as fit into the file would not be too many: training asks this at every step
    return header, data.count(b"\xff\xda", at)


def open_image(data: bytes, where: str, mend: str = "replace the file") -> tuple[Header, Image.Image]:
    """Header and picture, which is decoded when its pixels are asked for, into the size that the header says.

    Raises UserError naming `where` as `read_header` does, and with `mend` for bytes that Pillow does not take.
    """
    header = read_header(data, where)
    try:
        image = Image.open(io.BytesIO(data), formats=[header.kind.upper()])
    except DAMAGE as error:
        raise UserError(f"{where}: a damaged {header.kind.upper()} ({error}); {mend}") from error
    if image.size != (header.width, header.height):
        raise UserError(f"{where}: {_SECOND_HEADER}")
    return header, image


@contextlib.contextmanager
def in_turn(header: Header) -> Iterator[None]:
    """While a picture of more than `LARGE` pixels is in memory, no other such picture is.

    So the memory of many threads or processes is that of small pictures and one large one.
    """
    with Turn.lock if header.pixels > LARGE else contextlib.nullcontext():
        yield


def decode_image(data: bytes, where: str) -> Image.Image:
    """The decoded picture, in the mode that the file has. Raises UserError for damaged files and turned photos."""
    mend = "replace the file or remove its pairs"
    _, image = open_image(data, where, mend)
    try:
        image.load()
        turned = image.getexif().get(_ORIENTATION, 1)
    except DAMAGE as error:
        raise UserError(f"{where}: truncated or damaged image ({error}); {mend}") from error
    if turned not in (0, 1):
        raise UserError(
            f"{where}: is stored lying on its side (EXIF orientation {turned}), which some readers undo and others do "
            "not; turn it for good, e.g. with `jpegtran` or `mogrify -auto-orient`"
        )
    return image


def flat_name(path: str) -> str:
    """The flat name of a path of the original tree; other names are returned as they are.

    MEN/Shirts_Polos/id_00001802/02_4_full.jpg is fashionMENShirts_Polosid0000180202_4full.jpg: the id's underscore
    goes, and of the file's underscores only the first stays.
    """
    parts = PurePosixPath(path).parts
    if len(parts) < 4 or parts[-4] not in GENDERS or not parts[-2].startswith("id_"):
        return path
    gender, category, item, file = parts[-4:]
    first, _, rest = file.partition("_")
    return f"fashion{gender}{category}{item.replace('_', '')}{first}_{rest.replace('_', '')}"
