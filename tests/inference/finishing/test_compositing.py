"""A person taken out of a photo and another put in."""

import numpy as np
import pytest

from scrn_jax.inference.finding.framing import Window
from scrn_jax.inference.finishing import compositing

SIZE = (32, 24)


@pytest.fixture
def ramp():
    """Colours that rise evenly, each in a direction of its own: uint8 (32, 24, 3)."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.stack([20 + 3 * rows, 40 + 2 * columns, 30 + rows + columns], axis=-1).astype(np.uint8)


@pytest.fixture
def regions():
    """Somebody in the middle."""
    labels = np.zeros(SIZE, np.uint8)
    labels[10:20, 8:16] = 3
    return labels


def test_behind_a_person_an_even_rise_of_colours_goes_on(ramp, regions):
    """A harmonic function is what its neighbours are on average; so is a linear one, and the border fixes it."""
    seen = np.where(regions[..., None] > 0, np.uint8(255), ramp)
    background, hole = compositing.without_person(seen, regions)
    np.testing.assert_allclose(background, ramp, atol=1e-3)
    assert hole[regions > 0].all() and hole.sum() > (regions > 0).sum()


def test_at_the_frames_edge_the_colours_of_the_other_sides_meet(regions):
    """A person who reaches down to the edge, on one colour: it is that colour everywhere."""
    regions[20:, 8:16] = 4
    seen = np.where(regions[..., None] > 0, np.uint8(0), np.full((*SIZE, 3), 77, np.uint8))
    np.testing.assert_allclose(compositing.without_person(seen, regions)[0], 77, atol=1e-3)


@pytest.mark.parametrize("label", [0, 2], ids=["nobody", "everywhere"])
def test_without_a_person_or_without_a_background_the_frame_stays(ramp, label):
    background, hole = compositing.without_person(ramp, np.full(SIZE, label, np.uint8))
    np.testing.assert_array_equal(background, ramp)
    assert not hole.any()


def test_enlarged_it_keeps_the_photos_pixels_where_nobody_was(ramp, regions):
    background, hole = compositing.without_person(ramp, regions)
    large = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    found = compositing.enlarged(background, hole, large)
    np.testing.assert_array_equal(found[:8], large[:8])
    np.testing.assert_allclose(found[24:36, 20:28], ramp.repeat(2, 0).repeat(2, 1)[24:36, 20:28], atol=2)


def test_a_person_hides_what_is_behind_and_fades_at_the_outline(regions):
    share = compositing.share_of(regions)
    assert (share[12:18, 10:14] == 1).all() and (share[:6] == 0).all() and 0 < share[9, 12] < 1
    found = compositing.in_front(np.full((*SIZE, 3), 200.0), share, np.full((*SIZE, 3), 100.0))
    assert (found[15, 12] == 200).all() and (found[0, 0] == 100).all()


def test_what_the_source_hid_is_taken_but_no_person_who_was_moved_away(regions):
    """Somebody is painted where the source stood; the upper half was put elsewhere."""
    hole, share = compositing.hidden_by(regions), compositing.share_of(regions)
    share[:15] = 0
    found = compositing.with_hidden(share, hole, regions)
    assert (found[12:14, 10:14] == 0).all() and (found[16:19, 10:14] == 1).all()
    elsewhere = compositing.with_hidden(share, hole, np.zeros_like(regions))
    assert (elsewhere[12:14, 10:14] == 1).all() and (elsewhere[:5] == 0).all()


def test_put_back_changes_the_photo_where_somebody_was_or_is(ramp, regions):
    """The frame is a window of the photo in half its pixels; the new person stands six rows lower."""
    photo = np.full((200, 100, 3), 50, np.uint8)
    window = Window(60.0, 20.0, 64.0, 48.0)
    frame = np.where(regions[..., None] > 0, np.uint8(250), np.uint8(50)).repeat(3, -1)
    photo[60:124, 20:68] = frame.repeat(2, 0).repeat(2, 1)
    share = compositing.share_of(np.roll(regions, 6, 0))
    found = compositing.put_back(photo, window, frame, regions, np.full((*SIZE, 3), 150, np.uint8), share)
    assert found.shape == photo.shape and (found[60 + 2 * 20, 20 + 2 * 12] == 150).all()
    assert (found[60 + 2 * 12, 20 + 2 * 12] == 50).all(), "where the head was, the wall is"
    np.testing.assert_array_equal(found[:60], photo[:60])
    np.testing.assert_array_equal(found[:, 68:], photo[:, 68:])


def test_what_is_put_back_fades_at_the_windows_edges_inside_the_photo_only():
    photo, nobody = np.zeros((64, 48, 3), np.uint8), (np.zeros((*SIZE, 3), np.uint8), np.zeros(SIZE, np.uint8))
    person = np.full((*SIZE, 3), 200, np.uint8), np.ones(SIZE, np.float32)
    found = compositing.put_back(photo, Window(0.0, 0.0, 64.0, 48.0), *nobody, *person)
    assert (found[1:-1, 1:-1] == 200).all()
    found = compositing.put_back(photo, Window(0.0, 0.0, 32.0, 48.0), *nobody, *person)
    assert (found[1, 24] == 200).all() and found[31, 24, 0] < 100


def _half_shown():
    shown = np.zeros(SIZE, bool)
    shown[8:, 4:] = True
    return shown


def test_beyond_a_photos_edge_a_plain_wall_goes_on_without_the_person(regions):
    seen = np.where(regions[..., None] > 0, np.uint8(0), np.full((*SIZE, 3), (90, 150, 210), np.uint8))
    shown = _half_shown()
    found = compositing.beyond(np.where(shown[..., None], seen, 0), shown, regions)
    np.testing.assert_array_equal(found[shown], seen[shown])
    np.testing.assert_allclose(found[~shown], np.tile([90, 150, 210], ((~shown).sum(), 1)), atol=1)


def test_beyond_a_photos_edge_there_is_no_jump_and_far_away_no_detail():
    rng = np.random.default_rng(0)
    shown, nobody = _half_shown(), np.zeros(SIZE, np.uint8)
    seen = np.where(shown[..., None], rng.uniform(0, 255, (*SIZE, 3)), 0)
    found = compositing.beyond(seen, shown, nobody)
    # Mirrored, and hardly blurred: the next row is like the last one.
    assert np.abs(found[7, 4:] - seen[8, 4:]).mean() < np.abs(found[7, 4:] - seen[9, 4:]).mean() / 2
    assert found[0].std() < found[7].std() / 2


def test_pieces_without_a_joint_are_nobodys():
    labels = np.zeros(SIZE, np.uint8)
    labels[10:20, 8:16], labels[1:3, 1:3], labels[28:30, 20:22] = 3, 1, 6
    joints = np.full((18, 2), -1.0)
    joints[[1, 4]] = (12, 10), (29, 19)  # the hand's joint lies beside its piece
    found = compositing.without_islands(labels, joints)
    assert not found[1:3, 1:3].any()
    labels[1:3, 1:3] = 0
    np.testing.assert_array_equal(found, labels)
