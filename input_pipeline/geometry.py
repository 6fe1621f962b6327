"""Joints and face boxes moved along when their pictures are resized or mirrored."""

import numpy as np

from scrn_jax.person import face, joints


def mirror(batch: dict[str, np.ndarray], which: np.ndarray) -> dict[str, np.ndarray]:
    """The batch with the examples `which` (bool (B,)) mirrored: pictures, labels, joints with their sides, face box.

    Arrays are written in place, so they must belong to the caller.
    """
    for key, values in batch.items():
        width = batch["target_image"].shape[2]
        if key.endswith("_pose"):
            values[which] = joints.flip(values[which], width)
        elif key == "face_box":
            values[which] = face.flip_box(values[which], width)
        else:
            values[which] = values[which][:, :, ::-1]
    return batch
