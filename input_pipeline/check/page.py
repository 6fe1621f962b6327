"""The doctor's report as one HTML page that needs nothing else, and its findings as a CSV file."""

import base64
import csv
import html
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from input_pipeline.check.dataset import Report
from input_pipeline.check.picture import Examined
from input_pipeline.formats.findings import LEVELS, WARNING
from scrn_jax.person import draw, regions
from scrn_jax.person.fitting import Rules, fit_image, fit_labels
from scrn_jax.person.image_files import open_picture
from scrn_jax.person.image_headers import read_header
from scrn_jax.runtime.files import written_whole

# A page with tens of thousands of lines is of no use; the CSV file has all of them.
_MOST_SHOWN = 1000

# Names that are no UTF-8 are shown with backslashes.
_TEXT = {"encoding": "utf-8", "errors": "backslashreplace"}
_STYLE = """
body { font: 15px/1.5 sans-serif; margin: 2em auto; max-width: 62em; padding: 0 1em; color: #222 }
table { border-collapse: collapse } td, th { padding: .1em .8em .1em 0; text-align: left; vertical-align: top }
figure { display: inline-block; margin: 0 1em 1em 0; width: 20em; vertical-align: top }
figcaption { font-size: 12px; overflow-wrap: anywhere } img { width: 100%; image-rendering: auto }
.bar { display: inline-block; height: .8em } .error { color: #b00020 } .warning { color: #a05a00 } .note { color: #555 }
summary { cursor: pointer; font-weight: bold } li { overflow-wrap: anywhere }
"""


def write_page(file: Path, title: str, report: Report) -> None:
    """Writes the page, whole or not at all. Raises UserError when `file` cannot be written."""
    with written_whole(file) as temporary:
        temporary.write_text("\n".join(_page(title, report)), **_TEXT)


def write_findings(file: Path, report: Report) -> None:
    """Writes every finding as a row level,kind,text of a CSV file. Raises UserError when it cannot be written."""
    with written_whole(file) as temporary, temporary.open("w", newline="", **_TEXT) as stream:
        rows = csv.writer(stream)
        rows.writerow(("level", "kind", "text"))
        for found in report.findings.by_kind().values():
            rows.writerows((finding.level, finding.kind, finding.text) for finding in found)


def _page(title: str, report: Report) -> Iterator[str]:
    yield '<!doctype html><html lang="en"><meta charset="utf-8">'
    yield f"<title>{html.escape(title)}</title><style>{_STYLE}</style><h1>{html.escape(title)}</h1>"
    counts = ", ".join(counted(len(report.findings.of(level)), level) for level in LEVELS)
    yield f"<p>{counts}.</p>{_table(report)}"
    yield "<h2>Findings</h2>"
    for (level, kind), findings in report.findings.by_kind().items():
        opened = "" if level == "note" else " open"
        heading = f"{level}: {html.escape(kind)} ({len(findings):,})"
        yield f'<details{opened}><summary class="{level}">{heading}</summary><ul>'
        yield from (f"<li>{html.escape(finding.text)}</li>" for finding in findings[:_MOST_SHOWN])
        if len(findings) > _MOST_SHOWN:
            yield f"<li>... and {len(findings) - _MOST_SHOWN:,} more in the CSV file of findings</li>"
        yield "</ul></details>"
    yield "<h2>Regions</h2><table><tr><th>region<th>of the pixels<th>of the pictures<th></tr>"
    for (name, pixels, pictures), colour in zip(report.histogram(), regions.COLOURS.tolist(), strict=True):
        bar = (
            f'<span class="bar" style="width:{300 * pixels:.0f}px;background:rgb({colour[0]},{colour[1]},{colour[2]})">'
        )
        yield f"<tr><td>{name}<td>{pixels:.2%}<td>{pictures:.1%}<td>{bar}</span></tr>"
    yield "</table><h2>Samples</h2><p>The picture in its frame; its regions, joints and face box. Pictures with "
    yield "warnings come first.</p>"
    for split, seen in report.samples:
        data = base64.b64encode(_sample(seen, report.frame)).decode()
        caption = f"{html.escape(split)}: {html.escape(seen.name)}"
        warnings = "".join(f'<br><span class="warning">{html.escape(kind)}</span>' for kind in seen.of(WARNING))
        yield f'<figure><img alt="" src="data:image/png;base64,{data}"><figcaption>{caption}{warnings}</figcaption>'
        yield "</figure>"
    yield "</html>"


def counted(count: int, thing: str) -> str:
    """As "1 warning" or "2,000 warnings"."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def _table(report: Report) -> str:
    rows = [
        f"<tr><td>{split}<td>{report.pictures[split]:,} pictures, {pairs:,} pairs"
        for split, pairs in report.pairs.items()
    ]
    for (height, width, mode), count in report.shapes.most_common(10):
        rows.append(f"<tr><td>{height} x {width} {html.escape(str(mode))}<td>{count:,} images")
    rows.append(f"<tr><td>with a face<td>{report.faces:,} pictures")
    return f"<table>{''.join(rows)}</table>"


def _sample(seen: Examined, frame: tuple[int, int]) -> bytes:
    """The picture and beside it the overlay, as PNG bytes."""
    rules = Rules(frame)
    # Kept bytes may still have side bars; a frame that they do not fit exactly has been cut already.
    fitted = fit_image(seen.fitted.image, read_header(seen.fitted.image, seen.name), rules, seen.name)
    image = np.asarray(open_picture(fitted, seen.name).image)
    labels = regions.label_map_from_bytes(fit_labels(seen.fitted.labels, rules, seen.name), seen.name)
    if image.shape[:2] != frame:
        bar = (image.shape[1] - frame[1]) // 2
        image = image[:, bar : bar + frame[1]]
    shown = draw.overlay(image, seen.fitted.pose, labels, seen.fitted.face_box)
    stream = io.BytesIO()
    Image.fromarray(np.concatenate([image, shown], axis=1)).save(stream, "png")
    return stream.getvalue()
