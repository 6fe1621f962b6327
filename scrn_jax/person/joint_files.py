"""Files of joints as users bring them, and the one entrance. Each reader gives {image name: joints float32 (18, 2)}.

The DeepFashion CSV; OpenPose JSON (BODY_25 and COCO-18), COCO-17 and NumPy files as detectors write them. A reader
parses its own layout and hands every person to `joints.joints_from_lists`, which holds the checks they share. Files of
one picture each (OpenPose, NumPy) are named like the picture, without its suffix; so are the keys here.
"""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from scrn_jax.errors import UserError
from scrn_jax.person.joints import MISSING, NUM_JOINTS, joints_from_lists
from scrn_jax.runtime.files import Problems, is_number, meet, read_bytes, read_json, read_lines

# Detectors give a joint that they did not find a confidence of 0, and guesses a little more.
MIN_CONFIDENCE = 0.1

# Where our 18 joints stand in each layout. COCO-17 has no neck: its place is filled by the middle of the shoulders.
_FROM_BODY_25 = [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18]
_FROM_COCO_17 = [0, 0, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3]
_NECK, _SHOULDERS = 1, (2, 5)
_MAX_ARRAY_BYTES = 1 << 16

Joints = dict[str, np.ndarray]

_HEADER = "name:keypoints_y:keypoints_x"


def joints_from_points(points: np.ndarray, where: str, min_confidence: float = MIN_CONFIDENCE) -> np.ndarray:
    """Joints float32 (18, 2), y first, from detected points (P, 3) of (x, y, confidence).

    P = 25 is OpenPose's BODY_25, 18 its COCO layout, 17 COCO's own, whose neck becomes the middle of the shoulders.
    Points below `min_confidence` are missing. Raises UserError naming `where` for another P.
    """
    orders = {25: _FROM_BODY_25, 18: list(range(NUM_JOINTS)), 17: _FROM_COCO_17}
    if len(points) not in orders:
        raise UserError(f"{where}: {len(points)} points; known are 25 (BODY_25), 18 (OpenPose COCO) and 17 (COCO)")
    ordered = points[orders[len(points)]].astype(np.float64)
    if len(points) == 17:
        shoulders = ordered[list(_SHOULDERS)]
        ordered[_NECK] = [*shoulders[:, :2].mean(axis=0), shoulders[:, 2].min()]
    found = ordered[:, 2] >= max(min_confidence, 1e-9)
    yx = np.where(found[:, None], ordered[:, 1::-1], MISSING)
    return joints_from_lists(yx[:, 0].tolist(), yx[:, 1].tolist(), where)


def _points(flat: Any, where: str) -> np.ndarray:
    """A JSON list x, y, confidence, x, y, ... as (P, 3); raises UserError when it is none."""
    if not isinstance(flat, list) or not flat or len(flat) % 3:
        raise UserError(f"{where}: keypoints must be one flat list of x, y, confidence; write the file anew")
    for value in flat:
        if not is_number(value):
            raise UserError(f"{where}: {value!r} among the keypoints is no finite number; write 0 for a missing point")
    return np.array(flat, np.float64).reshape(-1, 3)


def _best(people: list[np.ndarray]) -> np.ndarray:
    """The person with the highest sum of confidences, the larger one of equals."""
    return max(people, key=lambda points: (points[:, 2].sum(), np.ptp(points[points[:, 2] > 0, 1], axis=0).sum()))


def _files(folder: Path, pattern: str) -> list[Path]:
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; it should hold one file of joints per picture")
    files = sorted(folder.rglob(pattern))
    if not files:
        raise UserError(f"{folder}: holds no {pattern}; it should hold one file of joints per picture")
    return files


def read_openpose(
    folder: str | Path, problems: Problems | None = None, min_confidence: float = MIN_CONFIDENCE
) -> Joints:
    """A folder of OpenPose's `NAME_keypoints.json` files (BODY_25 or COCO-18), in pixels of the pictures.

    Of several people in a picture the one with the highest sum of confidences counts; nobody gives 18 missing joints.
    Raises UserError for what is malformed, or appends it to `problems` and leaves the file out.
    """
    read: Joints = {}
    for file in _files(Path(folder), "*.json"):
        key = file.relative_to(folder).with_suffix("").as_posix().removesuffix("_keypoints")
        try:
            content = read_json(file)
            people = content.get("people") if isinstance(content, dict) else None
            if not isinstance(people, list) or not all(isinstance(person, dict) for person in people):
                raise UserError(f"{file}: has no list of `people`; this is not OpenPose's output")
            found = [_points(person.get("pose_keypoints_2d"), str(file)) for person in people]
            read[key] = (
                joints_from_points(_best(found), str(file), min_confidence)
                if found
                else np.full((NUM_JOINTS, 2), MISSING, np.float32)
            )
        except UserError as error:
            meet(error, problems)
    return read


def read_coco(path: str | Path, problems: Problems | None = None, min_confidence: float = MIN_CONFIDENCE) -> Joints:
    """COCO's 17 keypoints in one JSON file, {"images": [...], "annotations": [...]} with `file_name`s, in pixels.

    A list of results is read, too, when each has the name of its picture as `image_id` or `file_name`. The neck is
    the middle of the shoulders. Of several people the one with the highest sum of confidences (or flags) counts.
    Raises UserError for what is malformed, or appends it to `problems` and leaves the record out.
    """
    people: dict[str, list[np.ndarray]] = {}
    for where, name, flat in _coco_records(read_json(path), str(path), problems):
        try:
            points = _points(flat, where)
            if len(points) != 17:
                raise UserError(f"{where}: {len(points)} keypoints instead of COCO's 17; take the file for its layout")
            people.setdefault(name, []).append(points)
        except UserError as error:
            meet(error, problems)
    if not people and not problems:
        raise UserError(f"{path}: holds no annotations; fill it or take the right file")
    read: Joints = {}
    for name, found in people.items():
        try:
            read[name] = joints_from_points(_best(found), f"{path}, {name}", min_confidence)
        except UserError as error:
            meet(error, problems)
    return read


def _coco_records(content: Any, path: str, problems: Problems | None) -> Iterator[tuple[str, str, Any]]:
    """(where, name of the picture, keypoints) of every annotation or result."""
    names: dict[Any, str] = {}
    records = content
    if isinstance(content, dict):
        records = content.get("annotations")
        images = content.get("images") if isinstance(content.get("images"), list) else []
        for image in images:
            if isinstance(image, dict) and isinstance(image.get("id"), int | str):
                names[image["id"]] = str(image.get("file_name", ""))
    if not isinstance(records, list):
        raise UserError(f"{path}: has no list of annotations; write COCO's keypoint format")
    for number, record in enumerate(records):
        where = f"{path}, annotation {number}"
        if not isinstance(record, dict):
            meet(UserError(f"{where}: is no object; mend or remove it"), problems)
            continue
        image_id = record.get("image_id")
        known = names.get(image_id) if isinstance(image_id, int | str) else None
        name = known or record.get("file_name") or (image_id if isinstance(image_id, str) else None)
        if not isinstance(name, str):
            meet(UserError(f"{where}: image_id {image_id!r} leads to no file_name; add the image"), problems)
            continue
        yield f"{where}, {name}", name, record.get("keypoints")


def read_arrays(folder: str | Path, problems: Problems | None = None) -> Joints:
    """A folder of `NAME.npy` files, each (18, 2) of (y, x) in pixels, missing joints (-1, -1); or (17, 2) as COCO has.

    Raises UserError for what is malformed, or appends it to `problems` and leaves the file out.
    """
    read: Joints = {}
    for file in _files(Path(folder), "*.npy"):
        try:
            read[file.relative_to(folder).with_suffix("").as_posix()] = _read_array(file)
        except UserError as error:
            meet(error, problems)
    return read


def _read_array(file: Path) -> np.ndarray:
    """The joints in one .npy file, whose header is checked before the rest is believed."""
    data = read_bytes(file, _MAX_ARRAY_BYTES, "write it anew")
    try:
        stream = io.BytesIO(data)
        version = np.lib.format.read_magic(stream)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(stream)
        if shape not in ((NUM_JOINTS, 2), (17, 2)) or dtype.kind not in "iuf":
            raise ValueError(f"it holds {dtype} {shape}")
        stream.seek(0)
        points = np.load(stream, allow_pickle=False).astype(np.float64)
    except (OSError, ValueError, EOFError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise UserError(f"{file}: not (18, 2) numbers of (y, x), missing -1 ({reason}); write it anew") from error
    if len(points) == NUM_JOINTS:
        return joints_from_lists(points[:, 0].tolist(), points[:, 1].tolist(), str(file))
    if not np.isfinite(points).all():
        raise UserError(f"{file}: a value is not a finite number; write -1 for a missing joint")
    there = (points > MISSING).all(axis=1)
    return joints_from_points(np.column_stack([points[:, ::-1], there]), str(file))


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


# The formats by the names that a manifest uses.
READERS: dict[str, Callable[..., Joints]] = {
    "deepfashion": read_deepfashion,
    "openpose": read_openpose,
    "coco": read_coco,
    "npy": read_arrays,
}


def read_joints(
    kind: str, path: str | Path, problems: Problems | None = None, min_confidence: float = MIN_CONFIDENCE
) -> Joints:
    """Joints by picture name from `path`, a file or folder in the format `kind`, one of READERS.

    Formats without confidences ignore `min_confidence`. Raises UserError, or appends to `problems`, as the readers do.
    """
    if kind not in READERS:
        raise UserError(f"unknown format of joints {kind!r}: choose one of {', '.join(READERS)}")
    options = {"min_confidence": min_confidence} if kind in ("openpose", "coco") else {}
    return READERS[kind](path, problems, **options)
