"""Maps that follow the edges of a picture: the guided filter of He, Sun and Tang (TPAMI 35(6), 2013)."""

import numpy as np
from PIL import Image

from scrn_jax.person.resizing import resize_maps

RADIUS, EVEN = 1 / 32, 1e-5  # of windows, as a share of the rows; `epsilon`, found on rendered people


def along_edges(maps_HxWxC: np.ndarray, photo_HxWx3: np.ndarray, largest: int = 320) -> np.ndarray:
    """Maps whose outlines lie on the edges of a photo, uint8: by a `GuidedFilter`, float32 (H, W, C).

    Of a photo with a side of more than `largest` pixels a smaller copy is looked at, which takes less time.
    """
    size = photo_HxWx3.shape[:2]
    less = min(1, largest / max(size))
    small = max(1, round(less * size[0])), max(1, round(less * size[1]))
    guide, seen = photo_HxWx3, maps_HxWxC
    if less < 1:
        guide, seen = (resize_maps(each, small, Image.Resampling.BOX) for each in (guide, seen))
    found = GuidedFilter(guide / 255, max(1, round(RADIUS * small[0])), EVEN)(seen)
    return resize_maps(found, size, Image.Resampling.BILINEAR) if less < 1 else found


class GuidedFilter:
    """Filters maps so that, around every pixel, they are a linear function of a picture's colours.

    Where the picture has an edge near a map's blurred one, the map's moves there; where it has none, the map stays as
    smooth as it was. Equations 19 to 21 of the paper, in float64.
    """

    def __init__(self, guide_HxWx3: np.ndarray, radius: int, epsilon: float):
        """
        Args:
          guide_HxWx3: the picture, from 0 to 1.
          radius: of the square windows, in pixels.
          epsilon: variance of colours below which a window counts as even.
        """
        self._guide, self._radius = guide_HxWx3.astype(np.float64), radius
        self._mean = self._around(self._guide)
        moments = self._around(
            (self._guide[..., :, None] * self._guide[..., None, :]).reshape(*self._guide.shape[:2], 9)
        )
        spread = moments.reshape(*self._guide.shape, 3) - self._mean[..., :, None] * self._mean[..., None, :]
        self._inverse = np.linalg.inv(spread + epsilon * np.eye(3))

    def __call__(self, maps_HxWxC: np.ndarray) -> np.ndarray:
        """Each of the maps by itself, float32 (H, W, C)."""
        height, width, count = maps_HxWxC.shape
        maps = maps_HxWxC.astype(np.float64)
        mean = self._around(maps)
        common = self._around((self._guide[..., :, None] * maps[..., None, :]).reshape(height, width, 3 * count))
        common = common.reshape(height, width, 3, count) - self._mean[..., :, None] * mean[..., None, :]
        slopes = self._inverse @ common
        offsets = mean - (slopes * self._mean[..., None]).sum(2)
        slopes = self._around(slopes.reshape(height, width, 3 * count)).reshape(slopes.shape)
        return ((slopes * self._guide[..., None]).sum(2) + self._around(offsets)).astype(np.float32)

    def _around(self, values_HxWxC: np.ndarray) -> np.ndarray:
        """Means over the windows; at the frame's edges, over what of them lies inside."""
        for axis in (0, 1):
            count = values_HxWxC.shape[axis]
            start = np.maximum(np.arange(count) - self._radius, 0)
            stop = np.minimum(np.arange(count) + self._radius + 1, count)
            sums = np.cumsum(values_HxWxC, axis)
            sums = np.concatenate([np.zeros_like(sums.take([0], axis)), sums], axis)
            length = (stop - start).reshape([-1 if at == axis else 1 for at in range(3)])
            values_HxWxC = (sums.take(stop, axis) - sums.take(start, axis)) / length
        return values_HxWxC
