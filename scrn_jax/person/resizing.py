"""The one resize of photos, by area as TensorFlow does it: a pixel is the mean of what it covers, parts included.

Pillow's box filter takes or leaves whole pixels, which at odd factors gives other pictures.
"""

import numpy as np
from PIL import Image

# Edges this near to one between two pixels lie on it.
_ROUNDING = 1e-6
# So many pixels are worked on at a time, as float32 numbers.
_STRIP = 1 << 17

Box = tuple[float, float, float, float]


def shrinks(window: tuple[float, float], size: tuple[int, int]) -> bool:
    """Whether a window of (height, width) grows in neither direction when it becomes `size`."""
    return window[0] > size[0] - _ROUNDING and window[1] > size[1] - _ROUNDING


def resize_labels(image: Image.Image, size: tuple[int, int], box: Box) -> Image.Image:
    """The part `box` = (left, top, right, bottom) of a label map at `size` = (height, width): the nearest labels."""
    return image.resize((size[1], size[0]), Image.Resampling.NEAREST, box=box)


def resize_maps(values_HxWxC: np.ndarray, size: tuple[int, int], method=Image.Resampling.BICUBIC) -> np.ndarray:
    """float32 maps (H, W, C), each by itself, at `size` = (height, width) by one of Pillow's filters."""
    channels = (np.ascontiguousarray(channel, np.float32) for channel in np.moveaxis(values_HxWxC, -1, 0))
    resized = (Image.fromarray(channel).resize(size[::-1], method) for channel in channels)
    return np.stack([np.asarray(channel) for channel in resized], axis=-1)


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
    across = _shares(columns, first, last)
    resized = np.empty((*size, 3), np.uint8)
    step = max(1, int(_STRIP * size[0] / ((last - first) * max(1.0, bottom - top))))
    room = np.empty((min(image.height, int(step * (bottom - top) / size[0]) + 3), 3 * (last - first)), np.float32)
    for begin in range(0, size[0], step):
        edges = rows[begin : begin + step + 1]
        count, top_row, end_row = len(edges) - 1, int(edges[0]), min(image.height, int(edges[-1]) + 1)
        strip = room[: end_row - top_row]
        strip[:] = np.asarray(image.crop((first, top_row, last, end_row))).reshape(len(strip), -1)
        by_rows = _shares(edges, top_row, end_row) @ strip
        # Turned as a plain matrix, which is four times as quick as with the colours kept together.
        means = across @ np.ascontiguousarray(by_rows.T).reshape(last - first, -1)
        np.rint(means, out=means)  # means of bytes, so from 0 to 255
        resized[begin : begin + step] = means.astype(np.uint8).reshape(size[1], 3, count).transpose(2, 0, 1)
    return Image.fromarray(resized)


def _edges(start: float, stop: float, count: int, length: int) -> np.ndarray:
    """The edges of `count` equal cells between `start` and `stop`, float64 (count + 1,), inside [0, `length`]."""
    edges = np.linspace(start, stop, count + 1)
    whole = np.rint(edges)
    return np.where(np.abs(edges - whole) < _ROUNDING, whole, edges).clip(0, length)


def _shares(edges: np.ndarray, first: int, last: int):
    """What share of each cell between two `edges` each pixel from `first` to `last` is: sparse float32 (cells, pixels).

    Its product with an image's rows are the cells' means, summed pixel by pixel.
    """
    from scipy import sparse  # only where something shrinks: it takes a tenth of a second

    begin = edges[:-1].astype(np.int64)
    pixels = begin[:, None] + np.arange(int(np.ceil(edges[1:] - begin).max()))
    inside = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    covered = inside > 0
    shares = (inside / np.diff(edges)[:, None]).astype(np.float32)
    ends = np.concatenate([[0], covered.sum(axis=1).cumsum()])
    return sparse.csr_array((shares[covered], pixels[covered] - first, ends), shape=(len(begin), last - first))
