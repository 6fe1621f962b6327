"""Pairs are sorted by what is known of them, and else by joints, maps and pixels; both against truth."""

import numpy as np
import pytest

from scrn_jax.metrics import groups


def _pose(left, right, nose=None, y=10):
    """Shoulders at these columns, a trunk of 20 pixels from neck to hips, perhaps a nose at a column."""
    pose = np.full((18, 2), -1, np.float32)
    pose[1], pose[[5, 2]] = (y, 20), [(y, left), (y, right)]
    pose[[11, 8]] = [(y + 20, 22), (y + 20, 18)]
    if nose is not None:
        pose[0] = (y - 5, nose)
    return pose


WIDE = 0.65 * 20  # shoulders seen from the front


@pytest.mark.parametrize(
    ("pose", "degrees"),
    [
        (_pose(20 + WIDE / 2, 20 - WIDE / 2, nose=20), 0),
        (_pose(20 - WIDE / 2, 20 + WIDE / 2), 180),
        (_pose(20, 20, nose=24), 90),
        (_pose(20, 20, nose=16), -90),
        (_pose(20 + WIDE / 4, 20 - WIDE / 4, nose=16), -60),
    ],
)  # fmt: skip
def test_a_turn_is_told_by_shoulders_and_nose(pose, degrees):
    np.testing.assert_allclose(groups.yaw(pose[None]), degrees, atol=0.1)


def test_without_a_shoulder_there_is_no_turn():
    pose = _pose(20, 20, nose=24)
    pose[2] = -1
    assert np.isnan(groups.yaw(pose[None])).all()


def test_variation_is_the_difference_of_neighbours_within_a_garment():
    """A garment of 4x6 pixels of which each second column is 51 levels darker; what surrounds it does not count."""
    image = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3)).astype(np.uint8)
    labels = np.ones((1, 8, 8), np.uint8)
    labels[:, 2:6, 1:7] = 2
    image[labels == 2] = 200
    image[:, 2:6, 1:7:2] = 149
    steps, pairs = 4 * 5 * 0.2, 4 * 5 + 3 * 6
    np.testing.assert_allclose(groups.variation(image, labels), steps / pairs, rtol=1e-5)


def test_a_large_picture_varies_as_a_small_one():
    small = np.random.default_rng(0).integers(0, 256, (1, 64, 8, 3)).astype(np.uint8)
    labels = np.full((1, 64, 8), 4, np.uint8)
    large, large_labels = (np.repeat(np.repeat(each, 2, 1), 2, 2) for each in (small, labels))
    np.testing.assert_allclose(groups.variation(large, large_labels), groups.variation(small, labels), rtol=1e-5)


@pytest.fixture
def estimates():
    """A dress from the front to the side; trousers, turned around; nothing to tell; something patterned below."""
    return {
        "source_yaw": np.array([0.0, 170.0, np.nan, 10.0]),
        "target_yaw": np.array([-90.0, -10.0, 0.0, 50.0]),
        "whole": np.array([True, False, True, True]),
        "variation": np.array([0.01, 0.01, 0.01, 0.2]),
        "dress": np.array([50, 3, 11, 0]),
        "pants": np.array([20, 60, 0, 60]),
    }


def test_pairs_are_sorted_by_estimates(estimates):
    found = groups.assign(estimates, [{}] * 4)
    assert {name: group.tolist() for name, group in found.items()} == {
        "clothes": ["plain", "plain", "plain", "patterned"],
        "garment": ["dress", "trousers", "", "trousers"],
        "view": ["side", "front", "front", "side"],
        "body": ["whole", "cropped", "whole", "whole"],
        "angle": ["90-135", "135-180", "", "0-45"],
        "sex": ["", "", "", ""],
    }


def test_what_is_known_comes_before_what_is_estimated(estimates):
    facts = {"garment": "skirt", "clothes": "plain", "sex": "women", "source_yaw": 200.0, "target_yaw": -108.0}
    found = groups.assign(estimates, [facts, {}, {}, facts])
    last = {name: group[3].item() for name, group in found.items()}
    expected = {"garment": "skirt", "clothes": "plain", "sex": "women", "view": "side", "angle": "45-90"}
    assert last == expected | {"body": "whole"} and found["garment"][1] == "trousers"


def test_a_grouping_is_known_when_all_its_pairs_are():
    facts = [{"sex": "men", "target_yaw": 1.0}, {"sex": "women", "target_yaw": 2.0, "garment": "skirt"}]
    assert groups.known(facts) == ["view", "body", "sex"]
