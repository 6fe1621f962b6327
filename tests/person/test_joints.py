"""Joints: mirror, moves, frames and the face box, against values worked out by hand."""

import numpy as np

from scrn_jax.person import face, joints


def pose(**at):
    """A pose with only the named joints, e.g. pose(nose=(3, 4))."""
    points = np.full((joints.NUM_JOINTS, 2), joints.MISSING, np.float32)
    for name, point in at.items():
        points[joints.NAMES.index(name.replace("_", " "))] = point
    return points


def test_flip_gives_the_right_wrist_the_mirrored_place_of_the_left():
    flipped = joints.flip(pose(left_wrist=(5, 3)), width=44)
    assert np.array_equal(flipped, pose(right_wrist=(5, 40)))


def test_flip_twice_is_the_same_pose():
    some = np.random.default_rng(0).uniform(0, 40, (4, 18, 2)).astype(np.float32).round()
    some[1, 3] = joints.MISSING
    assert np.array_equal(joints.flip(joints.flip(some, 44), 44), some)


def test_mirror_swaps_exactly_left_and_right_names():
    for index, name in enumerate(joints.NAMES):
        swapped = name.replace("left", "?").replace("right", "left").replace("?", "right")
        assert joints.NAMES[joints.MIRROR[index]] == swapped


def test_limbs_join_all_joints_into_one_tree():
    reached = {1}
    for _ in joints.LIMBS:
        reached |= {end for limb in joints.LIMBS for end in limb if reached & set(limb)}
    assert reached == set(range(joints.NUM_JOINTS))
    assert len(joints.LIMBS) == joints.NUM_JOINTS - 1


def test_a_quarter_of_the_size_moves_pixel_centres_by_hand_computed_amounts():
    moved = joints.move(pose(nose=(10, 20)), scale=(0.25, 0.5))
    assert np.array_equal(moved, pose(nose=(10.5 / 4 - 0.5, 20.5 / 2 - 0.5)))


def test_a_joint_moves_with_the_bright_pixel_it_marks():
    picture = np.zeros((8, 8))
    picture[4:6, 2:4] = 1
    small = picture.reshape(4, 2, 4, 2).mean(axis=(1, 3))
    moved = joints.move(pose(nose=(4.5, 2.5)), scale=(0.5, 0.5))[0]
    assert tuple(moved) == tuple(np.argwhere(small == 1)[0])


def test_cutting_forty_columns_leaves_missing_joints_missing():
    moved = joints.move(pose(nose=(10, 100)), offset=(0, -40))
    assert np.array_equal(moved, pose(nose=(10, 60)))


def test_joints_outside_the_frame_become_missing_and_those_on_its_edge_stay():
    clipped = joints.clip_to_frame(pose(nose=(-0.375, 3), neck=(64, 3), left_eye=(5, 43.5)), 64, 44)
    assert np.array_equal(clipped, pose(nose=(-0.375, 3), left_eye=(5, 43.5)))


def test_nan_counts_as_missing():
    assert not joints.present(pose(nose=(np.nan, 3)))[0]


def test_a_box_scales_by_its_edges():
    assert face.move_box(np.array([8, 4, 16, 12]), (64, 44), (0.5, 0.25), (0, -4)).tolist() == [4, 0, 8, 2]


def test_a_box_cut_off_by_the_frame_becomes_zeros():
    assert face.move_box(np.array([8, 4, 16, 12]), (64, 44), offset=(0, -40)).tolist() == [0, 0, 0, 0]


def test_flipped_boxes_are_half_open_and_no_face_stays_zeros():
    boxes = np.array([[8, 4, 16, 12], [0, 0, 0, 0]], np.float32)
    assert face.flip_box(boxes, 44).tolist() == [[8, 32, 16, 40], [0, 0, 0, 0]]


def test_ears_without_nose_and_eyes_are_no_face():
    assert not face.face_box_from_joints(pose(left_ear=(30, 80), right_ear=(30, 95)), 256, 176).any()


def test_the_face_box_is_a_square_around_all_face_joints():
    head = pose(nose=(31, 77), neck=(54, 90), right_eye=(29, 72), left_eye=(26, 85), left_ear=(33, 90))
    y0, x0, y1, x1 = face.face_box_from_joints(head, 256, 176)
    assert y0 <= 26 and y1 > 33 and x0 <= 72 and x1 > 90
    assert abs((y1 - y0) - (x1 - x0)) <= 1
    assert abs((x1 - x0) - 1.3 * 18) <= 1


def test_pixels_lie_along_a_limb_and_away_from_it_by_hand_computed_amounts():
    share, away = joints.along(np.array([2, 3]), np.array([2, 7]), (6, 12))
    assert [share[2, 3], share[5, 5], share[2, 11], share[0, 1]] == [0, 0.5, 2, -0.5]
    # Below its middle, beyond its end, and before its start: (-2, -2) from there.
    np.testing.assert_allclose([away[5, 5], away[2, 11], away[0, 1]], [3, 4, 8**0.5], rtol=1e-6)
