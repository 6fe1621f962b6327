"""What metrics share: their names and directions, the published figures, the check of images, the mask of a person."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

TABLE_1: dict[str, dict[str, float]] = {
    "PATN": {"ssim": 0.7069, "fid": 17.1699, "psnr": 15.5684, "lpips_alex": 0.2861},
    "ADGAN": {"ssim": 0.7459, "fid": 12.2656, "psnr": 16.7704, "lpips_alex": 0.2255},
    "PINet": {"ssim": 0.7415, "fid": 11.4476, "psnr": 16.9132, "lpips_alex": 0.2167},
    "PoNA": {"ssim": 0.7487, "fid": 14.7148, "psnr": 16.7831, "lpips_alex": 0.2504},
    "DiOr": {"ssim": 0.7534, "fid": 11.6465, "psnr": 17.2553, "lpips_alex": 0.2206},
    "PISE": {"ssim": 0.7417, "fid": 11.0102, "psnr": 16.9081, "lpips_alex": 0.2078},
    "SCRN": {"ssim": 0.7564, "fid": 11.0900, "psnr": 17.3098, "lpips_alex": 0.1873},
}


@dataclass(frozen=True)
class Metric:
    """A column of a table: its title, whether more is better, and how many decimals it is printed with."""

    title: str
    more_is_better: bool
    decimals: int = 4

    @property
    def heading(self) -> str:
        """The title with an arrow towards better."""
        return f"{self.title} {'↑' if self.more_is_better else '↓'}"

    def text(self, value: float | None) -> str:
        """The number as it is printed; a dash when there is none."""
        return "–" if value is None else f"{value:.{self.decimals}f}"


METRICS: dict[str, Metric] = {
    "ssim": Metric("SSIM", True),
    "ssim_gaussian": Metric("SSIM (Gaussian)", True),
    "psnr": Metric("PSNR (dB)", True, 2),
    "lpips_alex": Metric("LPIPS (Alex)", False),
    "lpips_vgg": Metric("LPIPS (VGG)", False),
    "fid": Metric("FID", False),
    "mask_ssim": Metric("mask-SSIM", True),
    "mask_lpips_alex": Metric("mask-LPIPS", False),
    "mask_lpips_vgg": Metric("mask-LPIPS (VGG)", False),
    "pckh": Metric("PCKh", True),
    "face_l1": Metric("face L1", False),
    "colour_error": Metric("colour error", False),
    "mesh": Metric("mesh (grey levels)", False, 2),
    "accuracy": Metric("foreground accuracy", True),
    "miou": Metric("mIoU", True),
}


def in_order(names: Mapping[str, Any]) -> list[str]:
    """The metrics among `names` in the order of the columns."""
    return [name for name in METRICS if name in names]


def ranking(rows: Mapping[str, Mapping[str, float | None]], metric: str) -> list[str]:
    """The methods that have the metric, the best first; equal ones in the order given."""
    known = [name for name, row in rows.items() if row.get(metric) is not None]
    return sorted(known, key=lambda name: rows[name][metric], reverse=METRICS[metric].more_is_better)


def orders(rows: Mapping[str, Mapping[str, float | None]]) -> dict[str, dict[str, Any]]:
    """For each metric of the paper's table 1: "measured", the methods from best to worst; "published", those of them
    that table 1 has, in its order; and "agrees", whether both orders are the same, None with fewer than two in common.

    Methods are recognised by their names, whatever the case.
    """
    canonical = {name.lower(): name for name in TABLE_1}
    found: dict[str, dict[str, Any]] = {}
    for metric in in_order(next(iter(TABLE_1.values()))):
        measured = ranking(rows, metric)
        shared = [canonical[name.lower()] for name in measured if name.lower() in canonical]
        published = [name for name in ranking(TABLE_1, metric) if name in shared]
        agrees = shared == published if len(shared) > 1 else None
        if measured:
            found[metric] = {"measured": measured, "published": published, "agrees": agrees}
    return found


def check_images(a_BxHxWxC: jax.Array, b_BxHxWxC: jax.Array) -> None:
    """Raises ValueError unless both are float batches of the same shape: differences of bytes would wrap around."""
    if a_BxHxWxC.shape != b_BxHxWxC.shape or len(a_BxHxWxC.shape) != 4:
        raise ValueError(
            f"images of {a_BxHxWxC.shape} and {b_BxHxWxC.shape} cannot be compared:"
            " give two (B, H, W, C) batches of the same shape"
        )
    for images in (a_BxHxWxC, b_BxHxWxC):
        if not jnp.issubdtype(images.dtype, jnp.floating):
            raise ValueError(
                f"images of {images.dtype} cannot be compared, for differences of bytes wrap around:"
                " give floats in [0, 1]"
            )


def masked(metric: Callable[[jax.Array, jax.Array], jax.Array]) -> Callable[..., jax.Array]:
    """Turns a metric of two batches into one of the person only: outside the mask both images are set to 0 (black).

    The returned function takes images a and b (B, H, W, 3) in [0, 1] and the person mask (B, H, W), 1 on the person
    and 0 elsewhere, the same for both images (that of the reference); it returns (B,), NaN where the mask is empty: two
    black images would be equal, and a person that nobody sees perfect. For SSIM the mean still runs over the whole
    frame, as in PG2 and in the papers that quote it, so that an equal background counts as 1.
    """

    def on_person(a_BxHxWx3: jax.Array, b_BxHxWx3: jax.Array, mask_BxHxW: jax.Array) -> jax.Array:
        mask = mask_BxHxW[..., None].astype(a_BxHxWx3.dtype)
        return jnp.where(mask_BxHxW.any((1, 2)), metric(a_BxHxWx3 * mask, b_BxHxWx3 * mask), jnp.nan)

    return on_person
