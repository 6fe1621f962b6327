"""Photos as people have them, to upright RGB arrays."""

import math
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageFile

from scrn_jax.errors import UserError
from scrn_jax.person.image_files import DAMAGE, in_turn, open_image
from scrn_jax.runtime.file_bytes import read_bytes

# A photo with fewer pixels a side shows nobody.
LEAST_SIDE = 32

# A bar at an edge: rows of one colour within so many grey levels, at least so many of them and at most such a share of
# the photo. Where it ends, most of the next row is another colour: of a white wall, the person alone is.
_EVEN, _OTHER, _LEAST_ROWS, _MOST_ROWS, _MOST_OF_A_ROW = 8, 24, 2, 0.4, 0.6
_UNLIKE = 1 / 60  # of the photo, by which opposite bars may differ
_BLURRED = 2  # rows between a bar and the picture that are neither: JPEG and resizing mix them

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip

Photo = str | Path | bytes | np.ndarray | Image.Image


def open_photo(photo: Photo, where: str | None = None) -> np.ndarray:
    """A photo as uint8 RGB (H, W, 3): a JPEG, PNG, WebP, TIFF or BMP file or its bytes, a Pillow picture, or an array.

    Files, and Pillow pictures as they are opened, are turned as their EXIF, or else their XMP data say; transparent
    pixels become white; grey, palettes, CMYK, 16 bits and floating point become RGB of 8 bits. Arrays are uint8, or
    floating point in 0..1 or -1..1, grey (H, W) or with 1, 3 or 4 channels. `where` names the photo in errors.

    Raises:
      UserError: no such file, none of these kinds, damaged, an animation, too large or too small.
    """
    if isinstance(photo, np.ndarray):
        picture, where = _from_array(photo, where or "the photo"), where or "the photo"
    elif isinstance(photo, Image.Image):
        where = where or "the photo"
        picture = _decoded(photo, where)
    elif not isinstance(photo, str | Path | bytes):
        raise UserError(f"{where or 'the photo'}: is {type(photo).__name__}; give a path, bytes or a NumPy array")
    else:
        data = photo if isinstance(photo, bytes) else read_bytes(photo, mend="give the path of a JPEG or PNG")
        where = where or ("the photo" if isinstance(photo, bytes) else str(photo))
        header, opened = open_image(data, where, strict=False)
        with in_turn(header):
            picture = _decoded(opened, where)
    picture = _rgb(picture)
    if min(picture.size) < LEAST_SIDE:
        raise UserError(
            f"{where}: {picture.width} x {picture.height} pixels, at least {LEAST_SIDE} a side show a person"
        )
    return np.asarray(picture)


def within_bars(photo: np.ndarray) -> tuple[slice, slice]:
    """The rows and columns of a photo uint8 (H, W, 3) without even bars around it, as data sets and screenshots have.

    A bar ends at an edge of the picture behind it. Opposite bars are about as wide as each other: where one runs into a
    floor of its colour, the other tells its width.
    """
    spans = []
    for side in (photo, photo.swapaxes(0, 1)):
        (first, even_first), (last, even_last) = _bar(side), _bar(side[::-1])
        if first or last:
            most = min(rows for rows in (first, last) if rows) + math.ceil(_UNLIKE * len(side))
            first, last = (min(rows or even, most) for rows, even in ((first, even_first), (last, even_last)))
        spans.append(slice(first, len(side) - last))
    return spans[0], spans[1]


def _bar(photo: np.ndarray) -> tuple[int, int]:
    """How many rows the bar at the top has, and how many it may have if there is one at the bottom."""
    colour, most = np.median(photo[0], axis=0), int(_MOST_ROWS * len(photo))
    rows = 0
    while rows < most and (np.abs(photo[rows] - colour) <= _EVEN).all():
        rows += 1
    if not _LEAST_ROWS <= rows < most - _BLURRED:
        return 0, 0
    behind = np.abs(photo[rows + _BLURRED] - colour).max(-1) > _OTHER
    return (rows + _BLURRED if behind.mean() >= _MOST_OF_A_ROW else 0), rows + _BLURRED


def _decoded(picture: Image.Image, where: str) -> Image.Image:
    """The pixels, upright; Pillow turns a TIFF itself. What is no longer as it was opened, somebody may have turned."""
    try:
        picture.load()
        # Not by Pillow's own function, which writes all tags anew and fails for one of a wrong type.
        said = picture.getexif().get(ExifTags.Base.Orientation) if isinstance(picture, ImageFile.ImageFile) else None
        return picture.transpose(_TURNS[said]) if said in _TURNS else picture
    except DAMAGE as error:
        raise UserError(f"{where}: truncated or damaged ({error}); replace the file") from error


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I") or picture.mode == "F":
        picture = Image.fromarray(_eight_bits(np.asarray(picture, np.float64), picture.mode))
    if picture.mode == "La":
        picture = picture.convert("LA")  # all that Pillow makes of it
    if picture.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _eight_bits(grey: np.ndarray, mode: str) -> np.ndarray:
    """Grey of 16 bits or more, or floating point, as uint8; Pillow's own conversion clips at 255.

    16 bits go up to 65535; of the others the largest value tells whether they go up to 1, 255 or 65535.
    """
    grey = np.nan_to_num(grey)
    most = next((most for most in (1, 255) if grey.max() <= most and not mode.startswith("I;16")), 65535)
    return (np.clip(grey / most, 0, 1) * 255).round().astype(np.uint8)


def _from_array(array: np.ndarray, where: str) -> Image.Image:
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)) or not array.size:
        raise UserError(f"{where}: has the shape {array.shape}; a photo is (H, W, 3), (H, W, 4) or (H, W)")
    if array.dtype.kind == "f":
        low, high = array.min(), array.max()
        if not (low >= -1 and high <= 1):  # NaN fails, too
            raise UserError(f"{where}: has values from {low} to {high}; give uint8, or numbers in 0..1 or -1..1")
        array = np.round(255 * array if low >= 0 else 127.5 * (array + 1)).astype(np.uint8)
    if array.dtype != np.uint8:
        raise UserError(f"{where}: holds {array.dtype}; give uint8, or floating point in 0..1 or -1..1")
    return Image.fromarray(array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array)
