"""Target poses: the gallery, files, fitting to a person, and what lies between two poses."""

import json

import numpy as np
import pytest

from scrn_jax.errors import UserError
from scrn_jax.inference import poses
from scrn_jax.person.joints import present

SIZE = (128, 88)


@pytest.fixture
def person():
    """A whole person of the gallery, in a frame's pixels."""
    return poses.retarget(poses.named("standing") * 100, poses.named("standing") * SIZE[0], SIZE)


def test_the_gallery_has_24_poses_and_two_films_with_bodies():
    assert len(poses.names()) == 24 and set(poses.film_names()) == {"walk", "turn-around"}
    for pose in [*map(poses.named, poses.names()), *poses.film("walk"), *poses.film("turn-around")]:
        assert present(pose)[1:14].all()


def test_someone_from_behind_has_no_face_in_the_gallery():
    assert not present(poses.named("back"))[[0, 14, 15]].any()
    assert present(poses.named("standing"))[[0, 14, 15]].all()


def test_left_and_right_are_the_persons_own():
    front, back = poses.named("standing"), poses.named("back")
    assert front[2, 1] < front[5, 1] and back[2, 1] > back[5, 1]


def test_a_step_of_the_walk_is_mirrored_half_a_film_later():
    walk = poses.film("walk")
    ahead = walk[:, 13, 1] - walk[:, 10, 1]
    assert np.sign(ahead[4]) == -np.sign(ahead[12]) != 0


def test_an_unknown_pose_names_the_known_ones():
    with pytest.raises(UserError, match="no pose is called 'jumping'; choose one of .*walking"):
        poses.named("jumping")


def test_a_pose_takes_the_persons_size_and_neck(person):
    small = poses.named("walking") * 20
    fitted = poses.retarget(small, person)
    np.testing.assert_allclose(fitted[1], person[1], atol=1e-3)
    assert poses.body_size(fitted) == pytest.approx(poses.body_size(person), rel=1e-4)


def test_fitting_keeps_the_shape_of_a_pose(person):
    pose = poses.named("arms-up")
    fitted = poses.retarget(pose, person, SIZE)
    there = present(fitted)
    a, b = (points[there] - points[there].mean(0) for points in (pose, fitted))
    np.testing.assert_allclose(a / np.linalg.norm(a), b / np.linalg.norm(b), atol=1e-4)


@pytest.mark.parametrize("name", ["arms-up", "arms-wide", "walking-left", "one-knee-up", "legs-apart"])
def test_somebody_seen_whole_stays_whole(name, person):
    fitted = poses.retarget(poses.named(name), person, SIZE)
    np.testing.assert_array_equal(present(fitted), present(poses.named(name)))


def test_somebody_cut_off_keeps_the_size_and_loses_the_legs(person):
    half = np.where(present(person)[:, None], person * 2 - [20, 44], -1)
    half[[9, 10, 12, 13]] = -1
    fitted = poses.retarget(poses.named("walking"), half, SIZE)
    assert not present(fitted)[[10, 13]].any() and present(fitted)[[2, 3, 5, 6]].all()
    assert np.hypot(*(fitted[2] - fitted[5])) == pytest.approx(np.hypot(*(half[2] - half[5])), rel=0.1)


def _openpose(count=18, **change):
    flat = np.column_stack([np.arange(count) + 5, np.arange(count) + 50, np.ones(count)]).ravel().tolist()
    return {"people": [{"pose_keypoints_2d": flat, **change}]}


def test_files_of_all_forms_give_the_same_pose(tmp_path):
    pairs = [[y + 50, y + 5] for y in range(18)]
    bare = [pairs, {"joints": pairs}, [pairs], {"poses": [pairs]}, {"poses": {"mine": pairs}}]
    for form in [*bare, _openpose(), [_openpose()]]:
        (tmp_path / "pose.json").write_text(json.dumps(form))
        np.testing.assert_array_equal(poses.from_file(tmp_path / "pose.json"), [pairs])


@pytest.mark.parametrize(
    "content, message",
    [
        ("{", "not JSON"),
        ("[]", "is no pose"),
        ("3", "is no pose"),
        ("{}", "is no pose"),
        ('{"poses": []}', "is no pose"),
        ('{"people": []}', "no person"),
        (json.dumps([[1, 2]] * 17), "17 values"),
        (json.dumps([[1, 2]] * 18), "all joints are at one place"),
        (json.dumps([[-1, -1]] * 18), "0 joints"),
        (json.dumps([[1, float("nan")]] * 18), "not a finite number"),
        (json.dumps([[1, float("inf")]] * 18), "not a finite number"),
        (json.dumps([["a", "b"]] * 18), "not a finite number"),
        (json.dumps(_openpose(19)), "19 points"),
        (json.dumps(_openpose(pose_keypoints_2d=[1, 2])), "pose_keypoints_2d"),
        (json.dumps(_openpose(pose_keypoints_2d=[float("nan")] * 54)), "no finite number"),
    ],
)
def test_a_file_that_is_no_pose_is_one_line_with_its_name(content, message, tmp_path):
    path = tmp_path / "pose.json"
    path.write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        poses.from_file(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
