"""Image headers read without decoding equal what PIL reads."""

import io

import numpy as np
import pytest
from PIL import Image

from scrn_jax.errors import UserError
from scrn_jax.person.images import read_header


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
