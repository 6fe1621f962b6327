"""Files of joints as users bring them, and the one entrance. Each reader gives {image name: joints float32 (18, 2)}.

The DeepFashion CSV; OpenPose JSON (BODY_25 and COCO-18), COCO-17 and NumPy files as detectors write them; others are in
`landmark_files`. A reader parses its own layout and hands every person to `joints.joints_from_lists`, which holds the
checks they share. Files of one picture each are named like the picture, without its suffix; so are the keys here.
"""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from scrn_jax.errors import UserError, first_line
from scrn_jax.person.joint_points import (
    Detected,
    Joints,
    files_of,
    joints_from_points,
    points_from_flat,
)
from scrn_jax.person.joints import FRACTIONS, MISSING, NUM_JOINTS, joints_from_lists
from scrn_jax.person.landmark_files import read_labelled, read_mediapipe, read_pidm
from scrn_jax.runtime.file_bytes import read_bytes
from scrn_jax.runtime.files import Problems, is_number, meet, read_json, read_lines
from scrn_jax.runtime.nesting import parse_json

_MAX_ARRAY_BYTES = 1 << 16
_HEADER = "name:keypoints_y:keypoints_x"


def read_openpose(folder: str | Path, problems: Problems | None = None, options: Detected | None = None) -> Joints:
    """A folder of OpenPose's `NAME_keypoints.json` files (BODY_25 or COCO-18), in pixels of the pictures.

    A file may say of what canvas (canvas_width, canvas_height), and then hold fractions of it; and be a list of one
    frame. Nobody gives 18 missing joints. Raises UserError for what is malformed, or appends it to `problems` and
    leaves the file out.
    """
    read, options = Joints(), options or Detected()
    for name, file in files_of(Path(folder), ".json"):
        try:
            content = _one_frame(read_json(file), str(file))
            add_openpose(read, name.removesuffix("_keypoints"), content, str(file), options)
        except UserError as error:
            meet(error, problems)
    return read


def add_openpose(read: Joints, name: str, content: Any, where: str, options: Detected) -> None:
    """Adds to `read`, as `name`, the person that is meant in what a file of OpenPose's output, `where`, holds.

    Raises UserError for what is malformed.
    """
    people = content.get("people") if isinstance(content, dict) else None
    if not isinstance(people, list) or not all(isinstance(person, dict) for person in people):
        raise UserError(f"{where}: has no list of `people`; this is not OpenPose's output")
    key = "pose_keypoints_2d"
    found = [points_from_flat(person.get(key), f"{where}, {key} of person {n}") for n, person in enumerate(people)]
    _note_canvas(read, name, content.get("canvas_height"), content.get("canvas_width"), found)
    read.add(name, found, where, options)


def _one_frame(content: Any, where: str) -> Any:
    """The content of a file, or the only frame of a list of frames. Raises UserError for a list of several."""
    if isinstance(content, list) and content and all(isinstance(frame, dict) for frame in content):
        if len(content) > 1:
            raise UserError(f"{where}: a list of {len(content)} frames; write one file for each picture")
        return content[0]
    return content


def _note_canvas(read: Joints, name: str, height: Any, width: Any, people: list[np.ndarray]) -> None:
    """Notes of what picture the joints of `name` are, if their file says so."""
    if all(is_number(side) and 1 <= side <= 1 << 16 for side in (height, width)):
        there = [points[points[:, 2] > 0, :2] for points in people]
        fractions = any(len(points) for points in there) and all((points <= 1).all() for points in there)
        read.canvases[name] = FRACTIONS if fractions else (int(height), int(width))


def read_coco(path: str | Path, problems: Problems | None = None, options: Detected | None = None) -> Joints:
    """COCO's 17 keypoints in one JSON file, {"images": [...], "annotations": [...]} with `file_name`s, in pixels.

    Images may have a height and width, of which the keypoints then are. A list of results is read, too, when each has
    the name of its picture as `image_id` or `file_name`. The neck is the middle of the shoulders. People without a
    keypoint do not count. Raises UserError for what is malformed, or appends it to `problems` and leaves the record
    out.
    """
    people: dict[str, list[np.ndarray]] = {}
    read, options = Joints(), options or Detected()
    content = read_json(path)
    for where, name, flat in _coco_records(content, str(path), problems):
        try:
            points = points_from_flat(flat, where)
            if len(points) != 17:
                raise UserError(f"{where}: {len(points)} keypoints instead of COCO's 17; take the file for its layout")
            people.setdefault(name, []).append(points)
        except UserError as error:
            meet(error, problems)
    if not people and not problems:
        raise UserError(f"{path}: holds no annotations; fill it or take the right file")
    sizes = _coco_sizes(content)
    for name, found in people.items():
        try:
            if name in sizes:
                _note_canvas(read, name, *sizes[name], found)
            read.add(name, found, f"{path}, {name}", options)
        except UserError as error:
            meet(error, problems)
    return read


def _coco_sizes(content: Any) -> dict[str, tuple[Any, Any]]:
    """(height, width) of the images that have them, by name."""
    images = content.get("images") if isinstance(content, dict) else None
    images = images if isinstance(images, list) else []
    found = (image for image in images if isinstance(image, dict))
    return {str(image.get("file_name", "")): (image.get("height"), image.get("width")) for image in found}


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
    read = Joints()
    for name, file in files_of(Path(folder), ".npy"):
        try:
            read[name] = _read_array(file)
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
        wrong = f"{file}: not (18, 2) numbers of (y, x), missing -1 ({first_line(error)}); write it anew"
        raise UserError(wrong) from error
    if len(points) == NUM_JOINTS:
        return joints_from_lists(points[:, 0].tolist(), points[:, 1].tolist(), str(file))
    if not np.isfinite(points).all():
        raise UserError(f"{file}: a value is not a finite number; write -1 for a missing joint")
    there = (points > MISSING).all(axis=1)
    return joints_from_points(np.column_stack([points[:, ::-1], there]), str(file))


def read_deepfashion(path: str | Path, problems: Problems | None = None) -> Joints:
    """The DeepFashion field's annotation CSV: `name: [18 y]: [18 x]` under the header name:keypoints_y:keypoints_x.

    Raises UserError naming file, line, record and mend for a wrong header or separator, a wrong number of joints,
    values that are not finite numbers, and a name given twice with different joints. With a list of `problems`, what
    is wrong with single lines is appended to it instead, and those lines are left out.
    """
    lines = read_lines(path)
    if not lines or lines[0].replace(" ", "") != _HEADER:
        first = lines[0][:80] if lines else "nothing"
        raise UserError(f"{path}, line 1: expected the header {_HEADER} (separator ':'), found {first!r}")
    people = Joints()
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
        ys, xs = parse_json(fields[1]), parse_json(fields[2])
    except ValueError as error:
        raise UserError(f"{where}: keypoints must be two JSON lists of {NUM_JOINTS} integers ({error})") from error
    return name, joints_from_lists(ys, xs, where)


# The formats by the names that a manifest uses.
READERS: dict[str, Callable[..., Joints]] = {
    "deepfashion": read_deepfashion,
    "openpose": read_openpose,
    "coco": read_coco,
    "npy": read_arrays,
    "mediapipe": read_mediapipe,
    "labelled": read_labelled,
    "pidm": read_pidm,
}
_DETECTED = ("openpose", "coco", "mediapipe", "labelled")


def read_joints(
    kind: str, path: str | Path, problems: Problems | None = None, options: Detected | None = None
) -> Joints:
    """Joints by picture name from `path`, a file or folder in the format `kind`, one of READERS.

    Formats without confidences ignore `options`. Raises UserError, or appends to `problems`, as the readers do.
    """
    if kind not in READERS:
        raise UserError(f"unknown format of joints {kind!r}: choose one of {', '.join(READERS)}")
    return READERS[kind](path, problems, *([options] if kind in _DETECTED else []))
