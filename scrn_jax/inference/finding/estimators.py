"""From a photo to what the model needs of a person: joints, mask, regions and face box.

An estimator is any function of a photo that gives a `Person`. `load()` is the one that works without anything else:
BlazePose for joints, our region network for mask and regions. What others found comes in by files (`from_files`).
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from scrn_jax.errors import UserError, first_line
from scrn_jax.inference import checks, poses
from scrn_jax.inference.finding.blazepose import BlazePose, Body
from scrn_jax.inference.finding.calibration import calibrated
from scrn_jax.inference.finding.region_network import RegionNetwork
from scrn_jax.person import face
from scrn_jax.person import joints as joints_lib
from scrn_jax.person import regions as regions_lib
from scrn_jax.person.fitting import in_pixels
from scrn_jax.person.joint_files import read_joints

# BlazePose's points in the order of `joints.NAMES`; the neck is the middle of the shoulders.
_ORDER = [0, 12, 12, 14, 16, 11, 13, 15, 24, 26, 28, 23, 25, 27, 5, 2, 8, 7]
_NECK, _SHOULDERS, _EARS = 1, [11, 12], [7, 8]
_FACE = [0, 14, 15, 16, 17]
_TRUNK = [1, 2, 5, 8, 11]
_LIMBS = [3, 4, 6, 7, 9, 10, 12, 13]
LEAST_VISIBILITY = 0.3
# A body is more than a head: without shoulders there is nobody to move.
_LEAST_JOINTS = 4
# By how much the shape of a canvas may differ from its photo's: detectors round sides to multiples of 64.
_ASPECT = 0.1


@dataclasses.dataclass(frozen=True)
class Person:
    """A person in a picture of H x W pixels.

    joints_Jx2: float32 (18, 2), (y, x), missing ones (-1, -1); mask_HxW: float32 in [0, 1]; regions_HxW: uint8, 0 to 7
    of `person.regions.NAMES`; face_box: float32 (4,), (y0, x0, y1, x1), zeros without a face. notes: what whoever looks
    at the result should know, as sentences: several people, seen from behind, cut off.
    """

    joints_Jx2: np.ndarray
    mask_HxW: np.ndarray
    regions_HxW: np.ndarray
    face_box: np.ndarray
    notes: tuple[str, ...] = ()


class Estimator(Protocol):
    """Finds the person of a photo, uint8 RGB (H, W, 3). Raises UserError when nobody is found."""

    def __call__(self, photo_HxWx3: np.ndarray) -> Person: ...


class JointFinder(Protocol):
    """Finds joints (18, 2) and a mask (H, W) of the person of a photo, and says what is to be said."""

    def __call__(self, photo_HxWx3: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]: ...


class RegionFinder(Protocol):
    """Finds mask float32 (H, W) and regions uint8 (H, W) of the person with joints (18, 2) and a first mask (H, W)."""

    def __call__(self, photo_HxWx3: np.ndarray, joints_Jx2: np.ndarray, mask_HxW: np.ndarray): ...


@dataclasses.dataclass(frozen=True)
class TwoSteps:
    """An estimator of two parts: joints first, then regions."""

    find_joints: JointFinder
    find_regions: RegionFinder

    def __call__(self, photo_HxWx3: np.ndarray) -> Person:
        """The person of a photo. Raises UserError when nobody is found."""
        joints, mask, notes = self.find_joints(photo_HxWx3)
        mask, regions = self.find_regions(photo_HxWx3, joints, mask)
        box = face.face_box_from_joints(joints, *photo_HxWx3.shape[:2])
        return Person(joints, mask, regions, box, notes)


def load() -> Estimator:
    """The built-in estimator. Raises UserError when the extra `photo` is not installed."""
    return TwoSteps(BlazePoseJoints(), RegionNetwork.load())


class BlazePoseJoints:
    """The joints and the first mask of the largest person, by BlazePose."""

    def __init__(self):
        self._look = BlazePose()

    def __call__(self, photo_HxWx3: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
        """See `JointFinder`. Raises UserError when nobody is found."""
        body = self._look(Image.fromarray(photo_HxWx3))
        joints = None if body is None else openpose_joints(body, photo_HxWx3.shape[:2])
        if joints is None or joints_lib.present(joints).sum() < _LEAST_JOINTS:
            raise UserError(
                "nobody is found in the picture; take a photo that shows a person from the head to the hips"
            )
        joints = joints_lib.clip_to_frame(calibrated(joints, body), *photo_HxWx3.shape[:2])
        if not joints_lib.present(joints)[_TRUNK].any():
            raise UserError("only a head is found in the picture; take a photo that shows shoulders and chest as well")
        return joints, body.mask, notes(joints, body.people)


def openpose_joints(body: Body, size: tuple[int, int]) -> np.ndarray:
    """BlazePose's points as joints float32 (18, 2) of a picture of `size` (height, width), within it.

    Those that it does not believe to be visible are missing, but for joints of limbs that the person's own body or
    clothes hide: legs under a long dress, an arm behind the back. The embedded people have them, as OpenPose does.
    """
    points, there = body.points[_ORDER], body.visibility[_ORDER] >= LEAST_VISIBILITY
    column, row = points[_LIMBS].T.astype(int)
    inside = (row >= 0) & (row < size[0]) & (column >= 0) & (column < size[1])
    there[_LIMBS] |= inside & (body.mask[row.clip(0, size[0] - 1), column.clip(0, size[1] - 1)] > 0.5)
    points[_NECK] = body.points[_SHOULDERS].mean(0)
    there[_NECK] = (body.visibility[_SHOULDERS] >= LEAST_VISIBILITY).all()
    there[_FACE] &= visible_face(body)
    joints = np.where(there[:, None], points[:, ::-1] - 0.5, joints_lib.MISSING).astype(np.float32)
    return joints_lib.clip_to_frame(joints, *size)


def visible_face(body: Body) -> np.ndarray:
    """Which of nose, right eye, left eye, right ear and left ear can be seen, bool (5,).

    BlazePose calls all of them visible, even from behind; the depth of nose and ears tells where the head looks.
    """
    right, left = 8, 7
    width = np.linalg.norm(body.points[left] - body.points[right])
    ahead = body.depth[_EARS].mean() - body.depth[0]
    deeper = body.depth[left] - body.depth[right]
    length = np.sqrt(width**2 + ahead**2 + deeper**2) + 1e-6
    front, turn = ahead / length > -0.5, deeper / length
    return np.array([front, front and turn > -0.9, front and turn < 0.9, turn > -0.1, turn < 0.1])


def notes(joints: np.ndarray, people: int) -> tuple[str, ...]:
    """What to say of a person with these joints (18, 2) among so many people."""
    there, said = joints_lib.present(joints), []
    if people > 1:
        said.append(f"{people} people are found; the largest one is taken")
    if not there[[0, 14, 15]].any():
        said.append("the person is seen from behind or without a face; a face in the result is made up")
    if not there[[9, 10, 12, 13]].any():
        said.append("the legs are not in the photo; a pose that shows them makes them up")
    return tuple(said)


def from_files(
    photo_HxWx3: np.ndarray,
    joints: tuple[str, str | Path, str] | None = None,
    label_map: str | Path | None = None,
    merge: str | Sequence[int] = "regions",
) -> Person:
    """The person of a photo from what other programs found; what is not given is estimated.

    Args:
      photo_HxWx3: uint8 RGB.
      joints: format (of `joint_files.READERS`), path, and the picture's name in it. Joints of another size of the
        photo, or fractions of it, are taken for what their file says they are.
      label_map: a PNG of classes, as large as the photo, and `merge`, its table (`regions.merge_table`).

    Raises:
      UserError: files that do not fit, a map of another size, joints of another photo, or nobody found.
    """
    size = photo_HxWx3.shape[:2]
    if joints is None:
        found, mask, said = BlazePoseJoints()(photo_HxWx3)
    else:
        found, mask = _joints_of(*joints, size), None
        said = notes(found, 1)
    if label_map is None:
        if mask is None:
            mask = BlazePoseJoints()(photo_HxWx3)[1]
        mask, regions = RegionNetwork.load()(photo_HxWx3, found, mask)
    else:
        regions = merged_regions(regions_lib.read_label_map(label_map, len(regions_lib.merge_table(merge))), merge)
        if regions.shape != size:
            raise UserError(
                f"{label_map}: {regions.shape} pixels, and the photo has {size}; make the map of this photo"
            )
        mask = (regions > 0).astype(np.float32)
    return Person(found, mask, regions, face.face_box_from_joints(found, *size), said)


def _joints_of(kind: str, path: str | Path, name: str, size: tuple[int, int]) -> np.ndarray:
    """The joints (18, 2) that a file has of a photo of `size` (height, width), in its pixels and within it."""
    known, where = read_joints(kind, path), f"{path}, {name}"
    if name not in known:
        raise UserError(f"{path}: no joints of {name}; it has {', '.join(sorted(known)[:3])}")
    found, canvas = in_pixels(poses.check(known[name], where), known.canvases.get(name), size)
    shape, mend = f"{size[0]} x {size[1]} pixels", "give the joints of this photo"
    if not abs(canvas[1] / canvas[0] * size[0] / size[1] - 1) <= _ASPECT:
        raise UserError(f"{where}: of a picture of {canvas[0]} x {canvas[1]}, and the photo has {shape}; {mend}")
    found = joints_lib.move(found, (size[0] / canvas[0], size[1] / canvas[1]))
    inside = joints_lib.present(joints_lib.clip_to_frame(found, *size)).sum()
    if inside < _LEAST_JOINTS:
        counted = f"{inside} of {joints_lib.present(found).sum()} joints are in the photo of {shape}"
        raise UserError(f"{where}: {counted}, at least {_LEAST_JOINTS} make a person; {mend}")
    return checks.pose(where, found, 1, size)[0]


def merged_regions(classes: np.ndarray, merge: str | Sequence[int]) -> np.ndarray:
    """Regions uint8 (H, W) of a map of classes (H, W). Raises UserError for a class that the table lacks."""
    table = regions_lib.merge_table(merge)
    regions_lib.check_labels(classes, "the label map", len(table))
    return table[classes]


class OnnxRegions:
    """A human parser that a user brings: an ONNX file, the table of its classes, and what its pictures look like.

    The file takes one picture (1, 3, h, w) and gives logits (1, classes, h', w'); onnxruntime has to be installed. A
    table is a name of `person.regions.MERGES`, or the region of every class.
    """

    def __init__(
        self,
        path: str | Path,
        merge: str | Sequence[int],
        size: tuple[int, int] = (512, 512),
        mean: Sequence[float] = (0.485, 0.456, 0.406),
        spread: Sequence[float] = (0.229, 0.224, 0.225),
    ):
        """Raises UserError when the file is missing or unreadable, or onnxruntime is not installed."""
        self._table, self._size, self._path = regions_lib.merge_table(merge), size, path
        self._mean, self._spread = np.float32(mean), np.float32(spread)
        if not Path(path).is_file():
            raise UserError(f"{path}: no such file; give the path of an ONNX parser")
        try:
            import onnxruntime
        except ImportError as error:
            raise UserError(f"{path}: running it needs onnxruntime ({error}); pip install onnxruntime") from error
        try:
            self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has a class of its own for every failure
            raise UserError(f"{path}: not a readable ONNX model ({first_line(error)})") from error

    def __call__(self, photo_HxWx3: np.ndarray, joints_Jx2: np.ndarray, mask_HxW: np.ndarray):
        """See `RegionFinder`; where the first mask shows nobody, neither does the result."""
        height, width = photo_HxWx3.shape[:2]
        resized = Image.fromarray(photo_HxWx3).resize(self._size[::-1], Image.Resampling.BILINEAR)
        given = ((np.asarray(resized, np.float32) / 255 - self._mean) / self._spread).transpose(2, 0, 1)[None]
        logits = self._session.run(None, {self._session.get_inputs()[0].name: given})[0][0]
        if len(logits) != len(self._table):
            raise UserError(
                f"{self._path}: gives {len(logits)} classes, the table has {len(self._table)}; mend the table"
            )
        classes = Image.fromarray(logits.argmax(0).astype(np.uint8)).resize((width, height), Image.Resampling.NEAREST)
        regions = np.where(mask_HxW > 0.5, self._table[np.asarray(classes)], 0).astype(np.uint8)
        return (regions > 0).astype(np.float32), regions
