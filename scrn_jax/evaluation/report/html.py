"""report.html: one file with the table, the distributions and the pictures, readable without a network."""

import base64
import io
import math
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from scrn_jax.evaluation.folders import images
from scrn_jax.evaluation.folders.evaluate import Evaluation, Method
from scrn_jax.evaluation.report import markdown
from scrn_jax.metrics.metric import METRICS, in_order, ranking

MOST_BINS = 30
_WIDTH, _HEIGHT, _FOOT, _MARGIN = 300, 90, 18, 4

CSS = """
:root { --ink: #1d2430; --quiet: #667085; --line: #e3e6eb; --paper: #fff; --panel: #f7f8fa; --bar: #4c78a8;
  --mark: #d4622a; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --quiet: #98a2b3; --line: #343b47; --paper: #14181f;
  --panel: #1c222b; --bar: #6fa0d6; --mark: #f08c54; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.8rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 .8rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.4rem 0 .5rem; }
h3::first-letter { text-transform: uppercase; }
p { margin: .3rem 0 .8rem; }
.quiet, small, figcaption .quiet { color: var(--quiet); font-weight: normal; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; min-width: 50%; }
th, td { padding: .5rem .9rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child { text-align: left; }
thead th { font-weight: 600; border-bottom: 2px solid var(--ink); }
td.best { font-weight: 700; }
tr.published { color: var(--quiet); }
tr.published th { font-weight: 500; }
ul { padding-left: 1.2rem; overflow-wrap: anywhere; }
.notes { background: var(--panel); border-left: 3px solid var(--mark); padding: .2rem .8rem; margin-top: 1rem; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(240px, 1fr)); gap: 1rem; }
figure { margin: 0; background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: .7rem; }
figcaption { font-size: .82rem; overflow-wrap: anywhere; }
.pair { display: flex; gap: 4px; margin-bottom: .5rem; cursor: zoom-in; position: relative; }
.pair input { position: absolute; opacity: 0; }
.pair:has(:focus-visible) { outline: 2px solid var(--mark); outline-offset: 2px; }
figure:has(:checked) { grid-column: 1 / -1; }
figure:has(:checked) .pair { cursor: zoom-out; }
.pair img { width: 50%; min-width: 0; border-radius: 4px; }
svg { width: 100%; height: auto; display: block; }
svg rect { fill: var(--bar); }
svg .axis { stroke: var(--quiet); stroke-width: 1; }
svg .median { stroke: var(--mark); stroke-width: 1.5; }
svg text { fill: var(--quiet); font-size: 12px; }
@media print { section { break-inside: avoid-page; } }
"""

EACH = 4  # pairs of a kind
_DECIDING = ("lpips_alex", "lpips_vgg", "ssim")  # closest to what people see comes first


def html(report: Mapping[str, Any], evaluation: Evaluation) -> str:
    """The page. `report` is what report.json holds, `evaluation` has the single figures and the images' places."""
    title = f"Evaluation by the protocol {report['protocol']}"
    sections = [
        ("Results", _table(report) + _list(markdown.order_lines(report)) + _notes(markdown.reason_lines(report))),
        ("Distributions", _histograms(evaluation)),
        *((f"Pictures{_of(method, evaluation)}", _pictures(method, evaluation)) for method in evaluation.methods),
        ("How it was measured", _list(markdown.protocol_lines(report))),
        ("What was read", _list(markdown.file_lines(report))),
    ]
    counts = " / ".join(
        f"{count:,}" for count in sorted({entry["count"] for entry in markdown.methods_of(report).values()})
    )
    body = "".join(f"<section><h2>{escape(name)}</h2>{content}</section>" for name, content in sections)
    height, width = report["protocol_details"]["frame"]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{CSS}</style></head><body><main>"
        f'<header><h1>{escape(title)}</h1><p class="quiet">{counts} pairs at {height}x{width} pixels;'
        f" tables of {escape(report['protocol_details']['tables'])}</p></header>{body}</main></body></html>\n"
    )


def _of(method: Method, evaluation: Evaluation) -> str:
    return f" of {method.name}" if len(evaluation.methods) > 1 else ""


def _list(lines: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def _notes(lines: list[str]) -> str:
    return f'<div class="notes">{_list(lines)}</div>' if lines else ""


def _table(report: Mapping[str, Any]) -> str:
    """The figures; the best of each column in bold when there are several methods."""
    metrics, rows = markdown.table(report)
    methods = markdown.methods_of(report)
    measured = {name: entry["metrics"] for name, entry in methods.items()}
    best = {metric: ranking(measured, metric)[:1] for metric in metrics} if len(methods) > 1 else {}
    head = "".join(f"<th>{escape(METRICS[metric].heading)}</th>" for metric in metrics)
    lines = []
    for name, cells, published in rows:
        marked = "".join(
            f"<td{' class=best' if not published and best.get(metric) == [name] else ''}>{cell}</td>"
            for metric, cell in zip(metrics, cells, strict=True)
        )
        label = f"{escape(name)} <small>as published</small>" if published else escape(name)
        lines.append(f"<tr{' class=published' if published else ''}><th>{label}</th>{marked}</tr>")
    return f'<div class="wide"><table><thead><tr><th></th>{head}</tr></thead>{"".join(lines)}</table></div>'


def _histograms(evaluation: Evaluation) -> str:
    """A histogram for each metric and method; those of a metric share their axis, so that they compare."""
    blocks = []
    for metric in in_order({name: None for method in evaluation.methods for name in method.figures}):
        having = [method for method in evaluation.methods if metric in method.figures]
        every = np.concatenate([method.figures[metric] for method in having])
        every = every[np.isfinite(every)]
        if not len(every):
            continue
        for method in having:
            title = METRICS[metric].heading + _of(method, evaluation)
            decimals = min(METRICS[metric].decimals, 3)
            picture = svg(method.figures[metric], every.min(), every.max(), title, decimals)
            blocks.append(f"<figure><figcaption>{escape(title)}</figcaption>{picture}</figure>")
    return f'<p class="quiet">One count a pair; the line is the median.</p><div class="grid">{"".join(blocks)}</div>'


def _pictures(method: Method, evaluation: Evaluation) -> str:
    metric = METRICS[deciding_metric(method)].title
    said = f"By {metric}; left the reference, right the generated image. A click makes a pair larger, or small again."
    blocks = [f'<p class="quiet">{escape(said)}</p>']
    for kind, indices in choose(method).items():
        cards = "".join(_card(method, evaluation, i) for i in indices)
        blocks.append(f'<h3>{kind}</h3><div class="grid">{cards}</div>')
    return "".join(blocks)


def _card(method: Method, evaluation: Evaluation, i: int) -> str:
    """One pair: the reference, the generated image, and its figures."""
    pair, request = method.pairs[i], evaluation.request
    places = ((request.reference / pair.reference, "reference"), (method.root / pair.generated, "generated"))
    images = "".join(
        f'<img src="{data_uri(path, request.protocol.frame)}" alt="{role}" loading="lazy">' for path, role in places
    )
    figures = ", ".join(
        f"{METRICS[name].title} {METRICS[name].text(float(method.figures[name][i]))}"
        for name in in_order(method.figures)
        if np.isfinite(method.figures[name][i])
    )
    return (
        f'<figure><label class="pair"><input type="checkbox" aria-label="larger">{images}</label>'
        f"<figcaption>{escape(figures)}<br>"
        f'<span class="quiet">{escape(pair.generated)}</span></figcaption></figure>'
    )


def svg(values: np.ndarray, low: float, high: float, title: str, decimals: int) -> str:
    """The distribution of finite `values` between `low` and `high`, the ends of the axis, with the median marked.

    Returns an <svg> element whose bars carry their counts as tooltips.
    """
    values = values[np.isfinite(values)]
    if high <= low:
        low, high = low - 0.5, high + 0.5
    counts, edges = np.histogram(values, bins_for(len(values)), (low, high))
    bars = "".join(
        _bar(i, len(counts), count, counts.max(), f"{edges[i]:.{decimals}f} to {edges[i + 1]:.{decimals}f}: {count}")
        for i, count in enumerate(counts)
        if count
    )
    foot = _HEIGHT + _FOOT - 4
    median = float(np.median(values)) if len(values) else (low + high) / 2
    at = _MARGIN + (median - low) / (high - low) * _WIDTH
    return (
        f'<svg viewBox="0 0 {_WIDTH + 2 * _MARGIN} {_HEIGHT + _FOOT}" role="img" aria-label="{escape(title)}">{bars}'
        f'<line class="axis" x1="{_MARGIN}" y1="{_HEIGHT}" x2="{_MARGIN + _WIDTH}" y2="{_HEIGHT}"/>'
        f'<line class="median" x1="{at:.1f}" y1="0" x2="{at:.1f}" y2="{_HEIGHT}">'
        f"<title>median {median:.{decimals}f}</title></line>"
        f'<text x="{_MARGIN}" y="{foot}">{low:.{decimals}f}</text>'
        f'<text x="{_MARGIN + _WIDTH}" y="{foot}" text-anchor="end">{high:.{decimals}f}</text></svg>'
    )


def bins_for(count: int) -> int:
    """Bins of a histogram of so many values: the square root, so that a bin has values enough to show a shape."""
    return min(MOST_BINS, max(1, math.ceil(math.sqrt(count))))


def _bar(i: int, bins: int, count: int, most: int, tooltip: str) -> str:
    width = _WIDTH / bins
    height = (_HEIGHT - 4) * count / most
    x, y = _MARGIN + i * width, _HEIGHT - height
    box = f'x="{x:.1f}" y="{y:.1f}" width="{width - 1:.1f}" height="{height:.1f}"'
    return f"<rect {box}><title>{tooltip}</title></rect>"


def deciding_metric(method: Method) -> str:
    """The metric by which pairs are called good or bad."""
    return next(name for name in _DECIDING if name in method.figures)


def choose(method: Method) -> dict[str, list[int]]:
    """Indices of the pairs to show under "best", "median" and "worst", from better to worse, none of them twice."""
    metric = deciding_metric(method)
    values = np.nan_to_num(method.figures[metric].astype(np.float64), nan=np.inf)
    order = np.argsort(-values if METRICS[metric].more_is_better else values, kind="stable").tolist()
    each = min(EACH, max(len(order) // 3, 1))
    middle = (len(order) - each) // 2
    kinds = {"best": order[:each], "median": order[middle : middle + each], "worst": order[-each:]}
    return kinds if len(order) >= 3 else {"all": order}


def data_uri(path: Path, frame: tuple[int, int]) -> str:
    """The image as it was compared, cut to the frame, as a JPEG in a data: URI."""
    pixels = images.decode(images.read_bytes(path), str(path), frame)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=90)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
