"""Joints move in the body's own frame: with its size, its turn and its mirror image."""

import numpy as np
import pytest

from input_pipeline.mannequins.people import Person
from scrn_jax.errors import UserError
from scrn_jax.inference.finding import blazepose, calibration, estimators
from scrn_jax.inference.finding.calibration import calibrated
from scrn_jax.person.joints import MIRROR, present

LEFT_HIP, RIGHT_HIP, RIGHT_WRIST = 11, 8, 4


def _body(points, visibility) -> blazepose.Body:
    return blazepose.Body(points, np.zeros(len(points)), visibility, np.zeros((1, 1)), people=1)


@pytest.fixture
def person():
    """(joints (18, 2), a body with 33 points): the trunk is 100 pixels long and upright, its top at (y, x) (50, 80)."""
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 200, (33, 2))
    points[[11, 12, 23, 24]] = np.array([[90, 50], [70, 50], [86, 150], [74, 150]]) + 0.5  # (x, y), edges at 0
    return rng.uniform(10, 190, (18, 2)).astype(np.float32), _body(points, rng.uniform(0, 1, 33))


@pytest.fixture
def nothing():
    """Parameters that move no joint."""
    sizes = (calibration.POINTS * calibration.INPUTS, 4, 4, 36)
    layers = list(zip(sizes, sizes[1:], strict=False))
    return {f"kernel_{i}": np.zeros(shape, np.float32) for i, shape in enumerate(layers)} | {
        f"bias_{i}": np.zeros(shape[1], np.float32) for i, shape in enumerate(layers)
    }


def test_a_move_is_in_trunks_down_and_across(person, nothing):
    joints, body = person
    np.testing.assert_allclose(calibrated(joints, body, nothing), joints, atol=1e-5)
    # As much to the left for the one hip as to the right for the other: mirror images are treated alike.
    nothing["bias_2"].reshape(18, 2)[[RIGHT_HIP, LEFT_HIP]] = [[0.1, -0.2], [0.1, 0.2]]
    expected = joints.copy()
    expected[[RIGHT_HIP, LEFT_HIP]] += [[10, -20], [10, 20]]
    np.testing.assert_allclose(calibrated(joints, body, nothing), expected, atol=1e-4)


def test_the_network_is_two_layers_of_relu_and_one_more(person):
    rng = np.random.default_rng(1)
    x = calibration.inputs(person[1].points[None], person[1].visibility[None])
    sizes = (99, 5, 5, 36)
    params = {f"kernel_{i}": rng.standard_normal(s) for i, s in enumerate(zip(sizes, sizes[1:], strict=False))} | {
        f"bias_{i}": rng.standard_normal(s) for i, s in enumerate(sizes[1:])
    }
    y = np.maximum(x.reshape(1, 99) @ params["kernel_0"] + params["bias_0"], 0)
    y = np.maximum(y @ params["kernel_1"] + params["bias_1"], 0) @ params["kernel_2"] + params["bias_2"]
    np.testing.assert_allclose(calibration.moves(params, x), y.reshape(1, 18, 2), rtol=1e-6)


def test_what_the_network_sees_is_in_the_bodys_frame(person):
    body = person[1]
    body.points[16] = [60.5, 100.5]  # the right wrist, half a trunk down and a fifth to the photo's left
    seen = calibration.inputs(body.points[None], body.visibility[None])[0, 16]
    np.testing.assert_allclose(seen, [0.5, -0.2, body.visibility[16]], atol=1e-6)


def test_it_grows_and_turns_with_the_body(person):
    joints, body = person
    turn = np.array([[0, 1], [-1, 0]])
    # (y, x) of joints at integers and (x, y) of points at edges: one and the same move.
    moved = ((body.points[:, ::-1] - 0.5) * 3 @ turn + 1000)[:, ::-1] + 0.5
    found = calibrated((joints * 3 @ turn + 1000).astype(np.float32), _body(moved, body.visibility))
    np.testing.assert_allclose(found, calibrated(joints, body) * 3 @ turn + 1000, atol=1e-2)


def test_left_and_right_are_treated_alike(person):
    joints, body = person
    other = _body((body.points * [-1, 1] + [501, 0])[calibration.MIRROR], body.visibility[calibration.MIRROR])
    mirrored = (joints * [1, -1] + [0, 500])[MIRROR].astype(np.float32)
    expected = (calibrated(joints, body) * [1, -1] + [0, 500])[MIRROR]
    np.testing.assert_allclose(calibrated(mirrored, other), expected, atol=1e-3)


def test_what_is_missing_stays_missing(person):
    joints, body = person
    joints[RIGHT_WRIST] = -1
    assert not present(calibrated(joints, body))[RIGHT_WRIST]


def test_hips_and_shoulders_of_rendered_people_come_nearer_to_where_they_are():
    before, after = [], []
    look = blazepose.BlazePose(1)
    for identity in range(4):
        view = Person.sample(41, identity).view(identity % 2, 256, 176)
        body = look(estimators.Image.fromarray(view.image))
        found = estimators.openpose_joints(body, view.image.shape[:2])
        both = present(found) & present(view.joints)
        far = [np.hypot(*(each - view.joints).T)[both] for each in (found, calibrated(found, body))]
        before, after = before + list(far[0]), after + list(far[1])
    assert len(before) > 40 and np.mean(after) < np.mean(before)


def test_damaged_parameters_are_named(monkeypatch, tmp_path):
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / calibration.WEIGHTS).write_bytes(b"nothing")
    monkeypatch.setattr(calibration.resources, "files", lambda package: tmp_path)
    calibration.shipped.cache_clear()
    with pytest.raises(UserError, match=r"assets/joints\.npz: .*; install scrn_jax anew"):
        calibration.shipped()
    calibration.shipped.cache_clear()
