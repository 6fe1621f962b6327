"""Readers of the joint files that users bring. Each returns {image name: joints float32 (18, 2)}, y first, missing -1.

A reader parses its own layout and hands every person to `joints_from_lists`, which holds the checks they share. Here:
the DeepFashion CSV; OpenPose, COCO and NumPy files in `detections`, and `detections.read_joints` chooses among all.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from scrn_jax.errors import UserError
from scrn_jax.person.joints import MISSING, NUM_JOINTS
from scrn_jax.runtime.files import Problems, meet, read_lines

_HEADER = "name:keypoints_y:keypoints_x"


def is_number(value: object) -> bool:
    """Whether a JSON value is a finite number that float32 can hold; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e38


def joints_from_lists(ys: Sequence[float], xs: Sequence[float], where: str) -> np.ndarray:
    """Joints float32 (18, 2) from two lists of 18 numbers; a joint with either coordinate -1 is missing.

    Raises UserError naming `where` for another count, for anything but numbers, and for NaN or infinity.
    """
    for axis, values in (("y", ys), ("x", xs)):
        if not isinstance(values, Sequence) or isinstance(values, str):
            raise UserError(f"{where}: keypoints_{axis} must be a list of {NUM_JOINTS} numbers, got {values!r}")
        if len(values) != NUM_JOINTS:
            raise UserError(
                f"{where}: {len(values)} values in keypoints_{axis} instead of {NUM_JOINTS}; joints must be in the "
                "18-joint OpenPose order with the neck (COCO's 17 have none: add the middle of the shoulders)"
            )
        for value in values:
            if not is_number(value):
                raise UserError(
                    f"{where}: {value!r} in keypoints_{axis} is not a finite number; write -1 for a missing joint"
                )
            if abs(value) > 1e6:
                raise UserError(f"{where}: {value!r} in keypoints_{axis} is no pixel; mend or remove the line")
    joints = np.stack([ys, xs], axis=-1).astype(np.float32)
    joints[(joints == MISSING).any(axis=-1)] = MISSING
    return joints


def read_deepfashion(path: str | Path, problems: Problems | None = None) -> dict[str, np.ndarray]:
    """The DeepFashion field's annotation CSV: `name: [18 y]: [18 x]` under the header name:keypoints_y:keypoints_x.

    Raises UserError naming file, line, record and mend for a wrong header or separator, a wrong number of joints,
    values that are not finite numbers, and a name given twice with different joints. With a list of `problems`, what
    is wrong with single lines is appended to it instead, and those lines are left out.
    """
    lines = read_lines(path)
    if not lines or lines[0].replace(" ", "") != _HEADER:
        first = lines[0][:80] if lines else "nothing"
        raise UserError(f"{path}, line 1: expected the header {_HEADER} (separator ':'), found {first!r}")
    people: dict[str, np.ndarray] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        try:
            name, joints = _deepfashion_line(line, f"{path}, line {number}")
        except UserError as error:
            meet(error, problems)
            continue
        if name in people and not np.array_equal(people[name], joints):
            twice = f"{path}, line {number}, {name}: given twice with different joints; remove one of them"
            meet(UserError(twice), problems)
        people[name] = joints
    if not people and not problems:
        raise UserError(f"{path}: holds no annotations under its header; fill it or take the right file")
    return people


def _deepfashion_line(line: str, where: str) -> tuple[str, np.ndarray]:
    """Name and joints of one line of the DeepFashion CSV."""
    fields = line.split(":")
    if len(fields) != 3:
        raise UserError(
            f"{where}: {len(fields)} fields instead of 3; write `name: [y of 18 joints]: [x of 18 joints]` with the "
            "separator ':'"
        )
    name = fields[0].strip()
    where = f"{where}, {name}"
    try:
        ys, xs = json.loads(fields[1]), json.loads(fields[2])
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: keypoints must be two JSON lists of {NUM_JOINTS} integers ({error})") from error
    return name, joints_from_lists(ys, xs, where)
