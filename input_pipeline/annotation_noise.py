"""The source's annotation as estimators find it: outlines of regions and joints that are a little off."""

import numpy as np

from scrn_jax.person import joints
from scrn_jax.person.resizing import resize_maps


def cell(height: int) -> int:
    """The pixels over which an outline is off the same way, in a frame of this height: a sixteenth of it."""
    return max(2, height // 16)


def displaced(
    labels_HxW: np.ndarray, pose_Jx2: np.ndarray, spread: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A source's regions and joints, moved at random by `spread` pixels times a factor from 0 to 2, the pair's own.

    Every pixel takes the region of one nearby, chosen by a smooth random field; joints move by half as much, each by
    itself. Missing joints stay missing, and none leaves the frame.

    Args:
      labels_HxW: regions. pose_Jx2: (y, x) in pixels, missing ones (-1, -1).
      spread: standard deviation in pixels, 0 or more.
    """
    height, width = labels_HxW.shape
    amount = spread * rng.uniform(0, 2)
    size = cell(height)
    field = rng.standard_normal((height // size + 2, width // size + 2, 2))
    field = np.rint(amount * resize_maps(field, (height, width))).astype(int)
    rows, columns = np.mgrid[:height, :width]
    rows, columns = (rows + field[..., 0]).clip(0, height - 1), (columns + field[..., 1]).clip(0, width - 1)
    moved = pose_Jx2 + 0.5 * amount * rng.standard_normal(pose_Jx2.shape)
    moved = moved.clip(0, [height - 1, width - 1]).astype(np.float32)
    return labels_HxW[rows, columns], np.where(joints.present(pose_Jx2)[:, None], moved, joints.MISSING)


def add(batch: dict[str, np.ndarray], spread: float, seed: int, first: int) -> dict[str, np.ndarray]:
    """The batch with its sources `displaced`; what happens to a pair depends on (seed, its position) alone.

    first: the position of the batch's first pair among all that are ever trained on.
    """
    found = [
        displaced(labels, pose, spread, np.random.default_rng([seed, first + place]))
        for place, (labels, pose) in enumerate(zip(batch["source_parsing"], batch["source_pose"], strict=True))
    ]
    labels, poses = (np.stack(parts) for parts in zip(*found, strict=True))
    return batch | {"source_parsing": labels, "source_pose": poses}
