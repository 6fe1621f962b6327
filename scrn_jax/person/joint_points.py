"""Detected points to the 18 joints: the layouts that detectors write, and which of several people is meant."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from scrn_jax.errors import UserError
from scrn_jax.person.joints import MISSING, NUM_JOINTS, joints_from_lists
from scrn_jax.runtime.files import is_number
from scrn_jax.runtime.folders import list_files

# Detectors give a joint that they did not find a confidence of 0, and guesses a little more.
MIN_CONFIDENCE = 0.1

# Where our 18 joints stand in each layout. Where there is no neck, its place is filled by the middle of the shoulders.
_FROM_BODY_25 = [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18]
_FROM_COCO_17 = [0, 0, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3]
_FROM_MEDIAPIPE_33 = [0, 0, 12, 14, 16, 11, 13, 15, 24, 26, 28, 23, 25, 27, 5, 2, 8, 7]
_ORDERS = {25: _FROM_BODY_25, 18: list(range(NUM_JOINTS)), 17: _FROM_COCO_17, 33: _FROM_MEDIAPIPE_33}
_NECK, _SHOULDERS = 1, (2, 5)

# Which of several people in a picture is meant.
CHOICES = ("score", "largest", "central")
Size = tuple[int, int]
SizeOf = Callable[[str], Size | None]


class Joints(dict[str, np.ndarray]):
    """Image name -> joints float32 (18, 2).

    Attributes: `canvases`, by name, (height, width) of the picture in whose pixels a file says that its joints are, or
    `joints.FRACTIONS`; `several`, by name, how many people a picture shows; `scores`, lowest and highest confidence.
    """

    def __init__(self):
        super().__init__()
        self.canvases: dict[str, Size] = {}
        self.several: dict[str, int] = {}
        self.scores = (0.0, 0.0)

    def add(self, name: str, people: list[np.ndarray], where: str, options: "Detected") -> None:
        """The person that is meant among `people`, each (P, 3) of (x, y, confidence); nobody gives missing joints."""
        found = [points for points in people if (points[:, 2] >= options.least).any()]
        if len(found) > 1:
            self.several[name] = len(found)
        for points in found:
            self.scores = (min(self.scores[0], points[:, 2].min()), max(self.scores[1], points[:, 2].max()))
        if not found:
            self[name] = np.full((NUM_JOINTS, 2), MISSING, np.float32)
            return
        points = found[0] if len(found) == 1 else options.chosen(found, name, self.canvases.get(name), where)
        self[name] = joints_from_points(points, where, options.min_confidence)


class Detected:
    """How detected people are read: points below `min_confidence` are missing; `person`, one of CHOICES, is who counts;
    `size_of` a picture's name is its (height, width), for "central"."""

    def __init__(self, min_confidence: float = MIN_CONFIDENCE, person: str = "score", size_of: SizeOf | None = None):
        self.min_confidence, self.person, self._size_of = min_confidence, person, size_of
        self.least = max(min_confidence, 1e-9)

    def chosen(self, people: list[np.ndarray], name: str, canvas: Size | None, where: str) -> np.ndarray:
        """Whom `person` means: the highest sum of confidences, the largest, or the nearest to the middle."""
        if self.person == "score":
            return max(people, key=lambda points: (points[:, 2].sum(), self._extent(points).sum()))
        if self.person == "largest":
            return max(people, key=lambda points: self._extent(points).prod())
        size = canvas or (self._size_of(name) if self._size_of else None)
        if size is None:
            raise UserError(f"{where}: where its middle is, no picture says; choose joints.person = 'largest'")
        middle = np.array(size[::-1]) / 2
        return min(people, key=lambda points: np.hypot(*(self._box(points).mean(axis=0) - middle)))

    def _box(self, points: np.ndarray) -> np.ndarray:
        there = points[points[:, 2] >= self.least, :2]
        return np.stack([there.min(axis=0), there.max(axis=0)])

    def _extent(self, points: np.ndarray) -> np.ndarray:
        return np.ptp(self._box(points), axis=0)


def joints_from_points(points: np.ndarray, where: str, min_confidence: float = MIN_CONFIDENCE) -> np.ndarray:
    """Joints float32 (18, 2), y first, from detected points (P, 3) of (x, y, confidence).

    P = 25 is OpenPose's BODY_25, 18 its COCO layout, 17 COCO's own and 33 MediaPipe's, whose neck becomes the middle of
    the shoulders. Points below `min_confidence` are missing. Raises UserError naming `where` for another P.
    """
    if len(points) not in _ORDERS:
        raise UserError(f"{where}: {len(points)} points; known are 25 (BODY_25), 18 (OpenPose COCO) and 17 (COCO)")
    ordered = points[_ORDERS[len(points)]].astype(np.float64)
    if len(points) in (17, 33):
        ordered[_NECK] = neck(ordered)
    found = ordered[:, 2] >= max(min_confidence, 1e-9)
    yx = np.where(found[:, None], ordered[:, 1::-1], MISSING)
    return joints_from_lists(yx[:, 0].tolist(), yx[:, 1].tolist(), where)


def neck(ordered: np.ndarray) -> np.ndarray:
    """The middle of the shoulders of (18, 3) points in our order, as sure as the less sure of them."""
    shoulders = ordered[list(_SHOULDERS)]
    return np.array([*shoulders[:, :2].mean(axis=0), shoulders[:, 2].min()])


def points_from_flat(flat: Any, where: str) -> np.ndarray:
    """A JSON list x, y, confidence, x, y, ... as (P, 3); raises UserError when it is none."""
    if not isinstance(flat, list) or not flat or len(flat) % 3:
        raise UserError(f"{where}: keypoints must be one flat list of x, y, confidence; write the file anew")
    for value in flat:
        if not is_number(value):
            raise UserError(f"{where}: {value!r} among the keypoints is no finite number; write 0 for a missing point")
    return np.array(flat, np.float64).reshape(-1, 3)


def files_of(folder: Path, suffix: str) -> list[tuple[str, Path]]:
    """(picture's name without its suffix, file) of the files with `suffix`. Raises UserError when there are none."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; it should hold one file of joints per picture")
    listed = list_files(folder).files
    found = [(name[: -len(suffix)], Path(path)) for name, path in listed if name.lower().endswith(suffix)]
    if not found:
        raise UserError(f"{folder}: holds no *{suffix}; it should hold one file of joints per picture")
    return found
