"""Regions: merge tables and the safe reading of label maps."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from scrn_jax.errors import UserError
from scrn_jax.person import regions

LABELS = np.arange(48, dtype=np.uint8).reshape(8, 6) % 8


def saved(path, image):
    image.save(path)
    return path


def test_a_grey_map_is_read_as_it_is(tmp_path):
    assert np.array_equal(regions.read_label_map(saved(tmp_path / "a.png", Image.fromarray(LABELS))), LABELS)


def test_a_palette_map_gives_its_indices_not_its_colours(tmp_path):
    image = Image.fromarray(LABELS)
    image.putpalette(np.random.default_rng(0).integers(0, 255, 768, np.uint8).tobytes())
    assert np.array_equal(regions.read_label_map(saved(tmp_path / "a.png", image)), LABELS)


def refused(path, *expected):
    with pytest.raises(UserError) as caught:
        regions.read_label_map(path)
    for part in (str(path), *expected):
        assert part in str(caught.value)


def test_a_label_above_seven_is_refused_with_file_and_value(tmp_path):
    labels = LABELS.copy()
    labels[3, 2] = 19
    refused(saved(tmp_path / "a.png", Image.fromarray(labels)), "label 19")


def test_a_coloured_map_is_refused(tmp_path):
    refused(saved(tmp_path / "a.png", Image.fromarray(regions.COLOURS[LABELS])), "RGB", "class numbers")


def test_a_jpeg_map_is_refused(tmp_path):
    refused(saved(tmp_path / "a.jpg", Image.fromarray(LABELS)), "PNG")


def test_a_truncated_map_is_refused(tmp_path):
    path = saved(tmp_path / "a.png", Image.fromarray(np.random.default_rng(0).integers(0, 8, (99, 99), np.uint8)))
    path.write_bytes(path.read_bytes()[:-500])
    refused(path, "damaged")


def test_an_absent_map_is_refused(tmp_path):
    refused(tmp_path / "a.png", "cannot be read")


def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path):
    data = io.BytesIO()
    Image.fromarray(LABELS).save(data, "png")
    data = bytearray(data.getvalue())
    data[16:24] = struct.pack(">II", 1 << 20, 1 << 20)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    (tmp_path / "a.png").write_bytes(data)
    refused(tmp_path / "a.png", "1048576 x 1048576")


def test_lip_classes_merge_by_the_meaning_of_their_names():
    table = regions.merge_table("lip")
    by_name = {name: regions.NAMES[table[index]] for index, (name, _) in enumerate(regions.LIP_20)}
    assert by_name["hat"] == by_name["hair"] == "hair"
    assert by_name["coat"] == by_name["upper-clothes"] == "upper clothes"
    assert by_name["left-shoe"] == by_name["right-leg"] == "leg"
    assert by_name["left-arm"] == "upper skin" and by_name["skirt"] == "pants" and by_name["face"] == "face"


def test_cihp_differs_from_lip_in_class_ten_alone():
    assert np.flatnonzero(regions.merge_table("cihp") != regions.merge_table("lip")).tolist() == [10]


def test_the_released_eight_classes_merge_by_their_authors_order():
    """ADGAN's issue 10 and PISE's issue 20: the classes in turn are named there."""
    adgan = [regions.NAMES[region] for region in regions.merge_table("adgan")]
    assert adgan == ["background", "pants", "hair", "pants", "face", "upper clothes", "upper skin", "leg"]
    pise = [regions.NAMES[region] for region in regions.merge_table("pise")]
    assert pise == ["background", "hair", "hair", "upper clothes", "pants", "pants", "upper skin", "face"]


def test_atr_has_its_faces_at_eleven_and_its_legs_at_twelve_and_thirteen():
    table = regions.merge_table("atr")
    assert len(table) == 18 and np.flatnonzero(table == 5).tolist() == [3, 11]
    assert [regions.NAMES[region] for region in table[[12, 13, 9, 10]]] == ["leg"] * 4


def test_an_unknown_merge_is_refused():
    with pytest.raises(UserError, match="cihp, lip"):
        regions.merge_table("vest")


def test_a_table_of_ones_own_may_have_a_twenty_first_class():
    table = regions.merge_table([*regions.merge_table("cihp").tolist(), 0])
    assert len(table) == 21 and table[20] == 0


@pytest.mark.parametrize("table", [[], [0, 8], [0, -1], [0, True], [0] * 257, [0.5]])
def test_a_table_that_is_none_is_refused(table):
    with pytest.raises(UserError, match="no merge of parsing classes"):
        regions.merge_table(table)


def test_a_label_beyond_the_merge_table_is_refused_with_its_limit(tmp_path):
    path = saved(tmp_path / "a.png", Image.fromarray(np.full((4, 4), 20, np.uint8)))
    with pytest.raises(UserError, match="label 20 in a parsing map of 20 classes"):
        regions.read_label_map(path, limit=20)
