"""What a picture's pixels differ by from the mean of their region around: prints, folds, edges; no colours at large.

Pictures are (H, W, 3) in grey levels, masks shares of regions (H, W, 8), reaches how far means reach, by region.
"""

import numpy as np
from PIL import Image
from scipy import ndimage

from scrn_jax.person import joints, regions
from scrn_jax.person.resizing import resize_maps

_NECK, _SHOULDERS, _HIPS = 1, [2, 5], (8, 11)
# How far means reach, as a share of the trunk's length: as far as prints and folds of clothes do, and shoes; less on
# skin and hair, whose shades lie where the light comes from. Of `regions.NAMES`.
_NEAR, _WIDELY = 1 / 20, 1 / 8
_REACHES = np.array([0, _NEAR, _WIDELY, _WIDELY, _WIDELY, _NEAR, _NEAR, _WIDELY])
_LEAST_REACH, _MOST_REACH = 1 / 85, 1 / 10  # shares of the frame's height
_STIFF = 0.3  # of how far a mean reaches: by so much are planes drawn to being level
_LEAST = 1e-4  # the least share to divide by
# Outlines of clothes are unsure within such a share of the frame's height, and mixed with what is beside them within
# another: there a pixel counts as mixed from a quarter on, elsewhere from a half.
_UNSURE, _MIXED, _QUARTER, _HALF = 1 / 64, 1 / 170, 1 / 3, 1.0  # the latter as the ratio of both distances
_CLOTHES = [regions.NAMES.index(name) for name in ("upper clothes", "dress", "pants")]
_BESIDE = 0.02  # the least share, around a pixel, of a region that is beside it


def reaches_of(pose_18x2: np.ndarray, height: int) -> np.ndarray:
    """How far means reach, by region, in pixels of the frame whose height is given: (8,); wider on a larger person."""
    there = joints.present(pose_18x2)
    hips = pose_18x2[[joint for joint in _HIPS if there[joint]]]
    if there[_NECK] and len(hips):
        trunk = np.hypot(*(hips.mean(0) - pose_18x2[_NECK]))
    elif there[_SHOULDERS].all():
        trunk = 1.5 * np.hypot(*np.subtract(*pose_18x2[_SHOULDERS]))
    else:
        trunk = height / 4
    return np.clip(_REACHES * trunk, _LEAST_REACH * height, _MOST_REACH * height)


def pattern_of(picture: np.ndarray, masks: np.ndarray, reaches: np.ndarray, small: tuple[int, int]) -> np.ndarray:
    """A picture's pattern, 0 where it has no region: float32 (kH, kW, 3).

    Means are taken at the size `small`, (H, W), in whose pixels reaches are. More exactly, they are values of the plane
    nearest to what lies around: at a region's edge, light that falls off evenly is no pattern.
    """
    found = np.zeros(picture.shape, np.float32)
    for region in range(1, regions.NUM_REGIONS):
        mask = masks[..., region, None]
        if mask.any():
            share, total = (resize_maps(part, small, Image.Resampling.BOX) for part in (mask, picture * mask))
            found += mask * (picture - resize_maps(_plane(total, share, reaches[region]), picture.shape[:2]))
    return found


def level_of(total: np.ndarray, share: np.ndarray, masks: np.ndarray, reaches: np.ndarray) -> np.ndarray:
    """Means, (H, W, C), of what is summed up to a share (H, W, 1) of each pixel, over the same region around it."""
    found = np.zeros(total.shape, np.float32)
    for region in range(1, regions.NUM_REGIONS):
        mask = masks[..., region, None]
        if mask.any():
            found += mask * _mean(mask * total, mask * share, reaches[region])
    return found


def with_own_colours(large: np.ndarray, masks: np.ndarray, small: tuple[int, int]) -> np.ndarray:
    """The picture whose clothes do not show the colours of what is beside or before them: float32 (kH, kW, 3).

    Where outlines are unsure, a strand of hair on a shoulder, the rim of a hand or the wall behind would count as a
    print. What is nearer there to their colours than to those of the clothes around takes the latter's mean. Of the
    wall, only the outline's own pixels count: a print may have its colour.
    """
    labels, shape, reach = masks.argmax(-1), large.shape[:2], _UNSURE * small[0]
    means, far = large.astype(np.float32), np.full((2, *shape), np.inf, np.float32)
    own, (before, wall) = np.zeros(shape, np.float32), far
    for region in np.unique(labels):
        mask = (labels == region)[..., None].astype(np.float32)
        share, total = (resize_maps(part, small, Image.Resampling.BOX) for part in (mask, large * mask))
        mean = resize_maps(_mean(total, share, reach), shape)
        apart = np.abs(large - mean).sum(-1)
        if region in _CLOTHES:
            means, own = np.where(mask, mean, means), np.where(mask[..., 0], apart, own)
        else:
            beside = resize_maps(around(share, reach), shape)[..., 0] > _BESIDE
            other = wall if region == 0 else before
            np.minimum(other, apart, out=other, where=beside)
    cloth = np.isin(labels, _CLOTHES)
    rim = ndimage.binary_dilation(~cloth, iterations=max(1, round(_MIXED * shape[0])))
    wrong = ndimage.binary_opening(own > _HALF * before)  # less is a print's speckle
    wrong |= rim & (own > _QUARTER * np.minimum(before, wall))
    wrong = (ndimage.binary_dilation(wrong) & cloth).astype(np.float32)
    return large + ndimage.gaussian_filter(wrong, 1)[..., None] * (means - large)


def _plane(total: np.ndarray, share: np.ndarray, reach: float) -> np.ndarray:
    """As `_mean`, but of the plane nearest to what lies around, by least squares: value and slopes at once."""
    grid = np.stack(np.mgrid[tuple(slice(-(side - 1) / 2, side / 2) for side in share.shape[:2])], -1, dtype=np.float32)
    down, right = grid[..., :1], grid[..., 1:]
    squares = np.concatenate([down * down, down * right, right * right], -1)
    stack = [share, share * grid, share * squares, total, total * down, total * right]
    ends = np.cumsum([part.shape[-1] for part in stack])
    weight, middle, squares, *sums = np.split(around(np.concatenate(stack, -1), reach), ends[:-1], -1)
    middle, squares, mean, *slopes = (part / np.maximum(weight, _LEAST) for part in (middle, squares, *sums))
    a, b, d = np.split(squares - middle[..., [0, 0, 1]] * middle[..., [0, 1, 1]], 3, -1)
    a, d = a + (_STIFF * reach) ** 2, d + (_STIFF * reach) ** 2
    y, x = (slope - mean * at for slope, at in zip(slopes, np.split(middle, 2, -1), strict=True))
    away_y, away_x = np.split(grid - middle, 2, -1)
    return mean + (away_y * (d * y - b * x) + away_x * (a * x - b * y)) / (a * d - b * b)


def _mean(total: np.ndarray, share: np.ndarray, reach: float) -> np.ndarray:
    """Means around each pixel of (H, W, C), of what is summed up to a share (H, W, 1) of each pixel."""
    return around(total, reach) / np.maximum(around(share, reach), _LEAST)


def around(values_HxWxC: np.ndarray, reach: float) -> np.ndarray:
    """Means under a window whose standard deviation is `reach` pixels: twice a box, which is as quick for any."""
    box = 2 * round(reach * 1.5**0.5) + 1  # its square, less one, is six times the square of `reach`
    for _ in range(2):
        values_HxWxC = ndimage.uniform_filter(values_HxWxC, (box, box, 0))
    return values_HxWxC
