"""Scores of generated images against their targets, beside the baselines that any method must beat."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from scrn_jax.metrics import by_region, face, groups, lpips, mesh, psnr, ssim
from scrn_jax.models.base import INPUTS, TrainableModel, to_eight_bits, to_uint8
from scrn_jax.models.ops.convolutions import CORE
from scrn_jax.person import body, paint, regions
from scrn_jax.runtime import devices as devices_lib

BASELINES = ("flat_paint_true", "carried_true", "copy_source", "mean_image")
METRICS = ("lpips_vgg", "ssim", "psnr", "lpips_alex", "face_l1", "colour_error", "mesh")
KEYS = (*INPUTS, "target_image", "target_parsing", "face_box")

Judge = Callable[[np.ndarray, np.ndarray], Any]


@dataclasses.dataclass(frozen=True)
class Figures:
    """What was measured of N pairs, all arrays in their order.

    rows: {row: {metric: (N,) float32}}, see `row_names`, the mesh as `mesh.mesh_excess` (N, 6). defined: for a metric
    that not every pair has, of which it has, (N,) bool. counts: of `by_region.parsing_counts`, empty where no map is
    predicted. estimates: of `groups.estimate`.
    """

    rows: dict[str, dict[str, np.ndarray]]
    defined: dict[str, np.ndarray]
    counts: dict[str, np.ndarray]
    estimates: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.estimates["whole"])

    def mean(self, row: str, metric: str, which: np.ndarray | None = None) -> float | None:
        """A row's figure over the pairs `which`, (N,) bool, or all; over those that have it. See `summarise`."""
        chosen = np.ones(len(self), bool) if which is None else which
        chosen = chosen & self.defined.get(metric, True)
        values = self.rows[row][metric][chosen]
        if not len(values):
            return None
        mean = mesh.mesh(values) if metric == "mesh" else float(values.mean(dtype=np.float64))
        return mean if np.isfinite(mean) else None


def row_names(model: TrainableModel, outputs: Mapping[str, Any]) -> tuple[str, ...]:
    """The rows of a report: the model's results, flat paint under the map that it predicts, if it does, baselines."""
    return "generated", *model.scored, *(["flat_paint"] if "parsing" in outputs else []), *BASELINES


def pictures(
    model: TrainableModel, outputs: Mapping[str, jax.Array], batch: Mapping[str, jax.Array]
) -> dict[str, jax.Array]:
    """Every row but the mean image, which needs no batch: (B, H, W, 3) in [0, 1], of 8 bits.

    Args:
      outputs: the generator's.
      batch: `KEYS` as they come from the input pipeline.
    """
    source = batch["source_image"] / 255
    source_regions, true_regions = (
        jax.nn.one_hot(batch[f"{side}_parsing"], regions.NUM_REGIONS) for side in ("source", "target")
    )
    colours = paint.region_colours(source, source_regions)
    flat_true = paint.flat_paint(colours, true_regions)
    parts = body.part_map(batch["source_pose"], batch["target_pose"], *source.shape[1:3])
    carried = paint.Paint.of(source, source_regions, parts, true_regions, carried=True, background_kept=True)
    results = {"generated": "image", **model.scored}
    rows = {row: (outputs[name] + 1) / 2 for row, name in results.items()}
    if "parsing" in outputs:
        predicted_regions = jax.nn.one_hot(outputs["parsing"].argmax(-1), regions.NUM_REGIONS)
        rows["flat_paint"] = paint.flat_paint(colours, predicted_regions)
    rows |= {
        "flat_paint_true": flat_true,
        "carried_true": carried.picture,
        "copy_source": source,
    }
    return {row: to_eight_bits(image) for row, image in rows.items()}


def score(image, batch) -> dict[str, jax.Array]:
    """All figures but LPIPS of images in [0, 1] against the targets of a batch: (B,), the mesh (B, 6).

    SSIM has scikit-image's defaults (7x7 uniform window); it and PSNR are for a range of 1. For which pairs face L1 and
    colour error are defined, see `defined`.
    """
    target = batch["target_image"] / 255
    masks = jax.nn.one_hot(batch["target_parsing"], regions.NUM_REGIONS)
    return {
        "ssim": ssim.ssim(image, target, data_range=1.0),
        "psnr": psnr.psnr(image, target, data_range=1.0),
        "face_l1": face.face_l1(image, target, batch["face_box"])[0],
        "colour_error": by_region.colour_error(image, target, masks)[0],
        "mesh": mesh.mesh_excess(image, target),
    }


def defined(batch) -> dict[str, jax.Array]:
    """For a metric that not every pair has, whether the targets of a batch have it, (B,) bool."""
    target = batch["target_image"] / 255
    masks = jax.nn.one_hot(batch["target_parsing"], regions.NUM_REGIONS)
    return {
        "face_l1": face.face_l1(target, target, batch["face_box"])[1],
        "colour_error": by_region.colour_error(target, target, masks)[1],
    }


def mean_image(batches: Iterable[Mapping[str, np.ndarray]]) -> np.ndarray:
    """The mean target of (training) batches, float32 in [0, 1], (H, W, 3): a baseline that ignores its input.

    Samples with a false `mask` are padding and are left out.
    """
    total, count = 0.0, 0
    for batch in batches:
        targets = batch["target_image"][batch["mask"]]
        total = total + targets.astype(np.float64).sum(0)
        count += len(targets)
    return (total / (255 * count)).astype(np.float32)


class Scorer:
    """Scores a model's parameters over test batches; compiles once for all batches of one shape."""

    def __init__(self, model: TrainableModel, devices, weights, baseline_HxWx3: np.ndarray, judge: Judge | None = None):
        """
        Args:
          devices: a mesh of them, see `devices.make_mesh`.
          weights: {"alex": LPIPS's parameters, "vgg": likewise}.
          baseline_HxWx3: the mean image, in [0, 1].
          judge: computes LPIPS-VGG of two batches in [0, 1] in place of `weights["vgg"]`, which may then be absent.
        """
        replicated, data = devices_lib.replicated(devices), devices_lib.data(devices)
        self._model, self._devices, self._judge = model, devices, judge
        self._weights = jax.device_put(weights, replicated)
        self._baseline = jax.device_put(to_eight_bits(baseline_HxWx3), replicated)

        self.generate: Callable[..., Any] = jax.jit(
            model.generate, in_shardings=(replicated, data), out_shardings=replicated
        )

        def figures(baseline, outputs, batch):
            # The outputs come whole from the generator: each device scores its share of them.
            outputs = jax.lax.with_sharding_constraint(outputs, data)
            target = batch["target_image"] / 255
            images = [*pictures(model, outputs, batch).values(), jnp.broadcast_to(baseline, target.shape)]
            counts = {}
            if "parsing" in outputs:
                predicted = outputs["parsing"].argmax(-1)
                counts = by_region.parsing_counts(predicted, batch["target_parsing"], regions.NUM_REGIONS)
            found = {
                "rows": jax.lax.map(lambda image: score(image, batch), jnp.stack(images)),
                "defined": defined(batch),
                "counts": counts,
                "estimates": groups.estimate(batch),
            }
            return found, [*images, target]

        self._score = jax.jit(figures, out_shardings=(replicated, data if judge is None else replicated))
        self._distances = {net: jax.jit(partial(_distances, net), out_shardings=replicated) for net in weights}

    def run(self, params, batches: Iterable[Mapping[str, Any]]) -> Figures:
        """The figures of every row of every pair, in the order of the batches.

        `batches` come from `batches.eval_batches`; samples with a false `mask` are padding and are left out.
        """
        collected = [self._score_batch(params, batch) for batch in batches]
        return Figures(**jax.tree.map(lambda *parts: np.concatenate(parts), *collected))

    def paint(self, params, batch) -> np.ndarray:
        """The generated pictures of a batch, uint8 (B, H, W, 3)."""
        arrays = devices_lib.put_batch({key: batch[key] for key in INPUTS}, self._devices)
        return to_uint8(jax.device_get(self.generate(params, arrays)["image"]))

    def _score_batch(self, params, batch) -> dict[str, Any]:
        arrays = devices_lib.put_batch({key: batch[key] for key in KEYS}, self._devices)
        outputs = self.generate(params, {key: arrays[key] for key in INPUTS})
        names = row_names(self._model, outputs)
        outputs = {key: outputs[key] for key in ("image", "parsing", *self._model.scored.values()) if key in outputs}
        found, images = self._score(self._baseline, outputs, arrays)
        far = {f"lpips_{net}": work(self._weights[net], *images) for net, work in self._distances.items()}
        found, far = jax.device_get((found, far))
        if self._judge is not None:
            *rows, target = jax.device_get(images)
            far["lpips_vgg"] = [np.asarray(self._judge(image, target)) for image in rows]
        measured = found["rows"] | far
        rows = {row: {metric: measured[metric][number] for metric in METRICS} for number, row in enumerate(names)}
        return jax.tree.map(lambda values: values[batch["mask"]], found | {"rows": rows})


def _distances(net: str, weights, *images) -> jax.Array:
    """LPIPS of every row of a batch from the targets, the last of the images."""
    *rows, target = images
    # VGG takes most of an evaluation's time; of the ways to compute it on a CPU, a core's has the fewest products.
    return lpips.distances(net, weights, jnp.stack(rows), target, CORE if net == "vgg" else "auto")


def summarise(figures: Figures) -> dict[str, dict[str, float | None]]:
    """Means over the pairs that have the metric: face L1 those with a face, colour error those with a large region.

    The mesh is the set's, see `mesh.mesh`. None where no pair has the metric, and where the mean is no finite number:
    with a picture that is NaN, or for PSNR one that equals its target.
    """
    known = ("generated", "flat_paint", *BASELINES)
    # A model's own rows stand between its result and flat paint; JAX has sorted them by name.
    rows = sorted(figures.rows, key=lambda row: known.index(row) if row in known else 0.5)
    return {row: {metric: figures.mean(row, metric) for metric in METRICS} for row in rows}


def by_group(figures: Figures, assigned: Mapping[str, np.ndarray]) -> dict[str, dict[str, dict[str, Any]]]:
    """How good the generated pictures of every group are: {grouping: {group: {"count": n, metric: mean}}}.

    The metrics are LPIPS-VGG, SSIM, PSNR and colour error, and "flat_paint_lpips_vgg", that of flat paint beside it.
    Groups without a pair are left out, and so are groupings without a group.

    Args:
      assigned: of `groups.assign`.
    """
    table: dict[str, dict[str, dict[str, Any]]] = {}
    for grouping, names in groups.GROUPINGS.items():
        for name in names:
            which = assigned[grouping] == name
            if which.any():
                means = {m: figures.mean("generated", m, which) for m in ("lpips_vgg", "ssim", "psnr", "colour_error")}
                painted = "flat_paint" in figures.rows
                means["flat_paint_lpips_vgg"] = figures.mean("flat_paint", "lpips_vgg", which) if painted else None
                table.setdefault(grouping, {})[name] = {"count": int(which.sum()), **means}
    return table
