"""Target poses: the gallery, files, fitting to a person, and what lies between two poses."""

import json

import numpy as np
import pytest

from scrn_jax.errors import UserError
from scrn_jax.inference import poses
from scrn_jax.person.joints import clip_to_frame, present

SIZE = (128, 88)


@pytest.fixture
def person():
    """A whole person of the gallery, in a frame's pixels."""
    return poses.retarget(poses.named("standing") * 100, poses.named("standing") * SIZE[0], SIZE)


def test_the_gallery_has_24_poses_and_two_films_with_bodies():
    assert len(poses.names()) == 24 and set(poses.film_names()) == {"walk", "turn-around"}
    for pose in [*map(poses.named, poses.names()), *poses.film("walk"), *poses.film("turn-around")]:
        assert present(pose)[[1, 2, 5, 8, 9, 10, 11, 12, 13]].all()


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


@pytest.fixture
def close_up(person):
    """Somebody whom the frame cuts off at the thighs, in the middle of it."""
    half = np.where(present(person)[:, None], (person - person[1]) * 1.6 + [36, 44], -1).astype(np.float32)
    half[[9, 10, 12, 13]] = -1
    return half


def test_a_frame_that_shows_the_arms_already_needs_no_more_room(person, close_up):
    assert poses.room_for(poses.named("standing"), close_up, SIZE) == 1
    assert poses.room_for(poses.named("arms-up"), person, SIZE) == 1  # who is seen whole is fitted instead


@pytest.mark.parametrize("name", ["arms-up", "arms-wide", "waving"])
def test_a_frame_with_room_shows_the_arms(name, close_up):
    room = poses.room_for(poses.named(name), close_up, SIZE)
    assert 1 < room <= 2
    # The frame grows around the middle of its lower edge: there the person is smaller.
    onto = np.where(present(close_up)[:, None], (close_up + 0.5 - [SIZE[0], SIZE[1] / 2]) / room, 0)
    onto = np.where(present(close_up)[:, None], onto + [SIZE[0] - 0.5, SIZE[1] / 2 - 0.5], -1).astype(np.float32)
    tight, roomy = (poses.retarget(poses.named(name), each, SIZE) for each in (close_up, onto))
    assert present(roomy)[[3, 4, 6, 7]].all() and not present(tight)[[3, 4, 6, 7]].all()


def test_a_pose_without_arms_needs_no_room(close_up):
    pose = poses.named("standing")
    pose[[3, 4, 6, 7]] = -1
    assert poses.room_for(pose, close_up, SIZE) == 1


def test_a_hand_whose_elbow_is_outside_does_not_float_in_the_frame(close_up):
    """Upper arms outwards, beyond the frame, and hands back in."""
    pose = close_up.copy()
    pose[3], pose[4], pose[6], pose[7] = (36, -30), (36, 30), (36, 60), (50, 60)
    there = present(close_up) | np.isin(np.arange(18), [3, 4, 6, 7])
    fitted = poses.retarget(np.where(there[:, None], pose + 100, -1), close_up, SIZE)
    assert not present(fitted)[[3, 4]].any() and present(fitted)[[6, 7]].all()


def test_whoever_shows_no_more_than_an_arm_has_left_the_frame(close_up):
    """A film of somebody who steps aside until an arm is left, around the place where they stand."""
    moved = close_up + np.array([0, 40, 60, -100])[:, None, None] * [0, 1]
    film = np.where(present(close_up)[:, None], moved + 100, -1)
    left = present(clip_to_frame(np.where(present(close_up)[:, None], moved, -1), *SIZE)).sum(1)
    assert left.tolist() == [14, 9, 3, 0]
    assert present(poses.retarget(film, close_up, SIZE)).sum(1).tolist() == [14, 9, 0, 0]


def test_a_sequence_needs_the_room_of_its_widest_pose(close_up):
    both = np.stack([poses.named("standing"), poses.named("arms-up")])
    assert poses.room_for(both, close_up, SIZE) == poses.room_for(poses.named("arms-up"), close_up, SIZE) > 1


def _hair_down_to(row):
    labels = np.zeros(SIZE, np.uint8)
    labels[4 : int(row) + 1, 40:48] = 1
    return labels


def test_short_hair_leaves_the_ears_free_from_behind(person):
    back = poses.retarget(poses.named("back"), person, SIZE)
    short = poses.with_ears(back, person, _hair_down_to(person[1, 0] - 0.4 * poses.body_size(person)))
    np.testing.assert_array_equal(short[:14], back[:14])
    assert present(short)[[16, 17]].all() and not present(short)[[0, 14, 15]].any()
    # Above the neck, in the middle, and the right ear on the right of somebody who is seen from behind.
    np.testing.assert_allclose(short[[16, 17]].mean(0), back[1] - [0.41 * poses.body_size(back), 0], atol=1.5)
    assert short[16, 1] - short[17, 1] == pytest.approx(0.3 * poses.body_size(back), rel=0.05)


def test_long_hair_covers_the_ears(person):
    back = poses.retarget(poses.named("back"), person, SIZE)
    np.testing.assert_array_equal(poses.with_ears(back, person, _hair_down_to(person[1, 0])), back)


@pytest.mark.parametrize("name", ["standing", "walking-away", "over-the-shoulder"])
def test_whoever_shows_something_of_the_head_gets_no_ears(name, person):
    pose = poses.retarget(poses.named(name), person, SIZE)
    np.testing.assert_array_equal(poses.with_ears(pose, person, _hair_down_to(person[1, 0] / 2)), pose)


@pytest.mark.parametrize("name", ["x.jpg", "x.WEBP", "x.tiff", "x.bmp", "x.jfif", "x.heic"])
def test_every_kind_of_photo_is_looked_at_and_not_read_as_json(name):
    assert poses.read(name, lambda path: path) == [name]


def test_a_name_that_no_file_can_have_is_no_pose():
    with pytest.raises(UserError, match="no pose is called"):
        poses.read("a" * 300, None)


def test_an_unknown_pose_names_the_known_ones():
    with pytest.raises(UserError, match="no pose is called 'jumping'; choose one of .*walking"):
        poses.named("jumping")


def test_a_pose_takes_the_persons_size_and_neck(person):
    small = poses.named("walking") * 20
    fitted = poses.retarget(small, person)
    np.testing.assert_allclose(fitted[1], person[1], atol=1e-3)
    assert poses.body_size(fitted) == pytest.approx(poses.body_size(person), rel=1e-4)


def test_half_of_the_shoulders_tells_the_size_of_a_bust(person):
    whole, half = np.full((2, 18, 2), -1, np.float32)
    whole[[1, 2, 5]] = half[[1, 2, 5]] = (40, 44), (40, 34), (40, 54)
    half[2] = -1
    assert poses.body_size(half) == pytest.approx(poses.body_size(whole)) == pytest.approx(20 / 0.69)


def _only(**places):
    """A pose of few joints: `j4=(90, 20)` puts the right wrist there."""
    pose = np.full((18, 2), -1, np.float32)
    for name, place in places.items():
        pose[int(name[1:])] = place
    return pose


FLAT = {
    "the hip behind the neck": _only(j1=(50, 50), j8=(50, 50), j4=(90, 20), j7=(90, 80)),
    "an exact profile": _only(j2=(50, 50), j5=(50, 50), j3=(80, 50), j6=(80, 55)),
}


@pytest.mark.parametrize("pose", FLAT.values(), ids=FLAT)
def test_a_pose_whose_measured_limbs_have_no_length_is_measured_by_its_spread(pose, person, close_up):
    spread = np.ptp(pose[present(pose)], axis=0).max()
    assert poses.body_size(pose) == pytest.approx(spread / 3)
    fitted = poses.retarget(pose, person)
    there = present(fitted)
    np.testing.assert_array_equal(there, present(pose))
    assert 1 < np.ptp(fitted[there], axis=0).max() < SIZE[0]
    assert 1 <= poses.room_for(pose, close_up, SIZE) <= 2


@pytest.mark.parametrize("onto", FLAT.values(), ids=FLAT)
def test_a_person_whose_measured_limbs_have_no_length_takes_a_pose(onto):
    fitted = poses.retarget(poses.named("walking"), onto)
    assert np.ptp(fitted[present(fitted)], axis=0).max() > 10


def test_nobody_has_a_size_above_0():
    assert poses.body_size(np.full((18, 2), -1, np.float32)) > 0


def test_shoulders_almost_behind_each_other_do_not_make_a_body_tiny():
    pose = _only(j2=(50, 50), j5=(50, 51), j3=(80, 50), j6=(80, 55))
    assert poses.body_size(pose) == pytest.approx(10)


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


def test_fractions_of_a_canvas_are_the_same_pose_as_its_pixels():
    """Of a canvas that is higher than wide, fractions by themselves are stretched."""
    people, canvas = _openpose()["people"], {"canvas_width": 512, "canvas_height": 768}
    shares = np.array(people[0]["pose_keypoints_2d"]).reshape(18, 3) / [512, 768, 1]
    given = {"people": [{"pose_keypoints_2d": shares.ravel().tolist()}], **canvas}
    pixels, fractions = (poses.from_content(one, "p")[0] for one in ({"people": people, **canvas}, given))
    np.testing.assert_allclose(np.diff(fractions, axis=0), np.diff(pixels, axis=0), atol=1e-3)


def test_a_false_detection_before_a_person_is_passed_over():
    person = _openpose()["people"][0]
    stray = {"pose_keypoints_2d": [9, 9, 0.3] + [0] * 51}
    np.testing.assert_array_equal(
        poses.from_content({"people": [stray, person]}, "p"), poses.from_content({"people": [person]}, "p")
    )


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


@pytest.mark.parametrize(("name", "hidden"), [("side-left", (6, 7)), ("walking-right", (3, 4)), ("walking", ())])
def test_arms_that_the_body_hides_are_missing_in_the_gallery(name, hidden):
    assert [joint for joint in (3, 4, 6, 7) if not present(poses.named(name))[joint]] == list(hidden)
