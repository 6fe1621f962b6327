"""Image headers read without decoding equal what PIL reads, and what they ask for has limits."""

import io
import struct
import threading
import zlib

import numpy as np
import pytest
from PIL import Image

from scrn_jax.errors import UserError
from scrn_jax.person.image_files import in_turn, open_image
from scrn_jax.person.image_headers import read_header
from scrn_jax.person.regions import label_map_from_bytes


def encoded(mode, kind, **options):
    data = io.BytesIO()
    Image.fromarray(np.zeros((13, 29, 3), np.uint8)).convert(mode).save(data, kind, **options)
    return data.getvalue()


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_sizes(mode, progressive):
    exif = Image.Exif()
    exif[0x0110] = "camera" * 50
    header = read_header(encoded(mode, "jpeg", progressive=progressive, exif=exif), "x")
    assert (header.kind, header.height, header.width) == ("jpeg", 13, 29)


@pytest.mark.parametrize(("mode", "plain"), [("L", True), ("P", False), ("RGB", False), ("1", False)])
def test_png_sizes_and_plain_grey(mode, plain):
    header = read_header(encoded(mode, "png"), "x")
    assert (header.kind, header.height, header.width, header.is_plain_grey) == ("png", 13, 29, plain)


@pytest.mark.parametrize("data", [b"", b"GIF89a" + bytes(50), encoded("RGB", "jpeg")[:100], encoded("L", "png")[:20]])
def test_anything_else_is_refused_by_name(data):
    with pytest.raises(UserError, match="photo.jpg"):
        read_header(data, "photo.jpg")


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, before=b""):
    """A PNG that claims to be that large and holds next to nothing, with chunks `before` its pixels."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + before + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def frame_header(width, height):
    return b"\xff\xc0" + struct.pack(">HBHHBBBB", 11, 8, height, width, 1, 1, 0x11, 0)


def with_a_second_png_header():
    return png(29, 13, chunk(b"IHDR", struct.pack(">IIBBBBB", 12_000, 13_000, 8, 2, 0, 0, 0)))


def with_a_second_jpeg_header():
    data = encoded("L", "jpeg")
    scan = data.index(b"\xff\xda")
    return data[:scan] + frame_header(12_000, 13_000) + data[scan:]


def with_many_scans():
    data = bytearray(encoded("L", "jpeg", progressive=True))
    size = data.index(b"\xff\xc2") + 5
    data[size : size + 4] = struct.pack(">HH", 6144, 8192)
    return bytes(data) + 200 * b"\xff\xda\0\x02"


@pytest.mark.parametrize("data", [with_a_second_png_header(), with_a_second_jpeg_header()])
def test_pillow_would_take_the_second_header(data):
    with pytest.warns(Image.DecompressionBombWarning):
        assert Image.open(io.BytesIO(data)).size == (12_000, 13_000)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (with_a_second_png_header(), "has two headers"),
        (with_a_second_jpeg_header(), "has two headers"),
        (png(29, 13, chunk(b"acTL", bytes(8))), "an animation"),
        (b"\x89PNG\r\n\x1a\n" + chunk(b"tEXt", b"a\0" + bytes(30)) + png(29, 13)[8:], "a PNG without a header"),
        (png(8192, 6145), "claims 8192 x 6145 pixels, allowed are 1 to 50,331,648"),
        (png(0, 10), "claims 0 x 10 pixels"),
        (png(40, 60_000), "claims 40 x 60000 pixels, allowed are 16,384 a side"),
        (png(10, 700), "more than 64 times as long as wide"),
        (png(29, 13) + bytes(5 << 20), "far more than they need"),
        (png(29, 13, chunk(b"tEXt", b"") * 70_000), "more than 65,536 chunks"),
        (b"\xff\xd8" + b"\xff\xe0\0\x02" * 70_000 + frame_header(29, 13), "more than 65,536 segments"),
        (with_many_scans(), "in 20\\d scans, which takes too long"),
    ],
    ids=[
        "second IHDR", "second SOF", "animation", "no header", "pixels", "none", "side", "ratio", "bytes", "chunks",
        "segments", "scans",
    ],
)  # fmt: skip
@pytest.mark.parametrize("read", [read_header, open_image, label_map_from_bytes])
def test_a_header_beyond_the_limits_is_refused_before_anything_is_decoded(data, message, read, monkeypatch):
    monkeypatch.setattr(Image, "open", None)  # is not come to
    with pytest.raises(UserError, match=f"x.png: .*{message}"):
        read(data, "x.png")


@pytest.mark.parametrize(("width", "height"), [(8192, 6144), (16_384, 3072), (10, 640)])
def test_the_largest_pictures_within_the_limits_are_let_on(width, height):
    assert read_header(png(width, height), "x").pixels == width * height


def test_a_decoder_that_reads_another_size_than_was_looked_at_is_not_let_on(monkeypatch):
    monkeypatch.setattr(Image, "open", lambda *_, **__: Image.new("RGB", (14, 29)))
    with pytest.raises(UserError, match="x: has two headers"):
        open_image(encoded("RGB", "png"), "x")


def test_large_pictures_take_turns_and_small_ones_do_not_wait():
    large, small = read_header(png(8192, 6144), "x"), read_header(png(10, 10), "x")
    inside, done = threading.Event(), threading.Event()

    def another():
        with in_turn(large):
            inside.set()
        done.set()

    with in_turn(large):
        thread = threading.Thread(target=another)
        thread.start()
        with in_turn(small):
            assert not inside.wait(0.2)
    assert done.wait(20)
    thread.join()
