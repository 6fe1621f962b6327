"""The photo's detail in what the model paints: there where it belongs, and nowhere else."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from scrn_jax.inference.finishing import detail
from scrn_jax.person import regions
from scrn_jax.person.resizing import resize_maps

TIMES = 4


@pytest.fixture(scope="module")
def person(view):
    """(the frame 256x176, regions and joints in 64x44): a rendered person with stripes on the clothes."""
    stripes = 60 * (np.arange(256) // 2 % 2)[:, None, None]
    large = np.where((view.labels == 2)[..., None], 90 + stripes, view.image).astype(np.uint8)
    small = view.labels[TIMES // 2 :: TIMES, TIMES // 2 :: TIMES]
    joints = np.where(view.joints >= 0, (view.joints + 0.5) / TIMES - 0.5, -1)
    return large, small, joints.astype(np.float32)


@pytest.fixture(scope="module")
def picture(person):
    """The frame as a model of 64x44 would paint it at best: the mean of every 4x4 pixels."""
    return np.asarray(Image.fromarray(person[0]).resize((44, 64), Image.Resampling.BOX))


def _clothes(person):
    """Pixels of the large frame that are well inside the striped region."""
    labels = person[1] == 2
    inner = labels[1:-1, 1:-1] & labels[2:, 1:-1] & labels[:-2, 1:-1] & labels[1:-1, 2:] & labels[1:-1, :-2]
    return np.pad(inner, 1).repeat(TIMES, 0).repeat(TIMES, 1)


@pytest.mark.parametrize(("height", "times"), [(64, 4), (128, 4), (256, 2), (300, 1), (1024, 1)])
def test_pictures_have_512_rows_where_a_whole_number_up_to_four_gives_them(height, times):
    assert detail.times_of(height) == times


def test_in_the_same_pose_the_source_comes_back(person, picture):
    """Stripes of two pixels, of which a frame of a quarter shows nothing."""
    where = _clothes(person)
    found, share = detail.enlarge(detail.Source(*person), picture, person[1], person[2])
    plain = resize_maps(picture, person[0].shape[:2])
    apart = [np.abs(each - person[0])[where].mean() for each in (found, plain)]
    assert where.sum() > 500 and apart[1] > 20 and apart[0] < 0.2 * apart[1]
    assert share[where].min() > 0.99 and share[0, 0] < 0.01


def test_regions_of_another_person_get_none(person, picture):
    """Nor is the head taken from the source."""
    found, _ = detail.enlarge(detail.Source(*person), picture, person[1], person[2], np.ones(8, np.float32))
    plain = resize_maps(picture, person[0].shape[:2])
    np.testing.assert_allclose(found, plain, atol=1e-3)


def test_regions_of_another_person_have_that_persons_pattern(person):
    """Their stripes run the other way, and the model paints none; the pose is the same."""
    large, labels, joints = person
    stripes = 60 * (np.arange(176) // 2 % 2)[None, :, None]
    theirs = np.where((labels == 2).repeat(TIMES, 0).repeat(TIMES, 1)[..., None], 90 + stripes, large).astype(np.uint8)
    flat = np.full((*labels.shape, 3), 120, np.uint8)
    share = np.eye(8, dtype=np.float32)[2]
    found, _ = detail.enlarge(
        detail.Source(*person), flat, labels, joints, share, detail.Source(theirs, labels, joints)
    )
    assert np.abs(found - theirs)[_clothes(person)].mean() < 6 < 25 < np.abs(found - large)[_clothes(person)].mean()


def test_where_the_model_paints_something_else_there_is_none(person, picture):
    """A picture 120 grey levels off: nearly all of the detail is left out."""
    other = (picture.astype(np.float32) + 120).clip(0, 255).astype(np.uint8)
    found, _ = detail.enlarge(detail.Source(*person), other, person[1], person[2])
    added = np.abs(found - resize_maps(other, person[0].shape[:2]))[_clothes(person)].mean()
    assert added < 2


def test_the_detail_moves_along_with_the_person(person, picture):
    """Four pixels of the small frame lower, sixteen of the large one."""
    large, regions, joints = person
    lower = np.where(joints >= 0, joints + [4, 0], -1).astype(np.float32)
    moved = [np.roll(part, 4, 0) for part in (picture, regions)]
    found, _ = detail.enlarge(detail.Source(large, regions, joints), *moved, lower)
    where = np.roll(_clothes(person), 16, 0)
    assert np.abs(found - np.roll(large, 16, 0))[where].mean() < 8


HEAD = (1, 5)  # hair and face
BLUE = np.full((64, 44, 3), (0, 0, 255), np.uint8)


def _head(person):
    """Pixels of the large frame that are well inside the head."""
    return ndimage.binary_erosion(np.isin(person[1], HEAD)).repeat(TIMES, 0).repeat(TIMES, 1)


def test_a_head_that_is_shrunk_and_tilted_is_the_sources(person):
    """By a similarity worked out here: 0.8 times, 10 degrees, about the neck. The model paints a blue head."""
    large, labels, joints = person
    neck, turn = joints[1, ::-1] @ [1, 1j], 0.8 * np.exp(1j * np.radians(10))
    places = (joints[:, 1] + 1j * joints[:, 0] - neck) * turn + neck
    target = np.where(joints >= 0, np.stack([places.imag, places.real], 1), -1).astype(np.float32)
    found, share = detail.enlarge(detail.Source(*person), BLUE, labels, target)
    rows, columns = np.nonzero(_head(person))
    at = ((columns + 1j * rows + 0.5 + 0.5j) / TIMES - 0.5 - 0.5j - neck) * turn + neck
    at = (at + 0.5 + 0.5j) * TIMES - 0.5 - 0.5j
    there = np.round(at.imag).astype(int), np.round(at.real).astype(int)
    assert len(rows) > 100 and share[there].min() > 0.9
    apart = np.abs(found[there] - large[rows, columns])
    assert np.median(apart) < 15  # of 255, from the nearest pixel; from blue it would be over 100


def test_a_head_on_shoulders_seen_from_the_side_is_the_models(person):
    """Shoulders half as wide, about the neck; three quarters as wide are not from the side."""
    for width, is_models in ((0.5, True), (0.75, False)):
        target = person[2].copy()
        target[[2, 5]] = target[1] + width * (target[[2, 5]] - target[1])
        found, _ = detail.enlarge(detail.Source(*person), BLUE, person[1], target)
        assert (np.median(found[_head(person)][:, 2]) > 200) == is_models


def test_hair_of_the_models_beside_a_neck_that_has_none_is_left_out(person, picture):
    large, labels, joints = person
    row, column = np.round(joints[1]).astype(int)
    block = np.s_[row - 4 : row - 1, column + 8 : column + 11]
    assert (labels[block] == 0).all() and joints[0, 0] < row - 4
    with_hair = labels.copy()
    with_hair[block] = regions.NAMES.index("hair")
    found, kept = (
        detail.enlarge(detail.Source(*person), picture, with_hair, joints, share)[1]
        for share in (None, np.eye(8, dtype=np.float32)[1])  # with another person's hair, the head is the model's
    )
    middle = TIMES * (row - 3) + TIMES // 2, TIMES * (column + 9) + TIMES // 2
    assert found[middle] < 0.1 and kept[middle] > 0.9


def test_a_head_that_the_photo_cuts_off_goes_on_as_the_models():
    """A large round head, of which the photo shows what is below row 12; the model paints the whole of it blue."""
    y, x = np.mgrid[:64, :44]
    labels = np.where(np.hypot((y - 19) / 15, (x - 22) / 12) < 1, 5, 0)
    joints = np.full((18, 2), -1, np.float32)
    joints[[0, 1, 2, 5]] = (22, 22), (42, 22), (46, 8), (46, 36)
    joints[[14, 15, 16, 17]] = (18, 18), (18, 26), (20, 12), (20, 32)
    grey = np.full((256, 176, 3), 100, np.uint8)
    shown = np.where(y < 12, 0, labels)
    found, share = detail.enlarge(detail.Source(grey, shown, joints), BLUE, labels, joints)
    blue, columns = found[..., 2], slice(76, 104)
    assert share[30:44, columns].min() > 0.9 and blue[30:44, columns].min() > 200
    assert blue[60:80, columns].max() < 130
    # A head that is not cut off takes the place of the model's, larger one.
    small = np.where(np.hypot((y - 21) / 12, (x - 22) / 9) < 1, 5, 0)
    _, share = detail.enlarge(detail.Source(grey, small, joints), BLUE, labels, joints)
    assert share[20:30, columns].max() < 0.1


def test_what_a_hand_hides_of_a_head_is_the_models_and_nothing_beyond_it():
    """A round head; a square hand covers a bite of its right side in the photo and more of the wall beside it."""
    y, x = np.mgrid[:64, :44]
    round_head = np.hypot((y - 20) / 14, (x - 20) / 12) < 1
    bite = (abs(y - 14) < 2) & (x > 26)
    shown = np.where(bite & (x < 38), 6, np.where(round_head, 5, 0))
    joints = np.full((18, 2), -1, np.float32)
    joints[[0, 1, 2, 5]] = (22, 20), (42, 20), (46, 6), (46, 34)
    joints[[14, 15, 16, 17]] = (18, 16), (18, 24), (20, 10), (20, 30)
    grey = np.full((256, 176, 3), 100, np.uint8)
    found, share = detail.enlarge(detail.Source(grey, shown, joints), BLUE, np.where(x < 42, 5, 0), joints)
    hidden, beyond, head = (np.s_[56:60, start:end] for start, end in ((117, 121), (140, 148), (60, 90)))
    assert share[hidden].min() > 0.8 and found[hidden][..., 2].min() > 180
    assert share[beyond].max() < 0.2
    assert share[head].min() > 0.9 and found[head][..., 2].max() < 130


def test_a_chin_that_is_taken_for_a_neck_moves_with_the_head():
    """The face's middle is where the joints say: at (22, 22), 22 rows above the neck."""
    y, x = np.mgrid[:64, :44]
    labels = np.where(np.hypot((y - 22) / 14, (x - 22) / 11) < 1, np.where(y < 26, 5, 6), 0)
    joints = np.full((18, 2), -1, np.float32)
    joints[[0, 1, 2, 5]] = (22, 22), (44, 22), (48, 8), (48, 36)
    joints[[14, 15, 16, 17]] = (18, 18), (18, 26), (20, 12), (20, 32)
    grey = np.full((256, 176, 3), 100, np.uint8)
    found, _ = detail.enlarge(detail.Source(grey, labels, joints), BLUE, np.where(labels > 0, 5, 0), joints)
    assert found[4 * 28 : 4 * 30, 84:92, 2].max() < 130


def test_raised_shoulders_do_not_make_a_head_smaller(person):
    """The face half as far from the neck as it was, where the model paints a blue one: its middle stays the face's."""
    large, labels, joints = person
    target, face = joints.copy(), [joint for joint in (0, 14, 15, 16, 17) if joints[joint, 0] >= 0]
    down = (joints[1] - joints[0]) / 2
    target[face] += down
    found, share = detail.enlarge(detail.Source(*person), BLUE, labels, target)
    above = np.nonzero(_head(person) & (np.arange(256)[:, None] < TIMES * joints[0, 0]))
    shift = TIMES * down
    there = tuple(np.round(np.stack(above) + shift[:, None]).astype(int))
    assert share[there].mean() > 0.9  # of a head of half the size it would be less than a third
    head = np.median(np.abs(found[there] - large[above]))
    assert head < 40  # a tenth larger or smaller, it is not pixel by pixel the same


def test_a_face_from_the_side_is_the_models_and_has_no_features_of_the_front(person):
    target = person[2].copy()
    target[[2, 5]] = target[1] + 0.4 * (target[[2, 5]] - target[1])
    flat = np.full((64, 44, 3), 128, np.uint8)
    found, _ = detail.enlarge(detail.Source(*person), flat, person[1], target)
    face = ndimage.binary_erosion(person[1] == 5).repeat(TIMES, 0).repeat(TIMES, 1)
    assert np.abs(found[face] - 128).mean() < 2 < person[0][face].std() / 2


@pytest.mark.parametrize("hidden", [14, 0, 1], ids=["an eye", "the nose", "the neck"])
def test_a_head_of_which_the_target_hides_a_part_is_the_models(person, hidden):
    target = person[2].copy()
    target[hidden] = -1
    found, _ = detail.enlarge(detail.Source(*person), BLUE, person[1], target)
    assert found[_head(person)][:, 2].mean() > 200 > 150 > person[0][_head(person)][:, 2].mean()


def test_a_nose_on_the_neck_is_no_head(person):
    target = person[2].copy()
    target[0] = target[1]
    found, share = detail.enlarge(detail.Source(*person), BLUE, person[1], target)
    assert np.isfinite(found).all() and np.isfinite(share).all()


def test_a_head_that_looks_the_other_way_is_the_models(person):
    """The nose on the other side of the eyes, as far as it was on this one and more."""
    target = person[2].copy()
    target[0, 1] += 6
    found, _ = detail.enlarge(detail.Source(*person), BLUE, person[1], target)
    assert found[_head(person)][:, 2].mean() > 200 > 150 > person[0][_head(person)][:, 2].mean()


def test_chin_and_neck_do_not_come_apart(person, picture):
    """The source's head is smaller than the one that the model paints: beside it there is background, below it none."""
    large, labels, joints = person
    target = joints.copy()
    face = [joint for joint in (0, 14, 15, 16, 17) if joints[joint, 0] >= 0]
    target[face] = joints[0] + 0.8 * (joints[face] - joints[0])  # about the nose
    _, share = detail.enlarge(detail.Source(*person), picture, labels, target)
    nose, neck = (TIMES * (joints[joint] + 0.5) - 0.5 for joint in (0, 1))
    way = np.round(np.linspace(neck, nose, 20)).astype(int)
    assert share[way[:, 0], way[:, 1]].min() > 0.9


@pytest.mark.parametrize("limb", [(3, 4), (9, 10)])
def test_skin_of_a_limb_has_none_and_what_ends_it_has(person, limb):
    """Stripes all over a picture that is all skin: they come along on hands and feet, and not on forearms and shins."""
    large, labels, joints = person
    striped = np.where((np.arange(256) // 2 % 2)[:, None, None], 188, np.full_like(large, 128))
    skin = np.full_like(labels, regions.NAMES.index("leg"))
    even = np.full((*labels.shape, 3), 158, np.uint8)
    found, _ = detail.enlarge(detail.Source(striped, skin, joints), even, skin, joints)
    start, end = (TIMES * (joints[joint] + 0.5) - 0.5 for joint in limb)
    on_it, beyond = (np.round(start + share * (end - start)).astype(int) for share in (0.6, 1.15))

    def unevenness(place):
        return found[place[0] - 4 : place[0] + 5, place[1], 0].std()

    assert unevenness(on_it) < 1 and unevenness(beyond) > 10


def test_what_a_region_wrongly_covers_of_the_background_is_no_detail(person):
    """Regions that are found reach a pixel too far: the white wall would come along as a rim around the clothes."""
    _, labels, joints = person
    true = ndimage.binary_erosion(labels == 2).repeat(TIMES, 0).repeat(TIMES, 1)
    rim = (labels == 2).repeat(TIMES, 0).repeat(TIMES, 1) & ~true
    large = np.where(true, 90, 255)[..., None].repeat(3, -1).astype(np.uint8)
    flat = np.full((*labels.shape, 3), 90, np.uint8)
    source, not_the_head = detail.Source(large, labels, joints), np.eye(8, dtype=np.float32)[1]
    found, _ = detail.enlarge(source, flat, labels, joints, not_the_head)
    assert np.abs(found - 90)[rim].mean() < 8 and (source.masks[..., 2] > 0.5)[rim].mean() < 0.6


def test_where_the_source_ends_there_is_no_line(person):
    """All is grey; of the clothes the source shows a half, and the model paints the whole."""
    _, labels, joints = person
    columns = np.arange(labels.shape[1])
    half = np.where((labels == 2) & (columns < np.median(np.nonzero(labels == 2)[1])), 0, labels)
    grey = np.full((256, 176, 3), 90, np.uint8)
    source, not_the_head = detail.Source(grey, half, joints), np.eye(8, dtype=np.float32)[1]
    found, _ = detail.enlarge(source, grey[::TIMES, ::TIMES], labels, joints, not_the_head)
    np.testing.assert_allclose(found, 90, atol=1)


def test_where_two_parts_meet_there_is_no_line(person):
    """A picture that brightens evenly to the right has no structure; an arm that moved takes its brightness along."""
    _, labels, joints = person
    clothed, target = np.where(labels > 0, 2, 0).astype(np.uint8), joints.copy()
    target[[3, 4]] += [0, 6]
    ramp = np.linspace(50, 130, 176).astype(np.uint8)[None, :, None].repeat(256, 0).repeat(3, 2)
    even = np.full((*labels.shape, 3), 90, np.uint8)
    source, not_the_head = detail.Source(ramp, clothed, joints), np.eye(8, dtype=np.float32)[1]
    found, _ = detail.enlarge(source, even, clothed, target, not_the_head)
    np.testing.assert_allclose(found, 90, atol=1.5)
