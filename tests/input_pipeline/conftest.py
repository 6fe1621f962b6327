"""A small folder in the field's layout, made of coloured noise, and sources kept in memory.

Makes the modules beside it importable, too, which hold what is too much for one test file.
"""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from input_pipeline.pair import Pair

sys.path.insert(0, str(Path(__file__).parent))

HEIGHT, WIDTH = 256, 176


def image_bytes(picture, kind="png"):
    """The array as bytes of an image file."""
    data = io.BytesIO()
    Image.fromarray(picture).save(data, kind)
    return data.getvalue()


def with_a_face(labels, pose):
    """The map with a little face around nose and eyes, as maps that mean what they say have."""
    labels = labels.copy()
    for y, x in np.round(np.asarray(pose)[[0, 14, 15]]).astype(int):
        if y >= 0 and x >= 0:
            labels[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2] = 5
    return labels


@pytest.fixture(scope="session")
def faced():
    return with_a_face


class Folder:
    """Writes and breaks a folder of pictures a0.jpg, a1.jpg, ..., each paired with the next."""

    def __init__(self, root, count=4, split="train"):
        self.root, self.split, self.count = root, split, count
        self.names = [f"a{number}.jpg" for number in range(count)]
        self.images, self.labels = root / split, root / f"{split}SPL8"
        self.images.mkdir()
        self.labels.mkdir()
        self.annotations = root / f"fasion-resize-annotation-{split}.csv"
        self.pairs = root / f"fasion-pairs-{split}.csv"
        rng = np.random.default_rng(0)
        self.pictures, self.maps, self.poses = {}, {}, {}
        for name in self.names:
            coarse = rng.integers(0, 255, (16, 11, 3), np.uint8)
            self.pictures[name] = np.kron(coarse, np.ones((16, 16, 1), np.uint8))
            self.maps[name] = np.kron(rng.integers(0, 8, (32, 22), np.uint8), np.ones((8, 8), np.uint8))
            pose = np.stack([rng.integers(0, HEIGHT, 18), rng.integers(0, WIDTH, 18)], axis=-1)
            pose[rng.integers(2, 18)] = -1
            self.poses[name] = pose
            self.maps[name] = with_a_face(self.maps[name], pose)
            self.write_image(name, self.pictures[name])
            self.write_labels(name, self.maps[name])
        self.write_poses(self.poses)
        self.write_pairs(zip(self.names, self.names[1:] + self.names[:1], strict=True))

    def write_image(self, name, picture, **options):
        image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
        image.save(self.images / name, quality=95, **options)

    def write_labels(self, name, labels):
        image = labels if isinstance(labels, Image.Image) else Image.fromarray(labels)
        image.save(self.labels / name.replace(".jpg", ".png"))

    def write_poses(self, poses):
        lines = [
            f"{name}: {json.dumps(pose[:, 0].tolist())}: {json.dumps(pose[:, 1].tolist())}"
            for name, pose in poses.items()
        ]
        self.annotations.write_text("\n".join(["name:keypoints_y:keypoints_x", *lines]) + "\n")

    def write_pairs(self, pairs):
        self.pairs.write_text("".join(f"{first},{second}\n" for first, second in [("from", "to"), *pairs]))


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


class MemorySource:
    """Pairs of noise whose first pixel tells the index of the pair; counts what is read."""

    frame = (16, 12)

    def __init__(self, count):
        rng = np.random.default_rng(1)
        self.seen = []
        self._pairs = []
        for index in range(count):
            pictures = rng.integers(0, 255, (2, 16, 12, 3), np.uint8)
            pictures[:, :, [0, -1]] = index
            maps = rng.integers(0, 8, (2, 16, 12), np.uint8)
            poses = rng.uniform(0, 11, (2, 18, 2)).astype(np.float32)
            self._pairs.append(
                Pair(
                    source_image=image_bytes(pictures[0]),
                    source_pose=poses[0],
                    source_parsing=image_bytes(maps[0]),
                    target_image=image_bytes(pictures[1]),
                    target_pose=poses[1],
                    target_parsing=image_bytes(maps[1]),
                    face_box=np.array([1, 2, 5, 7], np.float32),
                    source_name=f"source{index}",
                    target_name=f"target{index}",
                )
            )

    def __len__(self):
        return len(self._pairs)

    def read(self, index):
        self.seen.append(index)
        return self._pairs[index]

    def names(self, index):
        return self._pairs[index].source_name, self._pairs[index].target_name

    def where(self, index, key):
        return f"memory, pair {index}, {key}"


@pytest.fixture
def memory_source():
    return MemorySource
