"""Joints move by shares of the body's own vectors, so that the move turns and grows with the body."""

import numpy as np
import pytest

from scrn_jax.inference.calibration import KINDS, calibrated
from scrn_jax.inference.poses import named
from scrn_jax.person.joints import MIRROR, present


@pytest.fixture
def joints():
    return named("standing") * 200


def test_a_shoulder_moves_down_the_trunk(joints):
    moved, down = calibrated(joints), (joints[8] + joints[11]) / 2 - joints[1]
    of_trunk, of_limb = KINDS["shoulder"][1]
    np.testing.assert_allclose(moved[2] - joints[2], of_trunk * down + of_limb * (joints[2] - joints[5]), atol=1e-4)


def test_the_neck_is_the_middle_of_the_shoulders(joints):
    moved = calibrated(joints)
    np.testing.assert_allclose(moved[1], (moved[2] + moved[5]) / 2, atol=1e-4)


def test_it_grows_and_turns_with_the_body(joints):
    turn = np.array([[0, 1], [-1, 0]])
    np.testing.assert_allclose(
        calibrated((joints * 3 @ turn + 1000).astype(np.float32)),
        calibrated(joints) * 3 @ turn + 1000,
        atol=1e-2,
    )


def test_left_and_right_are_treated_alike(joints):
    mirrored = (joints * [1, -1] + [0, 500])[MIRROR].astype(np.float32)
    np.testing.assert_allclose(calibrated(mirrored), (calibrated(joints) * [1, -1] + [0, 500])[MIRROR], atol=1e-3)


def test_what_is_missing_stays_missing_and_a_head_alone_stays(joints):
    joints[[8, 9, 10, 11, 12, 13, 4]] = -1
    np.testing.assert_array_equal(present(calibrated(joints)), present(joints))
    joints[1:14] = -1
    np.testing.assert_array_equal(calibrated(joints), joints)
