"""Rims of arms that lie before clothes, and hands beside heads. Garments themselves are in test_region_network.py."""

import numpy as np
import pytest
from scipy import ndimage

from scrn_jax.inference.finding.garments import with_hands, with_rims_of_arms

HAIR, UPPER, FACE, SKIN = 1, 2, 5, 6


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


@pytest.fixture
def beside_a_head():
    """Labels and joints of a head around (30, 40) and a hand at its right side, whose wrist is at (34, 64)."""
    y, x = np.mgrid[:128, :88]
    is_face = np.hypot((y - 30) / 14, (x - 40) / 10) < 1
    labels = np.where(is_face, FACE, np.where(np.hypot(y - 28, x - 40) < 17, HAIR, 0))
    joints = np.full((18, 2), -1, np.float32)
    joints[[0, 14, 15, 16, 17]] = (30, 40), (27, 36), (27, 44), (29, 32), (29, 48)
    joints[[1, 2, 5, 8, 11]] = (56, 40), (56, 26), (56, 54), (100, 32), (100, 48)
    joints[[6, 7]] = (58, 72), (34, 64)
    return labels, joints


def found(labels, joints, is_skin=False):
    """Labels once `with_hands` has been at logits that are sure of `labels`; colours are skin's there or hair's."""
    colours = np.zeros((*labels.shape, 8), np.float32)
    colours[is_skin, SKIN] = 1
    return with_hands(5 * np.eye(8, dtype=np.float32)[labels], colours, joints).argmax(-1)


@pytest.mark.parametrize("region, is_skin", [(FACE, False), (HAIR, True)], ids=["as a face", "as hair"])
def test_fingers_that_count_as_a_head_become_skin(beside_a_head, region, is_skin):
    labels, joints = beside_a_head
    before = labels.copy()
    labels[24:32, 58:66] = region
    mask = np.zeros(labels.shape, bool)
    mask[24:32, 58:66] = is_skin
    after = found(labels, joints, mask)
    assert (after[24:32, 58:66] == SKIN).all()
    np.testing.assert_array_equal(np.where(labels == before, after, 0), np.where(labels == before, labels, 0))


def test_hair_of_its_own_colour_a_face_and_what_is_not_beyond_the_wrist_stay(beside_a_head):
    labels, joints = beside_a_head
    labels[24:32, 58:66] = HAIR
    labels[44:50, 66:72] = FACE  # on the forearm's side of the wrist
    np.testing.assert_array_equal(found(labels, joints), labels)


def test_without_an_elbow_nobody_knows_where_a_hand_is(beside_a_head):
    labels, joints = beside_a_head
    labels[24:32, 58:66] = FACE
    joints[6] = -1
    np.testing.assert_array_equal(found(labels, joints), labels)
