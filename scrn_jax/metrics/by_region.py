"""Figures by the regions of a parsing map: whether people keep their colours, and how right a predicted map is."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from scrn_jax.metrics import metric

LEAST_AREA = 12  # pixels; the mean of fewer says more of the region's edge than of its colour


@jax.jit
def colour_error(a_BxHxWx3: jax.Array, b_BxHxWx3: jax.Array, regions_BxHxWxR: jax.Array) -> tuple[jax.Array, jax.Array]:
    """How far the mean colours of regions lie apart: the mean over red, green and blue of abs(mean of a - mean of b).

    Both means of a region are over the same pixels. Regions count by their area; those of fewer than `LEAST_AREA`
    pixels and region 0, the background, do not count.

    Args:
      a_BxHxWx3, b_BxHxWx3: images, float in [0, 1].
      regions_BxHxWxR: the regions' masks, 0 or 1.

    Returns:
      (B,) float32 errors in [0, 1], 0 where no region counts; (B,) bool, whether any does. The mean over a set is taken
      over the pairs with such a region only.

    Raises:
      ValueError: images whose shapes differ, or of integers.
    """
    metric.check_images(a_BxHxWx3, b_BxHxWx3)
    masks_BxHxWxR = regions_BxHxWxR[..., 1:].astype(jnp.float32)
    area_BxR = masks_BxHxWxR.sum((1, 2))
    area_BxR = jnp.where(area_BxR >= LEAST_AREA, area_BxR, 0)
    exact = jax.lax.Precision.HIGHEST
    sums_BxRx3 = jnp.einsum("bhwr,bhwc->brc", masks_BxHxWxR, a_BxHxWx3 - b_BxHxWx3, precision=exact)
    # The area cancels: area * abs(sum / area).
    error_BxR = jnp.where(area_BxR > 0, jnp.abs(sums_BxRx3).mean(-1), 0)
    total_B = area_BxR.sum(-1)
    return error_BxR.sum(-1) / jnp.maximum(total_B, 1), total_B > 0


def parsing_counts(predicted_BxHxW: jax.Array, true_BxHxW: jax.Array, regions: int) -> dict[str, jax.Array]:
    """What `parsing_scores` needs of each pair: "predicted", "true" and "both", each (B, regions), how many pixels have
    each label in the one label map, in the other, and in both. Background is label 0."""
    predicted, true = (labels[..., None] == jnp.arange(regions) for labels in (predicted_BxHxW, true_BxHxW))
    masks = {"predicted": predicted, "true": true, "both": predicted & true}
    return {name: mask.sum((1, 2)) for name, mask in masks.items()}


def parsing_scores(counts: Mapping[str, np.ndarray]) -> dict[str, float | None]:
    """How right predicted maps are over all pixels of all pairs together, from the `parsing_counts` of the pairs.

    Returns:
      "accuracy": the share of the pixels that truly are foreground (any region but 0) whose label is right. "miou":
      pixels in both maps / pixels in either of them, mean over the regions but 0 that occur in a true map; background
      that was taken for a region counts against that region. None where there is no foreground.
    """
    predicted, true, both = (np.asarray(counts[name], np.int64).sum(0)[1:] for name in ("predicted", "true", "both"))
    if not true.any():
        return {"accuracy": None, "miou": None}
    there = true > 0
    overlap = both[there] / (predicted + true - both)[there]
    return {"accuracy": float(both.sum() / true.sum()), "miou": float(overlap.mean())}
