"""Scores of generated images against their targets, beside the baselines that any method must beat."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from scrn_jax import networks, sharding
from scrn_jax.metrics import lpips, psnr, ssim
from scrn_jax.metrics.face import face_l1
from scrn_jax.networks import INPUTS

ROWS = ("generated", "coarse", "copy_source", "mean_image")
METRICS = ("ssim", "psnr", "lpips", "face_l1")


def quantise(image):
    """Images in [-1, 1] to what an 8-bit file would hold, in [0, 1]."""
    return jnp.round(jnp.clip((image + 1) * 127.5, 0, 255)) / 255


def score(lpips_params, image, target, face_box) -> dict[str, jax.Array]:
    """Per-sample figures of images in [0, 1] against targets, in their own frame; each (B,).

    SSIM with scikit-image's defaults (7x7 uniform window), PSNR, both for a range of 1; LPIPS AlexNet v0.1; mean
    absolute error inside the face box, NaN where there is no face.
    """
    face_error, has_face = face_l1(image, target, face_box)
    return {
        "ssim": ssim.ssim(image, target, data_range=1.0),
        "psnr": psnr.psnr(image, target, data_range=1.0),
        "lpips": lpips.LPIPS(net="alex").apply({"params": lpips_params}, image, target),
        "face_l1": jnp.where(has_face, face_error, jnp.nan),
    }


def mean_image(batches: Iterable[Mapping[str, np.ndarray]]) -> np.ndarray:
    """The mean target of (training) batches, float32 in [0, 1], (H, W, 3): a baseline that ignores its input."""
    total, count = 0.0, 0
    for batch in batches:
        total = total + batch["target_image"].astype(np.float64).sum(0)
        count += len(batch["target_image"])
    return (total / (255 * count)).astype(np.float32)


class Scorer:
    """Scores a generator's parameters over test batches; compiles once for all batches of one shape."""

    def __init__(self, generator, mesh, lpips_params, baseline_HxWx3: np.ndarray):
        replicated, data = sharding.replicated(mesh), sharding.data(mesh)
        self._mesh = mesh
        self._lpips = jax.device_put(lpips_params, replicated)
        self._baseline = jax.device_put(baseline_HxWx3, replicated)

        def outputs(params, batch):
            return networks.generate(generator, params, batch)

        self.generate: Callable[..., Any] = jax.jit(outputs, in_shardings=(replicated, data), out_shardings=replicated)

        def figures(lpips_params, *arrays):
            # Pictures come whole from the generator, and the mean image as one: each device scores its share of them.
            return score(lpips_params, *jax.lax.with_sharding_constraint(arrays, data))

        self._score = jax.jit(figures, out_shardings=replicated)

    def run(self, params, batches: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, np.ndarray]]:
        """Every row's figures for every pair: {row: {metric: (N,) float32}}, in the order of the batches.

        `batches` come from `pairs.eval_batches`; samples with a false `mask` are padding and are left out.
        """
        collected: dict[str, dict[str, list]] = {row: {metric: [] for metric in METRICS} for row in ROWS}
        for batch in batches:
            for row, figures in self._score_batch(params, batch).items():
                for metric, values in jax.device_get(figures).items():
                    collected[row][metric].append(values[batch["mask"]])
        return {
            row: {metric: np.concatenate(values) for metric, values in figures.items()}
            for row, figures in collected.items()
        }

    def _score_batch(self, params, batch):
        arrays = sharding.put_batch({k: batch[k] for k in (*INPUTS, "target_image", "face_box")}, self._mesh)
        outputs = self.generate(params, {key: arrays[key] for key in INPUTS})
        target = arrays["target_image"] / 255
        images = {
            "generated": quantise(outputs["image"]),
            "coarse": quantise(outputs["coarse_image"]),
            "copy_source": arrays["source_image"] / 255,
            "mean_image": jnp.broadcast_to(self._baseline, target.shape),
        }
        return {row: self._score(self._lpips, image, target, arrays["face_box"]) for row, image in images.items()}


def summarise(figures: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, dict[str, float]]:
    """Means over the pairs; face L1 over the pairs with a face, None when none has one."""

    def mean(values: np.ndarray) -> float | None:
        known = values[~np.isnan(values)].astype(np.float64)
        return float(known.mean()) if known.size else None

    return {row: {metric: mean(values) for metric, values in metrics.items()} for row, metrics in figures.items()}
