"""The report of an evaluation: report.json and per_image.csv for programs, report.md and report.html for people."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from scrn_jax.evaluation.folders.evaluate import Evaluation, Method
from scrn_jax.evaluation.folders.images import RULES
from scrn_jax.evaluation.report import html, markdown
from scrn_jax.metrics.metric import TABLE_1, in_order, orders
from scrn_jax.runtime import files

_EXAMPLES = 20  # names of missing and extra images that a report lists
_DECIMALS = 6  # of numbers in report.json: what 1 and 4 devices agree on


def write(evaluation: Evaluation, comparing: bool) -> dict[str, Any]:
    """Writes the four files into the output folder, each whole or not at all, and returns what report.json holds.

    Equal inputs give equal bytes: no file holds a time, a duration, a host or a path outside the folders given.

    Args:
      comparing: lay the report out for several methods, also when there is one.
    """
    output = evaluation.request.output
    report = as_json(evaluation, comparing)
    _write(output / "report.json", json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    _write(output / "per_image.csv", per_image(evaluation, comparing))
    _write(output / "report.md", markdown.markdown(report))
    _write(output / "report.html", html.html(report, evaluation))
    return report


def _write(path: Path, text: str) -> None:
    with files.written_whole(path) as temporary:
        temporary.write_bytes(text.encode("utf-8"))


def as_json(evaluation: Evaluation, comparing: bool) -> dict[str, Any]:
    """The report: figures, and everything on which they depend."""
    chosen = evaluation.request.protocol
    methods = {method.name: _method(method) for method in evaluation.methods}
    report: dict[str, Any] = {"protocol": chosen.name}
    if comparing:
        report["methods"] = methods
        report["order"] = orders({name: entry["metrics"] for name, entry in methods.items()})
        report["published"] = {"table": "SCRN, table 1: DeepFashion, 256x176", "methods": TABLE_1}
    else:
        report |= next(iter(methods.values()))
    report["protocol_details"] = asdict(chosen)
    report["fid_reference"] = evaluation.fid_reference
    report["weights"] = evaluation.weights
    report["rules"] = RULES
    report["software"] = {name: version(name) for name in ("scrn-jax", "jax", "numpy", "pillow")}
    return report


def _method(method: Method) -> dict[str, Any]:
    """One method's part of the report."""
    metrics = {}
    for name in in_order(method.metrics):
        value = method.metrics[name]
        metrics[name] = None if value is None else round(value, _DECIMALS)
    images = {"generated": method.generated.as_json(), "reference": method.reference.as_json()}
    if method.masks is not None:
        images["masks"] = {"count": method.masks.count, "sha256": method.masks.sha256}
    return {
        "count": len(method.pairs),
        "folder": method.root.resolve().name,
        "metrics": metrics,
        "reasons": method.reasons,
        "images": images,
        "missing": {"count": len(method.matched.missing), "first": list(method.matched.missing[:_EXAMPLES])},
        "extra": {"count": len(method.matched.extra), "first": list(method.matched.extra[:_EXAMPLES])},
        "counts": method.counts,
    }


def per_image(evaluation: Evaluation, comparing: bool) -> str:
    """A CSV line for each pair: its images, and the metrics that single pairs have; empty where undefined."""
    names = in_order({name: None for method in evaluation.methods for name in method.figures})
    stream = io.StringIO()
    rows = csv.writer(stream, lineterminator="\n")
    first: Callable[[Method], list[str]] = (lambda method: [method.name]) if comparing else (lambda method: [])
    rows.writerow([*(["method"] if comparing else []), "generated", "reference", *names])
    for method in evaluation.methods:
        for i, pair in enumerate(method.pairs):
            figures = [_cell(method.figures[name][i]) if name in method.figures else "" for name in names]
            rows.writerow([*first(method), pair.generated, pair.reference, *figures])
    return stream.getvalue()


def _cell(value: float) -> str:
    """Six decimals; inf for the PSNR of equal images, nothing where the figure is not defined."""
    return "" if value != value else f"{value:.{_DECIMALS}f}"
