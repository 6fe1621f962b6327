"""report.html: one file with the table, the distributions and the pictures, readable without a network."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

import numpy as np

from scrn_jax.folders import examples, histogram, prose
from scrn_jax.folders.evaluation import Evaluation, Method
from scrn_jax.folders.style import CSS
from scrn_jax.metrics.metric_names import METRICS, in_order, ranking


def html(report: Mapping[str, Any], evaluation: Evaluation) -> str:
    """The page. `report` is what report.json holds, `evaluation` has the single figures and the images' places."""
    title = f"Evaluation by the protocol {report['protocol']}"
    sections = [
        ("Results", _table(report) + _list(prose.order_lines(report)) + _notes(prose.reason_lines(report))),
        ("Distributions", _histograms(evaluation)),
        *((f"Pictures{_of(method, evaluation)}", _pictures(method, evaluation)) for method in evaluation.methods),
        ("How it was measured", _list(prose.protocol_lines(report))),
        ("What was read", _list(prose.file_lines(report))),
    ]
    counts = " / ".join(
        f"{count:,}" for count in sorted({entry["count"] for entry in prose.methods_of(report).values()})
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
    metrics, rows = prose.table(report)
    methods = prose.methods_of(report)
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
            picture = histogram.svg(method.figures[metric], every.min(), every.max(), title, decimals)
            blocks.append(f"<figure><figcaption>{escape(title)}</figcaption>{picture}</figure>")
    return f'<p class="quiet">One count a pair; the line is the median.</p><div class="grid">{"".join(blocks)}</div>'


def _pictures(method: Method, evaluation: Evaluation) -> str:
    metric = METRICS[examples.deciding_metric(method)].title
    blocks = [f'<p class="quiet">By {escape(metric)}; left the reference, right the generated image.</p>']
    for kind, indices in examples.choose(method).items():
        cards = "".join(_card(method, evaluation, i) for i in indices)
        blocks.append(f'<h3>{kind}</h3><div class="grid">{cards}</div>')
    return "".join(blocks)


def _card(method: Method, evaluation: Evaluation, i: int) -> str:
    """One pair: the reference, the generated image, and its figures."""
    pair, request = method.pairs[i], evaluation.request
    places = ((request.reference / pair.reference, "reference"), (method.root / pair.generated, "generated"))
    images = "".join(
        f'<img src="{examples.data_uri(path, request.protocol.frame)}" alt="{role}" loading="lazy">'
        for path, role in places
    )
    figures = ", ".join(
        f"{METRICS[name].title} {METRICS[name].text(float(method.figures[name][i]))}"
        for name in in_order(method.figures)
        if np.isfinite(method.figures[name][i])
    )
    return (
        f'<figure><div class="pair">{images}</div><figcaption>{escape(figures)}<br>'
        f'<span class="quiet">{escape(pair.generated)}</span></figcaption></figure>'
    )
