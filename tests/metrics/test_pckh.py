"""PCKh by hand."""

import numpy as np

from scrn_jax.metrics.pckh import pckh


def _person() -> np.ndarray:
    """Head box 20 px high and 10 px wide, so that a joint may be off by 10 and 5 px; two joints of the body."""
    joints = np.full((1, 18, 2), -1.0, np.float32)
    joints[0, 0], joints[0, 1], joints[0, 16] = (30, 50), (45, 52), (25, 60)
    joints[0, 4], joints[0, 10] = (100, 40), (200, 44)
    return joints


def test_joints_within_half_the_head_box_are_right():
    target, found = _person(), _person()
    found[0, 4] += (9.9, 4.9)
    found[0, 10] += (0, 5.1)
    right, counted = pckh(found, target)
    assert (int(right[0]), int(counted[0])) == (4, 5)


def test_missing_joints_are_wrong_and_extra_ones_do_not_count():
    target, found = _person(), _person()
    found[0, 4] = -1
    found[0, 7] = 90, 90
    right, counted = pckh(found, target)
    assert (int(right[0]), int(counted[0])) == (4, 5)


def test_a_target_without_a_head_counts_nothing():
    target = _person()
    target[0, [0, 16]] = -1
    right, counted = pckh(target, target)
    assert (int(right[0]), int(counted[0])) == (0, 0)
