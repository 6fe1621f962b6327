"""PSNR against scikit-image and by hand, in float64: float32 itself has steps of 2e-6 dB at 20 dB."""

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from scrn_jax.metrics.psnr import psnr

pytestmark = pytest.mark.usefixtures("in_double_precision")


@pytest.mark.parametrize("data_range", [1.0, 2.0])
def test_equals_skimage(data_range, pictures):
    theirs = [peak_signal_noise_ratio(x, y, data_range=data_range) for x, y in zip(*pictures, strict=True)]
    np.testing.assert_allclose(psnr(*pictures, data_range), theirs, atol=1e-9)


def test_an_error_of_a_tenth_is_20_decibels():
    np.testing.assert_allclose(psnr(np.full((2, 8, 8, 3), 0.5), np.full((2, 8, 8, 3), 0.6)), 20, atol=1e-9)


def test_equal_images_are_infinitely_good(pictures):
    assert np.isinf(psnr(pictures[0], pictures[0])).all()


def test_white_padding_by_40_columns_adds_1_627_decibels():
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0, 1, (2, 1, 256, 176, 3))
    pad = ((0, 0), (0, 0), (40, 40), (0, 0))
    padded = psnr(np.pad(a, pad, constant_values=1.0), np.pad(b, pad, constant_values=1.0))
    np.testing.assert_allclose(padded - psnr(a, b), 10 * np.log10(256 / 176), atol=1e-9)
