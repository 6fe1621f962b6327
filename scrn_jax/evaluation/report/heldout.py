"""The report of an evaluation: report.json for programs, report.md with a picture for people."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from scrn_jax.metrics.groups import GROUPINGS
from scrn_jax.metrics.metric import METRICS
from scrn_jax.runtime.files import written_whole

ROW_TITLES = {
    "generated": "generated (I_g)",
    "coarse": "coarse (I_crs)",
    "flat_paint": "flat paint (S_g)",
    "flat_paint_true": "flat paint (true S_t)",
    "carried_true": "carried pixels (true S_t)",
    "copy_source": "copy the source",
    "mean_image": "mean image",
}
COLUMNS = ("lpips_vgg", "ssim", "psnr", "lpips_alex", "face_l1", "colour_error", "mesh")
GROUP_COLUMNS = ("lpips_vgg", "ssim", "psnr", "colour_error")
NOTES = {"lpips_alex": ", trained on"}
READING = """\
*LPIPS on VGG16* leads: nothing was trained on that network, while Eq. 8 trains on the AlexNet of the other LPIPS.

*Flat paint* knows nothing but regions: each has the mean colour that it has in the source, as S_g, or the target's true
parsing map, places it. *Carried pixels* are the source's, taken along by the parts of the body, in front of its own
background, with flat paint where nothing can be carried; nothing of it is learned. Both rows with S_t are told where
each garment ends up, which a method has to find out. *Copy the source* and *mean image* know nothing of the target
pose: a method has to beat both. *Coarse* is the first stage alone.

– stands where there is no number: no face, no region, a picture equal to its target (PSNR), or one with pixels that are
no numbers.
"""


def table(rows: Mapping[str, Mapping[str, float | None]]) -> list[str]:
    """The lines of a Markdown table of those of the rows and metrics that are there."""
    titles = {row: title for row, title in ROW_TITLES.items() if row in rows}
    columns = [name for name in COLUMNS if all(name in rows[row] for row in titles)]
    return _table(columns, {title: rows[row] for row, title in titles.items()})


def groups_table(groups: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    """The lines of a Markdown table of groups, one a line, with the LPIPS of flat paint beside the generated one."""
    heading = f"flat paint's {METRICS['lpips_vgg'].heading}"
    lines = _heading(["pairs", *(METRICS[name].heading for name in GROUP_COLUMNS), heading])
    for grouping in (name for name in GROUPINGS if name in groups):
        for name, figures in groups[grouping].items():
            cells = [str(figures["count"]), *(METRICS[column].text(figures[column]) for column in GROUP_COLUMNS)]
            cells.append(METRICS["lpips_vgg"].text(figures["flat_paint_lpips_vgg"]))
            lines.append(f"| {grouping}: {name} | " + " | ".join(cells) + " |")
    return lines


def _table(columns: list[str], rows: Mapping[str, Mapping[str, float | None]]) -> list[str]:
    lines = _heading([METRICS[name].heading + NOTES.get(name, "") for name in columns])
    return lines + [
        f"| {title} | " + " | ".join(METRICS[name].text(row[name]) for name in columns) + " |"
        for title, row in rows.items()
    ]


def _heading(titles: list[str]) -> list[str]:
    return ["| | " + " | ".join(titles) + " |", "|---|" + "---|" * len(titles)]


def _parsing(figures: Mapping[str, float | None] | None) -> list[str]:
    """The lines on a predicted parsing map; none where no map is predicted."""
    if figures is None:
        return []
    return ["## The predicted parsing map", "", *_table(list(figures), {"S_g": figures}), ""]


def markdown(report: Mapping[str, Any], picture: str, columns: Sequence[str]) -> str:
    """The readable page: the table, the parsing map's figures, the groups, the picture, and how to read them."""
    known = ", ".join(report["known_groups"]) or "none"
    lines = [
        "# Held-out evaluation",
        "",
        f"{report['count']} test pairs, {report['frame'][0]}x{report['frame'][1]} pixels, step {report['step']}, "
        "averaged (EMA) generator.",
        "",
        *table(report["rows"]),
        "",
        READING,
        *_parsing(report["parsing"]),
        "## By group",
        "",
        *groups_table(report["groups"]),
        "",
        f"Of the generated pictures. Known from the data: {known}; the others are estimated from joints, parsing maps "
        "and pixels. The angle is between the two views, in degrees. A pair may be in no group where nothing tells.",
        "",
        f"![{', '.join(columns)}]({picture})",
        "",
        f"How it was measured: {report['protocol']}",
        "",
    ]
    return "\n".join(lines)


def write(folder: Path, report: Mapping[str, Any], picture: Image.Image, columns: Sequence[str]) -> None:
    """Write report.json, report.md and report.png into `folder`, each whole or not at all.

    `columns` are the titles of the picture's columns.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "report.json": json.dumps(report, indent=2, allow_nan=False) + "\n",
        "report.md": markdown(report, "report.png", columns),
    }
    with written_whole(folder / "report.png") as unfinished:
        picture.save(unfinished, format="PNG")
    for name, text in texts.items():
        with written_whole(folder / name) as unfinished:
            unfinished.write_text(text, "utf-8")
