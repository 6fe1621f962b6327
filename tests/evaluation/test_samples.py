"""Sheets show each picture in its column, enlarged by whole numbers."""

import numpy as np

from scrn_jax.evaluation import samples


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
