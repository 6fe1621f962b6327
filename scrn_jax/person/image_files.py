"""The one way to open a picture: its header is looked at (`image_headers`), it is decoded and becomes 8-bit RGB.

What readers would make different pictures of is refused here for all of them: hidden pixels, more than 8 bits, turns.
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
from scrn_jax.person.image_headers import Header, check_turn, read_header
from scrn_jax.runtime.workers import Turn

# Pictures above so many pixels are decoded one at a time, see `in_turn`.
LARGE = 1 << 23

# What Pillow's decoders raise for bytes that are no picture, or only part of one, and for tags of a wrong type.
DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError,
    TypeError, AttributeError, LookupError, ArithmeticError,
)  # fmt: skip

# The files that are opened, and those that show a picture but are not.
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp")
OTHER_SUFFIXES = (
    ".heic", ".heif", ".hif", ".avif", ".gif", ".apng", ".jp2", ".j2k", ".jxl", ".psd", ".tga", ".ppm", ".pgm", ".pnm",
    ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".raw", ".exr", ".hdr", ".ico", ".svg",
)  # fmt: skip

GENDERS = ("MEN", "WOMEN")
_SECOND_HEADER = "has two headers, of which readers take either; save the image anew"
# The modes (Pillow's names) whose colours are certain, and what is noted of them.
_NOTES = {
    "RGB": (), "L": ("grey",), "1": ("grey",), "P": ("palette",), "CMYK": ("cmyk",),
    "RGBA": ("opaque_alpha",), "LA": ("opaque_alpha",), "PA": ("opaque_alpha",),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Picture:
    """A decoded picture as 8-bit RGB, with its header, the mode of the file as Pillow names it, and notes on what was
    done: "grey" (one channel, copied to three), "palette" and "cmyk" (made RGB), "opaque_alpha" (an alpha channel that
    hides nothing, dropped)."""

    header: Header
    image: Image.Image
    mode: str
    notes: tuple[str, ...] = ()


def open_image(
    data: bytes, where: str, mend: str = "replace the file", strict: bool = True, header: Header | None = None
) -> tuple[Header, Image.Image]:
    """Header and picture, which is decoded when its pixels are asked for, into the size that the header says.

    `strict` as in `read_header`: for data sets and measurements, which have to mean one thing to all readers. `header`
    is what that gave before, if it was asked.

    Raises UserError naming `where` as `read_header` does, and with `mend` for bytes that Pillow does not take.
    """
    header = header or read_header(data, where, strict)
    try:
        image = Image.open(io.BytesIO(data), formats=[header.kind.upper()])
        if image.size != (header.width, header.height):
            raise UserError(f"{where}: {_SECOND_HEADER}")
        if strict and header.kind in ("tiff", "webp"):  # of the others the header has told
            check_turn(image.getexif(), where)  # before it is decoded: a TIFF is turned then, and says so no longer
    except UserError:
        raise
    except DAMAGE as error:
        raise UserError(f"{where}: truncated or damaged {header.kind.upper()} ({error}); {mend}") from error
    return header, image


def colour_notes(image: Image.Image, where: str) -> tuple[str, ...]:
    """The notes (see `Picture`) that a picture's mode calls for, told without decoding it.

    Raises UserError for modes whose colours readers make different RGB of.
    """
    if image.mode not in _NOTES:
        raise UserError(f"{where}: its colour mode is {image.mode}; convert it to 8-bit RGB")
    see_through = "transparency" in image.info and "opaque_alpha" not in _NOTES[image.mode]
    return _NOTES[image.mode] + (("opaque_alpha",) if see_through else ())


def open_picture(
    data: bytes, where: str, mend: str = "replace the file or remove its pairs", header: Header | None = None
) -> Picture:
    """The picture in the bytes of a file, decoded; `header` as in `open_image`.

    Raises UserError naming `where` as `open_image` does, for damaged or truncated files, for modes other than 8-bit
    RGB, grey, palette and CMYK, and for an alpha channel that hides any pixel: what lies below is nobody's picture.
    """
    header, image = open_image(data, where, mend, header=header)
    notes = colour_notes(image, where)
    mode = image.mode
    try:
        image.load()
        if "opaque_alpha" in notes:
            _check_opaque(image, where)
        return Picture(header, image if mode == "RGB" else image.convert("RGB"), mode, notes)
    except DAMAGE as error:
        raise UserError(f"{where}: truncated or damaged image ({error}); {mend}") from error


def _check_opaque(image: Image.Image, where: str) -> None:
    """Raises UserError when an alpha channel or a transparent colour hides anything."""
    alpha = image.getchannel("A") if image.mode in ("RGBA", "LA") else image.convert("RGBA").getchannel("A")
    if alpha.getextrema()[0] < 255:
        raise UserError(f"{where}: transparent in places; save it as RGB on the background that you mean")


@contextlib.contextmanager
def in_turn(header: Header) -> Iterator[None]:
    """While a picture of more than `LARGE` pixels is in memory, no other such picture is.

    So the memory of many threads or processes is that of small pictures and one large one.
    """
    with Turn.lock if header.pixels > LARGE else contextlib.nullcontext():
        yield


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
