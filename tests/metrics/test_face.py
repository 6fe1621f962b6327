"""Face L1 against cropping."""

import numpy as np

from scrn_jax.metrics.face import face_l1


def test_equals_the_mean_over_the_crop(pictures):
    a, b = pictures
    boxes = np.array([[3, 10, 20, 31], [0, 0, 64, 44], [60, 40, 70, 50]], np.float32)
    value, present = face_l1(a, b, boxes)
    error = np.abs(a - b)
    crops = [error[0, 3:20, 10:31].mean(), error[1].mean(), error[2, 60:, 40:].mean()]
    np.testing.assert_allclose(value, crops, rtol=1e-5, atol=1e-7)
    assert present.all()


def test_no_face_and_a_box_outside_the_frame_are_absent_and_zero(pictures):
    a, b = pictures
    value, present = face_l1(a, b, np.array([[0, 0, 0, 0], [64, 0, 80, 20], [5, 5, 5, 9]], np.float32))
    assert not present.any() and not np.any(value)
