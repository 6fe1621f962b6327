"""The guided filter: maps take a picture's edges, and nothing else of it."""

import numpy as np
import pytest
from scipy import ndimage

from scrn_jax.person import guided
from scrn_jax.person.guided import GuidedFilter

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def picture():
    return RNG.random((40, 30, 3))


def test_an_even_map_stays_and_a_function_of_the_colours_too(picture):
    even, linear = np.full((40, 30, 1), 0.3), (picture @ [0.2, -0.5, 1.0])[..., None] + 0.1
    found = GuidedFilter(picture, 4, 1e-9)(np.concatenate([even, linear], axis=-1))
    np.testing.assert_allclose(found, np.concatenate([even, linear], axis=-1), atol=1e-4)


def test_it_is_the_papers_regression_in_every_window(picture):
    """Least squares with a ridge in the window around each pixel, then the mean over the windows that cover it."""
    radius, epsilon, values = 2, 0.01, RNG.random((40, 30))
    lines = np.zeros((40, 30, 4))
    for row in range(40):
        for column in range(30):
            window = np.s_[max(0, row - radius) : row + radius + 1, max(0, column - radius) : column + radius + 1]
            colours, wanted = picture[window].reshape(-1, 3), values[window].ravel()
            centred = colours - colours.mean(0)
            slope = np.linalg.solve(
                centred.T @ centred / len(wanted) + epsilon * np.eye(3),
                centred.T @ (wanted - wanted.mean()) / len(wanted),
            )
            lines[row, column] = [*slope, wanted.mean() - slope @ colours.mean(0)]
    middle = np.s_[2 * radius : -2 * radius, 2 * radius : -2 * radius]
    mean = ndimage.uniform_filter(lines, (2 * radius + 1, 2 * radius + 1, 0))[middle]
    expected = (mean[..., :3] * picture[middle]).sum(-1) + mean[..., 3]
    found = GuidedFilter(picture, radius, epsilon)(values[..., None])[..., 0]
    np.testing.assert_allclose(found[middle], expected, atol=1e-5)


def test_a_blurred_outline_that_is_off_moves_to_the_pictures_edge():
    photo = np.full((160, 48, 3), 200, np.uint8)
    photo[:, 24:] = (40, 80, 120)
    blurred = ndimage.gaussian_filter(np.float32(np.arange(48) >= 26)[None].repeat(160, 0), 2.0)[..., None]
    found = guided.along_edges(blurred, photo)[..., 0]
    before, after = ((maps[:, 24:] - maps[:, :24].max()).min() for maps in (blurred[..., 0], found))
    assert (found[:, :24] < 0.5).all() and (found[:, 24:] > 0.5).all()
    assert blurred[:, 24:26].max() < 0.5 and after > 0.3 > before


def test_a_large_photo_is_looked_at_in_a_smaller_copy():
    photo = np.full((64, 48, 3), 200, np.uint8)
    photo[:, 24:] = 50
    large = np.kron(photo, np.ones((8, 8, 1), np.uint8))
    step = np.float32(np.arange(384) >= 192)[None].repeat(512, 0)[..., None]
    found = guided.along_edges(step, large, largest=128)
    assert found.shape == step.shape and np.abs(found - step).mean() < 0.01
