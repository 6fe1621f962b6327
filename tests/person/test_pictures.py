"""One opener and one resize: every reader gets the same RGB from a file, and what readers disagree about is refused."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from input_pipeline.decoding import decode_photo
from scrn_jax.errors import UserError
from scrn_jax.evaluation.folders import images
from scrn_jax.person.fitting import Rules, fit_image
from scrn_jax.person.image_files import open_picture
from scrn_jax.person.image_headers import read_header
from scrn_jax.person.regions import label_map_from_bytes
from scrn_jax.person.resizing import resize_photo

RNG = np.random.default_rng(0)
PIXELS = np.kron(RNG.integers(0, 256, (32, 22, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
FRAME = (256, 176)


def encoded(image, kind, **options):
    stream = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(stream, kind, **options)
    return stream.getvalue()


def by_fitting(data):
    fitted = fit_image(data, read_header(data, "x"), Rules(FRAME, resize=False), "x")
    return decode_photo(tf.constant(fitted), FRAME, FRAME).numpy()


READERS = {
    "opener": lambda data: np.asarray(open_picture(data, "x").image),
    "records": lambda data: np.asarray(
        open_picture(fit_image(data, read_header(data, "x"), Rules(FRAME), "x"), "x").image
    ),
    "training": by_fitting,
    "evaluation": lambda data: images.decode(data, "x", FRAME),
}
EXIF = Image.Exif()
EXIF[0x0112] = 6
UPRIGHT = Image.Exif()
UPRIGHT[0x0112] = 1
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
CUT_OUT = Image.fromarray(PIXELS).convert("RGBA")
CUT_OUT.putpixel((3, 4), (255, 0, 0, 0))
PALETTE = Image.fromarray(PIXELS).quantize(200)
DEEP = np.zeros(FRAME, np.uint16) + 40_000


def xmp_of_png(packed):
    """What a PNG says in XMP, as options of Pillow."""
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", XMP.decode(), zip=packed)
    return {"pnginfo": info}


def deep_rgb():
    """A PNG of 16-bit RGB, which Pillow opens as 8-bit RGB without a word."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + RNG.bytes(6 * FRAME[1]) for _ in range(FRAME[0]))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", FRAME[1], FRAME[0], 16, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "data",
    [
        encoded(PIXELS, "jpeg", quality=80),
        encoded(PIXELS[..., 0], "jpeg"),
        encoded(PIXELS, "png"),
        encoded(PIXELS[..., 0], "png"),
        encoded(PALETTE, "png"),
        encoded(Image.fromarray(PIXELS).convert("RGBA"), "png"),
        encoded(PIXELS, "webp", quality=80),
        encoded(PIXELS, "webp", lossless=True),
        encoded(PIXELS, "tiff"),
        encoded(PIXELS, "tiff", compression="tiff_lzw"),
        encoded(PIXELS, "bmp"),
    ],
    ids=[
        "jpeg",
        "grey jpeg",
        "png",
        "grey png",
        "palette",
        "opaque",
        "webp",
        "lossless webp",
        "tiff",
        "packed tiff",
        "bmp",
    ],
)  # fmt: skip
def test_every_reader_gives_the_pixels_that_pillow_gives(reader, data):
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert np.array_equal(READERS[reader](data), expected)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (encoded(CUT_OUT, "png"), "transparent in places; save it as RGB"),
        (encoded(CUT_OUT, "webp", lossless=True), "transparent in places"),
        (encoded(CUT_OUT, "tiff"), "transparent in places"),
        (encoded(PALETTE, "png", transparency=int(np.asarray(PALETTE)[0, 0])), "transparent in places"),
        (encoded(PIXELS, "png", transparency=tuple(PIXELS[0, 0].tolist())), "transparent in places"),
        (encoded(DEEP, "png"), "16 bits a channel.*save it with 8"),
        (deep_rgb(), "16 bits a channel.*save it with 8"),
        (encoded(DEEP, "tiff"), "16 bits a channel.*save it with 8"),
        (encoded(Image.new("F", FRAME[::-1]), "tiff"), "32 bits a channel"),
        (encoded(Image.fromarray(PIXELS).convert("LAB"), "tiff"), "colour mode is LAB; convert it to 8-bit RGB"),
        (encoded(PIXELS, "jpeg", exif=EXIF), "EXIF orientation 6"),
        (encoded(PIXELS, "png", exif=EXIF), "EXIF orientation 6"),
        (encoded(PIXELS, "webp", exif=EXIF), "EXIF orientation 6"),
        (encoded(PIXELS, "tiff", exif=EXIF), "EXIF orientation 6"),
        (encoded(PIXELS, "jpeg", xmp=XMP), "XMP orientation 6"),
        (encoded(PIXELS, "jpeg", xmp=b"<tiff:Orientation>8</tiff:Orientation>"), "XMP orientation 8"),
        (encoded(PIXELS, "png", **xmp_of_png(packed=False)), "XMP orientation 6"),
        (encoded(PIXELS, "png", **xmp_of_png(packed=True)), "XMP orientation 6"),
        (encoded(PIXELS, "webp", xmp=XMP), "orientation 6"),
        (encoded(PIXELS, "tiff", tiffinfo={700: XMP}), "orientation 6"),
    ],
)
def test_what_readers_make_different_pictures_of_is_refused_by_all(reader, data, message):
    with pytest.raises(UserError, match=f"x: .*{message}"):
        READERS[reader](data)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_exif_data_that_say_upright_overrule_xmp_data(kind):
    xmp = xmp_of_png(packed=False) if kind == "png" else {"xmp": XMP}
    data = encoded(PIXELS, kind, exif=UPRIGHT, **xmp)
    assert ImageOps.exif_transpose(Image.open(io.BytesIO(data))).size == FRAME[::-1], "what Pillow makes of it"
    assert open_picture(data, "x").image.size == FRAME[::-1]


@pytest.mark.parametrize("size", [(257, 177), (301, 201), (512, 352), (1101, 750), (300, 176)])
def test_photos_shrink_as_tensorflow_shrinks_them(size):
    pixels = RNG.integers(0, 256, (*size, 3), np.uint8)
    found = np.asarray(resize_photo(Image.fromarray(pixels), FRAME, (0, 0, size[1], size[0]), by_area=True))
    expected = tf.image.resize(pixels, FRAME, method="area").numpy()
    assert np.abs(found - expected).max() < 0.51  # half a grey level, and float32's rounding near it


def test_a_window_shrinks_to_the_means_of_what_it_covers():
    """Cells of 1.5 x 2 pixels from (0.5, 1) on: the first row of cells takes half of row 0 and all of row 1."""
    pixels = np.arange(5 * 6 * 3, dtype=np.uint8).reshape(5, 6, 3)
    found = np.asarray(resize_photo(Image.fromarray(pixels), (2, 2), (1, 0.5, 5, 3.5), by_area=True))
    rows = [pixels[0] * 0.5 + pixels[1], pixels[2] + pixels[3] * 0.5]
    expected = [[row[1:3].sum(0) / 3, row[3:5].sum(0) / 3] for row in np.array(rows)]
    assert np.array_equal(found, np.rint(expected))


@pytest.mark.parametrize("size", [(1101, 750), (300, 207)])
def test_records_differ_from_streamed_photos_by_the_jpeg_alone(size):
    coarse = Image.fromarray(RNG.integers(0, 256, (9, 7, 3), np.uint8))
    data = encoded(coarse.resize(size[::-1], Image.Resampling.BICUBIC), "png")
    stored = fit_image(data, read_header(data, "x"), Rules(FRAME), "x")
    records = decode_photo(tf.constant(stored), FRAME, FRAME).numpy().astype(int)
    streamed = decode_photo(tf.constant(data), FRAME, FRAME).numpy()
    assert np.abs(records - streamed).max() <= 8


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_label_maps_of_fewer_bits_give_their_numbers(bits):
    labels = RNG.integers(0, 1 << min(bits, 3), (16, 24), np.uint8)
    grey = Image.fromarray(labels)
    grey.putpalette(range(48))
    data = bytearray(encoded(grey, "png", bits=bits))
    at = data.index(b"PLTE") - 4
    length = int.from_bytes(data[at : at + 4], "big")
    data[25] = 0  # of one grey channel instead of a palette
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    data = bytes(data[:at] + data[at + 12 + length :])
    assert Image.open(io.BytesIO(data)).mode in ("1", "L")
    assert np.array_equal(label_map_from_bytes(data, "x"), labels)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (encoded(PIXELS, "webp", save_all=True, append_images=[Image.fromarray(PIXELS[::-1])]), "an animation"),
        (encoded(PIXELS, "tiff", save_all=True, append_images=[Image.fromarray(PIXELS)]), "several pages"),
        (encoded(PIXELS, "tiff", compression="jpeg"), "packed in a way"),
        (encoded(PIXELS, "tiff")[:60], "neither a JPEG nor a PNG|cut off|damaged"),
        (encoded(PIXELS, "webp")[:25], "neither a JPEG nor a PNG"),
        (encoded(PIXELS, "bmp")[:5000], "truncated or damaged"),
        (encoded(PIXELS, "webp")[:500], "damaged"),
    ],
)
def test_the_other_formats_have_their_limits_too(data, message):
    with pytest.raises(UserError, match=f"x: .*({message})"):
        open_picture(data, "x")
