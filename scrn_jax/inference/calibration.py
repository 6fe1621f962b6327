"""BlazePose's joints moved to where the embedded people have theirs; its shoulders, for one, lie higher.

Every joint moves by a share of the trunk's vector (neck to hips) and a share of its limb's own: numbers fitted on
rendered people by tools/fit_joints.py.
"""

import numpy as np

from scrn_jax.person import joints as joints_lib

# A kind of joint: (joint, where its limb starts) of both sides, and its shares of trunk and limb.
KINDS = {
    "nose": (((0, 1),), (0.030, -0.004)),
    "shoulder": (((2, 5), (5, 2)), (0.050, 0.002)),
    "elbow": (((3, 2), (6, 5)), (0.010, 0.045)),
    "wrist": (((4, 3), (7, 6)), (0.014, -0.029)),
    "hip": (((8, 11), (11, 8)), (-0.008, 0.074)),
    "knee": (((9, 8), (12, 11)), (-0.004, 0.040)),
    "ankle": (((10, 9), (13, 12)), (0.014, 0.057)),
    "eye": (((14, 1), (15, 1)), (0.021, 0.014)),
    "ear": (((16, 0), (17, 0)), (0.038, 0.272)),
}
_NECK, _SHOULDERS, _HIPS = 1, [2, 5], [8, 11]
# The trunk's length by the shoulders' width, where the hips are not seen.
_TRUNK = 1.45


def trunk(joints: np.ndarray) -> np.ndarray | None:
    """The vector (y, x) from the neck to the middle of the hips of joints (18, 2), or None when it cannot be told."""
    there = joints_lib.present(joints)
    if there[_NECK] and there[_HIPS].all():
        return joints[_HIPS].mean(0) - joints[_NECK]
    if there[_SHOULDERS].all():
        return np.array([_TRUNK * np.hypot(*(joints[2] - joints[5])), 0.0])
    return None


def calibrated(joints: np.ndarray) -> np.ndarray:
    """Joints float32 (18, 2) of BlazePose as the embedded people have them; the neck is the middle of the shoulders."""
    there, down = joints_lib.present(joints), trunk(joints)
    moved = joints.astype(np.float64)
    if down is None:
        return joints
    for sides, (of_trunk, of_limb) in KINDS.values():
        for joint, start in sides:
            if there[joint]:
                limb = joints[joint] - joints[start] if there[start] else 0.0
                moved[joint] += of_trunk * down + of_limb * limb
    if there[_SHOULDERS].all():
        moved[_NECK] = moved[_SHOULDERS].mean(0)
    return np.where(there[:, None], moved, joints_lib.MISSING).astype(np.float32)
