"""A mesh is measured as strong as it is; structure and blur are none."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scrn_jax.metrics.mesh import PERIODS, mesh, mesh_excess

HEIGHT, WIDTH = 48, 36
Y, X = (each[..., None] for each in np.mgrid[:HEIGHT, :WIDTH])


@pytest.fixture(scope="module")
def smooth():
    """A picture of slow waves of all three colours, in [0.2, 0.8]."""
    waves = np.cos(2 * np.pi * (Y / HEIGHT + np.arange(3) / 3)) + np.sin(2 * np.pi * X / WIDTH)
    return np.float32(0.5 + 0.15 * waves)[None]


@pytest.mark.parametrize("place", [Y, X], ids=["rows", "columns"])
@pytest.mark.parametrize("period", PERIODS)
def test_a_mesh_on_a_smooth_picture_measures_its_amplitude(smooth, period, place):
    """Also one that changes its sign in the middle of the other axis."""
    other = X < WIDTH // 2 if place is Y else Y < HEIGHT // 2
    wave = np.float32(5 / 255 * np.cos(2 * np.pi * place / period) * np.where(other, 1, -1))
    excess = mesh_excess(smooth + wave, smooth)
    assert excess.reshape(2, 3)[int(place is X), PERIODS.index(period)] == pytest.approx(5, abs=0.01)
    assert mesh(excess) == pytest.approx(5, abs=0.01)


def test_a_picture_has_no_mesh_over_itself(pictures):
    images = pictures[1].astype(np.float32)
    assert mesh(mesh_excess(images, images)) == 0


def test_blur_is_no_mesh_and_takes_none_away():
    """Of pictures of random boxes, blurred by (1, 2, 1) / 4 on both axes, without and with a mesh of 4 grey levels."""
    rng = np.random.default_rng(0)
    sharp = np.full((40, HEIGHT, WIDTH, 3), 0.5, np.float32)
    for picture in sharp:
        for _ in range(5):
            y, x = rng.integers(0, HEIGHT - 8), rng.integers(0, WIDTH - 8)
            picture[y : y + rng.integers(4, 30), x : x + rng.integers(4, 20)] = rng.uniform(0.2, 0.8, 3)
    blurred = sharp
    for axis in (1, 2):
        blurred = (np.roll(blurred, 1, axis) + 2 * blurred + np.roll(blurred, -1, axis)) / 4
    assert mesh(mesh_excess(blurred, sharp)) < 0.5
    with_mesh = blurred + np.float32(4 / 255 * np.cos(np.pi / 2 * Y))
    assert 3 < mesh(mesh_excess(with_mesh, sharp)) < 4.5


def test_a_transposed_convolution_leaves_a_mesh_and_nearest_neighbours_with_a_3x3_do_not():
    """Each from the same smooth grid by the same random kernels, 3x3 taps of each picture's own."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[: HEIGHT // 2, : WIDTH // 2]
    grid = np.float32(100 + 50 * np.sin(y / 5) * np.cos(x / 4))[None, :, :, None]
    kernels = rng.uniform(0, 1, (8, 3, 3, 1, 1)).astype(np.float32)
    kernels /= kernels.sum((1, 2), keepdims=True)
    names = ("NHWC", "HWIO", "NHWC")
    nearest = jnp.repeat(jnp.repeat(grid, 2, 1), 2, 2)
    plain = [jax.lax.conv(nearest.transpose(0, 3, 1, 2), k.transpose(3, 2, 0, 1), (1, 1), "SAME") for k in kernels]
    plain = jnp.concatenate(plain).transpose(0, 2, 3, 1) / 255
    transposed = jnp.concatenate(
        [jax.lax.conv_transpose(grid, 4 * k, (2, 2), "SAME", dimension_numbers=names) for k in kernels]
    )
    target = jnp.broadcast_to(nearest / 255, plain.shape)
    as_colour = [jnp.repeat(each, 3, -1) for each in (plain, transposed / 255, target)]
    assert mesh(mesh_excess(as_colour[0], as_colour[2])) < 0.3
    assert mesh(mesh_excess(as_colour[1], as_colour[2])) > 5


def test_a_picture_of_nan_has_a_mesh_of_nan(smooth):
    assert np.isnan(mesh(mesh_excess(smooth * np.nan, smooth)))


def test_a_sets_mesh_is_the_largest_mean_and_not_the_mean_of_the_largest():
    assert mesh(np.array([[2, 0, 0, 0, 0, -3], [-1, 1, 0, 0, 0, 3]])) == 0.5
    assert mesh(np.full((2, 6), -1.0)) == 0
