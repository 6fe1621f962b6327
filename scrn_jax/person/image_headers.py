"""What an image file says of itself, looked at before any decoder is: JPEG, PNG, WebP, TIFF and BMP.

A header costs nothing to write and says how much memory its reader asks for. So size, shape, length and structure are
looked at in the bytes; so is what readers disagree about: a second header, an animation, a turn, 16 bits a channel.
"""

import dataclasses
import re
import struct
import zlib

from PIL import Image

from scrn_jax.errors import UserError

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

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_FIRST_CHUNK = b"\0\0\0\rIHDR"
_SECOND_HEADER = "has two headers, of which readers take either; save the image anew"
_ANIMATION = "an animation, of which readers take different pictures; save one of them"
_ORIENTATION = 0x0112
LYING = (5, 6, 7, 8)  # orientations that exchange the sides
# Where EXIF data say nothing of a turn, Pillow goes by what XMP data say.
_XMP_OF_JPEG, _XMP_OF_PNG = b"http://ns.adobe.com/xap/1.0/\0", b"XML:com.adobe.xmp\0"
_XMP_TURN = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')
_XMP_BYTES = 1 << 20
# What a TIFF may be packed with: nothing, LZW, Deflate in its two numbers, PackBits.
_TIFF_PACKINGS = (1, 5, 8, 32946, 32773)
_TIFF_MOST_TAGS = 512
_BMP_PACKINGS = (0, 1, 2, 3)


@dataclasses.dataclass(frozen=True)
class Header:
    """What an image file says of itself.

    `is_plain` holds for JPEG and PNG of one or three 8-bit channels and nothing else, of which every reader makes the
    same RGB; `is_plain_grey` for such PNGs of one channel. `grey_levels` is how many a PNG of one channel has.
    """

    kind: str
    height: int
    width: int
    is_plain: bool = False
    is_plain_grey: bool = False
    grey_levels: int = 256

    @property
    def pixels(self) -> int:
        """How many."""
        return self.height * self.width


def read_header(data: bytes, where: str, strict: bool = True) -> Header:
    """The header of the bytes of a JPEG, PNG, WebP, TIFF or BMP, within the limits of this module.

    Pictures that readers take differently are refused if `strict`: turned ones, and those of 16 bits a channel.

    Raises UserError naming `where` for them, for other bytes, a second header, an animation, and more pixels, longer
    sides, a flatter shape, more bytes a pixel or more passes over them than a picture of this field has.
    """
    passes = 1
    if data.startswith(_PNG_SIGNATURE) and len(data) >= 26:
        header = _png(data, where, strict)
    elif data.startswith(b"\xff\xd8"):
        header, passes = _jpeg(data, where, strict)
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP" and len(data) >= 30:
        header = _webp(data, where)
    elif data[:4] in (b"II*\0", b"MM\0*") and len(data) >= 16:
        header = _tiff(data, where, strict)
    elif data.startswith(b"BM") and len(data) >= 34:
        header = _bmp(data, where)
    else:
        found = f"neither a JPEG nor a PNG ({len(data)} bytes), nor WebP, TIFF or BMP"
        raise UserError(f"{where}: {found}; save the image as one of them")
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


def check_turn(exif: Image.Exif, where: str) -> None:
    """Raises UserError when EXIF data say that the picture is to be turned or mirrored before it is shown."""
    turned = exif.get(_ORIENTATION, 1)
    if turned not in (0, 1):
        raise UserError(
            f"{where}: is stored lying on its side (EXIF orientation {turned}), which some readers undo and others do "
            "not; turn it for good, e.g. with `jpegtran` or `mogrify -auto-orient`"
        )


def _check_turns(exif: list[bytes], xmp: bytes, where: str) -> None:
    """The same for the bytes of EXIF blocks and, where they say nothing of it, of XMP data."""
    said = [turn for turn in map(_turn_of, exif) if turn is not None]
    for turn in said:
        check_turn({_ORIENTATION: turn}, where)
    if not said and (found := _XMP_TURN.search(xmp)) and int(found[1]) not in (0, 1):
        raise UserError(
            f"{where}: is stored lying on its side (XMP orientation {int(found[1])}), which some readers undo and "
            "others do not; turn it for good and take the entry out, e.g. with `exiftool -XMP-tiff:Orientation=`"
        )


def _turn_of(block: bytes) -> int | None:
    """The orientation in the bytes of an EXIF block; what is none says nothing."""
    exif = Image.Exif()
    try:
        exif.load(block)
        return exif.get(_ORIENTATION)
    except Exception:  # whatever Pillow raises for bytes that nobody vouches for
        return None


def check_bits(bits: int, where: str) -> None:
    """Raises UserError for more than 8 bits a channel."""
    if bits > 8:
        raise UserError(
            f"{where}: has {bits} bits a channel, of which readers keep different ones; save it with 8 bits a channel"
        )


def _png(data: bytes, where: str, strict: bool) -> Header:
    """Walks the chunks, the first of which alone may be a header."""
    width, height, depth, colour_type = struct.unpack(">IIBB", data[16:26])
    at, parts, hides, exif, xmp = 8, 0, False, [], b""
    while at + 8 <= len(data) and parts < _MAX_PARTS:
        kind = data[at + 4 : at + 8]
        if (kind == b"IHDR") != (at == 8) or (at == 8 and not data.startswith(_FIRST_CHUNK, at)):
            raise UserError(f"{where}: {_SECOND_HEADER if at > 8 else 'a PNG without a header; replace the file'}")
        if kind == b"acTL":
            raise UserError(f"{where}: {_ANIMATION}")
        if kind == b"IEND":
            break
        length = int.from_bytes(data[at : at + 4], "big")
        if kind == b"eXIf":
            exif.append(data[at + 8 : at + 8 + length])
        if kind == b"iTXt" and data.startswith(_XMP_OF_PNG, at + 8):
            xmp = _unpacked(data[at + 8 + len(_XMP_OF_PNG) : at + 8 + length])
        hides = hides or kind == b"tRNS"
        at += 12 + length
        parts += 1
    if parts == _MAX_PARTS:
        raise UserError(f"{where}: a PNG of more than {_MAX_PARTS:,} chunks; save the image anew")
    if strict:
        _check_turns(exif, xmp, where)
        check_bits(depth, where)
    plain = depth == 8 and colour_type in (0, 2) and not hides
    levels = 1 << depth if colour_type == 0 else 256
    return Header("png", height, width, plain, plain and colour_type == 0, levels)


def _unpacked(chunk: bytes) -> bytes:
    """The text of an iTXt chunk behind its keyword: a flag, a method, two more texts, and then the text itself."""
    text = chunk[2:].split(b"\0", 2)[-1]
    try:
        return zlib.decompressobj().decompress(text, _XMP_BYTES) if chunk[:1] == b"\1" else text
    except zlib.error:
        return b""


def _jpeg(data: bytes, where: str, strict: bool) -> tuple[Header, int]:
    """Walks the segments up to the first scan; the frame header (SOF) among them holds the size.

    Returns it and the number of scans, or 1 when there are few at most.
    """
    header, at, exif, xmp = None, 2, [], b""
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
            if strict:
                check_bits(data[at + 4], where)
            header = Header("jpeg", height, width, is_plain=data[at + 9 : at + 10] in (b"\1", b"\3"))
        if marker == 0xFF:
            at += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:
            at += 2
        else:
            length = struct.unpack(">H", data[at + 2 : at + 4])[0]
            if marker == 0xE1 and data.startswith(b"Exif\0\0", at + 4):
                exif.append(data[at + 4 : at + 2 + length])
            elif marker == 0xE1 and data.startswith(_XMP_OF_JPEG, at + 4):
                xmp = data[at + 4 : at + 2 + length]
            at += 2 + length
    else:
        raise UserError(f"{where}: a JPEG of more than {_MAX_PARTS:,} segments; save the image anew")
    if strict and (exif or xmp):
        _check_turns(exif, xmp, where)
    if header is None:
        raise UserError(f"{where}: a JPEG without a size, cut off or damaged; replace the file")
    if (len(data) - at) // _LEAST_SCAN_BYTES * header.pixels <= _MAX_SCANNED_PIXELS:
        return header, 1  # as many scans as fit into the file would not be too many: training asks this at every step
    return header, data.count(b"\xff\xda", at)


def _webp(data: bytes, where: str) -> Header:
    """The first chunk holds the size: of the canvas (VP8X), or of the only picture, lossy (VP8) or not (VP8L)."""
    kind = data[12:16]
    if kind == b"VP8X":
        if data[20] & 0x02:
            raise UserError(f"{where}: {_ANIMATION}")
        width, height = (1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
    elif kind == b"VP8L" and data[20] == 0x2F:
        packed = int.from_bytes(data[21:25], "little")
        width, height = 1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF)
    elif kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = (side & 0x3FFF for side in struct.unpack("<HH", data[26:30]))
    else:
        raise UserError(f"{where}: a WebP without a size, cut off or damaged; replace the file")
    return Header("webp", height, width)


def _tiff(data: bytes, where: str, strict: bool) -> Header:
    """The one directory of tags, in which all sizes stand."""
    order = "<" if data[:1] == b"I" else ">"
    (start,) = struct.unpack(f"{order}I", data[4:8])
    try:
        (count,) = struct.unpack_from(f"{order}H", data, start)
        if count > _TIFF_MOST_TAGS:
            raise UserError(f"{where}: a TIFF of {count} tags; save the image anew")
        tags: dict[int, int] = {}
        for at in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, number = struct.unpack_from(f"{order}HHI", data, at)
            if tag in tags:
                raise UserError(f"{where}: {_SECOND_HEADER}")
            tags[tag] = _tiff_value(data, at + 8, order, kind, number)
        (following,) = struct.unpack_from(f"{order}I", data, start + 2 + 12 * count)
    except struct.error as error:
        raise UserError(f"{where}: a TIFF that is cut off or damaged; replace the file") from error
    if following:
        raise UserError(f"{where}: a TIFF of several pages, of which readers take different ones; save one of them")
    if tags.get(259, 1) not in _TIFF_PACKINGS:
        raise UserError(f"{where}: a TIFF packed in a way (number {tags[259]}) that is not read; save it as PNG")
    if max(tags.get(322, 1), tags.get(323, 1)) > MAX_SIDE:
        raise UserError(f"{where}: a TIFF in tiles of over {MAX_SIDE:,} pixels; save it as PNG")
    if strict:
        check_bits(tags.get(258, 1), where)
        check_turn({_ORIENTATION: tags.get(_ORIENTATION, 1)}, where)
    height, width = tags.get(257, 0), tags.get(256, 0)
    # Pillow turns a TIFF itself, and tells the sides that it has then.
    return Header("tiff", width, height) if tags.get(_ORIENTATION) in LYING else Header("tiff", height, width)


def _tiff_value(data: bytes, at: int, order: str, kind: int, number: int) -> int:
    """The largest of the whole numbers (at most 8 are looked at) that a tag holds; 0 for tags of other kinds."""
    form = {1: "B", 3: "H", 4: "I"}.get(kind)
    if form is None or number == 0:
        return 0
    size = struct.calcsize(form) * number
    place = at if size <= 4 else struct.unpack_from(f"{order}I", data, at)[0]
    return max(struct.unpack_from(f"{order}{min(number, 8)}{form}", data, place))


def _bmp(data: bytes, where: str) -> Header:
    """The information header, of which the old form has 16-bit sizes."""
    (size,) = struct.unpack("<I", data[14:18])
    if size == 12:
        width, height, packing = *struct.unpack("<HH", data[18:22]), 0
    else:
        width, height = struct.unpack("<ii", data[18:26])
        (packing,) = struct.unpack("<I", data[30:34])
    if packing not in _BMP_PACKINGS:
        raise UserError(f"{where}: a BMP packed in a way (number {packing}) that is not read; save it as PNG")
    return Header("bmp", abs(height), width)
