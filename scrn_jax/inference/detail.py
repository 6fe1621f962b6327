"""The photo's own detail in a larger copy of what the model paints.

A model of 128x88 paints blurred faces and prints; the photo has them sharp. The body's parts take the source's pixels
to the target pose (`person.paint`) in any size: what the enlarged picture lacks of them, their finer structure, is
added to it, where the source shows what the model paints.
"""

import jax
import numpy as np
from PIL import Image

from scrn_jax.person import joints, paint, regions
from scrn_jax.person.resizing import resize_maps

TIMES = 4  # the model's frame, by default
_SOFTNESS = 0.7  # pixels of the model's frame by which the outlines of its regions are rounded
# Grey levels between the model's and the carried pixels at which half of the detail is left out: there the model says
# that something else is to be seen.
_TRUST = 40.0


def enlarge(
    source: np.ndarray, source_regions: np.ndarray, source_joints: np.ndarray, picture: np.ndarray, labels: np.ndarray,
    target_joints: np.ndarray, share: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """A picture of the model with the source's detail, and how far each pixel is the person's.

    Args:
      source: the frame in its larger size, uint8 (kH, kW, 3), k whole.
      source_regions: its regions (H, W); source_joints: (18, 2) in pixels of (H, W).
      picture, labels: what the model paints, uint8 (H, W, 3), and its regions (H, W).
      target_joints: (18, 2) in pixels of (H, W).
      share: (8,) in [0, 1], how far regions are dressed as another person's, whose detail is not the source's.

    Returns:
      float32 (kH, kW, 3) from 0 to 255 but for rounding, and float32 (kH, kW) in [0, 1].
    """
    small, large = source_regions.shape, source.shape[:2]
    times = large[0] // small[0]
    here, there = _soft_regions(source_regions, large), _soft_regions(labels, large)
    poses = (joints.move(pose, (times, times))[None] for pose in (source_joints, target_joints))
    own = np.ones(regions.NUM_REGIONS, np.float32) if share is None else np.float32(1) - share
    found = _carry(source[None] / np.float32(255), here[None], *poses, there[None])
    carried, weight = (np.asarray(part)[0] for part in found)
    weight = (weight[..., 0] * (there @ own))[..., None]
    carried = 255 * carried
    known = resize_maps(weight, small, Image.Resampling.BOX)
    mean = resize_maps(carried * weight, small, Image.Resampling.BOX) / np.maximum(known, 1e-3)
    apart = np.abs(mean - picture).mean(-1, keepdims=True)
    trusted = weight * resize_maps(np.where(known > 0.1, 1 / (1 + (apart / _TRUST) ** 4), 0), large)
    change = trusted * (carried - resize_maps(mean, large))
    return resize_maps(picture, large) + change, np.clip(2 * (1 - there[..., 0]) - 0.5, 0, 1)


@jax.jit
def _carry(image, masks, source_pose, target_pose, parsing):
    parsing = paint.sharpen(parsing)
    flat = paint.flat_paint(paint.region_colours(image, masks), parsing)
    return paint.carry(image, masks, source_pose, target_pose, parsing, flat)


def _soft_regions(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A map's regions in another size with rounded outlines: float32 (kH, kW, 8), a distribution per pixel."""
    from scipy import ndimage

    masks = np.eye(regions.NUM_REGIONS, dtype=np.float32)[labels]
    masks = ndimage.gaussian_filter(masks, (_SOFTNESS, _SOFTNESS, 0), mode="nearest")
    masks = resize_maps(masks, size).clip(1e-6)
    return masks / masks.sum(-1, keepdims=True)
