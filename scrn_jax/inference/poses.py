"""Target poses: a gallery of our own, poses from files, and fitting them to a person.

A pose is joints float32 (18, 2), (y, x) in any unit, missing ones (-1, -1); `retarget` puts it into a person's frame.
"""

import functools
import json
import os
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path

import numpy as np

from scrn_jax.errors import UserError
from scrn_jax.inference.checks import array_of
from scrn_jax.person import joints as joints_lib
from scrn_jax.person import regions as regions_lib
from scrn_jax.person.fitting import in_pixels
from scrn_jax.person.image_files import OTHER_SUFFIXES, SUFFIXES
from scrn_jax.person.joint_files import add_openpose
from scrn_jax.person.joint_points import Detected, Joints
from scrn_jax.person.joints import FRACTIONS, joints_from_lists
from scrn_jax.runtime.files import read_json

ASSET = "poses.json"
_LEAST_JOINTS = 4
_MOST_POSES, _MOST_BYTES = 4096, 1 << 22
# Lengths that measure a body whatever its pose, and what each is of the trunk's on average.
_MEASURES = (((1, 8), 1.0), ((1, 11), 1.0), ((2, 5), 0.69), ((0, 1), 0.45), ((8, 9), 0.79), ((11, 12), 0.79))
_HALVES = (((1, 2), 0.345), ((1, 5), 0.345))  # of the shoulders, where one of them is missing
# A measure counts from this share of the joints' spread on, which is some three trunks: what is shorter lies along the
# camera's line of sight, as shoulders do in an exact profile.
_LEAST_LENGTH = 0.1
_ENDS = ((3, 4), (6, 7), (9, 10), (12, 13))  # elbows and knees, and what hangs on them
# Ears as seen from behind, from the neck up and to either side, as shares of the trunk's length: medians of rendered
# people. Hair that ends so far above the neck joint leaves them free: of 1,900 pairs of views that is right for four in
# five.
_EARS_UP, _EARS_OUT, _FREE = 0.41, 0.15, 0.2
_HAIR_ENDS = 0.98  # of the hair's pixels are above its end
# Room at the frame's edges as a share of its sides, and above the eyes as a share of the trunk's length.
_EDGE, _HEAD = 0.03, 0.22
# Of room for arms: a hand's length as a share of the forearm's; what of the frame it may lack; the steps in which a
# frame grows, so that many poses share one; and the most.
_HAND, _SPARE, _STEPS, MOST_ROOM = 0.4, 0.03, 8, 2.0

# A name of the gallery, a file, or joints (18, 2) in any unit.
Pose = str | Path | np.ndarray


@functools.lru_cache(maxsize=1)
def _asset() -> Mapping[str, Mapping[str, list]]:
    return json.loads((resources.files("scrn_jax.inference") / "assets" / ASSET).read_text("utf-8"))


def names() -> tuple[str, ...]:
    """The gallery's poses."""
    return tuple(_asset()["poses"])


def named(name: str) -> np.ndarray:
    """A pose of the gallery, in frame heights. Raises UserError for another name."""
    if name not in _asset()["poses"]:
        raise UserError(f"no pose is called {name!r}; choose one of {', '.join(names())}, or give a file")
    return np.array(_asset()["poses"][name], np.float32)


def film_names() -> tuple[str, ...]:
    """The gallery's sequences of poses."""
    return tuple(_asset()["films"])


def film(name: str) -> np.ndarray:
    """A sequence of poses (N, 18, 2) of the gallery, in frame heights; it loops. Raises UserError for another name."""
    if name not in _asset()["films"]:
        raise UserError(f"no film is called {name!r}; choose one of {', '.join(film_names())}, or give a file")
    return np.array(_asset()["films"][name], np.float32)


def read(wanted: Pose, find: Callable[[str], np.ndarray]) -> list[np.ndarray]:
    """The poses that a name of the gallery, a JSON file, a photo or joints (18, 2) give; `find` looks at a photo.

    Raises UserError for what is none of these.
    """
    if isinstance(wanted, np.ndarray):
        return [check(wanted, "the target pose")]
    if not isinstance(wanted, str | Path):
        raise UserError(f"a pose is {type(wanted).__name__}; give a name of the gallery, a file, or an array (18, 2)")
    if str(wanted) in names():
        return [named(str(wanted))]
    suffix = Path(wanted).suffix.lower()
    if suffix in SUFFIXES + OTHER_SUFFIXES:  # whoever opens it says which are no photos that can be read
        return [find(str(wanted))]
    if suffix == ".json" or os.path.exists(wanted):  # Path's raises for names that no file can have
        return list(from_file(wanted))
    return [named(str(wanted))]


def from_file(path: str | Path) -> np.ndarray:
    """The poses (N, 18, 2) of a JSON file, as `from_content`; UserError, too, when there is no such file."""
    return from_content(read_json(path, _MOST_BYTES), path)


def from_content(content: object, path: str | Path) -> np.ndarray:
    """The poses (N, 18, 2) of what a JSON file `path` holds, in order.

    One pose is OpenPose's output, {"people": [{"pose_keypoints_2d": ...}]}, or 18 pairs (y, x) with [-1, -1] for
    missing joints, bare or as {"joints": ...}; several are a list of such, or {"poses": [...]}. Of several people the
    one with the highest confidences counts; fractions of a canvas, as `joint_files.read_openpose` knows them, become
    its pixels.

    Raises:
      UserError: no pose, another joint count, NaN, or fewer than 4 joints.
    """
    poses = content["poses"] if isinstance(content, dict) and "poses" in content else content
    poses = list(poses.values()) if isinstance(poses, dict) and poses and "poses" in content else poses
    many = isinstance(poses, list) and poses and not _is_pair(poses[0])
    poses = poses if many else [poses]
    if len(poses) > _MOST_POSES:
        raise UserError(f"{path}: {len(poses)} poses, at most {_MOST_POSES} are read; split it")
    return np.stack([_pose(pose, f"{path}, pose {index}" if many else str(path)) for index, pose in enumerate(poses)])


def _is_pair(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and not isinstance(value[0], list | dict)


def _pose(value: object, where: str) -> np.ndarray:
    if isinstance(value, dict) and "people" in value:
        return check(_openpose(value, where), where)
    value = value.get("joints") if isinstance(value, dict) else value
    if not isinstance(value, list) or not value or not all(_is_pair(point) for point in value):
        raise UserError(f"{where}: is no pose; write 18 pairs [y, x], or OpenPose's JSON")
    return check(joints_from_lists([point[0] for point in value], [point[1] for point in value], where), where)


def _openpose(content: dict, where: str) -> np.ndarray:
    """The joints (18, 2) of the person that is meant in OpenPose's output, in pixels."""
    if not content["people"]:
        raise UserError(f"{where}: has no person with `pose_keypoints_2d` as x, y, confidence; write the file anew")
    read = Joints()
    add_openpose(read, "", content, where, Detected())
    if (canvas := read.canvases.get("")) == FRACTIONS:
        return in_pixels(read[""], canvas, (content["canvas_height"], content["canvas_width"]))[0]
    return read[""]


def check(pose, where: str) -> np.ndarray:
    """The pose as float32 (18, 2), NaN as missing.

    Raises UserError naming `where` for another shape, too few joints, or joints all within a pixel.
    """
    pose = array_of(pose, where)
    if pose.shape != (joints_lib.NUM_JOINTS, 2) or pose.dtype.kind not in "fiu":
        raise UserError(f"{where}: has the shape {pose.shape}; a pose is 18 joints (y, x), missing ones (-1, -1)")
    there = joints_lib.present(pose)
    if there.sum() < _LEAST_JOINTS:
        raise UserError(f"{where}: {there.sum()} joints, at least {_LEAST_JOINTS} make a pose; give more")
    if not np.ptp(pose[there].astype(np.float64), axis=0).max() > 0:
        raise UserError(f"{where}: all joints are at one place; give (y, x) in pixels")
    return np.where(there[:, None], pose, joints_lib.MISSING).astype(np.float32)


def body_size(pose: np.ndarray, among: np.ndarray | None = None) -> float:
    """How large the body of a pose is, as the length of its trunk: the largest of what its parts say of it.

    Every part shows at most its full length in a picture, so the largest measure is the one least foreshortened.
    `among`: joints to measure by, bool (18,), all by default; where they measure nothing, all count. Never 0: without a
    measure it is a third of the joints' spread, and a little where that is nothing or no joint is there.
    """
    present = joints_lib.present(pose)
    there = present if among is None else present & among
    spread = float(np.ptp(pose[there], axis=0).max()) if there.any() else 0.0
    measures = _MEASURES if there[[2, 5]].all() else _MEASURES + _HALVES
    lengths = [np.hypot(*(pose[a] - pose[b])) / share for (a, b), share in measures if there[a] and there[b]]
    lengths = [length for length in lengths if length > _LEAST_LENGTH * spread]
    if not lengths and among is not None:
        return body_size(pose)
    return float(max(lengths)) if lengths else max(spread / 3, 1e-6)


def retarget(pose: np.ndarray, onto: np.ndarray, size: tuple[int, int] | None = None) -> np.ndarray:
    """The pose (..., 18, 2) as large as the person with joints `onto` (18, 2), the neck where it is there.

    With `size`, the (height, width) of the frame, a person seen whole stays whole: the pose is shrunk and moved until
    its joints are in the frame. Joints outside become missing, and so do hands and feet whose elbow or knee does, and
    what is left when fewer than 4 joints are: of an arm alone a model makes no picture. The poses of a sequence are all
    moved alike.
    """
    moved, there = _placed(pose, onto)
    if size is not None and joints_lib.present(onto)[[10, 13]].any():
        moved = _into_frame(moved, there, onto, size)
    moved = np.where(there[..., None], np.maximum(moved, -0.999), joints_lib.MISSING).astype(np.float32)
    if size is not None:
        moved = joints_lib.clip_to_frame(moved, *size)
        lost = there & ~joints_lib.present(moved)
        for inner, outer in _ENDS:
            moved[lost[:, inner], outer] = joints_lib.MISSING
        moved[joints_lib.present(moved).sum(-1) < _LEAST_JOINTS] = joints_lib.MISSING
    return moved.reshape(np.shape(pose))


def _placed(pose: np.ndarray, onto: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The poses (N, 18, 2) as large as the person, with the neck where it is; and which joints are there, (N, 18)."""
    poses = np.asarray(pose, np.float64).reshape(-1, joints_lib.NUM_JOINTS, 2)
    shown = joints_lib.present(onto)
    both = [shown & joints_lib.present(one) for one in poses]
    ratios = [body_size(onto, among) / body_size(one, among) for one, among in zip(poses, both, strict=True)]
    scale = np.median(ratios)
    anchor, start = _neck(onto), np.mean([_neck(one) for one in poses], axis=0)
    there = joints_lib.present(poses)
    moved = np.where(there[..., None], (poses - start) * scale + anchor, 0)
    return moved, there


def room_for(pose: np.ndarray, onto: np.ndarray, size: tuple[int, int]) -> float:
    """How many times as large as `size` a frame has to be to show the arms of a pose (..., 18, 2): from 1 to 2.

    For somebody whom the frame cuts off below, joints `onto` (18, 2) in its pixels: it grows around the middle of its
    lower edge, see `framing.window_around`. Whoever is seen whole is fitted into the frame by `retarget` instead.
    """
    if joints_lib.present(onto)[[10, 13]].any():
        return 1.0
    moved, there = _placed(pose, onto)
    needed = 1.0
    for elbow, wrist in ((3, 4), (6, 7)):
        arm, shown = moved[:, [elbow, wrist]], there[:, [elbow, wrist]]
        hand = arm[:, 1] + _HAND * (arm[:, 1] - arm[:, 0])
        for ends, spare in ((arm[shown], -_EDGE), (hand[shown.all(1)], _SPARE)):
            ends = ends[ends[:, 0] < size[0]]
            up, aside = 1 - ends[:, 0] / size[0], abs(2 * ends[:, 1] + 1 - size[1]) / size[1]
            needed = np.maximum(up, aside).max(initial=needed + spare) - spare
    return float(min(np.ceil(needed * _STEPS) / _STEPS, MOST_ROOM))


def _into_frame(moved: np.ndarray, there: np.ndarray, onto: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The poses shrunk about the neck, and moved, until all joints are in the frame with room for head and soles."""
    edge = np.array(size) * _EDGE
    head = _HEAD * body_size(onto)
    seen = moved[there]
    length = np.maximum(np.ptp(seen, axis=0) + [head, 0], 1e-6)
    shrink = min(1.0, *((np.array(size) - 1 - 2 * edge) / length))
    anchor = _neck(onto)
    moved = (moved - anchor) * shrink + anchor
    seen = moved[there]
    low, high = seen.min(0) - [head * shrink, 0], seen.max(0)
    return moved + np.maximum(edge - low, 0) + np.minimum(np.array(size) - 1 - edge - high, 0)


def with_ears(pose: np.ndarray, onto: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """A pose (18, 2) that shows somebody from behind, without any joint of the head, with the ears of short hair.

    A model learns from them where the head is, and that no hair falls over the neck. Other poses are given back as
    they are, and so are all for somebody whose hair covers the ears: the person with joints `onto` (18, 2) and regions
    (H, W), in the frame of the pose.
    """
    there = joints_lib.present(pose)
    needed = [1, 2, 5]
    if there[[0, 14, 15, 16, 17]].any() or not there[needed].all() or not joints_lib.present(onto)[needed].all():
        return pose
    hair = np.flatnonzero(regions == regions_lib.NAMES.index("hair")) // regions.shape[1]
    across = (pose[2] - pose[5]).astype(np.float64)
    if across[1] <= 0 or not len(hair) or np.quantile(hair, _HAIR_ENDS) > onto[1, 0] - _FREE * body_size(onto):
        return pose
    trunk = body_size(pose)
    out = across / np.hypot(*across) * trunk
    middle = pose[1] + _EARS_UP * np.array([-out[1], out[0]])
    found = pose.copy()
    found[16], found[17] = middle + _EARS_OUT * out, middle - _EARS_OUT * out
    return joints_lib.clip_to_frame(found, *regions.shape)


def _neck(pose: np.ndarray) -> np.ndarray:
    there = joints_lib.present(pose)
    for group in ((1,), (2, 5), (0,), (8, 11)):
        if all(there[joint] for joint in group):
            return pose[list(group)].astype(np.float64).mean(0)
    return pose[there].astype(np.float64).mean(0)
