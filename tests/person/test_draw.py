"""Pictures of joints and regions show what they are given, where they are given it."""

import numpy as np

from scrn_jax.person import draw, joints, regions


def pose_of(**at):
    points = np.full((joints.NUM_JOINTS, 2), joints.MISSING, np.float32)
    for name, point in at.items():
        points[joints.NAMES.index(name)] = point
    return points


def test_a_limb_is_drawn_between_its_joints_and_nowhere_else():
    drawn = draw.skeleton(pose_of(nose=(10, 22), neck=(30, 22)), 64, 44).max(axis=-1)
    assert (drawn[10:31, 22] > 100).all()
    assert drawn[:, :18].max() == 0 and drawn[:, 27:].max() == 0 and drawn[40:].max() == 0


def test_missing_joints_draw_nothing():
    assert not draw.skeleton(pose_of(), 64, 44).any()


def test_limbs_have_different_colours():
    colours = {draw._limb_colour(index) for index in range(len(joints.LIMBS))}
    assert len(colours) == len(joints.LIMBS)


def test_regions_are_painted_in_their_colours():
    labels = np.array([[0, 1], [5, 7]], np.uint8)
    assert np.array_equal(draw.paint_regions(labels)[1, 0], regions.COLOURS[5])


def test_overlay_keeps_the_photo_where_there_is_nothing_to_show():
    image = np.random.default_rng(0).integers(0, 255, (32, 22, 3), np.uint8)
    drawn = draw.overlay(image, pose_of(), np.zeros((32, 22), np.uint8), np.zeros(4, np.float32))
    assert np.array_equal(drawn, image)


def test_overlay_frames_the_face_inside_its_half_open_box():
    drawn = draw.overlay(
        np.zeros((32, 22, 3), np.uint8), pose_of(), np.zeros((32, 22), np.uint8), np.array([4, 5, 10, 12], np.float32)
    )
    rows, columns = np.nonzero(drawn.any(axis=-1))
    assert (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1) == (4, 5, 10, 12)
