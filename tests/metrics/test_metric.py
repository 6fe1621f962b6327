"""No metric takes images that it would silently mismeasure."""

import jax
import numpy as np
import pytest

from scrn_jax.metrics.face import face_l1
from scrn_jax.metrics.lpips import LPIPS
from scrn_jax.metrics.psnr import psnr
from scrn_jax.metrics.ssim import ssim

METRICS = {
    "ssim": ssim,
    "psnr": psnr,
    "face_l1": lambda a, b: face_l1(a, b, np.zeros((1, 4))),
    "lpips": lambda a, b: LPIPS().init_with_output(jax.random.key(0), a, b),
}


@pytest.mark.parametrize("metric", METRICS)
def test_bytes_are_refused_for_they_wrap_around(metric):
    with pytest.raises(ValueError, match="wrap around"):
        METRICS[metric](np.zeros((1, 32, 32, 3), np.uint8), np.zeros((1, 32, 32, 3), np.uint8))


@pytest.mark.parametrize("metric", METRICS)
def test_different_shapes_are_refused(metric):
    with pytest.raises(ValueError, match="cannot be compared"):
        METRICS[metric](np.zeros((1, 32, 32, 3)), np.zeros((1, 32, 31, 3)))
