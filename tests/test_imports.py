"""TensorFlow stays in the input pipeline and in the TensorBoard writer; and in a function that makes TFLite files."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import scrn_jax
from scrn_jax.models import base

PACKAGE = Path(scrn_jax.__file__).parent
FORBIDDEN = ("tensorflow", "tensorflow_datasets", "tf_keras", "keras")
MODULES = sorted(PACKAGE.rglob("*.py"))
# What computes: these must load in a process that has no TensorFlow at all.
COMPUTING = (
    "scrn_jax.models.scrn.generator", "scrn_jax.models.discriminator", "scrn_jax.models.losses", "scrn_jax.settings",
    "scrn_jax.training.state", "scrn_jax.training.step", "scrn_jax.runtime.devices",
    "scrn_jax.models.pretrained.weights", "scrn_jax.models.pretrained.vgg", "scrn_jax.models.pretrained.alexnet",
    "scrn_jax.metrics.ssim", "scrn_jax.metrics.psnr", "scrn_jax.metrics.lpips", "scrn_jax.metrics.fid",
    "scrn_jax.metrics.face", "scrn_jax.evaluation.report.heldout", "scrn_jax.person.joints", "scrn_jax.person.draw",
    "scrn_jax.evaluation.folders.evaluate", "scrn_jax.evaluation.report.folders", "scrn_jax.evaluation.command",
    "scrn_jax.inference.transfer", "scrn_jax.inference.model_folder", "scrn_jax.inference.export_formats",
    "scrn_jax.inference.video", "scrn_jax.models.base",
    "scrn_jax.runtime.console", "scrn_jax.runtime.distributed", "scrn_jax.models.pretrained.inception",
)  # fmt: skip


# Whoever asks for a TFLite file has TensorFlow make it: imported where that is done, not with the module.
WITHIN_FUNCTIONS = ("inference/export_formats.py",)


def _imported(tree: ast.AST):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_of_ours_imports_tensorflow(path):
    tree = ast.parse(path.read_text("utf-8"))
    if path.relative_to(PACKAGE).as_posix() in WITHIN_FUNCTIONS:
        tree.body = [node for node in tree.body if not isinstance(node, ast.FunctionDef)]
    names = {name.split(".")[0] for name in _imported(tree)}
    assert not names & set(FORBIDDEN)


def test_networks_losses_and_metrics_run_without_tensorflow():
    """A TensorFlow that cannot be imported stands in for a machine without one."""
    lines = ["import sys", "sys.modules['tensorflow'] = None", "sys.modules['tensorflow_datasets'] = None"]
    lines += [f"import {module}" for module in COMPUTING]
    lines += ["assert not any(name.startswith('tensorflow.') for name in sys.modules)"]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, cwd=PACKAGE.parent)
    assert done.returncode == 0, done.stderr[-2000:]


ROOMS = (
    "errors", "runtime", "person", "models", "metrics", "settings", "data", "inference", "evaluation", "training",
    "main", "convert",
)  # fmt: skip
OLD_NAMES = ("transfer", "features")  # point at the new ones


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down_only(path):
    room = path.relative_to(PACKAGE).with_suffix("").parts[0]
    if room in ("__init__", *OLD_NAMES):
        return
    tree, imported = ast.parse(path.read_text("utf-8")), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "scrn_jax":
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("scrn_jax."):
            imported.add(node.module.split(".")[1])
    assert not [other for other in imported if ROOMS.index(other) > ROOMS.index(room)]


def test_no_part_of_scrn_is_known_outside_its_folder():
    parts = ("coarse_generator", "parsing_block", "refine_area_block", "style_encoder", "inject_style", "block_1")
    # Another model may call its own parts so.
    outside = [path for path in MODULES if not set(base.PACKAGES) & set(path.relative_to(PACKAGE).parts)]
    assert not [path for path in outside if any(part in path.read_text("utf-8") for part in parts)]
