"""Image files of every kind that lies in released folders, each read by a named rule or refused."""

import io

import numpy as np
import pytest
from PIL import Image

from scrn_jax.errors import UserError
from scrn_jax.evaluation.folders import images

FRAME = (256, 176)
COLUMNS = np.broadcast_to((np.arange(176) // 2).astype(np.uint8)[None, :, None], (256, 176, 3))


def _bytes(image, format="PNG", **options) -> bytes:
    stream = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(stream, format, **options)
    return stream.getvalue()


def _read(data: bytes, frame=FRAME, strips=True):
    return images.inspect(data, "a.png", frame, strips), images.decode(data, "a.png", frame)


def test_an_image_of_the_frame_is_read_as_it_is():
    seen, pixels = _read(_bytes(COLUMNS))
    assert seen == images.Seen("png", "256x176", ()) and np.array_equal(pixels, COLUMNS)


def test_a_square_image_loses_40_columns_on_both_sides():
    square = np.pad(COLUMNS, ((0, 0), (40, 40), (0, 0)))
    seen, pixels = _read(_bytes(square))
    assert seen == images.Seen("png", "256x256", ("side_bars",)) and np.array_equal(pixels, COLUMNS)


@pytest.mark.parametrize("panel", [176, 256])
def test_of_a_strip_the_last_panel_is_taken(panel):
    last = np.pad(COLUMNS, ((0, 0), ((panel - 176) // 2,) * 2, (0, 0)))
    strip = np.concatenate([np.full((256, 4 * panel, 3), 9, np.uint8), last], 1)
    seen, pixels = _read(_bytes(strip))
    assert seen.rules[0] == "last_panel" and np.array_equal(pixels, COLUMNS)


def test_a_square_frame_takes_square_images_whole():
    square = np.pad(COLUMNS, ((0, 0), (40, 40), (0, 0)))
    seen, pixels = _read(_bytes(square), (256, 256))
    assert seen.rules == () and np.array_equal(pixels, square)


@pytest.mark.parametrize(
    ("mode", "rule"), [("L", "grey"), ("LA", "opaque_alpha"), ("RGBA", "opaque_alpha"), ("P", "palette")]
)
def test_grey_opaque_and_palette_images_are_read_by_a_named_rule(mode, rule):
    seen, pixels = _read(_bytes(Image.fromarray(np.ascontiguousarray(COLUMNS[..., 0])).convert(mode)))
    assert seen.rules == (rule,) and rule in images.RULES and np.array_equal(pixels, COLUMNS)


def test_a_grey_jpeg_is_read_by_the_rule_for_grey():
    seen, pixels = _read(_bytes(COLUMNS[..., 0], "JPEG", quality=100))
    assert (seen.format, seen.rules, pixels.shape) == ("jpeg", ("grey",), (256, 176, 3))


def test_transparent_pixels_are_refused():
    image = np.dstack([COLUMNS, np.full((256, 176), 255, np.uint8)])
    image[3, 3, 3] = 254
    with pytest.raises(UserError, match=r"a\.png: transparent in places; save it as RGB"):
        _read(_bytes(image))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (lambda: _bytes(COLUMNS[:128]), "128x176 pixels do not fit the frame 256x176"),
        (lambda: _bytes(np.ascontiguousarray(COLUMNS[:, :170])), "256x170 pixels do not fit"),
        (lambda: _bytes(np.zeros((256, 2816, 3), np.uint8)), "2816 columns may be 16 or 11 panels"),
        (lambda: _bytes(Image.new("CMYK", (176, 256)), "JPEG"), "colour mode is CMYK; convert"),
        (lambda: _bytes(np.zeros((256, 176), np.uint16)), "16 bits a channel"),
        (lambda: b"GIF89a" + bytes(50), "neither a JPEG nor a PNG"),
        (lambda: b"", "neither a JPEG nor a PNG"),
        (lambda: _bytes(COLUMNS, "JPEG")[:-400], "damaged"),
        (lambda: _bytes(COLUMNS)[:200], "damaged"),
        (lambda: _bytes(COLUMNS)[:8] + b"\0\0\0\rIHDR" + b"\xff" * 8 + b"\x08\x02", "claims 4294967295"),
    ],
    ids=["height", "width", "ambiguous strip", "cmyk", "16 bit", "gif", "empty", "cut jpeg", "cut png", "bomb"],
)
def test_what_cannot_be_measured_is_refused_by_name(data, message):
    with pytest.raises(UserError, match=f"a.png: .*{message}"):
        _read(data())


def test_a_strip_is_refused_where_one_image_is_expected():
    with pytest.raises(UserError, match="a strip of 2 panels, but one image"):
        _read(_bytes(np.concatenate([COLUMNS, COLUMNS], 1)), strips=False)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"x\.png: cannot be read \(No such file"):
        images.read_bytes(tmp_path / "x.png")


def test_a_mask_is_one_where_the_label_is_not_background_and_cut_like_the_images():
    labels = np.zeros((256, 256), np.uint8)
    labels[10, 40:44] = (0, 1, 5, 255)
    mask = images.decode_mask(_bytes(labels), "m.png", FRAME)
    assert mask.shape == FRAME and mask[10, :4].tolist() == [0, 1, 1, 1] and mask.sum() == 3
