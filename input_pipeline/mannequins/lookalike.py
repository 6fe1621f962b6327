"""Embedded people written to disk as DeepFashion is on users' disks, in any of its variants.

    python -m input_pipeline.mannequins.lookalike --output DIR --images 2000 --variant flat

For tests and benchmarks, and to try the commands that read DeepFashion without having it.
"""

import argparse
import csv
import io
import itertools
import json
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from input_pipeline.mannequins.people import EncodedView, PersonTask, render_people
from scrn_jax.person import joints
from scrn_jax.runtime.workers import cores

HEIGHT, WIDTH, BAR = 256, 176, 40
HIGHRES = (1101, 750)
_SHELVES = ("MEN/Shirts_Polos", "WOMEN/Dresses", "MEN/Tees_Tanks", "WOMEN/Blouses_Shirts", "WOMEN/Graphic_Tees")
_POSES = ("1_front", "2_side", "3_back", "4_full", "7_additional", "6_flat")


class Variant(NamedTuple):
    """One way that the set lies on disk: where the images go, whether images, maps and joints have side bars."""

    images: str
    tree: bool
    square: bool
    highres: bool
    spelling: str
    index_column: bool


VARIANTS = {
    "flat": Variant("", False, False, False, "fasion-resize-", False),
    "tree": Variant("img", True, True, False, "fashion-", True),
    "zip": Variant("img.zip", True, True, False, "fasion-", False),
    "highres": Variant("img_highres", True, False, True, "fashion-resize-", True),
}


class Shot(NamedTuple):
    """One picture with its names in both layouts."""

    split: str
    path: str
    flat_name: str
    view: EncodedView


def render(images: int, views: int = 4, seed: int = 0, processes: int | None = None) -> list[Shot]:
    """At least `images` pictures of 256x176, `views` of each person; every fifth person is in the test split."""
    people = -(-images // views)
    tasks = [PersonTask(seed, who, views, HEIGHT, WIDTH) for who in range(people)]
    shots = []
    for task, pictures in zip(tasks, render_people(tasks, processes or min(cores(), people)), strict=True):
        shelf = _SHELVES[task.identity % len(_SHELVES)]
        item, colour = f"{task.identity + 1:08d}", task.identity % 7 + 1
        for number, view in enumerate(pictures):
            pose = _POSES[number % len(_POSES)]
            colour_and_round = f"{colour + number // len(_POSES):02d}"
            path = f"{shelf}/id_{item}/{colour_and_round}_{pose}.jpg"
            gender, category = shelf.split("/")
            flat = f"fashion{gender}{category}id{item}{colour_and_round}_{pose.replace('_', '')}.jpg"
            shots.append(Shot("test" if task.identity % 5 == 4 else "train", path, flat, view))
    return shots


def write(root: Path, shots: list[Shot], variant: Variant) -> None:
    """Writes the pictures with their annotations, pairs and lists into the new folder `root`."""
    root.mkdir(parents=True)
    if variant.images.endswith(".zip"):
        with zipfile.ZipFile(root / variant.images, "w") as archive:
            for shot in shots:
                archive.writestr(f"img/{shot.path}", _image(shot.view, variant))
    else:
        for shot in shots:
            folder = root / (variant.images or shot.split)
            _write_file(folder / (shot.path if variant.tree else shot.flat_name), _image(shot.view, variant))
    for split in ("train", "test"):
        _write_split(root, split, [shot for shot in shots if shot.split == split], variant)


def _write_file(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


def _image(view: EncodedView, variant: Variant) -> bytes:
    image = Image.open(io.BytesIO(view.image)).convert("RGB")
    if variant.square:
        image = Image.fromarray(np.pad(np.asarray(image), ((0, 0), (BAR, BAR), (0, 0)), constant_values=255))
    if variant.highres:
        image = image.resize(HIGHRES[::-1], Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    # Full colour resolution: with it, blocks of 8 columns keep the side bars apart from the picture.
    image.save(stream, "jpeg", quality=95, subsampling=0)
    return stream.getvalue()


def _write_split(root: Path, split: str, shots: list[Shot], variant: Variant) -> None:
    offset = BAR if variant.square else 0
    lines = ["name:keypoints_y:keypoints_x"]
    for shot in shots:
        pose = np.round(shot.view.joints).astype(int)
        pose[joints.present(shot.view.joints), 1] += offset
        lines.append(f"{shot.flat_name}: {json.dumps(pose[:, 0].tolist())}: {json.dumps(pose[:, 1].tolist())}")
        labels = shot.view.labels
        if variant.square:
            padded = np.pad(np.asarray(Image.open(io.BytesIO(labels))), ((0, 0), (BAR, BAR)))
            stream = io.BytesIO()
            Image.fromarray(padded).save(stream, "png")
            labels = stream.getvalue()
        _write_file(root / f"{split}SPL8" / shot.flat_name.replace(".jpg", ".png"), labels)
    (root / f"{variant.spelling}annotation-{split}.csv").write_text("\n".join(lines) + "\n", "utf-8")
    (root / f"{split}.lst").write_text("".join(f"{shot.flat_name}\n" for shot in shots), "utf-8")
    with (root / f"{variant.spelling}pairs-{split}.csv").open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow([*([""] if variant.index_column else []), "from", "to"])
        for number, pair in enumerate(_pairs(shots)):
            rows.writerow([*([number] if variant.index_column else []), *pair])


def _pairs(shots: list[Shot]) -> list[tuple[str, str]]:
    people = itertools.groupby(shots, key=lambda shot: shot.path.rpartition("/")[0])
    return [pair for _, own in people for pair in itertools.permutations([shot.flat_name for shot in own], 2)]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="a folder that is not there yet")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument(
        "--variant", choices=(*VARIANTS, "all"), default="flat", help="all: each into a folder of its name"
    )
    arguments = parser.parse_args()
    shots = render(arguments.images)
    for name in VARIANTS if arguments.variant == "all" else (arguments.variant,):
        write(arguments.output / name if arguments.variant == "all" else arguments.output, shots, VARIANTS[name])


if __name__ == "__main__":
    main()
