"""--mode export: a run's averaged generator as a folder that needs neither the run nor any training code.

And the folder itself, for whoever has parameters from elsewhere.
"""

import json
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from scrn_jax.errors import UserError, first_line
from scrn_jax.evaluation.report import heldout
from scrn_jax.inference import model_folder
from scrn_jax.models import base
from scrn_jax.runtime import devices, files
from scrn_jax.settings import Settings, to_config
from scrn_jax.training import checkpoints as checkpoints_lib
from scrn_jax.training import workdir as workdir_lib

log = logging.getLogger(__name__)


def export(settings: Settings, workdir: Path, output: Path) -> None:
    """Write the newest checkpoint's EMA generator of `workdir` into the new folder `output`, whole or not at all.

    The folder holds `params/` (Orbax, float32), `model.json` (layout, config, step, versions, figures, the SHA-256 of
    `params/`) and `README.md`, the model's card.

    Raises:
      UserError: no checkpoint, one of another model, `output` exists already or cannot be written.
    """
    check_new(output)
    mesh = devices.make_mesh(jax.local_devices()[:1])
    with checkpoints_lib.open_checkpoints(settings, workdir) as checkpoints:
        current = checkpoints_lib.newest(settings, mesh, checkpoints)
    step = int(current.step)
    model = description(settings, step, read_report(workdir, step))
    write_folder(output, model, card(model, base.make(settings).summary), current.ema)
    log.info("exported step %d, %.1f MB: %s", step, _megabytes(output), output)
    if model["report"] is None:
        log.info("its card has no figures: %s has no report of step %d; --mode evaluate writes one", workdir, step)


def check_new(output: Path) -> None:
    """Raises UserError for an `output` that a folder cannot be written to without harm."""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"--output {output} exists already; give a new folder, or remove it first")


def description(settings: Settings, step: int, report: Mapping[str, Any] | None) -> dict[str, Any]:
    """What model.json says, but for the sum of the parameters."""
    return {
        "layout": model_folder.LAYOUT,
        "config": to_config(settings),
        "step": step,
        "versions": workdir_lib.versions(),
        "revision": workdir_lib.revision(),
        "report": report,
    }


def read_report(workdir: Path, step: int) -> Mapping[str, Any] | None:
    """The run's report.json without its config; None when there is none of this step.

    Raises:
      UserError: what is there is no report.
    """
    path, mend = workdir / "report.json", "write it anew with --mode evaluate, or remove it"
    if not path.exists():
        return None
    try:
        report = files.read_json(path)
    except UserError as error:
        raise UserError(f"{error}; or {mend}") from error
    if not isinstance(report, dict):
        raise UserError(f"{path}: holds no report; {mend}")
    if report.get("step") != step:
        return None
    if not _has_figures(report):
        raise UserError(f"{path}: is no report of this version (its rows, count or protocol); {mend}")
    return {key: value for key, value in report.items() if key != "config"}


def _has_figures(report: Mapping[str, Any]) -> bool:
    """Whether a report holds what a card says of it: rows of figures by metric, their count, how they were measured."""
    rows = report.get("rows")
    rows = rows.values() if isinstance(rows, dict) else [None]
    figures = [figure for row in rows for figure in (row.values() if isinstance(row, dict) else [""])]
    numbers = all(figure is None or files.is_number(figure) for figure in figures)
    return numbers and isinstance(report.get("count"), int) and isinstance(report.get("protocol"), str)


def card(model: Mapping[str, Any], summary: str, origin: str | None = None) -> str:
    """The model's card: what it is, how it is used, how good it is, what made it, what it is not for.

    `summary` says what network it is, `origin` where its parameters come from: so many steps on the config's data, if
    nothing else is said.
    """
    figures = model["report"]
    height, width = model["config"]["size"]
    data = model["config"]["data"].get("name", "unknown")
    origin = origin or f"the averaged parameters after {model['step']} steps on the data set `{data}`"
    lines = [
        "# A person in another pose",
        "",
        f"{summary[0].upper()}{summary[1:]}, for {height}x{width} pixels (height x width): {origin}.",
        "",
        "## Use",
        "",
        "```python",
        "from scrn_jax.inference import PoseTransfer",
        "",
        'transfer = PoseTransfer.load("THIS_FOLDER")  # dtype="bfloat16" on an accelerator',
        "images = transfer(source_images, source_parsing, source_joints, target_joints)  # uint8 (B, H, W, 3)",
        "```",
        "",
        f"`source_images`: uint8, or float in [-1, 1], (B, {height}, {width}, 3). `source_parsing`: labels 0 to 7, "
        f"(B, {height}, {width}). Joints: 18 in OpenPose's order, (y, x) in pixels, missing ones (-1, -1), (B, 18, 2).",
        "",
        "## How good it is",
        "",
    ]
    if figures is None:
        lines += ["Not evaluated when it was exported.", ""]
    else:
        lines += heldout.table(figures["rows"])
        lines += ["", f"{figures['count']} held-out pairs; {figures['protocol']}", ""]
    versions = ", ".join(f"{name} {version}" for name, version in model["versions"].items())
    lines += [
        "## What made it",
        "",
        f"{versions}; source revision {model['revision'] or 'unknown'}. The whole config is in "
        f"`{model_folder.MODEL_FILE}`.",
        "",
        "## What it is not for",
        "",
        "It knows people as its data set shows them and nothing else: expect worse pictures of other clothes, bodies, "
        "cameras and poses. Make pictures of real people only with their consent, and say that they were generated. "
        "The terms of the data set hold for the model as well.",
        "",
    ]
    return "\n".join(lines)


def write_folder(output: Path, model: Mapping[str, Any], card: str, params) -> None:
    """The folder of an exported model, whole or not at all: in one beside `output`, which takes its name at the end.

    Raises UserError where it cannot be written.
    """
    unfinished = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        unfinished.mkdir(parents=True)
        model_folder.write_params(unfinished, params)
        (unfinished / model_folder.CARD_FILE).write_text(card, "utf-8")
        model = {**model, model_folder.PARAMS_SHA256: model_folder.params_sha256(unfinished / model_folder.PARAMS)}
        (unfinished / model_folder.MODEL_FILE).write_text(json.dumps(model, indent=2) + "\n", "utf-8")
        os.replace(unfinished, output)
    except (OSError, ValueError) as error:  # TensorStore's word for a full disk is a ValueError
        raise UserError(f"--output {output} cannot be written ({first_line(error)}); give another place") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
