"""The 18 joints of a person (OpenPose/COCO-18 order): names, skeleton, mirror, moves, and the checks of lists.

Joints are float32 arrays of shape (..., 18, 2) holding (y, x) in pixels, with pixel centres at integer coordinates:
a frame of height h covers y in [-0.5, h - 0.5]. A missing joint is (-1, -1).
"""

from collections.abc import Sequence

import numpy as np

from scrn_jax.errors import UserError
from scrn_jax.runtime.files import is_number

NUM_JOINTS = 18
MISSING = -1.0
# The size of a picture whose joints are given as fractions of its height and width, from 0 to 1.
FRACTIONS = (1, 1)

NAMES = (
    "nose", "neck",
    "right shoulder", "right elbow", "right wrist",
    "left shoulder", "left elbow", "left wrist",
    "right hip", "right knee", "right ankle",
    "left hip", "left knee", "left ankle",
    "right eye", "left eye", "right ear", "left ear",
)  # fmt: skip

LIMBS = (
    (1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7),
    (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13),
    (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip

MIRROR = np.array([0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16])


def present(joints: np.ndarray) -> np.ndarray:
    """Which joints exist, bool (..., 18): both coordinates are above -1, so NaN is missing. Also for jax arrays."""
    return (joints > MISSING).all(axis=-1)


def _where_present(joints: np.ndarray, there: np.ndarray) -> np.ndarray:
    """`joints` as float32 with every joint that is not `there` set to (-1, -1)."""
    return np.where(there[..., None], joints, MISSING).astype(np.float32)


def flip(joints: np.ndarray, width: int) -> np.ndarray:
    """Joints of the mirrored image: x' = width - 1 - x, and the left joints take the names of the right ones."""
    mirrored = np.stack([joints[..., 0], (width - 1) - joints[..., 1]], axis=-1)
    return _where_present(mirrored, present(joints))[..., MIRROR, :]


def move(
    joints: np.ndarray, scale: tuple[float, float] = (1.0, 1.0), offset: tuple[float, float] = (0.0, 0.0)
) -> np.ndarray:
    """Joints after a shift by `offset` = (dy, dx) pixels and then a resize by `scale` = (sy, sx).

    y' = (y + dy + 0.5) * sy - 0.5, because pixel centres lie at integers. Missing joints stay (-1, -1). Joints may end
    outside the new frame: `clip_to_frame` makes those missing.
    """
    scale_2 = np.asarray(scale, np.float64)
    moved = (joints + np.asarray(offset, np.float64) + 0.5) * scale_2 - 0.5
    return _where_present(moved, present(joints))


def clip_to_frame(joints: np.ndarray, height: int, width: int) -> np.ndarray:
    """Joints with those outside the frame (y outside [-0.5, height - 0.5], likewise x) made missing."""
    inside = (joints >= -0.5).all(axis=-1) & (joints <= np.array([height - 0.5, width - 0.5])).all(axis=-1)
    return _where_present(joints, inside)


def along(inner: np.ndarray, outer: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """How far along a limb from `inner` to `outer`, (2,) each, a frame's pixels lie, in its lengths (below 0 before it,
    above 1 beyond it), and how many pixels they are away from it: float32 (H, W) each."""
    way = np.float32(outer) - np.float32(inner)
    y, x = (grid - np.float32(start) for grid, start in zip(np.ogrid[: size[0], : size[1]], inner, strict=True))
    share = (y * way[0] + x * way[1]) / max(way @ way, 1)
    on_it = share.clip(0, 1)
    return share, np.hypot(y - on_it * way[0], x - on_it * way[1])


def pose_at_size(pose: np.ndarray, frame: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """The pose, float32 (18, 2), in the pixels of `size` instead of `frame`; joints outside it are missing."""
    return clip_to_frame(move(pose, (size[0] / frame[0], size[1] / frame[1])), *size)


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
