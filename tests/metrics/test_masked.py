"""Metrics of the person only."""

import functools

import jax
import numpy as np
from skimage.metrics import structural_similarity

from scrn_jax.metrics import lpips
from scrn_jax.metrics.metric import masked
from scrn_jax.metrics.ssim import ssim


def _mask(images) -> np.ndarray:
    mask = np.zeros(images.shape[:3], np.uint8)
    mask[:, 10:50, 8:30] = 1
    return mask


def test_mask_ssim_equals_skimage_on_blackened_backgrounds(pictures):
    a, b = pictures
    mask = _mask(a)
    ours = masked(functools.partial(ssim, gaussian=True, sample_covariance=False))(a, b, mask)
    theirs = [
        structural_similarity(
            x * m[..., None],
            y * m[..., None],
            channel_axis=-1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=1.0,
        )
        for x, y, m in zip(a, b, mask, strict=True)
    ]
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_what_is_outside_the_mask_does_not_count(pictures):
    a, b = pictures[0][:1], pictures[1][:1]
    mask = _mask(a)
    other = np.where(mask[..., None] == 1, b, 0.3)
    params = lpips.load_params("alex")
    distance = jax.jit(masked(functools.partial(lpips.LPIPS("alex").apply, {"params": params})))
    assert np.array_equal(distance(a, b, mask), distance(a, other, mask))
    assert np.array_equal(masked(ssim)(a, b, mask), masked(ssim)(a, other, mask))


def test_an_empty_mask_has_no_figure(pictures):
    """Two black pictures are equal, and would be a person without fault."""
    a, b = pictures
    mask = _mask(a)
    mask[0] = 0
    found = np.asarray(masked(ssim)(a, b, mask))
    assert np.isnan(found[0]) and np.isfinite(found[1:]).all() and (found[1:] < 1).all()
