"""Winograd's matrices and what they are good for."""

from functools import partial

import jax
import numpy as np
import pytest
import torch

from scrn_jax.models.ops import winograd


def test_the_customary_points_give_the_published_matrices():
    """F(2, 3) of Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, up to the signs of two rows."""
    output, kernel, inputs = winograd.matrices((0, 1, -1), 2, 3)
    np.testing.assert_array_equal(output, [[1, 1, 1, 0], [0, 1, -1, 1]])
    np.testing.assert_array_equal(kernel, [[-1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
    np.testing.assert_array_equal(inputs, [[-1, 0, 1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]])


@pytest.mark.parametrize("taps", [1, 3, 5, 7])
def test_the_matrices_give_the_correlation(taps):
    each = winograd.filter_of(taps)
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal(each.window), rng.standard_normal(taps)
    np.testing.assert_allclose(each.output @ ((each.kernel @ w) * (each.inputs @ x)), np.correlate(x, w, "valid"))


def test_a_tile_of_six_or_ten_places():
    assert [(each.tile, each.window) for each in map(winograd.filter_of, (1, 3, 5, 7))] == [
        (1, 1), (4, 6), (2, 6), (4, 10),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("taps", "sides", "share"), [((3, 3), (16, 8), 1 / 4), ((5, 5), (4, 6), 9 / 25), ((1, 7), (5, 8), 10 / 28)]
)
def test_the_share_of_the_products_that_are_left(taps, sides, share):
    padding = tuple((count // 2, count // 2) for count in taps)
    assert winograd.Layout.of((1, *sides, 2), (*taps, 2, 3), padding, 1).share == pytest.approx(share)


def _growth(output, kernel, inputs) -> float:
    """How many times a plain correlation's rounding error the outputs have, on average over a tile.

    If both factors of a place have variance 1 and each sum of products over the channels is off by the same share of
    its usual size, then output i is off by the root of sum_j A_ij^2 |G_j|^2 |B_j|^2, and a plain one by that of taps.
    """
    places = (kernel**2).sum(1) * (inputs**2).sum(1)
    return np.sqrt((output**2 @ places).mean() / kernel.shape[1])


@pytest.mark.parametrize(("taps", "axes", "most"), [(3, 2, 6), (5, 2, 6), (7, 1, 12)])
def test_the_points_keep_rounding_small(taps, axes, most):
    """By the matrices alone, whatever the processor."""
    each = winograd.filter_of(taps)
    assert _growth(each.output, each.kernel, each.inputs) ** axes < most


def test_the_customary_points_are_twice_as_bad():
    assert _growth(*winograd.matrices((0, 1, -1, 2, -2), 4, 3)) ** 2 > 10


@pytest.mark.parametrize(("taps", "most"), [((3, 3), 1e-5), ((5, 5), 1e-5), ((7, 1), 2e-5)])
def test_float32_keeps_five_digits(taps, most):
    """Against PyTorch in float64, as the root of the mean square; 1.5e-6, 1.7e-6 and 3.2e-6 on one processor."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 32, 32, 256)).astype(np.float32)
    w = rng.standard_normal((*taps, 256, 64)).astype(np.float32)
    inputs, kernel = torch.tensor(x).double().permute(0, 3, 1, 2), torch.tensor(w).double().permute(3, 2, 0, 1)
    sides = tuple(count // 2 for count in taps)
    exact = torch.nn.functional.conv2d(inputs, kernel, padding=sides).permute(0, 2, 3, 1).numpy()
    found = jax.jit(partial(winograd.convolve, padding=tuple((side, side) for side in sides)))(x, w)
    assert np.sqrt(np.mean((found - exact) ** 2) / np.mean(exact**2)) < most
