"""Poses between poses: limbs turn about their joints, so that they keep their length, as seen by the camera.

A straight line between two places of a wrist leads through the body and shortens the arm on its way. Here a limb is a
rod of fixed length, the longest that the sequence shows of it. What a picture shows shorter points towards the camera
or away from it. The rod turns by the shortest way from one direction to the next (spherical interpolation), and its
picture is taken on the way.
"""

import numpy as np

from scrn_jax.errors import UserError
from scrn_jax.inference.checks import array_of
from scrn_jax.person import joints

ROOT = 1  # the neck, from which all limbs hang
# Parents before children; person.joints.LIMBS lists them so, but for the head, which the face hangs from.
_CHAIN = tuple(sorted(joints.LIMBS, key=lambda limb: limb[0] in (0, 14, 15)))
MOST_FRAMES = 600


def in_between(poses_Kx18x2: np.ndarray, frames: int, closed: bool = False) -> np.ndarray:
    """`frames` poses along a sequence of key poses, at equal steps of time: float32 (frames, 18, 2).

    Args:
      poses_Kx18x2: K >= 1 key poses, (y, x) in pixels of one frame, missing joints (-1, -1).
      frames: how many; the first is the first key pose.
      closed: whether the last pose leads back to the first, as in a loop. Otherwise the last frame is the last pose.

    A joint that only one of two neighbouring poses shows is there on that pose's half of the way.

    Raises:
      UserError: no pose, another shape, values that are not finite, or fewer than 1 or more than 600 frames.
    """
    poses = array_of(poses_Kx18x2, "a film's poses", np.float64)
    if poses.ndim != 3 or poses.shape[1:] != (joints.NUM_JOINTS, 2) or not len(poses):
        raise UserError(f"a film's poses have shape {poses.shape}, expected (poses, {joints.NUM_JOINTS}, 2)")
    if not np.isfinite(poses).all():
        raise UserError("a film's poses hold values that are not finite numbers; write -1 for a missing joint")
    if not 1 <= frames <= MOST_FRAMES:
        raise UserError(f"{frames} frames: give 1 to {MOST_FRAMES}")
    ends = len(poses) if closed else len(poses) - 1
    times = np.arange(frames) * (ends / frames if closed else ends / max(frames - 1, 1))
    lengths = _rod_lengths(poses)
    found = [_between(poses, lengths, time) for time in times]
    return np.stack(found).astype(np.float32)


def _rod_lengths(poses: np.ndarray) -> np.ndarray:
    """The longest that any of the poses (K, 18, 2) shows of each limb of _CHAIN: (17,)."""
    there = joints.present(poses)
    lengths = []
    for parent, child in _CHAIN:
        shown = there[:, parent] & there[:, child]
        seen = np.linalg.norm(poses[:, child] - poses[:, parent], axis=-1)
        lengths.append(seen[shown].max(initial=0.0))
    return np.array(lengths)


def _between(poses: np.ndarray, lengths: np.ndarray, time: float) -> np.ndarray:
    """The pose at `time`, counted in key poses."""
    first = int(time) % len(poses)
    share, second = time - int(time), (first + 1) % len(poses)
    a, b = poses[first], poses[second]
    if share == 0:
        return a.copy()
    in_a, in_b = joints.present(a), joints.present(b)
    both = in_a & in_b
    straight = (1 - share) * a + share * b
    pose = np.where(both[:, None], straight, a if share < 0.5 else b)
    there = both | (in_a if share < 0.5 else in_b)
    for (parent, child), length in zip(_CHAIN, lengths, strict=True):
        if both[parent] and both[child]:
            pose[child] = pose[parent] + _turned(a[child] - a[parent], b[child] - b[parent], length, share)
        elif there[parent] and there[child]:
            # The limb of the one pose that shows it, carried along with the joint that it hangs from.
            shown = a if share < 0.5 else b
            if both[parent] and (in_a if share < 0.5 else in_b)[child]:
                pose[child] = pose[parent] + shown[child] - shown[parent]
    return np.where(there[:, None], pose, joints.MISSING)


def _turned(a: np.ndarray, b: np.ndarray, length: float, share: float) -> np.ndarray:
    """The picture (2,) of a rod of `length` on its way from where it is seen as `a` to where it is seen as `b`."""
    if length <= 0:
        return (1 - share) * a + share * b
    # The same side of the picture plane for both, which is the shorter way.
    start, end = (np.append(v, np.sqrt(max(length**2 - v @ v, 0.0))) / length for v in (a, b))
    angle = np.arctan2(np.linalg.norm(np.cross(start, end)), start @ end)
    if angle < 1e-6:
        return (1 - share) * a + share * b
    if np.pi - angle < 1e-6:
        # Straight opposite: no way is the shortest; by the picture plane.
        c, s = np.cos(np.pi * share), np.sin(np.pi * share)
        return np.array([c * a[0] - s * a[1], s * a[0] + c * a[1]])
    rod = (np.sin((1 - share) * angle) * start + np.sin(share * angle) * end) / np.sin(angle)
    return length * rod[:2]
