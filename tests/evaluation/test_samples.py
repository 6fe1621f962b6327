"""Sheets show each picture in its column, enlarged by whole numbers."""

import numpy as np

from scrn_jax.evaluation import samples
from scrn_jax.person import draw, regions


def _flat(value, height=20, width=10):
    return np.full((height, width, 3), value, np.uint8)


def test_pictures_stand_under_their_titles_in_order():
    rows = [[_flat((255, 0, 0)), _flat((0, 255, 0))], [_flat((0, 0, 255)), _flat((9, 9, 9))]]
    page = np.asarray(samples.compose(rows, titles=("left", "right")))
    scale = 10  # 20 pixels to the least multiple of at least 192
    height, width = 20 * scale, 10 * scale
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            top, left = (
                samples.TITLE + samples.GAP + y * (height + samples.GAP),
                samples.GAP + x * (width + samples.GAP),
            )
            panel = page[top : top + height, left : left + width]
            np.testing.assert_array_equal(panel, np.broadcast_to(picture[0, 0], panel.shape))
    assert page.shape == (
        samples.TITLE + 2 * (height + samples.GAP) + samples.GAP,
        2 * (width + samples.GAP) + samples.GAP,
        3,
    )


def test_a_large_frame_is_not_enlarged():
    page = samples.compose([[_flat(0, 256, 176)]], titles=("one",))
    assert page.size == (176 + 2 * samples.GAP, 256 + samples.TITLE + 2 * samples.GAP)


def test_floats_round_to_the_nearest_byte_and_clip():
    values = np.array([-1.2, -1, 0, 1 / 127.5, 1, 3], np.float32)
    assert samples.to_uint8(values).tolist() == [0, 0, 128, 128, 255, 255]  # 127.5 and 128.5 round to even


def test_a_row_holds_the_columns_in_their_order():
    rng = np.random.default_rng(0)
    height, width = 24, 16
    batch = {
        "source_image": rng.integers(0, 256, (1, height, width, 3), dtype=np.uint8),
        "target_image": rng.integers(0, 256, (1, height, width, 3), dtype=np.uint8),
        "target_pose": rng.uniform(0, 16, (1, 18, 2)).astype(np.float32),
    }
    labels = rng.integers(0, regions.NUM_REGIONS, (1, height, width))
    outputs = {
        "image": np.full((1, height, width, 3), 1.0, np.float32),
        "coarse_image": np.full((1, height, width, 3), -1.0, np.float32),
        "parsing": np.eye(regions.NUM_REGIONS, dtype=np.float32)[labels],
    }
    (row,) = samples.sample_rows(batch, outputs)
    expected = dict(zip(samples.COLUMNS, row, strict=True))
    np.testing.assert_array_equal(expected["source"], batch["source_image"][0])
    np.testing.assert_array_equal(expected["target pose"], draw.skeleton(batch["target_pose"][0], height, width))
    np.testing.assert_array_equal(expected["coarse"], 0)
    np.testing.assert_array_equal(expected["parsing"], draw.paint_regions(labels[0]))
    np.testing.assert_array_equal(expected["generated"], 255)
    np.testing.assert_array_equal(expected["target"], batch["target_image"][0])
