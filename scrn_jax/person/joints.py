"""The 18 joints of a person (OpenPose/COCO-18 order): names, skeleton, mirror, moves and the face box.

Joints are float32 arrays of shape (..., 18, 2) holding (y, x) in pixels, with pixel centres at integer coordinates:
a frame of height h covers y in [-0.5, h - 0.5]. A missing joint is (-1, -1).
"""

import numpy as np

NUM_JOINTS = 18
MISSING = -1.0

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

_NOSE, _NECK = 0, 1
_FRONT_OF_FACE = [0, 14, 15]
_FACE = [0, 14, 15, 16, 17]


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


def flip_box(box: np.ndarray, width: int) -> np.ndarray:
    """Boxes (..., 4) of (y0, x0, y1, x1), half-open, in the mirrored image; an empty box becomes all zeros."""
    y0, x0, y1, x1 = np.moveaxis(box, -1, 0)
    mirrored = np.stack([y0, width - x1, y1, width - x0], axis=-1)
    return np.where(has_area(box)[..., None], mirrored, 0).astype(np.float32)


def move_box(
    box: np.ndarray,
    size: tuple[int, int],
    scale: tuple[float, float] = (1.0, 1.0),
    offset: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """The box (y0, x0, y1, x1) after the same shift and resize as `move`, cut to the frame `size` = (height, width).

    The edges of a box lie between pixels, so they scale without the half-pixel shift. A box with nothing left in the
    frame becomes all zeros.
    """
    corners = (np.asarray(box, np.float64).reshape(2, 2) + np.asarray(offset)) * np.asarray(scale)
    corners = np.clip(corners, 0, np.asarray(size, np.float64))
    moved = corners.reshape(4).astype(np.float32)
    return moved if has_area(box) and has_area(moved) else np.zeros(4, np.float32)


def has_area(box: np.ndarray) -> np.ndarray:
    """Which of the boxes (..., 4) hold anything, bool (...); all zeros stands for "no face"."""
    return (box[..., 2] > box[..., 0]) & (box[..., 3] > box[..., 1])


def face_box_from_joints(joints: np.ndarray, height: int, width: int) -> np.ndarray:
    """A square face box (y0, x0, y1, x1), float32, half-open, from nose, eyes and ears; all zeros without a face.

    A face needs the nose or an eye (ears alone are a head seen from behind). The side is the larger of 0.8 of the
    distance from nose to neck and 1.3 of the spread of the face joints; the centre is their middle.
    """
    there = present(joints)
    if not there[_FRONT_OF_FACE].any():
        return np.zeros(4, np.float32)
    points = joints[[index for index in _FACE if there[index]]].astype(np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    side = 1.3 * float((high - low).max())
    if there[_NOSE] and there[_NECK]:
        side = max(side, 0.8 * float(np.hypot(*(joints[_NOSE] - joints[_NECK]))))
    side = max(side, height / 32)
    # The joints lie in the upper half of a face: the chin is below all of them.
    centre_y, centre_x = (low + high) / 2 + (0.5 + side / 10, 0.5)
    half = side / 2
    box = np.round([centre_y - half, centre_x - half, centre_y + half, centre_x + half])
    return move_box(box, (height, width))
