"""A look at the header of an image file's bytes, before anything is decoded: what it is and how large it would be."""

import dataclasses
import struct
import zlib

from scrn_jax.errors import UserError

# 64 megapixels: far above any photo of this field, far below what exhausts memory.
MAX_PIXELS = 1 << 26

# What Pillow's decoders raise for bytes that are no picture, or only part of one.
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclasses.dataclass(frozen=True)
class Header:
    """What an image file says of itself. `is_plain_grey` holds for PNGs of one 8-bit channel without a palette."""

    kind: str
    height: int
    width: int
    is_plain_grey: bool


def read_header(data: bytes, where: str) -> Header:
    """The header of JPEG or PNG bytes. Raises UserError naming `where` for other bytes and for absurd sizes."""
    if data.startswith(_PNG_SIGNATURE) and len(data) >= 26:
        header = _png(data)
    elif data.startswith(b"\xff\xd8"):
        header = _jpeg(data, where)
    else:
        raise UserError(f"{where}: neither a JPEG nor a PNG ({len(data)} bytes); save the image as one of them")
    if not 0 < header.height * header.width <= MAX_PIXELS:
        raise UserError(
            f"{where}: claims {header.width} x {header.height} pixels, allowed are 1 to {MAX_PIXELS}; replace the file"
        )
    return header


def _png(data: bytes) -> Header:
    width, height, depth, colour_type = struct.unpack(">IIBB", data[16:26])
    return Header("png", height, width, is_plain_grey=depth == 8 and colour_type == 0)


def _jpeg(data: bytes, where: str) -> Header:
    """Walks the segments up to the frame header (SOF), which holds the size."""
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            break
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return Header("jpeg", height, width, is_plain_grey=False)
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:
            at += 2
        else:
            at += 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
    raise UserError(f"{where}: a JPEG without a size, cut off or damaged; replace the file")
