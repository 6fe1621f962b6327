"""Poses between poses: limbs keep their length, turns cross over, and what is missing stays missing."""

import numpy as np
import pytest

from scrn_jax.errors import UserError
from scrn_jax.inference.in_between import MOST_FRAMES, in_between
from scrn_jax.person.joints import MISSING

NOSE, NECK, RIGHT_SHOULDER, RIGHT_ELBOW, RIGHT_WRIST = range(5)


def _pose(**places) -> np.ndarray:
    pose = np.full((18, 2), MISSING)
    for name, place in places.items():
        pose[{"neck": 1, "shoulder": 2, "elbow": 3, "wrist": 4, "nose": 0}[name]] = place
    return pose


def test_an_arm_that_rises_by_90_degrees_keeps_its_length_half_way():
    down = _pose(neck=(10, 50), shoulder=(10, 40), elbow=(30, 40))
    out = _pose(neck=(10, 50), shoulder=(10, 40), elbow=(10, 20))
    middle = in_between(np.stack([down, out]), 3)[1]
    # 20 pixels long at 45 degrees; a straight line would leave 14.1.
    np.testing.assert_allclose(middle[RIGHT_ELBOW], [10 + 20 * np.sqrt(0.5), 40 - 20 * np.sqrt(0.5)], atol=1e-5)


def test_shoulders_of_somebody_who_turns_round_cross_over_as_a_circle_seen_from_the_side():
    """neck to shoulder at 0, 90 and 180 degrees of yaw: x is the cosine, and y never moves."""
    turned = [_pose(neck=(10, 50), shoulder=(10, 50 - 8 * np.cos(yaw))) for yaw in np.radians([0, 90, 180])]
    found = in_between(np.stack(turned), 13)[:, RIGHT_SHOULDER]
    yaws = np.radians(np.arange(0, 181, 15))
    np.testing.assert_allclose(found, np.column_stack([np.full(13, 10), 50 - 8 * np.cos(yaws)]), atol=1e-5)


def test_a_forearm_hangs_from_the_elbow_that_moved():
    """Only the upper arm turns; the forearm points down in both, and so it does on the way."""
    one = _pose(neck=(10, 50), shoulder=(10, 40), elbow=(30, 40), wrist=(45, 40))
    two = _pose(neck=(10, 50), shoulder=(10, 40), elbow=(10, 20), wrist=(25, 20))
    for pose in in_between(np.stack([one, two]), 7):
        np.testing.assert_allclose(pose[RIGHT_WRIST] - pose[RIGHT_ELBOW], [15, 0], atol=1e-5)


def test_a_limb_turns_half_a_circle_without_a_shortest_way():
    up = _pose(neck=(50, 50), nose=(30, 50))
    down = _pose(neck=(50, 50), nose=(70, 50))
    middle = in_between(np.stack([up, down]), 3)[1]
    np.testing.assert_allclose(np.linalg.norm(middle[NOSE] - middle[NECK]), 20, atol=1e-5)


def test_key_poses_are_met_and_a_loop_returns():
    rng = np.random.default_rng(0)
    poses = rng.uniform(5, 100, (4, 18, 2))
    np.testing.assert_allclose(in_between(poses, 7)[::2], poses, rtol=1e-6)
    loop = in_between(poses, 8, closed=True)
    np.testing.assert_allclose(loop[::2], poses, rtol=1e-6)
    np.testing.assert_allclose(loop[7], in_between(poses[[3, 0, 1, 2]], 7)[1], rtol=1e-5)


def test_a_joint_that_one_pose_lacks_is_there_for_its_half_and_moves_with_its_parent():
    shown = _pose(neck=(10, 10), nose=(4, 12))
    hidden = _pose(neck=(20, 30))
    found = in_between(np.stack([shown, hidden]), 5)
    np.testing.assert_allclose(found[:2, NOSE], [(4, 12), (6.5, 17)], atol=1e-5)
    np.testing.assert_array_equal(found[2:, NOSE], MISSING)


def test_one_pose_makes_a_still_film():
    pose = _pose(neck=(10, 10), nose=(4, 12))
    np.testing.assert_array_equal(in_between(pose[None], 3), np.stack([pose] * 3).astype(np.float32))


@pytest.mark.parametrize(
    "poses, frames, message",
    [
        (np.zeros((0, 18, 2)), 3, r"shape \(0, 18, 2\), expected \(poses, 18, 2\)"),
        (np.zeros((2, 17, 2)), 3, r"shape \(2, 17, 2\)"),
        (np.full((2, 18, 2), np.nan), 3, "not finite"),
        (np.zeros((2, 18, 2)), 0, "0 frames: give 1 to 600"),
        (np.zeros((2, 18, 2)), MOST_FRAMES + 1, "601 frames"),
    ],
)
def test_what_is_no_sequence_is_said(poses, frames, message):
    with pytest.raises(UserError, match=message):
        in_between(poses, frames)
