"""Winograd's matrices and what they are good for."""

import jax
import numpy as np
import pytest
import torch

from scrn_jax import winograd


def test_the_customary_points_give_the_published_matrices():
    """F(2, 3) of Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, up to the signs of two rows."""
    output, kernel, inputs = winograd.matrices((0, 1, -1), 2, 3)
    np.testing.assert_array_equal(output, [[1, 1, 1, 0], [0, 1, -1, 1]])
    np.testing.assert_array_equal(kernel, [[-1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
    np.testing.assert_array_equal(inputs, [[-1, 0, 1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]])


@pytest.mark.parametrize("tile", [2, 3, 4])
def test_the_matrices_give_the_correlation(tile):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal(tile + 2), rng.standard_normal(3)
    output, kernel, inputs = winograd.matrices(winograd.POINTS[: tile + 1], tile, 3)
    np.testing.assert_allclose(output @ ((kernel @ w) * (inputs @ x)), np.correlate(x, w, "valid"), atol=1e-12)


def test_the_rounding_error_is_a_few_times_the_plain_convolutions():
    """Against PyTorch in float64; the customary points 0, +-1, +-2 would give more than 2e-6 here."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 32, 32, 256)).astype(np.float32)
    w = rng.standard_normal((3, 3, 256, 64)).astype(np.float32)
    inputs, kernel = torch.tensor(x).double().permute(0, 3, 1, 2), torch.tensor(w).double().permute(3, 2, 0, 1)
    exact = torch.nn.functional.conv2d(inputs, kernel, padding=1).permute(0, 2, 3, 1).numpy()
    found = jax.jit(winograd.convolve)(x, w)
    assert np.sqrt(np.mean((found - exact) ** 2) / np.mean(exact**2)) < 2e-6
