"""Photos of every kind become upright RGB of 8 bits, or one line that says why not."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from scrn_jax.errors import UserError
from scrn_jax.inference.photo_files import open_photo, within_bars

SIZE = (40, 48)  # width, height


@pytest.fixture
def colours():
    """A picture whose corners differ."""
    pixels = np.full((48, 40, 3), 90, np.uint8)
    pixels[:24, :20], pixels[24:, 20:] = (200, 30, 30), (20, 60, 220)
    return Image.fromarray(pixels)


def _bytes(picture, kind="png", **options):
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_turned_as_its_exif_says(orientation, colours):
    exif = Image.Exif()
    exif[0x0112] = orientation
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Transpose operations that store the picture so
    stored = colours.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else colours
    np.testing.assert_array_equal(open_photo(_bytes(stored, exif=exif)), np.asarray(colours))


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_lying_tiff_is_turned_once(orientation, colours):
    undo = {5: 5, 6: 2, 7: 6, 8: 4}
    stored = colours.transpose(Image.Transpose(undo[orientation]))
    data = _bytes(stored, "tiff", tiffinfo={0x0112: orientation})
    np.testing.assert_array_equal(open_photo(data), np.asarray(colours))


def test_a_tag_of_a_wrong_type_does_not_keep_a_photo_from_being_turned(colours):
    """A date that is a number, behind an orientation of 6: Pillow reads such tags and cannot write them."""
    head = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2)
    tags = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0) + struct.pack("<HHII", 0x0132, 12, 1, 38)
    stored = colours.transpose(Image.Transpose.ROTATE_90)
    block = head + tags + struct.pack("<Id", 0, 7.0)
    found = open_photo(_bytes(stored, exif=block))
    np.testing.assert_array_equal(found, np.asarray(colours))


def test_a_picture_as_pillow_opens_it_is_turned_and_one_that_was_worked_on_is_not(colours):
    exif = Image.Exif()
    exif[0x0112] = 6
    opened = Image.open(io.BytesIO(_bytes(colours.transpose(Image.Transpose.ROTATE_90), exif=exif)))
    np.testing.assert_array_equal(open_photo(opened), np.asarray(colours))
    np.testing.assert_array_equal(open_photo(opened.transpose(Image.Transpose.ROTATE_270)), np.asarray(colours))


def test_a_picture_of_pillow_that_is_cut_off_is_refused(colours):
    data = _bytes(Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8)))
    with pytest.raises(UserError, match="the photo: truncated or damaged"):
        open_photo(Image.open(io.BytesIO(data[: len(data) // 2])))


@pytest.mark.parametrize(("values", "mode"), [(1.0, "F"), (255, "I"), (255.0, "F"), (65535, "I")])
def test_grey_of_other_numbers_goes_up_to_white(values, mode):
    grey = np.linspace(0, values, 48 * 40).reshape(48, 40)
    grey = grey.astype(np.float32 if mode == "F" else np.int32)
    np.testing.assert_allclose(open_photo(Image.fromarray(grey))[..., 0], grey / values * 255, atol=0.6)


def test_a_photo_is_turned_as_its_xmp_says_where_exif_says_nothing(colours):
    stored = colours.transpose(Image.Transpose.ROTATE_90)
    found = open_photo(_bytes(stored, "webp", lossless=True, xmp=b'<rdf:Description tiff:Orientation="6"/>'))
    np.testing.assert_array_equal(found, np.asarray(colours))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK"])
def test_every_mode_of_colour_becomes_rgb(mode, colours):
    kind = "jpeg" if mode == "CMYK" else "png"
    found = open_photo(_bytes(colours.convert(mode), kind))
    assert found.shape == (48, 40, 3) and found.dtype == np.uint8
    assert np.abs(found[5, 5].astype(int) - (200, 30, 30)).max() < 26  # the palette's steps are 51


@pytest.mark.parametrize("mode", ["L", "LA", "1"])
def test_grey_has_three_equal_channels(mode, colours):
    found = open_photo(_bytes(colours.convert("L").convert(mode)))
    assert (found[..., 0] == found[..., 1]).all() and (found[..., 0] == found[..., 2]).all()


def test_sixteen_bits_keep_their_shades():
    deep = np.linspace(0, 65535, 48 * 40).reshape(48, 40).astype(np.uint16)
    found = open_photo(_bytes(Image.fromarray(deep)))
    np.testing.assert_array_equal(found[..., 0], np.round(deep / 257).astype(np.uint8))


def test_what_is_transparent_becomes_white(colours):
    colours.putalpha(Image.new("L", SIZE, 0))
    assert (open_photo(_bytes(colours)) == 255).all()


def test_floats_of_both_ranges_and_channels_in_between_are_the_same_picture(colours):
    pixels = np.asarray(colours)
    np.testing.assert_array_equal(open_photo(pixels / np.float32(255)), pixels)
    np.testing.assert_array_equal(open_photo(pixels / np.float32(127.5) - 1), pixels)
    np.testing.assert_array_equal(open_photo(pixels[..., :1]), open_photo(pixels[..., 0]))


def test_a_file_and_its_bytes_are_the_same_picture(colours, tmp_path):
    (tmp_path / "me.png").write_bytes(_bytes(colours))
    np.testing.assert_array_equal(open_photo(tmp_path / "me.png"), open_photo(_bytes(colours)))


@pytest.mark.parametrize(
    "array, message",
    [
        (np.zeros((48, 40, 2), np.uint8), "has the shape"),
        (np.zeros((48, 40, 3), np.int64), "holds int64"),
        (np.full((48, 40, 3), np.nan), "values from nan"),
        (np.full((48, 40, 3), 2.0), "values from 2.0"),
        (np.zeros((0, 40, 3), np.uint8), "has the shape"),
        (np.zeros((8, 40, 3), np.uint8), "40 x 8 pixels, at least 32"),
    ],
)
def test_an_array_that_is_no_photo_is_refused(array, message):
    with pytest.raises(UserError, match=message):
        open_photo(array)


def _walled(wall, bars, colour=255):
    """Noise in front of which there is a wall, within bars (above, below, left, right)."""
    above, below, left, right = bars
    photo = np.full((120, 90, 3), colour, np.uint8)
    inside = photo[above : 120 - below, left : 90 - right]
    inside[:] = wall
    rows, columns = np.mgrid[: inside.shape[0], : inside.shape[1]]
    somebody = ((rows - 80) / 50) ** 2 + ((columns - 35) / 15) ** 2 < 1
    inside[somebody] = np.random.default_rng(0).integers(0, 200, (somebody.sum(), 3))
    return photo


@pytest.mark.parametrize("colour", [255, 0])
@pytest.mark.parametrize("bars", [(12, 12, 0, 0), (0, 0, 9, 9), (12, 0, 0, 0), (10, 14, 6, 6)])
def test_bars_around_a_photo_are_left_out(bars, colour):
    rows, columns = within_bars(_walled(128, bars, colour))
    found = rows.start, 120 - rows.stop, columns.start, 90 - columns.stop
    # And up to two rows of the picture, where a resized bar is blurred.
    assert all(bar <= seen <= bar + 2 if bar else seen == 0 for bar, seen in zip(bars, found, strict=True))


def test_a_bar_that_runs_into_a_floor_is_about_as_wide_as_the_opposite_one():
    photo = _walled(128, (12, 12, 0, 0))
    photo[90:108] = 248  # a floor nearly as white as the bar
    rows, columns = within_bars(photo)
    assert 12 <= rows.start <= 14 and 12 <= 120 - rows.stop <= 18 and columns == slice(0, 90)


@pytest.mark.parametrize("wall", [255, 128, 0])
def test_an_even_wall_is_no_bar(wall):
    photo = _walled(wall, (0, 0, 0, 0))
    assert within_bars(photo) == (slice(0, 120), slice(0, 90))
    even = np.full((64, 64, 3), wall, np.uint8)
    assert within_bars(even) == (slice(0, 64), slice(0, 64))
