"""Pixels that the body takes along for pictures that people look at: where they come from, on a figure that is known.

What is moved are the pixels' own places, so that each test reads off where a target's pixel comes from.
"""

import jax
import numpy as np
import pytest

from scrn_jax.person import joints, moving

HEIGHT, WIDTH = 64, 48
UPPER, DRESS, PANTS = 2, 3, 4
GRID = np.stack(np.mgrid[:HEIGHT, :WIDTH], -1).astype(np.float32)
_move = jax.jit(moving.move)


def _moved(source, target, labels, wanted=None):
    """Places in the source, (H, W, 2), and how far they are known, (H, W), for labels of source and target (H, W)."""
    masks, parsing = (
        np.eye(8, dtype=np.float32)[each][None] for each in (labels, labels if wanted is None else wanted)
    )
    found = _move(GRID[None], masks, source[None], target[None], parsing)
    return np.asarray(found[0])[0], np.asarray(found[1])[0, ..., 0]


def _all(region):
    return np.full((HEIGHT, WIDTH), region)


@pytest.mark.parametrize("region", [UPPER, DRESS, PANTS])
def test_in_the_same_pose_every_pixel_stays(front, region):
    at, known = _moved(front, front, _all(region))
    np.testing.assert_allclose(at, GRID, atol=0.1)
    np.testing.assert_allclose(known, 1, atol=1e-3)


def test_from_behind_the_torso_is_mirrored(front):
    """Left and right change places about the column 24, as they do for somebody who turns round."""
    behind = front.copy()
    behind[[2, 3, 4, 8, 9, 10]], behind[[5, 6, 7, 11, 12, 13]] = (
        front[[5, 6, 7, 11, 12, 13]],
        front[[2, 3, 4, 8, 9, 10]],
    )
    at, known = _moved(front, behind, _all(UPPER))
    np.testing.assert_allclose(at[24, 21:28], [[24, 48 - column] for column in range(21, 28)], atol=0.3)
    assert known[24, 24] > 0.99


def test_a_torso_whose_hips_are_not_shown_goes_by_its_shoulders(front):
    close = front.copy()
    close[8:14] = joints.MISSING
    at, known = _moved(close, joints.move(close, scale=(1, 1), offset=(3, 2)), _all(UPPER))
    np.testing.assert_allclose(at[40, 26], [37, 24], atol=0.3)
    assert known[40, 26] > 0.99


def _spread(front):
    """The knees and feet further apart, by 6 pixels either way."""
    target = front.copy()
    target[[9, 10], 1] -= 6
    target[[12, 13], 1] += 6
    return target


def test_a_dress_moves_as_one_piece_and_not_with_the_legs(front):
    """Halfway down the right thigh, which moved 3 pixels to the left, the dress has hardly moved."""
    at, _ = _moved(front, _spread(front), _all(DRESS))
    legs, _ = _moved(front, _spread(front), _all(7))
    assert abs(at[41, 17, 1] - 17) < 1.5 < 2.5 < legs[41, 17, 1] - 17


def _trousers(pose):
    """Two legs of trousers, three pixels to either side of their middles, with a gap between."""
    columns = np.stack([np.interp(np.arange(HEIGHT), pose[leg, 0], pose[leg, 1]) for leg in ([8, 9, 10], [11, 12, 13])])
    apart = np.abs(np.arange(WIDTH) - columns[..., None]).min(0)
    return np.where((apart < 3) & (np.arange(HEIGHT)[:, None] > 34), PANTS, 0)


def test_pants_without_a_gap_are_a_skirt_and_others_move_with_the_legs(front):
    target = _spread(front)
    skirt, _ = _moved(front, target, _all(PANTS))
    trousers, known = _moved(front, target, _trousers(front), _trousers(target))
    assert abs(skirt[41, 17, 1] - 17) < 1.5
    assert known[41, 17] > 0.8 and abs(trousers[41, 17, 1] - 20) < 0.5


def test_nothing_is_known_of_a_region_that_the_source_does_not_show(front):
    _, known = _moved(front, front, _all(UPPER), _all(DRESS))
    assert not known.any()


def test_nothing_is_known_without_a_pose(front):
    none = np.full_like(front, -1)
    at, known = _moved(none, front, _all(UPPER))
    assert not known.any() and np.isfinite(at).all()


def test_across_a_bent_elbow_places_go_on(front):
    """From one pixel to the next along the arm's middle, they never jump further than three pixels."""
    bent = front.copy()
    bent[4] = [31, 20]
    at, _ = _moved(front, bent, _all(UPPER))
    way = np.round(np.concatenate([np.linspace(bent[2], bent[3], 10), np.linspace(bent[3], bent[4], 10)])).astype(int)
    steps = np.abs(np.diff(at[way[:, 0], way[:, 1]], axis=0)).max(-1)
    assert steps.max() < 3


def test_a_torso_seen_from_the_side_lends_nothing_to_one_seen_from_the_front(front):
    """Its shoulders and hips are a tenth as wide in the source; a front takes all of a front."""
    side = front.copy()
    side[:, 1] = 24 + 0.1 * (front[:, 1] - 24)
    _, from_side = _moved(side, front, _all(UPPER))
    _, from_front = _moved(front, front, _all(UPPER))
    assert from_side[26, 24] < 0.1 and from_front[26, 24] > 0.99


def test_a_shin_that_points_to_the_camera_lends_nothing_to_one_of_full_length(front):
    short = front.copy()
    short[10] = front[9] + [3, 0]
    _, known = _moved(short, front, _all(7))
    assert known[51, 20] < 0.1 and known[51, 28] > 0.99


def test_what_is_hidden_on_one_side_is_the_other_sides_mirrored(front):
    """Of the clothes, the source shows those left of the body's middle, the column 24."""
    labels = np.where(np.arange(WIDTH) < 24, _all(UPPER), 0)
    at, known = _moved(front, front, labels, _all(UPPER))
    inside = np.s_[26:34, 26:30]
    assert (known[inside] > 0.9).all()
    np.testing.assert_allclose(at[inside], GRID[inside] * [1, -1] + [0, 48], atol=0.6)


def test_an_arm_that_is_hidden_is_the_other_one_mirrored(front):
    labels = _all(UPPER)
    labels[:, 24:] = 0
    elbow, wrist = front[6], front[7]
    middle = np.round((elbow + wrist) / 2).astype(int)
    at, known = _moved(front, front, labels, _all(UPPER))
    assert known[tuple(middle)] > 0.9
    np.testing.assert_allclose(at[tuple(middle)], [middle[0], 48 - middle[1]], atol=0.6)
