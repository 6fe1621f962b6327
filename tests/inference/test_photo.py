"""A photo through a model: framed, painted in several poses at once, dressed by another photo, and put back."""

import time

import numpy as np
import pytest
from scipy import ndimage

from input_pipeline.mannequins.people import Person as Rendered
from scrn_jax.errors import UserError
from scrn_jax.inference import photo as photos
from scrn_jax.inference import poses
from scrn_jax.inference.finding.estimators import Person
from scrn_jax.inference.photo import PhotoTransfer
from scrn_jax.inference.transfer import PoseTransfer
from scrn_jax.person.face import face_box_from_joints
from scrn_jax.person.joints import present

SIZE = (64, 44)


@pytest.fixture(scope="module")
def transfer(model_folder):
    return PoseTransfer.load(model_folder)


@pytest.fixture(scope="module")
def truth(view):
    """An estimator that knows: joints and regions of the rendered person in `photo`, of any other picture likewise."""

    def estimate(pixels):
        shown, top, left = view, 20, 100
        if pixels.shape[:2] == (256, 176):
            shown, top, left = Rendered.sample(3, 4).view(0, 256, 176), 0, 0
        regions = np.zeros(pixels.shape[:2], np.uint8)
        regions[top : top + 256, left : left + 176] = shown.labels
        joints = np.where(present(shown.joints)[:, None], shown.joints + [top, left], -1).astype(np.float32)
        return Person(joints, (regions > 0).astype(np.float32), regions, face_box_from_joints(joints, *regions.shape))

    return estimate


@pytest.fixture(scope="module")
def photo_transfer(transfer, truth):
    return PhotoTransfer(transfer, truth)


@pytest.fixture(scope="module")
def framed(photo_transfer, photo):
    return photo_transfer.estimate(photo)


def test_the_frame_shows_the_person_where_joints_and_regions_say(framed):
    rows = np.flatnonzero((framed.regions_HxW > 0).any(1))
    assert np.ptp(rows) / SIZE[0] == pytest.approx(0.91, abs=0.04)
    there = present(framed.joints_Jx2)
    at = np.rint(framed.joints_Jx2[there]).astype(int)
    assert (framed.regions_HxW[tuple(at.T)] > 0).mean() > 0.9
    assert framed.image.shape == (*SIZE, 3) and framed.mask_HxW.shape == SIZE


def test_a_smaller_copy_for_the_estimator_gives_the_same_frame(transfer, truth, photo, monkeypatch):
    def halved(pixels):
        assert pixels.shape == (300, 400, 3)
        return truth(pixels)

    large = np.repeat(np.repeat(photo, 4, 0), 4, 1)
    monkeypatch.setattr(photos, "SEEN_SIDE", 400)
    found, expected = (PhotoTransfer(transfer, halved).estimate(pixels) for pixels in (large, photo))
    np.testing.assert_allclose(found.joints_Jx2, expected.joints_Jx2, atol=1e-3)
    assert np.abs(found.image.astype(int) - expected.image).mean() < 3


def test_one_photo_takes_many_poses_in_one_call(photo_transfer, photo, framed):
    several = photo_transfer(photo, ["walking", "back", "arms-up"])
    assert several.shape == (3, 4 * SIZE[0], 4 * SIZE[1], 3)
    one = photo_transfer(photo, "back")
    assert np.abs(one.astype(int) - several[1]).max() <= 1 and np.abs(several[0].astype(int) - several[1]).max() > 10


def test_somebody_cut_off_gets_room_for_the_arms_and_other_poses_stay_as_they_are(photo_transfer, photo, framed):
    def cut(pixels):
        """The same person, whom the picture cuts off at the knees."""
        joints = framed.found.joints_Jx2.copy()
        regions = framed.found.regions_HxW[: len(pixels)]
        joints[joints[:, 0] >= len(pixels)] = -1
        return Person(joints, (regions > 0).astype(np.float32), regions, framed.found.face_box)

    knees = int(framed.found.joints_Jx2[[9, 12], 0].min())
    somebody = PhotoTransfer(photo_transfer._transfer, cut)
    close = somebody.estimate(photo[:knees])
    wide, standing = poses.named("arms-wide"), poses.named("standing")
    assert poses.room_for(wide, close.joints_Jx2, SIZE) > 1
    pictures = somebody.paint_poses(close, [wide, standing])
    tight = somebody.paint_framed(close, somebody.targets(close, [wide, standing]))
    np.testing.assert_array_equal(pictures[1], tight[1])
    assert np.abs(pictures[0].astype(int) - tight[0]).mean() > 5
    roomy = close.with_room(1.5)
    assert roomy.window.height == pytest.approx(1.5 * close.window.height)
    np.testing.assert_array_equal(somebody(photo[:knees], wide), pictures[0])
    assert somebody(photo[:knees], wide, whole=True).shape == (knees, photo.shape[1], 3)


def test_a_pose_is_a_name_an_array_a_file_or_a_photo(photo_transfer, framed, photo_file, tmp_path):
    pose = poses.named("walking")
    (tmp_path / "pose.json").write_text(str(pose.tolist()))
    for wanted in (pose, pose * 500, tmp_path / "pose.json"):
        found = photo_transfer.targets(framed, wanted)
        np.testing.assert_allclose(found, photo_transfer.targets(framed, "walking"), atol=0.02)
    own = photo_transfer.targets(framed, photo_file)[0]
    np.testing.assert_allclose(own, framed.joints_Jx2, atol=1.0)


class Shifted:
    """A model that paints everybody grey and four rows higher."""

    size = SIZE

    def __init__(self, fills_background=False):
        self.fills_background = fills_background

    def paint(self, image, regions, joints, targets, style=None):
        return np.full((len(targets), *SIZE, 3), 128, np.uint8), np.roll(regions, -4, 1).repeat(len(targets), 0)


def test_the_background_is_the_photos_own_where_nobody_was_and_is(truth, photo):
    somebody = PhotoTransfer(Shifted(), truth)
    framed = somebody.estimate(photo)
    targets = somebody.targets(framed, ["standing", "walking"])
    pictures = somebody.paint(framed.image, framed.regions_HxW, framed.joints_Jx2, targets)
    large = somebody.paint_framed(framed, targets)
    assert pictures.shape == (2, *SIZE, 3) and large.shape == (2, 4 * SIZE[0], 4 * SIZE[1], 3)
    somewhere = (framed.regions_HxW > 0) | (np.roll(framed.regions_HxW, -4, 0) > 0)
    nobody = ~ndimage.binary_dilation(somewhere, iterations=5)
    assert nobody.sum() > 500
    np.testing.assert_array_equal(pictures[0][nobody], framed.image[nobody])
    there = nobody.repeat(4, 0).repeat(4, 1)
    np.testing.assert_array_equal(large[1][there], framed.large[there])


def test_where_somebody_stood_is_the_models_own_if_it_fills_it(truth, photo):
    pictures = {}
    for fills in (False, True):
        somebody = PhotoTransfer(Shifted(fills), truth)
        framed = somebody.estimate(photo)
        given = framed.image, framed.regions_HxW, framed.joints_Jx2
        pictures[fills] = somebody.paint(*given, framed.joints_Jx2[None])[0]
    stood = framed.regions_HxW > 0
    only_then = stood & ~ndimage.binary_dilation(np.roll(stood, -4, 0), iterations=2)
    assert only_then.any()
    assert (pictures[True][only_then] == 128).all() and not (pictures[False][only_then] == 128).all()
    far = ~ndimage.binary_dilation(stood | np.roll(stood, -4, 0), iterations=8)
    np.testing.assert_array_equal(pictures[True][far], framed.image[far])


@pytest.mark.parametrize("missing", [-1, np.nan])
@pytest.mark.parametrize("fills", [False, True])
def test_whoever_has_left_the_frame_is_not_in_the_picture_of_the_place(missing, fills, truth, photo):
    """Of what `Shifted` paints all the same, nothing shows, whoever fills the place where somebody stood."""
    somebody = PhotoTransfer(Shifted(fills), truth, times=2)
    framed = somebody.estimate(photo)
    targets = np.stack([framed.joints_Jx2, np.full((18, 2), missing, np.float32)])
    picture = somebody.paint_framed(framed, targets)[1]
    painted = np.roll(framed.regions_HxW > 0, -4, 0).repeat(2, 0).repeat(2, 1)
    wall = photo[0, 0].astype(int)
    assert np.abs(wall - 128).max() > 40 and np.abs(picture[painted] - wall).max() < 40


def test_what_is_begun_before_a_person_is_found_has_ended_when_it_is_painted(truth, photo):
    class Slow(Shifted):
        told = []

        def paint(self, image, *others):
            self.told.append("begins")
            time.sleep(0.2)
            self.told.append("ends")
            return np.full((1, *SIZE, 3), 128, np.uint8), np.zeros((1, *SIZE), np.uint8)

    somebody = PhotoTransfer(Slow(), truth, times=1)
    framed = somebody.estimate(photo)
    somebody.begin()
    assert len(somebody.paint_framed(framed, framed.joints_Jx2[None])) == 1
    assert Slow.told == ["begins", "ends"] * 2


def test_once_as_large_pictures_are_the_models_even_in_the_whole_photo(truth, photo):
    """Grey, as `Shifted` paints everybody: no detail and no head of the photo's."""
    somebody = PhotoTransfer(Shifted(), truth, times=1)
    framed = somebody.estimate(photo)
    pose = framed.joints_Jx2[None]
    assert (somebody.paint_framed(framed, pose)[0] == 128).all(-1).sum() > 300
    nose = framed.window.top, framed.window.left
    scale = framed.window.scale(SIZE)
    nose = [round(start + place / by) for start, place, by in zip(nose, framed.joints_Jx2[0], scale, strict=True)]
    assert (somebody.paint_whole(framed, pose)[0][tuple(nose)] == 128).all()


def test_a_head_at_the_photos_edge_does_not_go_on_beyond_it(truth, photo):
    """The photo ends in the middle of the forehead: above, the frame shows the wall, and nobody."""
    view = Rendered.sample(3, 4).view(0, 256, 176)
    top = int(np.flatnonzero((view.labels > 0).any(1))[0]) + 8
    cut = view.image[top:]

    def estimate(pixels):
        joints = np.where(present(view.joints)[:, None], view.joints - [top, 0], -1).astype(np.float32)
        regions = view.labels[top:]
        return Person(joints, (regions > 0).astype(np.float32), regions, face_box_from_joints(joints, *regions.shape))

    framed = PhotoTransfer(Shifted(), estimate, times=2).estimate(cut)
    beyond = ~framed.window.shown(cut.shape[:2], SIZE)
    assert beyond.any() and not framed.regions_HxW[beyond].any() and not framed.mask_HxW[beyond].any()
    # A row of the wall beside the head, and the same row above it.
    above = framed.image[0].astype(int)
    assert np.abs(above - np.median(above, axis=0)).max() < 40
    np.testing.assert_allclose(framed.large[0].mean(0), above.mean(0), atol=12)


def test_bars_around_a_photo_stay_and_are_no_part_of_it(truth, photo):
    view = Rendered.sample(3, 4).view(0, 256, 176)
    barred = np.concatenate([np.full((30, 176, 3), 255, np.uint8), view.image, np.full((30, 176, 3), 255, np.uint8)])
    seen = []

    def estimate(pixels):
        seen.append(pixels.shape[0])
        top = (256 - pixels.shape[0]) // 2
        regions = view.labels[top : top + len(pixels)]
        joints = np.where(present(view.joints)[:, None], view.joints - [top, 0], -1).astype(np.float32)
        return Person(joints, (regions > 0).astype(np.float32), regions, face_box_from_joints(joints, *regions.shape))

    somebody = PhotoTransfer(Shifted(), estimate, times=1)
    framed = somebody.estimate(barred)
    assert 252 <= seen[0] <= 256
    whole = somebody.paint_whole(framed, framed.joints_Jx2[None])[0]
    assert whole.shape == barred.shape and (whole[:30] == 255).all() and (whole[-30:] == 255).all()
    assert (whole[30:-30] != barred[30:-30]).any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": np.zeros((*SIZE, 3))}, "image holds float64; give uint8"),
        ({"image": np.zeros(SIZE, np.uint8)}, r"image has shape \(64, 44\)"),
        ({"regions": np.full(SIZE, 9)}, "regions: label 9"),
        ({"joints": np.ones((18, 3))}, "joints has three numbers a joint"),
        ({"targets": np.zeros((0, 18, 2))}, "targets holds no pose; give at least one"),
        ({"targets": np.zeros((2, 17, 2))}, "targets has 17 joints"),
        ({"large": np.zeros((96, 66, 3), np.uint8)}, r"large has shape \(96, 66, 3\); give a whole number of"),
        ({"large": np.zeros((128, 88, 3))}, "large holds float64; give uint8"),
    ],
)
def test_what_cannot_be_painted_is_named(changes, message, truth, photo):
    somebody = PhotoTransfer(Shifted(), truth)
    framed = somebody.estimate(photo)
    given = {"image": framed.image, "regions": framed.regions_HxW, "joints": framed.joints_Jx2}
    with pytest.raises(UserError, match=message):
        somebody.paint(**{**given, "targets": framed.joints_Jx2[None], **changes})


@pytest.mark.parametrize("room", [0, 0.5, 2.5, float("nan")])
def test_a_frame_of_no_room_is_refused(room, framed):
    with pytest.raises(UserError, match=f"room {room}: give a number from 1 to 2"):
        framed.with_room(room)


@pytest.fixture(scope="module")
def other():
    return Rendered.sample(3, 4).view(0, 256, 176).image


def test_a_style_of_share_0_changes_nothing_and_of_1_only_its_region(photo_transfer, framed, other):
    targets = photo_transfer.targets(framed, "standing")
    given = framed.image, framed.regions_HxW, framed.joints_Jx2, targets
    plain = photo_transfer.paint(*given).astype(int)
    none = photo_transfer.paint(*given, photo_transfer.style(framed, {"hair": (other, 0.0)}))
    assert np.abs(none - plain).max() <= 1
    dressed = photo_transfer.paint(*given, photo_transfer.style(framed, {"hair": (other, 1.0)}))
    assert np.abs(dressed - plain).max() > 5


def test_a_style_whose_large_frame_has_another_size_is_refused(photo_transfer, framed, other):
    targets = photo_transfer.targets(framed, "standing")
    style = photo_transfer.style(framed, {"hair": (other, 1.0)})
    large = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(UserError, match="style large"):
        photo_transfer.paint_framed(framed, targets, {**style, "large": large})


def test_a_style_between_lies_between(photo_transfer, framed, other):
    share = photo_transfer.style(framed, {"upper_clothes": (other, 0.25), "hair": (other, 1.0)})["share"]
    np.testing.assert_allclose(share, [0, 1, 0.25, 0, 0, 0, 0, 0])


@pytest.mark.parametrize(
    "styles, message",
    [
        ({"hat": 1.0}, "no region is called 'hat'; choose one of hair, upper_clothes"),
        ({"hair": 1.5}, "1.5 is no share"),
        ({"hair": float("nan")}, "nan is no share"),
        ({"hair": None}, "None is no share"),
        ({"hair": "1"}, "1 is no share"),
        ({"dress": 1.0}, "shows no dress"),
    ],
)
def test_a_style_that_cannot_be_is_refused(styles, message, photo_transfer, framed, other):
    with pytest.raises(UserError, match=message):
        photo_transfer.style(framed, {name: (other, share) for name, share in styles.items()})


def test_a_style_without_a_share_is_refused(photo_transfer, framed):
    with pytest.raises(UserError, match=r"style hair: is str; give a photo and a share, \(photo, 0\.5\)"):
        photo_transfer.style(framed, {"hair": "me.jpg"})


def test_fit_gives_the_three_arrays_of_a_call(transfer, truth, photo):
    person = truth(photo)
    image, regions, joints = transfer.fit(photo, person.regions_HxW, person.joints_Jx2)
    picture = transfer(image, regions, joints, poses.retarget(poses.named("walking"), joints, SIZE))
    assert picture.shape == (*SIZE, 3)


def test_fit_refuses_a_map_of_another_size(transfer, truth, photo):
    person = truth(photo)
    with pytest.raises(UserError, match=r"the parsing map has \(10, 10\) pixels, the photo \(300, 400\)"):
        transfer.fit(photo, np.ones((10, 10), np.uint8), person.joints_Jx2)


def test_the_photo_is_named_where_nobody_is_found(transfer, photo_file):
    def nobody(_):
        raise UserError("nobody is found in the picture")

    with pytest.raises(UserError, match=r"me\.png: nobody is found"):
        PhotoTransfer(transfer, nobody).estimate(photo_file)
