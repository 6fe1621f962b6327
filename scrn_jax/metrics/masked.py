"""Mask-SSIM and mask-LPIPS (Ma et al., 2017): how well the person is drawn, whatever the background."""

from collections.abc import Callable

import jax


def masked(metric: Callable[[jax.Array, jax.Array], jax.Array]) -> Callable[..., jax.Array]:
    """Turns a metric of two batches into one of the person only: outside the mask both images are set to 0 (black).

    The returned function takes images a and b (B, H, W, 3) in [0, 1] and the person mask (B, H, W), 1 on the person
    and 0 elsewhere, the same for both images (that of the reference); it returns (B,). For SSIM the mean still runs
    over the whole frame, as in PG2 and in the papers that quote it, so that an equal background counts as 1.
    """

    def on_person(a_BxHxWx3: jax.Array, b_BxHxWx3: jax.Array, mask_BxHxW: jax.Array) -> jax.Array:
        mask = mask_BxHxW[..., None].astype(a_BxHxWx3.dtype)
        return metric(a_BxHxWx3 * mask, b_BxHxWx3 * mask)

    return on_person
