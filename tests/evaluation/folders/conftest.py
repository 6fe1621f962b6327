"""Small folders of images as methods release them, and the field's usual scripts as references."""

import importlib.util
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

USUAL = Path(__file__).parents[3] / "benchmarks" / "usual_scripts.py"
SOURCE = "source_1front"


def picture(seed: int, height: int = 256, width: int = 176) -> np.ndarray:
    """An 8-bit figure of random stripes on white, uint8 (H, W, 3)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    middle, half = width / 2 + rng.uniform(-10, 10), rng.uniform(25, 40)
    figure = (np.abs(x - middle) < half + 10 * np.sin(y / rng.uniform(20, 40)))[..., None]
    periods = rng.uniform(6, 14, 3)
    stripes = 0.5 + 0.4 * np.sin(np.stack([x / periods[0], y / periods[1], (x + y) / periods[2]], -1))
    return np.round(np.where(figure, stripes, 1.0) * 255).astype(np.uint8)


def imitation(image: np.ndarray, seed: int, noise: float = 0.04) -> np.ndarray:
    """What a method might make of an image: moved, paler and noisy."""
    pale = np.roll(image, 1 + seed % 4, 0) / 255 * 0.85 + 0.1
    return np.round((pale + np.random.default_rng(seed).normal(0, noise, image.shape)).clip(0, 1) * 255).astype(
        np.uint8
    )


def save(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


@pytest.fixture(scope="session")
def make_folders():
    """Writes `count` references p0.png, p1.png, ... into root/true and their imitations into root/made."""

    def make(root: Path, count: int, width: int = 176, noise: float = 0.04) -> tuple[Path, Path]:
        for i in range(count):
            image = picture(i, width=width)
            save(root / "true" / f"p{i}.png", image)
            save(root / "made" / f"{SOURCE}___p{i}_vis.png", imitation(image, i, noise))
        return root / "made", root / "true"

    return make


@pytest.fixture(scope="session")
def draw():
    """The functions `picture`, `imitation` and `save`."""
    return types.SimpleNamespace(picture=picture, imitation=imitation, save=save)


@pytest.fixture(scope="session")
def usual():
    """benchmarks/usual_scripts.py."""
    spec = importlib.util.spec_from_file_location("usual_scripts", USUAL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
