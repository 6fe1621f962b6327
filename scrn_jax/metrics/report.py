"""The report of an evaluation: report.json for programs, report.md with a picture for people."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

ROW_TITLES = {
    "generated": "generated (I_g)",
    "coarse": "coarse (I_crs)",
    "copy_source": "copy the source",
    "mean_image": "mean image",
}
METRIC_TITLES = {"ssim": "SSIM ↑", "psnr": "PSNR ↑ (dB)", "lpips": "LPIPS ↓", "face_l1": "face L1 ↓"}
DECIMALS = {"psnr": 2}


def _cell(metric: str, value: float | None) -> str:
    return "–" if value is None else f"{value:.{DECIMALS.get(metric, 4)}f}"


def table(rows: Mapping[str, Mapping[str, float | None]]) -> list[str]:
    """The lines of a Markdown table of the rows' figures."""
    lines = ["| | " + " | ".join(METRIC_TITLES.values()) + " |", "|---|" + "---|" * len(METRIC_TITLES)]
    for row, title in ROW_TITLES.items():
        lines.append(f"| {title} | " + " | ".join(_cell(metric, rows[row][metric]) for metric in METRIC_TITLES) + " |")
    return lines


def markdown(report: Mapping[str, Any], picture: str) -> str:
    """The readable page: what was measured, the table, the picture and how to read it."""
    lines = [
        "# Held-out evaluation",
        "",
        f"{report['count']} test pairs, {report['frame'][0]}x{report['frame'][1]} pixels, step {report['step']}, "
        "averaged (EMA) generator.",
        "",
    ]
    lines += table(report["rows"])
    lines += [
        "",
        f"![source, target pose, coarse, parsing, generated, target]({picture})",
        "",
        "*Copy the source* and *mean image* know nothing of the target pose: a method has to beat both. *Coarse* is "
        "the first stage alone: the refine stage has to beat it in LPIPS.",
        "",
        f"How it was measured: {report['protocol']}",
        "",
    ]
    return "\n".join(lines)


def write(folder: Path, report: Mapping[str, Any], picture: Image.Image) -> None:
    """Write report.json, report.md and report.png into `folder`, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / "report.png", lambda path: picture.save(path, format="PNG"))
    _replace(folder / "report.json", lambda path: path.write_text(json.dumps(report, indent=2) + "\n", "utf-8"))
    _replace(folder / "report.md", lambda path: path.write_text(markdown(report, "report.png"), "utf-8"))


def _replace(path: Path, save) -> None:
    unfinished = path.with_name(path.name + ".part")
    save(unfinished)
    os.replace(unfinished, path)
