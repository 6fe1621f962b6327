"""TensorFlow stays in the input pipeline and in the TensorBoard writer; and in a function that makes TFLite files."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import scrn_jax

PACKAGE = Path(scrn_jax.__file__).parent
FORBIDDEN = ("tensorflow", "tensorflow_datasets", "tf_keras", "keras")
MODULES = sorted(PACKAGE.rglob("*.py"))
# What computes: these must load in a process that has no TensorFlow at all.
COMPUTING = (
    "scrn_jax.models.scrn", "scrn_jax.models.discriminator", "scrn_jax.losses", "scrn_jax.settings", "scrn_jax.state",
    "scrn_jax.train_step", "scrn_jax.sharding", "scrn_jax.features.weights", "scrn_jax.features.vgg",
    "scrn_jax.features.alexnet", "scrn_jax.features.inception", "scrn_jax.metrics.ssim", "scrn_jax.metrics.psnr",
    "scrn_jax.metrics.lpips", "scrn_jax.metrics.fid", "scrn_jax.metrics.face", "scrn_jax.metrics.report",
    "scrn_jax.person.joints", "scrn_jax.person.draw", "scrn_jax.folders.evaluation", "scrn_jax.folders.report",
    "scrn_jax.folders.command", "scrn_jax.inference.export_formats",
    "scrn_jax.inference.video", "scrn_jax.transfer", "scrn_jax.exported", "scrn_jax.networks", "scrn_jax.console",
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
