"""The one resize of photos, by area as TensorFlow does it: a pixel is the mean of what it covers, parts included.

Pillow's box filter takes or leaves whole pixels, which at odd factors gives other pictures.
"""

import numpy as np
from PIL import Image

# Edges this near to one between two pixels lie on it.
_ROUNDING = 1e-6
# So many pixels are worked on at a time.
_STRIP = 1 << 20

Box = tuple[float, float, float, float]


def shrinks(window: tuple[float, float], size: tuple[int, int]) -> bool:
    """Whether a window of (height, width) grows in neither direction when it becomes `size`."""
    return window[0] > size[0] - _ROUNDING and window[1] > size[1] - _ROUNDING


def resize_labels(image: Image.Image, size: tuple[int, int], box: Box) -> Image.Image:
    """The part `box` = (left, top, right, bottom) of a label map at `size` = (height, width): the nearest labels."""
    return image.resize((size[1], size[0]), Image.Resampling.NEAREST, box=box)


def resize_photo(image: Image.Image, size: tuple[int, int], box: Box, by_area: bool) -> Image.Image:
    """The part `box` = (left, top, right, bottom) of an RGB picture at `size` = (height, width): by area, or bilinearly
    with a triangle as wide as the pixels of the smaller picture."""
    if tuple(box) == (0, 0, size[1], size[0]) and image.size == (size[1], size[0]):
        return image
    if not by_area:
        return image.resize((size[1], size[0]), Image.Resampling.BILINEAR, box=box)
    left, top, right, bottom = box
    rows, columns = _edges(top, bottom, size[0], image.height), _edges(left, right, size[1], image.width)
    first, last = int(columns[0]), min(image.width, int(columns[-1]) + 1)
    resized = np.empty((*size, 3), np.uint8)
    step = max(1, int(_STRIP * size[0] / ((last - first) * max(1.0, bottom - top))))
    for begin in range(0, size[0], step):
        edges = rows[begin : begin + step + 1]
        top_row, end_row = int(edges[0]), min(image.height, int(edges[-1]) + 1)
        strip = np.asarray(image.crop((first, top_row, last, end_row)))
        by_rows = _means(strip.reshape(len(strip), -1), edges - top_row).reshape(len(edges) - 1, last - first, 3)
        across = _means(by_rows.swapaxes(0, 1).reshape(last - first, -1), columns - first)
        means = across.reshape(size[1], len(edges) - 1, 3).swapaxes(0, 1)
        resized[begin : begin + step] = np.rint(means).clip(0, 255)
    return Image.fromarray(resized)


def _edges(start: float, stop: float, count: int, length: int) -> np.ndarray:
    """The edges of `count` equal cells between `start` and `stop`, float64 (count + 1,), inside [0, `length`]."""
    edges = np.linspace(start, stop, count + 1)
    whole = np.rint(edges)
    return np.where(np.abs(edges - whole) < _ROUNDING, whole, edges).clip(0, length)


def _means(rows: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The means, float32 (cells, columns), of the `rows` (rows, columns) that lie between each two of the `edges`."""
    first = edges[:-1].astype(np.int64)
    sums = np.zeros((len(first), rows.shape[1]), np.float32)
    for at in range(int(np.ceil(edges[1:] - first).max())):
        begin = first + at
        inside = (np.minimum(edges[1:], begin + 1) - np.maximum(edges[:-1], begin)).clip(0)
        shares = (inside / np.diff(edges)).astype(np.float32)
        sums += shares[:, None] * rows[begin.clip(0, len(rows) - 1)]
    return sums
