"""A picture's pattern: what differs from the mean of its region around, and nothing else."""

import numpy as np
import pytest

from scrn_jax.inference.finishing import pattern

SIZE = (32, 24)
HAIR, UPPER, DRESS = 1, 2, 3
REACHES = np.full(8, 3.0)


def _masks(labels):
    return np.eye(8, dtype=np.float32)[labels]


def _halves():
    """Upper clothes on the left, a dress on the right, background above."""
    labels = np.where(np.arange(SIZE[1]) < 12, UPPER, DRESS)[None].repeat(SIZE[0], 0)
    labels[:4] = 0
    return labels


def test_regions_of_one_colour_each_have_none_even_where_they_meet():
    labels = _halves()
    picture = np.array([255, 0, 40, 200, 0, 0, 0, 0], np.float32)[labels][..., None].repeat(3, -1)
    np.testing.assert_allclose(pattern.pattern_of(picture, _masks(labels), REACHES, SIZE), 0, atol=0.01)


def test_light_that_falls_off_evenly_is_none_up_to_the_edge():
    labels = _halves()
    ramp = (np.arange(SIZE[1]) * 5 + np.arange(SIZE[0])[:, None] * 2).astype(np.float32)[..., None].repeat(3, -1)
    found = pattern.pattern_of(ramp, _masks(labels), REACHES, SIZE)
    # Means of one side would leave 5.4 grey levels a pixel times the 2.4 pixels of a one-sided window's middle: 13.
    assert np.abs(found).max() < 4


def test_stripes_are_their_distance_from_their_mean():
    stripes = np.where(np.arange(SIZE[0]) % 2, 130, 90)[:, None, None] * np.ones((*SIZE, 3), np.float32)
    found = pattern.pattern_of(stripes, _masks(np.full(SIZE, UPPER)), REACHES, SIZE)
    np.testing.assert_allclose(found[8:-8], stripes[8:-8] - 110, atol=3)


def test_means_may_be_taken_in_fewer_pixels():
    labels = np.full((64, 48), UPPER)
    stripes = np.where(np.arange(64) % 2, 130, 90)[:, None, None] * np.ones((64, 48, 3), np.float32)
    found = pattern.pattern_of(stripes, _masks(labels), REACHES, SIZE)
    np.testing.assert_allclose(found, stripes - 110, atol=0.1)


def test_a_level_is_a_mean_of_what_is_known_of_the_region():
    """60 in the known half of the clothes, which counts there only, and 10 in the dress beside."""
    labels = _halves()
    share = np.where(np.arange(SIZE[0]) < 16, 1, 0)[:, None, None] * np.ones((*SIZE, 1), np.float32)
    value = np.where(labels == UPPER, 60, 10)[..., None].astype(np.float32)
    found = pattern.level_of(value * share, share, _masks(labels), REACHES)[..., 0]
    np.testing.assert_allclose(found[4:16, :12], 60, rtol=1e-3)
    np.testing.assert_allclose(found[4:16, 12:], 10, rtol=1e-3)
    assert not found[:4].any()


@pytest.mark.parametrize(("column", "is_hair"), [(13, True), (40, False)])
def test_a_dark_strand_on_light_cloth_is_hair_only_beside_hair(column, is_hair):
    """Dark hair on the left; something dark that touches it, and a dark stripe that is far from it."""
    labels = np.where(np.arange(48) < 12, HAIR, UPPER)[None].repeat(256, 0)
    picture = np.where(labels == HAIR, 20, 220)[..., None].repeat(3, -1).astype(np.uint8)
    picture[60:120, column - 1 : column + 2] = 25
    found = pattern.with_own_colours(picture, _masks(labels), (256, 48))
    assert (found[90, column, 0] > 100) == is_hair
    np.testing.assert_array_equal(found[:, :12], picture[:, :12])


def test_a_rim_as_bright_as_the_wall_is_cloth_and_a_bright_print_inside_stays():
    """The outermost pixels of dark cloth are mixed with the white wall; further in there is a white stripe."""
    labels = np.where(np.arange(48) < 12, 0, UPPER)[None].repeat(256, 0)
    picture = np.where(labels == 0, 255, 40)[..., None].repeat(3, -1).astype(np.uint8)
    picture[:, 12], picture[:, 24:26] = 150, 255
    found = pattern.with_own_colours(picture, _masks(labels), (256, 48))
    assert found[100, 12, 0] < 110 and found[100, 24, 0] == 255


def test_means_reach_further_on_a_larger_person():
    pose = np.full((18, 2), -1.0)
    pose[[1, 8, 11]] = [50, 80], [110, 70], [110, 90]
    small, large = (pattern.reaches_of(np.where(pose < 0, -1, pose * times), 256) for times in (1, 2))
    np.testing.assert_allclose(small[[2, 6]], [60 / 8, 256 / 85])
    np.testing.assert_allclose(large[2], 120 / 8)


def test_without_hips_a_trunk_is_one_and_a_half_times_as_long_as_shoulders_are_wide():
    pose = np.full((18, 2), -1.0)
    pose[[1, 2, 5]] = [50, 80], [50, 40], [50, 120]
    assert pattern.reaches_of(pose, 256)[3] == pytest.approx(120 / 8)


def test_without_a_trunk_means_reach_as_far_as_on_one_of_a_quarter_of_the_frame():
    assert pattern.reaches_of(np.full((18, 2), -1.0), 256)[3] == pytest.approx(64 / 8)
