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


@pytest.mark.parametrize("name", OURS_AND_SKIMAGES)
def test_flat_and_dark_images_equal_skimage(name):
    """Where E[x^2] - E[x]^2 in float32 would be wrong by more than 1e-4."""
    rng = np.random.default_rng(2)
    first = np.stack([np.full((64, 44, 3), 1.0), 0.004 * rng.uniform(0, 1, (64, 44, 3))])
    second = np.stack([np.full((64, 44, 3), 0.997), 0.004 * rng.uniform(0, 1, (64, 44, 3))])
    ours, theirs = OURS_AND_SKIMAGES[name]
    for data_range in (1.0, 0.004):
        np.testing.assert_allclose(
            ssim(first, second, **{**ours, "data_range": data_range}),
            _skimage(first, second, **{**theirs, "data_range": data_range}),
            atol=1e-5,
        )


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
