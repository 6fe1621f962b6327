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
# Hair and skin before clothes, whose outlines are unsure within such a share of the frame's height; the least share of
# one of them beside a pixel; and how many pixels what looks like them is wide, to be more than a print's speckle, and
# reaches further than it seems.
_BEFORE, _CLOTHES, _BORDER, _BESIDE, _SPECKLE, _RIM = (1, 5, 6, 7), (2, 3, 4), 1 / 64, 0.02, 1, 2


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
    """The picture whose clothes do not show the colours of hair and skin before them: float32 (kH, kW, 3).

    Where outlines are unsure, a strand on a shoulder or the rim of a hand would count as a print. What is nearer there
    to their colours than to those of the clothes around takes the latter's mean.
    """
    labels, shape, reach = masks.argmax(-1), large.shape[:2], _BORDER * small[0]
    means, cloth, before = large.astype(np.float32), np.zeros(shape, np.float32), np.full(shape, np.inf, np.float32)
    for region in (*_CLOTHES, *_BEFORE):
        mask = (labels == region)[..., None].astype(np.float32)
        if not mask.any():
            continue
        share, total = (resize_maps(part, small, Image.Resampling.BOX) for part in (mask, large * mask))
        mean = resize_maps(_mean(total, share, reach), shape)
        apart = np.abs(large - mean).sum(-1)
        if region in _CLOTHES:
            means, cloth = np.where(mask, mean, means), np.where(mask[..., 0], apart, cloth)
        else:
            beside = resize_maps(_around(share, reach), shape)[..., 0] > _BESIDE
            before = np.where(beside, np.minimum(before, apart), before)
    wrong = ndimage.binary_opening(cloth > before, iterations=_SPECKLE)
    wrong = ndimage.binary_dilation(wrong, iterations=_RIM) & np.isin(labels, _CLOTHES)
    return large + ndimage.gaussian_filter(wrong.astype(np.float32), 1)[..., None] * (means - large)


def _plane(total: np.ndarray, share: np.ndarray, reach: float) -> np.ndarray:
    """As `_mean`, but of the plane nearest to what lies around, by least squares: value and slopes at once."""
    grid = np.stack(np.mgrid[tuple(slice(-(side - 1) / 2, side / 2) for side in share.shape[:2])], -1, dtype=np.float32)
    down, right = grid[..., :1], grid[..., 1:]
    squares = np.concatenate([down * down, down * right, right * right], -1)
    stack = [share, share * grid, share * squares, total, total * down, total * right]
    ends = np.cumsum([part.shape[-1] for part in stack])
    weight, middle, squares, *sums = np.split(_around(np.concatenate(stack, -1), reach), ends[:-1], -1)
    middle, squares, mean, *slopes = (part / np.maximum(weight, _LEAST) for part in (middle, squares, *sums))
    a, b, d = np.split(squares - middle[..., [0, 0, 1]] * middle[..., [0, 1, 1]], 3, -1)
    a, d = a + (_STIFF * reach) ** 2, d + (_STIFF * reach) ** 2
    y, x = (slope - mean * at for slope, at in zip(slopes, np.split(middle, 2, -1), strict=True))
    away_y, away_x = np.split(grid - middle, 2, -1)
    return mean + (away_y * (d * y - b * x) + away_x * (a * x - b * y)) / (a * d - b * b)


def _mean(total: np.ndarray, share: np.ndarray, reach: float) -> np.ndarray:
    """Means around each pixel of (H, W, C), of what is summed up to a share (H, W, 1) of each pixel."""
    return _around(total, reach) / np.maximum(_around(share, reach), _LEAST)


def _around(values_HxWxC: np.ndarray, reach: float) -> np.ndarray:
    """Means under a window whose standard deviation is `reach` pixels: twice a box, which is as quick for any."""
    box = 2 * round(reach * 1.5**0.5) + 1  # its square, less one, is six times the square of `reach`
    for _ in range(2):
        values_HxWxC = ndimage.uniform_filter(values_HxWxC, (box, box, 0))
    return values_HxWxC
