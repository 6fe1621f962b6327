"""The person of a photo is framed as the training pictures are, and what is found there goes back to its place."""

import numpy as np
import pytest

from scrn_jax.inference.finding import framing
from scrn_jax.inference.finding.framing import Window

FRAME = (128, 88)


def test_a_whole_person_fills_nine_tenths_of_the_height_and_stands_in_the_middle():
    window = framing.window_around(np.array([100.0, 200, 500, 300]), (700, 600), 88 / 128)
    assert window.height == pytest.approx(400 / 0.91)
    assert (window.top + window.height / 2, window.left + window.width / 2) == pytest.approx((300, 250))


def test_wide_arms_are_kept_in_the_frame():
    window = framing.window_around(np.array([100.0, 100, 300, 400]), (700, 600), 88 / 128)
    assert window.width == pytest.approx(300 / 0.96)


def test_somebody_whom_the_photo_cuts_off_reaches_to_the_frames_lower_edge():
    window = framing.window_around(np.array([95.0, 50, 400, 250]), (400, 300), 88 / 128)
    assert window.top + window.height == pytest.approx(400)
    assert (95 - window.top) / window.height == pytest.approx(0.05)


def test_of_head_and_shoulders_the_shoulders_are_kept_and_the_room_is_above():
    window = framing.window_around(np.array([20.0, 10, 200, 310]), (200, 320), 88 / 128)
    assert window.width == pytest.approx(300 / 1.15)
    assert window.top + window.height == pytest.approx(200)


def test_a_frame_with_room_ends_below_where_somebody_is_cut_off_and_grows_around_somebody_whole():
    cut_off, whole = np.array([95.0, 50, 400, 250]), np.array([95.0, 100, 300, 200])
    for box, size in ((cut_off, (400, 300)), (whole, (400, 300))):
        near, far = (framing.window_around(box, size, 88 / 128, room) for room in (1.0, 1.5))
        assert (far.height, far.width) == pytest.approx((1.5 * near.height, 1.5 * near.width))
        assert far.left + far.width / 2 == pytest.approx(near.left + near.width / 2)
        end = 1.0 if box is cut_off else 0.5
        assert far.top + end * far.height == pytest.approx(near.top + end * near.height)


def test_a_window_grows_around_its_middle():
    assert Window(10.0, 20.0, 100.0, 60.0).grown(1.5) == Window(-15.0, 5.0, 150.0, 90.0)


def test_a_frame_knows_which_of_its_pixels_the_photo_shows():
    shown = Window(-64.0, 20.0, 256.0, 176.0).shown((160, 100), FRAME)
    # Two pixels of the photo are one of the frame: 32 rows are above it, and 80 rows and 40 columns of it are left.
    expected = np.zeros(FRAME, bool)
    expected[32:112, :40] = True
    np.testing.assert_array_equal(shown, expected)


def test_joints_go_into_the_frame_to_where_its_pixels_are():
    window = Window(-10.0, 20.0, 256.0, 176.0)
    joints = np.full((18, 2), -1, np.float32)
    joints[:3] = [[0, 30], [100.5, 60], [200, 150]]
    framed = window.joints_into(joints, FRAME)
    # Pixel 0 has its centre at 0.5, which is 10.5 below the window's edge and half that in the frame.
    assert framed[0] == pytest.approx([10.5 / 2 - 0.5, 10.5 / 2 - 0.5])
    # Two pixels of the photo are one of the frame, each measured from its centre.
    np.testing.assert_allclose((framed[:3] + 0.5) * 2 - 0.5 + [-10, 20], joints[:3], atol=1e-4)
    assert (framed[3:] == -1).all()


def test_joints_outside_the_window_are_missing():
    joints = np.full((18, 2), 50, np.float32)
    joints[4] = [300, 50]
    framed = Window(0.0, 0.0, 128.0, 88.0).joints_into(joints, FRAME)
    assert (framed[4] == -1).all() and (framed[5] == 50).all()


def test_a_cut_shrinks_by_the_mean_and_repeats_the_edge_beyond_the_picture():
    picture = np.zeros((4, 4), np.float32)
    picture[:, 0], picture[:, 1] = 1, 3
    cut = Window(0.0, -2.0, 4.0, 4.0).cut(picture, (2, 2))
    np.testing.assert_allclose(cut, [[1, 2], [1, 2]])


def test_labels_are_not_mixed():
    labels = np.zeros((64, 64), np.uint8)
    labels[:, 30:] = 7
    assert set(np.unique(Window(3.0, 3.0, 50.0, 50.0).cut(labels, (32, 32), labels=True))) == {0, 7}


def test_a_paste_undoes_a_cut():
    rows, columns = np.mgrid[:80, :60].astype(np.float32)
    window = Window(10.0, 5.0, 40.0, 40.0)
    back = window.paste(window.cut(rows, (80, 80)), rows.shape)
    np.testing.assert_allclose(back[12:48, 8:42], rows[12:48, 8:42], atol=0.02)
    assert (back[:9] == 0).all() and (back[:, 47:] == 0).all()


def test_the_body_is_the_mask_around_the_joints_without_what_is_far_off():
    mask = np.zeros((200, 200), np.float32)
    mask[40:160, 80:120], mask[:10, :10] = 1, 1
    joints = np.full((18, 2), -1, np.float32)
    joints[[0, 1, 8, 10]] = [[50, 100], [60, 100], [100, 95], [150, 105]]
    np.testing.assert_array_equal(framing.body_box(joints, mask), [40, 80, 160, 120])
