"""The face box of a person, (y0, x0, y1, x1), half-open, in pixels: from joints, moved with its picture."""

import numpy as np

from scrn_jax.person.joints import present

_NOSE, _NECK = 0, 1
_FRONT_OF_FACE = [0, 14, 15]
_FACE = [0, 14, 15, 16, 17]


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
    """The box after the same shift and resize as `joints.move`, cut to the frame `size`, (height, width).

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


def mean_inside(error_BxHxW, face_box_Bx4):
    """The mean of an error over the pixels in each face box, 0 where there is no face; and whether there is one, (B,).

    Equals cropping: pixel (y, x) is inside when y0 <= y < y1 and x0 <= x < x1. For NumPy's arrays and for JAX's.
    """
    rows = np.arange(error_BxHxW.shape[1])[None, :, None]
    columns = np.arange(error_BxHxW.shape[2])[None, None, :]
    y0, x0, y1, x1 = (edge[:, None, None] for edge in face_box_Bx4.T)
    inside_BxHxW = (rows >= y0) & (rows < y1) & (columns >= x0) & (columns < x1)
    pixels = inside_BxHxW.sum((1, 2))
    return error_BxHxW.sum((1, 2), where=inside_BxHxW) / pixels.clip(1), pixels > 0


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


def face_box_at_size(box: np.ndarray, frame: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """The face box, float32 (4,), in the pixels of `size` instead of `frame`."""
    return move_box(box, size, (size[0] / frame[0], size[1] / frame[1]))
