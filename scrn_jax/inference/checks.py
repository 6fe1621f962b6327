"""The arrays that a caller hands to a model: what can be meant is made to fit, what cannot is said with its mend."""

from pathlib import Path

import numpy as np

from scrn_jax.errors import UserError
from scrn_jax.inference.photo_files import open_photo
from scrn_jax.person import joints as joints_lib
from scrn_jax.person import regions

# Of a pose; fewer may be what is left of somebody at the frame's edge.
_LEAST_JOINTS = 4
_FIT = "PoseTransfer.fit makes photo, map and joints fit"


def array_of(given, name: str, dtype=None) -> np.ndarray:
    """What a caller gave, as an array. Raises UserError naming it for lists of unequal lengths and other nests."""
    try:
        return np.asarray(given, dtype)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        wrong = f"{name} is no array of numbers ({error}); give a NumPy array, or lists of one length"
        raise UserError(wrong) from error


def picture(given, size: tuple[int, int], name: str = "source_image") -> tuple[np.ndarray, bool]:
    """A picture or a batch as uint8 or float32 in [-1, 1], (B, H, W, 3), and whether it was a single one.

    `given` is an array with 3 channels, 1 or none, or the path of a file. Floating point is taken as 0..1 when nothing
    is negative, else as -1..1. Raises UserError for what is none of these.
    """
    array = open_photo(given) if isinstance(given, str | Path) else array_of(given, name)
    if array.shape == size or (array.ndim == 3 and array.shape[1:] == size and array.shape != (*size, 3)):
        array = array[..., None]
    is_single = array.ndim == 3
    array = array[None] if is_single else array
    if array.ndim == 4 and array.shape[-1] == 1:
        array = np.repeat(array, 3, axis=-1)
    if not array.size or not array.ndim:
        raise UserError(f"{name} holds no picture; give at least one")
    shape(name, array, (len(array), *size, 3))
    if array.dtype == np.uint8:
        return array, is_single
    if array.dtype.kind != "f":
        raise UserError(f"{name} holds {array.dtype}; give uint8, or floating point in 0..1 or [-1, 1]")
    # Not `abs(...).max() > 1`, which NaN would pass.
    if not np.all(np.abs(array) <= 1):
        raise UserError(f"{name} has values outside [-1, 1] or not a number; give uint8, or scale it to [-1, 1]")
    return (2 * array - 1 if array.min() >= 0 else array).astype(np.float32), is_single


def pixels(given, size: tuple[int, int], name: str) -> np.ndarray:
    """A picture that is uint8 (H, W, 3) already. Raises UserError for another shape or type."""
    array = array_of(given, name)
    shape(name, array, (*size, 3))
    if array.dtype != np.uint8:
        raise UserError(f"{name} holds {array.dtype}; give uint8, from 0 to 255")
    return array


def large(given, size: tuple[int, int], name: str = "large") -> np.ndarray:
    """A frame of `size` (H, W) in more pixels, uint8 (kH, kW, 3) with a whole k. Raises UserError for anything else."""
    array = array_of(given, name)
    times = max(1, array.shape[0] // size[0]) if array.ndim else 1
    if array.shape != (times * size[0], times * size[1], 3):
        raise UserError(f"{name} has shape {array.shape}; give a whole number of times {size[0]} x {size[1]} pixels")
    return pixels(array, array.shape[:2], name)


def parsing(given, count: int, size: tuple[int, int], name: str = "source_parsing") -> np.ndarray:
    """Label maps as uint8 (count, H, W) from (H, W), (count, H, W) or the path of a PNG. Raises UserError."""
    array = regions.read_label_map(given) if isinstance(given, str | Path) else array_of(given, name)
    array = array[None] if array.ndim == 2 else array
    shape(name, array, (count, *size))
    if array.dtype.kind not in "iu":
        raise UserError(f"{name} holds {array.dtype}; give labels as whole numbers")
    if array.min() < 0:
        raise UserError(f"{name}: label {array.min()}; labels are 0 to {regions.NUM_REGIONS - 1}")
    regions.check_labels(array, name)
    return array.astype(np.uint8)


def pose(name: str, given, count: int | None, size: tuple[int, int]) -> np.ndarray:
    """Joints as float32 (count, 18, 2) from (18, 2) or a batch; those outside the frame become missing.

    `count` None takes any number from 1 on. Raises UserError for another shape or type, for joints that are x before y,
    shares of the frame instead of pixels, or all outside the frame.
    """
    array = array_of(given, name)
    array = array[None] if array.ndim == 2 else array
    if array.ndim == 3 and array.shape[1] == 17:
        raise UserError(
            f"{name} has 17 joints, as COCO has; the model takes OpenPose's 18: order them as "
            "scrn_jax.person.joints.NAMES, with the middle of the shoulders as the neck"
        )
    if array.ndim == 3 and array.shape[1:] == (joints_lib.NUM_JOINTS, 3):
        raise UserError(f"{name} has three numbers a joint; give (y, x), with (-1, -1) for a joint of no confidence")
    shape(name, array, (len(array) if count is None and array.ndim else count, joints_lib.NUM_JOINTS, 2))
    if not len(array):
        raise UserError(f"{name} holds no pose; give at least one")
    if array.dtype.kind not in "fiu":
        raise UserError(f"{name} holds {array.dtype}; give numbers, (y, x) in pixels")
    there = joints_lib.present(array)
    array = np.where(there[..., None], array, joints_lib.MISSING).astype(np.float32)
    inside = joints_lib.clip_to_frame(array, *size)
    for index in range(len(array)):
        where = name if len(array) == 1 else f"{name}[{index}]"
        _check_place(where, array[index], there[index], joints_lib.present(inside[index]), size)
    return inside


def _check_place(where: str, joints: np.ndarray, there: np.ndarray, inside: np.ndarray, size: tuple[int, int]) -> None:
    """Raises UserError for joints that are no place in the frame; somebody who is not shown at all passes."""
    if there.sum() < 2:
        return
    seen = joints[there]
    if len(seen) >= _LEAST_JOINTS and np.ptp(seen, axis=0).max() <= 1:
        raise UserError(
            f"{where}: all joints are within one pixel; give (y, x) in pixels: shares of the frame times {size[0]} and "
            f"{size[1]}"
        )
    if inside.sum() < there.sum():
        turned = joints_lib.clip_to_frame(joints[:, ::-1], *size)
        lies = _lies(joints, there)
        if joints_lib.present(turned)[there].all() and lies:
            raise UserError(f"{where}: the joints fit the frame as (x, y); give (y, x)")
    if not inside.any():
        raise UserError(f"{where}: all joints are outside the frame of {size[0]} x {size[1]} pixels; {_FIT}")


def _lies(joints: np.ndarray, there: np.ndarray) -> bool:
    """Whether the body is longer across than down."""
    spread = np.ptp(joints[there], axis=0)
    return bool(spread[1] > spread[0])


def shape(name: str, array: np.ndarray, expected: tuple[int, ...]) -> None:
    """Raises UserError when an array is not of the expected shape."""
    if array.shape != expected:
        raise UserError(f"{name} has shape {array.shape}, expected {expected}; {_FIT}, or batch it as the model needs")
