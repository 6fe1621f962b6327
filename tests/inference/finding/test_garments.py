"""Rims of arms that lie before clothes. What the region network makes of garments is in test_region_network.py."""

import numpy as np
import pytest
from scipy import ndimage

from scrn_jax.inference.finding.garments import with_rims_of_arms

UPPER, SKIN = 2, 6


def person(across: int):
    """A trunk of 40 rows whose forearm with its hand, 20 pixels long, lies on it from a column on; regions, joints."""
    regions = np.zeros((85, 90), np.uint8)
    regions[20:64, 20:60] = UPPER
    regions[48:53, across : across + 20] = SKIN
    joints = np.full((18, 2), -1, np.float32)
    joints[[1, 2, 5, 8, 11]] = (20, 40), (20, 26), (20, 54), (60, 30), (60, 50)
    joints[[3, 4]] = (50, across), (50, across + 12)
    return regions, joints


def test_the_rim_of_an_arm_before_clothes_is_the_arms():
    regions, joints = person(across=32)
    expected = np.where(ndimage.binary_dilation(regions == SKIN), SKIN, regions)  # one pixel of 85 rows
    np.testing.assert_array_equal(with_rims_of_arms(regions, joints), expected)


@pytest.mark.parametrize("missing", [[], [4]], ids=["beside the body", "without a wrist"])
def test_other_skin_keeps_its_outline(missing):
    regions, joints = person(across=32 if missing else 56)
    joints[missing] = -1
    np.testing.assert_array_equal(with_rims_of_arms(regions, joints), regions)
