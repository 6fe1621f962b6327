"""SSIM against scikit-image, with every parameter set of the protocols."""

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from scrn_jax.metrics.ssim import ssim

OURS_AND_SKIMAGES = {
    "paper": ({"data_range": 2.0}, {"data_range": 2.0}),
    "default": ({}, {"data_range": 1.0}),
    "gaussian": (
        {"gaussian": True, "sigma": 1.5, "sample_covariance": False},
        {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0},
    ),
    "gaussian, sample covariance": ({"gaussian": True}, {"gaussian_weights": True, "data_range": 1.0}),
    "window 31": ({"window": 31}, {"win_size": 31, "data_range": 1.0}),
}


def _skimage(a, b, **parameters):
    return [structural_similarity(x, y, channel_axis=-1, **parameters) for x, y in zip(a, b, strict=True)]


@pytest.mark.parametrize("name", OURS_AND_SKIMAGES)
def test_equals_skimage(name, pictures):
    ours, theirs = OURS_AND_SKIMAGES[name]
    np.testing.assert_allclose(ssim(*pictures, **ours), _skimage(*pictures, **theirs), atol=1e-5)


def test_window_51_at_the_papers_frame_equals_skimage():
    rng = np.random.default_rng(1)
    a = rng.uniform(0, 1, (1, 256, 176, 3))
    b = np.clip(a + rng.normal(0, 0.2, a.shape), 0, 1)
    a[:, :, :60], b[:, :, :60] = 1, 1
    np.testing.assert_allclose(ssim(a, b, window=51), _skimage(a, b, win_size=51, data_range=1.0), atol=1e-5)


@pytest.fixture
def flat_and_dark():
    """A flat image beside one that is a little darker, and two dark ones of noise."""
    rng = np.random.default_rng(2)
    dark = 0.004 * rng.uniform(0, 1, (2, 64, 44, 3))
    return np.stack([np.full((64, 44, 3), 1.0), dark[0]]), np.stack([np.full((64, 44, 3), 0.997), dark[1]])


@pytest.mark.usefixtures("in_double_precision")
@pytest.mark.parametrize("name", OURS_AND_SKIMAGES)
def test_flat_and_dark_images_equal_skimage(name, flat_and_dark):
    """To 1e-5, since scikit-image's E[x^2] - E[x]^2 loses up to nine of float64's digits beside (0.03 * 0.004)^2."""
    ours, theirs = ({**parameters, "data_range": 0.004} for parameters in OURS_AND_SKIMAGES[name])
    np.testing.assert_allclose(ssim(*flat_and_dark, **ours), _skimage(*flat_and_dark, **theirs), atol=1e-5)


def _by_squares(a, b, data_range):
    """SSIM of windows of 7 with variances as E[x^2] - E[x]^2, in float32."""

    def mean(image):
        return np.lib.stride_tricks.sliding_window_view(image, (7, 7), axis=(0, 1)).mean((-1, -2), dtype=np.float32)

    a, b = np.float32(a), np.float32(b)
    c1, c2 = np.float32((0.01 * data_range) ** 2), np.float32((0.03 * data_range) ** 2)
    (mean_a, mean_b), bias = (mean(a), mean(b)), np.float32(49 / 48)
    variances = mean(a * a) - mean_a**2 + mean(b * b) - mean_b**2
    structure = (2 * bias * (mean(a * b) - mean_a * mean_b) + c2) / (bias * variances + c2)
    return np.mean((2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1) * structure)


def test_float32_keeps_the_digits_of_flat_and_dark_images(flat_and_dark):
    """It is right by a hundred times as much as with E[x^2] - E[x]^2."""
    expected = _skimage(*flat_and_dark, data_range=0.004)
    usual = [_by_squares(a, b, 0.004) for a, b in zip(*flat_and_dark, strict=True)]
    assert np.abs(np.subtract(usual, expected)).max() > 1e-2
    np.testing.assert_allclose(ssim(*flat_and_dark, data_range=0.004), expected, atol=1e-4)


def test_the_range_of_each_generated_image_equals_skimage_on_uint8(pictures):
    reference, generated = pictures
    generated = 0.2 + 0.5 * generated
    generated[0] = 0.4 * generated[0]
    generated = np.round(generated * 255) / 255
    bytes_a, bytes_b = (np.round(images * 255).astype(np.uint8) for images in (reference, generated))
    theirs = [
        structural_similarity(
            x,
            y,
            channel_axis=-1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=int(y.max()) - int(y.min()),
        )
        for x, y in zip(bytes_a, bytes_b, strict=True)
    ]
    spread = generated.max((1, 2, 3)) - generated.min((1, 2, 3))
    ours = ssim(reference, generated, gaussian=True, sample_covariance=False, data_range=spread)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_an_image_with_itself_is_one(pictures):
    np.testing.assert_allclose(ssim(pictures[0], pictures[0]), 1, atol=1e-6)


@pytest.mark.parametrize("parameters", [{"window": 6}, {"window": 45}])
def test_windows_that_are_even_or_too_large_are_refused(parameters, pictures):
    with pytest.raises(ValueError, match="must be odd and fit"):
        ssim(*pictures, **parameters)
