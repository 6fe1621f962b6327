"""One or several methods' folders under a protocol: matched, looked at, measured, and summed up into figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from scrn_jax.errors import UserError
from scrn_jax.evaluation import meter
from scrn_jax.evaluation.folders import images, layouts, matching
from scrn_jax.evaluation.folders.fid_reference import Absent, FidReference
from scrn_jax.evaluation.folders.matching import ENDING, Matched, Pair, key_of
from scrn_jax.evaluation.folders.passes import Item, Passes
from scrn_jax.metrics.fid import Moments
from scrn_jax.metrics.pckh import pckh
from scrn_jax.metrics.protocols import Protocol
from scrn_jax.person.joint_files import read_deepfashion
from scrn_jax.person.joints import MISSING, NUM_JOINTS
from scrn_jax.runtime.files import check_writable


@dataclass(frozen=True)
class Request:
    """What to evaluate.

    Attributes:
      methods: name -> folder of generated images.
      layouts: name -> how that folder's images are named, see `layouts`; found by the names where it is not said.
      reference: folder of the true images.
      protocol: how to measure.
      output: folder of the report; what is unfinished is kept there too.
      pairs, masks, training, generated_joints, reference_joints: files and folders that need not be given: a CSV, a
        folder of PNGs, a folder of images or an .npz of statistics, and two annotation CSVs.
      allow_missing: measure what is there and count what is not.
      batch_size: images a batch, or None.
      inception: where the weights of FID's network come from, as in `models.pretrained.weights.find`.
    """

    methods: dict[str, Path]
    reference: Path
    protocol: Protocol
    output: Path
    pairs: Path | None = None
    masks: Path | None = None
    training: Path | None = None
    generated_joints: Path | None = None
    reference_joints: Path | None = None
    allow_missing: bool = False
    batch_size: int | None = None
    inception: str = "auto"
    layouts: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Method:
    """One method's folder and what was measured of it.

    Attributes:
      figures: metric -> one number a pair, float, in the order of `matched.pairs`.
      metrics: metric -> the number of the whole set, or None, for which `reasons` has a sentence.
      counts: what else was counted, in JSON's types.
    """

    name: str
    root: Path
    matched: Matched
    generated: images.Survey
    reference: images.Survey
    masks: images.Survey | None = None
    figures: dict[str, np.ndarray] = field(default_factory=dict)
    metrics: dict[str, float | None] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs that were measured."""
        return self.matched.pairs

    @property
    def reference_names(self) -> list[str]:
        """The references that were measured, each once."""
        return sorted({pair.reference for pair in self.pairs})

    def put(self, metric: str, value: float | None, reason: str = "") -> None:
        """Notes the set's number, or the reason why there is none."""
        self.metrics[metric] = value
        if value is None:
            self.reasons[metric] = reason


@dataclass(frozen=True)
class Evaluation:
    """The methods measured, and on what grounds: the weights' record, and what FID compared with."""

    request: Request
    methods: list[Method]
    weights: dict[str, dict[str, str]]
    fid_reference: dict[str, Any] | None


def evaluate(request: Request) -> Evaluation:
    """Measures every method.

    Raises:
      UserError: whatever is wrong with the folders, a file or the weights; what was measured until then is kept, and
        the next call with the same input goes on from there.
    """
    if (request.generated_joints is None) != (request.reference_joints is None):
        raise UserError("PCKh needs both --generated_joints and --reference_joints; give the other file, too")
    if request.generated_joints is not None and len(request.methods) > 1:
        raise UserError("--generated_joints are those of one method; evaluate the methods one by one with --generated")
    check_writable(request.output / "report.html", "give another --output")  # before hours of measuring
    methods = [_looked_at(request, name, folder) for name, folder in request.methods.items()]
    for method in methods:
        _count_joints(request, method)
    loaded = meter.load_networks(request.protocol, request.inception)
    passes = Passes(request.protocol, loaded, request.batch_size, request.output)
    fid_reference = FidReference(passes, request.reference, request.training, request.output)
    for method in methods:
        moments = _measure(request, passes, method)
        if request.protocol.lpips and loaded.lpips is None:
            method.put(f"lpips_{request.protocol.lpips}", None, loaded.absent["lpips"])
        if request.protocol.fid_reference is None:
            continue
        try:
            if loaded.inception is None:
                raise Absent(loaded.absent["fid"])
            method.put("fid", fid_reference.distance(method.name, moments, method.reference_names))
        except Absent as reason:
            method.put("fid", None, str(reason))
    return Evaluation(request, methods, loaded.weights, fid_reference.record)


def _looked_at(request: Request, name: str, folder: Path) -> Method:
    """The method with its pairs, every file of which has been looked at."""
    generated = matching.list_images(folder, "generated")
    reference = matching.list_images(request.reference, "reference")
    layout = request.layouts.get(name) or layouts.find(generated, reference)
    if layout is not None:
        listed = None if request.pairs is None else matching.read_pairs(request.pairs)
        generated = layouts.arrange(layout, generated, reference, listed)
    matched = matching.match(generated, reference, request.pairs, request.allow_missing)
    frame = request.protocol.frame
    made = [pair.generated for pair in matched.pairs]
    true = [pair.reference for pair in matched.pairs]
    method = Method(
        name,
        folder,
        matched,
        images.survey(f"{name}: looking at generated images", folder, made, frame, strips=True),
        images.survey(f"{name}: looking at references", request.reference, true, frame),
    )
    if request.masks is not None:
        names = _mask_names(request.masks, true)
        method.masks = images.survey_masks(request.masks, names.values())
    method.counts = {"generated_files_ignored": generated.ignored, "reference_files_ignored": reference.ignored}
    return method


def _mask_names(folder: Path, references: Sequence[str]) -> dict[str, str]:
    """Reference -> mask. Raises UserError for the first reference without one."""
    masks = matching.list_images(folder, "mask").files
    for reference in references:
        if matching.key_of(reference) not in masks:
            raise UserError(f"{folder}: no mask of {reference}; add {matching.key_of(reference)}.png")
    return {reference: masks[matching.key_of(reference)] for reference in references}


def _count_joints(request: Request, method: Method) -> None:
    """PCKh of the method, where joints are given."""
    if request.generated_joints is None or request.reference_joints is None:
        return
    right, counted, lacking = count_right(
        method.pairs, request.generated_joints, request.reference_joints, request.allow_missing
    )
    method.counts["pairs_without_joints"] = lacking
    method.figures["pckh"] = np.where(counted > 0, right / np.maximum(counted, 1), np.nan)
    share = float(right.sum() / counted.sum()) if counted.sum() else None
    method.put("pckh", share, "no reference shows a head and a joint")


def _measure(request: Request, passes: Passes, method: Method) -> Moments | None:
    """The method's figures and their means; returns the moments of its features."""
    masks: dict[str, str] = {}
    if request.masks is not None:
        masks = _mask_names(request.masks, method.reference_names)
    facts = {
        "pairs": [(pair.generated, pair.reference) for pair in method.pairs],
        "sets": [seen.sha256 for seen in (method.generated, method.reference, method.masks) if seen],
    }

    def read(pair: Pair) -> Item:
        item = {
            "generated": passes.pixels(method.root / pair.generated),
            "reference": passes.pixels(request.reference / pair.reference),
        }
        if masks:
            item["mask"] = passes.mask(request.masks / masks[pair.reference])
        return item

    state = passes.run(f"{method.name}: measuring", method.pairs, read, facts)
    for metric, values in state.figures.items():
        _put_mean(method, metric, values, request.allow_missing)
    method.figures = {**state.figures, **method.figures}
    return state.moments


def _put_mean(method: Method, metric: str, values: np.ndarray, allow_missing: bool) -> None:
    """The mean over the pairs, in float64; None, with a reason, where a pair has no finite figure.

    With `allow_missing` a pair whose mask is empty counts as one that is missing: in a count of its own.
    """
    of_mask = metric.startswith("mask_")
    if of_mask and allow_missing and np.isnan(values).any() and not np.isnan(values).all():
        method.counts["pairs_with_an_empty_mask"] = int(np.isnan(values).sum())
        values = values[~np.isnan(values)]
    bad = np.flatnonzero(~np.isfinite(values))
    if not len(bad):
        method.put(metric, float(values.astype(np.float64).mean()))
        return
    why = "equal images have an infinite PSNR" if metric == "psnr" else "an image of one colour may have none"
    why = "their masks are empty; --allow_missing leaves them out" if of_mask else why
    first = method.pairs[bad[0]].generated
    method.put(metric, None, f"{len(bad)} of {len(values)} pairs have no finite figure ({why}), the first: {first}")


def count_right(
    pairs: Sequence[Pair], generated_csv: Path, reference_csv: Path, allow_missing: bool
) -> tuple[np.ndarray, np.ndarray, int]:
    """The joints that are right and those that count, int32 (N,) each, and how many pairs lack an annotation.

    Both files are annotation CSVs of the field in pixels of one frame, and name the images as the folders do, with or
    without extension. With `allow_missing` a pair without annotations counts no joint.

    Raises:
      UserError: an unreadable CSV, or an image without annotation.
    """
    found, target = _read(generated_csv), _read(reference_csv)
    lacking = 0
    arrays = np.full((2, len(pairs), NUM_JOINTS, 2), MISSING, np.float32)
    for i, pair in enumerate(pairs):
        names = (key_of(pair.generated).removesuffix(ENDING), found), (key_of(pair.reference), target)
        absent = [name for name, people in names if name not in people]
        if absent and not allow_missing:
            file = generated_csv if names[0][0] in absent else reference_csv
            raise UserError(f"{file}: no joints of {absent[0]}; add them, or leave the pair out with --allow_missing")
        lacking += bool(absent)
        if not absent:
            arrays[:, i] = found[names[0][0]], target[names[1][0]]
    right, counted = pckh(*arrays)
    return np.asarray(right), np.asarray(counted), lacking


def _read(path: Path) -> dict[str, np.ndarray]:
    people: dict[str, np.ndarray] = {}
    for name, joints in read_deepfashion(path).items():
        key = key_of(name).removesuffix(ENDING)
        if key in people:
            raise UserError(f"{path}: {name} is annotated twice under different extensions; remove one line")
        people[key] = joints
    return people
