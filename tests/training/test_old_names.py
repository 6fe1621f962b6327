"""What was made or written before: an export of layout 1, the names of one release ago."""

import importlib
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from scrn_jax.inference import PoseTransfer

# Made by the version before models had names: model/, and the pictures of `people` in pictures.npz.
EXPORT = Path(__file__).with_name("export_layout_1.zip")


@pytest.fixture(scope="module")
def export(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    zipfile.ZipFile(EXPORT).extractall(folder)
    return folder


def test_an_export_of_layout_1_paints_what_it_painted_when_it_was_made(export):
    rng = np.random.default_rng(0)
    image, parsing = rng.integers(0, 256, (2, 32, 36, 3), dtype=np.uint8), rng.integers(0, 8, (2, 32, 36))
    poses = rng.uniform(0, 31, (2, 2, 18, 2)).astype(np.float32)
    pictures = PoseTransfer.load(export / "model")(image, parsing, *poses)
    then = np.load(export / "pictures.npz")["pictures"]
    # Another processor rounds otherwise, and in a grid of few cells an instance norm makes much of it.
    assert np.abs(pictures.astype(int) - then).max() <= 2 and then.std() > 10


def test_transfer_is_importable_by_its_old_name_and_says_the_new_one():
    with pytest.warns(DeprecationWarning, match="scrn_jax.inference"):
        old = importlib.import_module("scrn_jax.transfer")
    assert old.PoseTransfer is PoseTransfer


def test_the_command_that_converts_weights_answers_by_its_old_name():
    done = subprocess.run(
        [sys.executable, "-m", "scrn_jax.features.convert", "--help"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0 and "PyTorch's .pth file" in done.stdout
