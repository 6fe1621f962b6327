"""Joints and face boxes moved along when their pictures are resized or mirrored."""

import numpy as np

from scrn_jax.person import joints


def pose_at_size(pose: np.ndarray, frame: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """The pose, float32 (18, 2), in the pixels of `size` instead of `frame`; joints outside it are missing."""
    return joints.clip_to_frame(joints.move(pose, (size[0] / frame[0], size[1] / frame[1])), *size)


def face_box_at_size(box: np.ndarray, frame: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """The face box, float32 (4,), in the pixels of `size` instead of `frame`."""
    return joints.move_box(box, size, (size[0] / frame[0], size[1] / frame[1]))


def mirror(batch: dict[str, np.ndarray], which: np.ndarray) -> dict[str, np.ndarray]:
    """The batch with the examples `which` (bool (B,)) mirrored: pictures, labels, joints with their sides, face box.

    Arrays are written in place, so they must belong to the caller.
    """
    for key, values in batch.items():
        width = batch["target_image"].shape[2]
        if key.endswith("_pose"):
            values[which] = joints.flip(values[which], width)
        elif key == "face_box":
            values[which] = joints.flip_box(values[which], width)
        else:
            values[which] = values[which][:, :, ::-1]
    return batch
