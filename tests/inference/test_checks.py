"""What a caller hands to a model is made to fit where it can be meant, and refused with the mend where not."""

import numpy as np
import pytest
from PIL import Image

from scrn_jax.errors import UserError
from scrn_jax.inference import checks, framed, in_between, photo, poses, transfer
from scrn_jax.inference.photo_files import open_photo
from scrn_jax.inference.transfer import PoseTransfer

SIZE = (64, 44)


class _Model:
    """A model's frame."""

    size = SIZE


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


@pytest.fixture
def joints():
    """A standing body: (18, 2)."""
    rng = np.random.default_rng(1)
    return np.stack([np.linspace(5, 60, 18), 22 + rng.uniform(-8, 8, 18)], 1).astype(np.float32)


def test_one_picture_is_a_batch_of_one(picture):
    array, is_single = checks.picture(picture, SIZE)
    assert is_single and array.shape == (1, *SIZE, 3)
    assert not checks.picture(picture[None], SIZE)[1]


def test_floats_without_negative_values_are_0_to_1(picture):
    symmetric, _ = checks.picture(picture / np.float32(127.5) - 1, SIZE)
    positive, _ = checks.picture(picture / np.float32(255), SIZE)
    np.testing.assert_allclose(symmetric, positive, atol=1e-6)
    assert symmetric.min() < -0.9


@pytest.mark.parametrize("shape", [SIZE, (*SIZE, 1), (1, *SIZE), (1, *SIZE, 1)])
def test_grey_pictures_have_three_equal_channels(shape):
    grey = np.random.default_rng(0).integers(0, 256, SIZE, dtype=np.uint8)
    array, _ = checks.picture(grey.reshape(shape), SIZE)
    np.testing.assert_array_equal(array, np.repeat(grey[None, ..., None], 3, -1))


def test_a_path_is_a_picture(picture, tmp_path):
    Image.fromarray(picture).save(tmp_path / "me.png")
    np.testing.assert_array_equal(checks.picture(tmp_path / "me.png", SIZE)[0][0], picture)


def test_a_path_of_another_size_says_what_fits_it(tmp_path):
    Image.new("RGB", (100, 100)).save(tmp_path / "me.png")
    with pytest.raises(UserError, match=r"shape \(1, 100, 100, 3\), expected \(1, 64, 44, 3\); PoseTransfer.fit"):
        checks.picture(tmp_path / "me.png", SIZE)


def test_joints_outside_the_frame_are_missing(joints):
    joints[7] = [30, 200]
    checked = checks.pose("target_joints", joints, 1, SIZE)[0]
    assert (checked[7] == -1).all()
    np.testing.assert_array_equal(np.delete(checked, 7, 0), np.delete(joints, 7, 0))


def test_several_poses_need_no_count(joints):
    assert checks.pose("target_joints", np.stack([joints] * 5), None, SIZE).shape == (5, 18, 2)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda joints: joints / 64, "within one pixel; give"),
        (lambda joints: np.full((18, 2), 9.0), "within one pixel"),
        (lambda joints: joints[:, ::-1], r"fit the frame as \(x, y\); give \(y, x\)"),
        (lambda joints: joints + 500, "outside the frame of 64 x 44"),
        (lambda joints: np.concatenate([joints, joints[:, :1]], 1), "three numbers a joint"),
        (lambda joints: joints[:17], "17 joints, as COCO has"),
        (lambda joints: joints[:5], r"shape \(1, 5, 2\)"),
        (lambda joints: joints.astype(str), "give numbers"),
    ],
    ids=["shares", "one place", "x before y", "elsewhere", "confidences", "COCO", "too few", "words"],
)
def test_joints_that_are_no_place_in_the_frame_are_refused(change, message, joints):
    with pytest.raises(UserError, match=message):
        checks.pose("target_joints", change(joints), 1, SIZE)


def test_somebody_who_is_not_shown_passes():
    assert (checks.pose("source_joints", np.full((18, 2), np.nan), 1, SIZE) == -1).all()


def test_what_is_left_of_somebody_at_the_frames_edge_may_be_within_a_pixel(joints):
    joints[2:] += 500
    joints[:2] = (62, 20), (62.5, 20)
    np.testing.assert_array_equal(checks.pose("target_joints", joints, 1, SIZE)[0][:2], joints[:2])
    joints[2:] = -1
    np.testing.assert_array_equal(checks.pose("target_joints", joints, 1, SIZE)[0], joints)


def test_a_bad_one_of_several_poses_is_named(joints):
    with pytest.raises(UserError, match=r"target_joints\[1\]: all joints are within one pixel"):
        checks.pose("target_joints", np.stack([joints, joints / 64]), None, SIZE)


RAGGED = [[1, 2], [3]]


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("source_image", lambda: checks.picture(RAGGED, SIZE)),
        ("source_parsing", lambda: checks.parsing(RAGGED, 1, SIZE)),
        ("target_joints", lambda: checks.pose("target_joints", RAGGED, None, SIZE)),
        ("the pose", lambda: poses.check(RAGGED, "the pose")),
        ("a film's poses", lambda: in_between.in_between(RAGGED, 3)),
        ("the parsing map", lambda: framed.fit(np.zeros((64, 44, 3), np.uint8), RAGGED, RAGGED, SIZE)),
        ("targets", lambda: photo.PhotoTransfer(_Model()).paint(None, None, None, RAGGED)),
        ("style share", lambda: PoseTransfer._style(_Model(), dict.fromkeys(transfer._OF_STYLE, RAGGED), 1)),
    ],
)
def test_lists_of_unequal_lengths_are_named(name, read):
    with pytest.raises(UserError, match=f"^{name} is no array of numbers .*; give a NumPy array"):
        read()


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda: open_photo([[1]]), "the photo: is list; give a path, bytes or a NumPy array"),
        (lambda: open_photo(3), "the photo: is int"),
        (lambda: poses.read(RAGGED, None), r"a pose is list; give a name of the gallery, a file, or an array"),
        (lambda: PoseTransfer._style(_Model(), {"image": None}, 1), "style has no parsing; give a mapping of image"),
        (lambda: PoseTransfer._style(_Model(), RAGGED, 1), "style has no image; give a mapping of image"),
    ],
)
def test_what_is_neither_array_nor_file_is_named(read, message):
    with pytest.raises(UserError, match=message):
        read()
