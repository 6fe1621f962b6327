"""FID's Inception in pieces, and its pools; tests/metrics compares the whole with pytorch-fid."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from scrn_jax.models.pretrained import inception, weights


@pytest.fixture(scope="module")
def grid():
    return np.random.default_rng(0).standard_normal((2, 9, 8, 5)).astype(np.float32)


def test_the_average_pool_counts_what_is_inside(grid):
    expected = nn.avg_pool(grid, (3, 3), padding=((1, 1), (1, 1)), count_include_pad=False)
    np.testing.assert_allclose(inception._pool("average", grid), expected, atol=1e-6)


@pytest.mark.parametrize(("kind", "strides", "padding"), [
    ("max", (1, 1), ((1, 1), (1, 1))), ("reducing max", (2, 2), "VALID"),
])  # fmt: skip
def test_max_pools(grid, kind, strides, padding):
    expected = nn.max_pool(grid, (3, 3), strides=strides, padding=padding)
    np.testing.assert_array_equal(inception._pool(kind, grid), expected)


def test_front_and_back_are_the_whole():
    params = weights.load("inception", "random")
    images = np.random.default_rng(0).uniform(-1, 1, (1, 64, 44, 3)).astype(np.float32)

    @jax.jit
    def apply():
        grid = inception.Inception(part="front").apply({"params": params}, images)
        features = inception.Inception(part="back").apply({"params": params}, grid)
        return grid, features, inception.Inception().apply({"params": params}, images)

    grid, features, expected = apply()
    assert grid.shape == (1, 17, 17, 768) and features.shape == (1, inception.FEATURES)
    np.testing.assert_allclose(features, expected, atol=1e-6)
