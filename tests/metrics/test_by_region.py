"""Colour errors and parsing scores of small maps, worked out by hand."""

import numpy as np
import pytest

from scrn_jax.metrics import by_region

GREY = np.full((1, 8, 8, 3), 0.5, np.float32)


@pytest.fixture
def labels():
    """Rows 0 to 3 background, rows 4 and 5 region 1 (16 pixels), rows 6 and 7 region 2 (8), 3 (4) and 4 (4)."""
    labels = np.zeros((1, 8, 8), int)
    labels[:, 4:6] = 1
    labels[:, 6] = 2
    labels[:, 7, :4], labels[:, 7, 4:] = 3, 4
    return labels


def test_the_colour_error_of_regions_is_weighted_by_their_area(labels):
    """16 pixels of region 1 are off by (0.3, 0, 0), 12 of region 2 by (-0.1, 0.1, 0.1); region 3 is too small."""
    labels[:, 7, :4] = 2
    image = GREY.copy()
    image[labels == 1] += (0.3, 0, 0)
    image[labels == 2] += (-0.1, 0.1, 0.1)
    image[labels >= 3] = 0
    error, known = by_region.colour_error(image, GREY, np.eye(8)[labels])
    assert known.all()
    np.testing.assert_allclose(error, (16 * 0.1 + 12 * 0.1) / 28, rtol=1e-5)


def test_the_colour_error_does_not_see_background_or_texture(labels):
    image = GREY.copy()
    image[:, :4] = 1
    image[:, 4, :, :] += 0.25
    image[:, 5, :, :] -= 0.25
    error, _ = by_region.colour_error(image, GREY, np.eye(8)[labels])
    np.testing.assert_allclose(error, 0, atol=1e-6)


def test_without_a_region_of_12_pixels_there_is_no_colour_error(labels):
    labels[labels == 1] = 0
    error, known = by_region.colour_error(GREY, GREY, np.eye(8)[labels])
    assert error == 0 and not known.any()


def test_a_picture_of_nan_has_a_colour_error_of_nan(labels):
    error, known = by_region.colour_error(GREY * np.nan, GREY, np.eye(8)[labels])
    assert np.isnan(error).all() and known.all()


def _scores(predicted, true):
    counts = [by_region.parsing_counts(np.array([p]), np.array([t]), 4) for p, t in zip(predicted, true, strict=True)]
    return by_region.parsing_scores({name: np.concatenate([each[name] for each in counts]) for name in counts[0]})


def test_parsing_scores_are_of_all_pixels_of_all_pairs_together():
    """Foreground: 2 of 5 pixels right. Region 1: both 2, either 4 + 2 - 2; region 2: both 0; region 3 is in no map."""
    true = [[[0, 1], [1, 1]], [[0, 0], [1, 2]]]
    predicted = [[[0, 1], [1, 0]], [[0, 0], [0, 0]]]
    assert _scores(predicted, true) == {"accuracy": pytest.approx(2 / 5), "miou": pytest.approx((2 / 4 + 0) / 2)}


def test_background_taken_for_a_region_costs_miou_and_not_accuracy():
    assert _scores([[[1, 1], [1, 1]]], [[[0, 0], [1, 1]]]) == {"accuracy": 1.0, "miou": 0.5}


def test_a_region_that_is_never_there_is_no_part_of_miou():
    assert _scores([[[1, 3], [0, 0]]], [[[1, 0], [0, 0]]])["miou"] == 1.0


def test_without_foreground_there_are_no_parsing_scores():
    assert _scores([[[1, 0]]], [[[0, 0]]]) == {"accuracy": None, "miou": None}
