"""Joints in files of one picture each, beside OpenPose's: MediaPipe's landmarks, PIDM's texts, tables of labels."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from scrn_jax.errors import UserError
from scrn_jax.person.joint_points import Detected, Joints, files_of, joints_from_points, neck
from scrn_jax.person.joints import FRACTIONS, MISSING, NAMES, NUM_JOINTS, joints_from_lists
from scrn_jax.runtime.files import Problems, is_number, meet, read_json, read_table, read_text

_MEDIAPIPE = 33
_TEXT_BYTES = 1 << 16
# PIDM's files are of DeepFashion's square pictures, side bars and all.
_PIDM_FRAME = (256, 256)
_LISTS = ("pose_landmarks", "poseLandmarks", "landmarks")


def read_mediapipe(folder: str | Path, problems: Problems | None = None, options: Detected | None = None) -> Joints:
    """A folder of `NAME.json` files of MediaPipe's 33 landmarks, as fractions of the picture.

    A file holds a list of {"x", "y", "visibility"}, or a list of such lists, one a person; or either under the key
    pose_landmarks or landmarks. Landmarks without a visibility are seen. Raises UserError for what is malformed, or
    appends it to `problems` and leaves the file out.
    """
    read, options = Joints(), options or Detected()
    for name, file in files_of(Path(folder), ".json"):
        try:
            people = _landmark_lists(read_json(file), str(file))
            read.canvases[name] = FRACTIONS
            read.add(name, [_landmarks(person, str(file)) for person in people], str(file), options)
        except UserError as error:
            meet(error, problems)
    return read


def _landmark_lists(content: Any, where: str) -> list[Any]:
    if isinstance(content, dict):
        content = next((content[key] for key in _LISTS if key in content), None)
        if isinstance(content, dict):
            content = content.get("landmark")
    if not isinstance(content, list):
        raise UserError(f"{where}: has no list of landmarks; this is not what MediaPipe's results hold")
    return [content] if content and isinstance(content[0], dict) else content


def _landmarks(person: Any, where: str) -> np.ndarray:
    """(33, 3) of x, y and visibility."""
    if not isinstance(person, list) or len(person) != _MEDIAPIPE or not all(isinstance(one, dict) for one in person):
        raise UserError(f"{where}: a person is a list of {_MEDIAPIPE} landmarks in MediaPipe; write the file anew")
    rows = [(one.get("x"), one.get("y"), one.get("visibility", 1.0)) for one in person]
    if not all(is_number(value) for row in rows for value in row):
        raise UserError(f"{where}: a landmark's x, y or visibility is no finite number; write the file anew")
    return np.array(rows, np.float64)


def read_pidm(folder: str | Path, problems: Problems | None = None) -> Joints:
    """A folder of PIDM's `NAME.txt` files: 18 lines `x y` in pixels of the 256x256 picture, missing ones -1.

    Raises UserError for what is malformed, or appends it to `problems` and leaves the file out.
    """
    read = Joints()
    for name, file in files_of(Path(folder), ".txt"):
        try:
            rows = [line.split() for line in read_text(file, _TEXT_BYTES).splitlines() if line.strip()]
            if len(rows) != NUM_JOINTS or not all(len(row) >= 2 for row in rows):
                raise UserError(f"{file}: not {NUM_JOINTS} lines of x y; write it anew, or take the right folder")
            xs, ys = ([_number(row[at], str(file)) for row in rows] for at in (0, 1))
            read[name] = joints_from_lists(ys, xs, str(file))
            read.canvases[name] = _PIDM_FRAME
        except UserError as error:
            meet(error, problems)
    return read


def read_labelled(folder: str | Path, problems: Problems | None = None, options: Detected | None = None) -> Joints:
    """A folder of `NAME.csv` files with the columns x,y,confidence,label: a row is a joint, `label` its name.

    Names are ours or COCO's, in any case, with spaces or underscores; others (toes, hips' middle) are passed over.
    Without a neck its place is filled by the middle of the shoulders. Raises UserError for what is malformed, or
    appends it to `problems` and leaves the file out.
    """
    read, options = Joints(), options or Detected()
    for name, file in files_of(Path(folder), ".csv"):
        try:
            points = np.zeros((NUM_JOINTS, 3))
            known = 0
            for line, (x, y, confidence, label) in read_table(file, ("x", "y", "confidence", "label")):
                plain = re.sub(r"[\s_-]+", " ", label.strip().lower())
                if plain in NAMES:
                    values = [_number(value or "0", f"{file}, line {line}") for value in (x, y, confidence)]
                    points[NAMES.index(plain)] = values
                    known += 1
            if not known:
                raise UserError(f"{file}: no label is a joint's name, such as nose or right_shoulder; mend the labels")
            if points[1, 2] <= 0:
                points[1] = neck(points)
            read.scores = (min(read.scores[0], points[:, 2].min()), max(read.scores[1], points[:, 2].max()))
            read[name] = joints_from_points(points, str(file), options.min_confidence)
        except UserError as error:
            meet(error, problems)
    return read


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not is_number(value):
        raise UserError(f"{where}: {text!r} is no finite number; write {MISSING:.0f} for a missing joint")
    return value
