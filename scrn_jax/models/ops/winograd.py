"""Convolutions with a fraction of the products: Winograd's minimal filtering, along both axes.

A tile of m outputs of r taps needs m + r - 1 products instead of m r (Lavin and Gray, Fast Algorithms for Convolutional
Neural Networks, 2016). With the kernel w and a window x, y = A' [(G w G') * (B' x B)] A, where * is, over channels, a
matrix product for each place of the window. 3x3 taps need a quarter of the products, 5x5 a bit more than a third, 7
taps in a row about a third.

The matrices follow Toom and Cook from points and infinity. The points keep the rounding error of float32 at about four
times the plain convolution's, for 7 taps eight; the customary 0, +-1, +-2 are four times worse for 3 taps.
"""

import functools
import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

_SIX = (0.0, 0.5**0.5, -(0.5**0.5), 2**0.5, -(2**0.5))
_TEN = (0.0, 0.35, -0.35, 0.8, -0.8, 1.25, -1.25, 2.5, -2.5)
POINTS = {1: (), 3: _SIX, 5: _SIX, 7: _TEN}  # by the number of taps; the window has one more place, for infinity


def matrices(points, tile: int, taps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(A', G, B') in float64, so that A' [(G w) * (B' x)] is the correlation of `taps` taps, `tile` outputs long."""
    points, window = np.asarray(points, np.float64), tile + taps - 1
    output, kernel, inputs = np.zeros((tile, window)), np.zeros((window, taps)), np.zeros((window, window))
    for j, point in enumerate(points):
        others = np.delete(points, j)
        output[:, j] = point ** np.arange(tile)
        kernel[j] = point ** np.arange(taps) / np.prod(point - others)
        inputs[j, :-1] = np.atleast_1d(np.poly(others))[::-1]
    output[-1, -1] = kernel[-1, -1] = 1.0
    inputs[-1] = np.atleast_1d(np.poly(points))[::-1]
    return output, kernel, inputs.round(12)  # exact zeros


@dataclass(frozen=True, eq=False)
class Filter:
    """Minimal filtering along one axis: `tile` outputs from a window of `window` inputs, by the three matrices."""

    taps: int
    tile: int
    output: np.ndarray
    kernel: np.ndarray
    inputs: np.ndarray

    @property
    def window(self) -> int:
        """Inputs of a tile, and products."""
        return self.tile + self.taps - 1


@functools.cache
def filter_of(taps: int) -> Filter:
    """The filter for so many taps, a key of `POINTS`; a single tap is left as it is."""
    tile = len(POINTS[taps]) + 2 - taps
    return Filter(taps, tile, *matrices(POINTS[taps], tile, taps))


@dataclass(frozen=True)
class Layout:
    """Where the tiles of a convolution of stride 1 lie, along the rows and along the columns.

    Attributes:
      filters: how either axis is computed.
      dilation: of the kernel; the grid is then so many interleaved grids.
      low: zeros before the input.
      sides: the outputs.
    """

    filters: tuple[Filter, Filter]
    dilation: int
    low: tuple[int, int]
    sides: tuple[int, int]

    @classmethod
    def of(cls, x_shape, kernel_shape, padding, dilation: int) -> "Layout":
        """The layout for shapes (B, H, W, C) and (K, L, C, F) and a padding ((low, high), (low, high))."""
        taps = kernel_shape[:2]
        sides = [
            side + sum(ends) - dilation * (count - 1)
            for side, ends, count in zip(x_shape[1:3], padding, taps, strict=True)
        ]
        filters = tuple(filter_of(count) for count in taps)
        return cls(filters, dilation, tuple(low for low, _ in padding), tuple(sides))

    @property
    def tiles(self) -> list[int]:
        """How many tiles cover one of the interleaved grids."""
        return [
            math.ceil(side / (self.dilation * each.tile)) for side, each in zip(self.sides, self.filters, strict=True)
        ]

    @property
    def covered(self) -> list[int]:
        """Outputs along each axis that the tiles hold, at least `sides`."""
        return [self.dilation * count * each.tile for count, each in zip(self.tiles, self.filters, strict=True)]

    @property
    def places(self) -> int:
        """Places of a window."""
        return self.filters[0].window * self.filters[1].window

    @property
    def share(self) -> float:
        """The products that are left, as a share of the plain convolution's."""
        taps = self.filters[0].taps * self.filters[1].taps
        return math.prod(self.tiles) * self.dilation**2 * self.places / (math.prod(self.sides) * taps)

    def kernel_matrix(self) -> np.ndarray:
        """Both sides of the kernel at once: (column and row of the window, row and column of the kernel)."""
        rows, columns = self.filters
        both = np.einsum("ia,jb->jiab", rows.kernel, columns.kernel)
        return both.reshape(self.places, rows.taps * columns.taps)


def convolve(x_BxHxWxC, kernel_KxLxCxF, padding, dilation: int = 1, precision=None):
    """The convolution of stride 1, (B, H', W', F); it has no derivative rule.

    Args:
      kernel_KxLxCxF: taps K and L each a key of `POINTS`.
      padding: zeros around the input, ((low, high), (low, high)).
    """
    layout = Layout.of(x_BxHxWxC.shape, kernel_KxLxCxF.shape, padding, dilation)
    (rows, columns), (across, along), (height, width) = layout.filters, layout.tiles, layout.sides
    batch, (before, after) = x_BxHxWxC.shape[0], kernel_KxLxCxF.shape[2:]
    matrix = jnp.asarray(layout.kernel_matrix(), kernel_KxLxCxF.dtype)
    kernel = jnp.tensordot(matrix, kernel_KxLxCxF.reshape(-1, before, after), 1)
    y = _products(_windows(x_BxHxWxC, layout), kernel, 2, 1, precision)
    y = y.reshape(columns.window, rows.window, batch, across, dilation, along, dilation, after)
    y = _combine(columns.output, list(y))
    y = _combine(rows.output, [y[:, i] for i in range(rows.window)])  # row, column in the tile, B, rows, d, columns, d
    y = y.transpose(2, 3, 0, 4, 5, 1, 6, 7).reshape(batch, *layout.covered, after)
    return y[:, :height, :width]


def weight_gradient(x_BxHxWxC, gradient_BxHxWxF, kernel_shape, padding, dilation: int = 1, precision=None):
    """The kernel's gradient (K, L, C, F) of `convolve`."""
    layout = Layout.of(x_BxHxWxC.shape, kernel_shape, padding, dilation)
    (rows, columns), (across, along), before = layout.filters, layout.tiles, x_BxHxWxC.shape[-1]
    batch, *_, after = gradient_BxHxWxF.shape
    below, right = (full - side for full, side in zip(layout.covered, layout.sides, strict=True))
    g = jnp.pad(gradient_BxHxWxF, ((0, 0), (0, below), (0, right), (0, 0)))
    g = g.reshape(batch, across, rows.tile, dilation, along, columns.tile, dilation, after)
    g = _combine(rows.output.T, [g[:, :, i] for i in range(rows.tile)])
    g = _combine(columns.output.T, [g[:, :, :, :, :, i] for i in range(columns.tile)]).reshape(layout.places, -1, after)
    found = _products(_windows(x_BxHxWxC, layout), g, 1, 1, precision)
    matrix = jnp.asarray(layout.kernel_matrix().T, found.dtype)
    return jnp.tensordot(matrix, found, 1).reshape(rows.taps, columns.taps, before, after)


def _windows(x_BxHxWxC, layout: Layout):
    """The transformed windows of every tile: (places, B rows d columns d, C)."""
    batch, height, width, channels = x_BxHxWxC.shape
    dilation, (rows, columns) = layout.dilation, layout.filters
    reach = [count * each.tile + each.taps - 1 for count, each in zip(layout.tiles, layout.filters, strict=True)]
    ends = [
        dilation * length - low - side for length, low, side in zip(reach, layout.low, (height, width), strict=True)
    ]
    x = jnp.pad(x_BxHxWxC, ((0, 0), (layout.low[0], ends[0]), (layout.low[1], ends[1]), (0, 0)))
    x = x.reshape(batch, reach[0], dilation, reach[1], dilation, channels)
    x = _combine(rows.inputs, _shifted(x, 1, rows))
    return _combine(columns.inputs, _shifted(x, 4, columns)).reshape(layout.places, -1, channels)


def _shifted(x, axis: int, along: Filter) -> list[jax.Array]:
    """Every tile's first, second, ... last entry along an axis."""
    last = x.shape[axis] - along.window
    return [lax.slice_in_dim(x, i, i + last + 1, along.tile, axis) for i in range(along.window)]


def _combine(matrix: np.ndarray, parts: list[jax.Array]):
    """The matrix times the parts, stacked along a new first axis; zeros cost nothing."""
    rows = [[float(factor) * part for factor, part in zip(row, parts, strict=True) if factor] for row in matrix]
    return jnp.stack([sum(row[1:], row[0]) for row in rows])


def _products(a, b, over_a: int, over_b: int, precision):
    """A matrix product for each place of a window."""
    return lax.dot_general(a, b, (((over_a,), (over_b,)), ((0,), (0,))), precision=precision)
