"""The metrics as people read them: titles, which way is better, decimals, and the order of methods."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scrn_jax.metrics.published import TABLE_1


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
    "psnr": Metric("PSNR (dB)", True),
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
