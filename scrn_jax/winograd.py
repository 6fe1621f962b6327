"""3x3 convolutions with a quarter of the products: Winograd's minimal filtering, F(4x4, 3x3).

Sixteen outputs of a 4x4 tile need 36 products a channel pair instead of 144 (Lavin and Gray, Fast Algorithms for
Convolutional Neural Networks, 2016): y = A' [(G w G') * (B' x B)] A, where * is, over channels, 36 matrix products.

The matrices follow Toom and Cook from five points and infinity. The points 0, +-1/sqrt(2), +-sqrt(2) keep the rounding
error of float32 at about four times the plain convolution's; the customary 0, +-1, +-2 are four times worse.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

TILE, TAPS = 4, 3
WINDOW = TILE + TAPS - 1
POINTS = (0.0, 0.5**0.5, -(0.5**0.5), 2**0.5, -(2**0.5))


def matrices(points, tile: int, taps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(A', G, B') in float64, so that A' [(G w) * (B' x)] is the correlation of `taps` taps, `tile` outputs long."""
    points, window = np.asarray(points, np.float64), tile + taps - 1
    output, kernel, inputs = np.zeros((tile, window)), np.zeros((window, taps)), np.zeros((window, window))
    for j, point in enumerate(points):
        others = np.delete(points, j)
        output[:, j] = point ** np.arange(tile)
        kernel[j] = point ** np.arange(taps) / np.prod(point - others)
        inputs[j, :-1] = np.poly(others)[::-1]
    output[-1, -1] = kernel[-1, -1] = 1.0
    inputs[-1] = np.poly(points)[::-1]
    return output, kernel, inputs.round(12)  # exact zeros


OUTPUT, KERNEL, INPUT = matrices(POINTS, TILE, TAPS)
# Both sides of the kernel at once, as one matrix (column, row of the window; row, column of the kernel).
KERNEL_2D = np.einsum("ia,jb->jiab", KERNEL, KERNEL).reshape(WINDOW**2, TAPS**2).astype(np.float32)


def convolve(x_BxHxWxC, kernel_3x3xCxF, dilation: int = 1, precision=None):
    """The convolution of stride 1 whose zero padding keeps the grid, (B, H, W, F); it has no derivative rule."""
    (batch, height, width, before), after = x_BxHxWxC.shape, kernel_3x3xCxF.shape[-1]
    rows, columns = _tiles(height, dilation), _tiles(width, dilation)
    kernel = jnp.tensordot(KERNEL_2D, kernel_3x3xCxF.reshape(-1, before, after), 1)
    y = _products(_windows(x_BxHxWxC, dilation), kernel, 2, 1, precision)
    y = y.reshape(WINDOW, WINDOW, batch, rows, dilation, columns, dilation, after)
    y = _combine(OUTPUT, list(y))
    y = _combine(OUTPUT, [y[:, i] for i in range(WINDOW)])  # row and column in the tile, then B, rows, d, columns, d, F
    y = y.transpose(2, 3, 0, 4, 5, 1, 6, 7).reshape(batch, rows * TILE * dilation, columns * TILE * dilation, after)
    return y[:, :height, :width]


def weight_gradient(x_BxHxWxC, gradient_BxHxWxF, dilation: int = 1, precision=None):
    """The kernel's gradient (3, 3, C, F) of `convolve`."""
    (batch, height, width, after), before = gradient_BxHxWxF.shape, x_BxHxWxC.shape[-1]
    rows, columns = _tiles(height, dilation), _tiles(width, dilation)
    below, right = rows * TILE * dilation - height, columns * TILE * dilation - width
    g = jnp.pad(gradient_BxHxWxF, ((0, 0), (0, below), (0, right), (0, 0)))
    g = g.reshape(batch, rows, TILE, dilation, columns, TILE, dilation, after)
    g = _combine(OUTPUT.T, [g[:, :, i] for i in range(TILE)])
    g = _combine(OUTPUT.T, [g[:, :, :, :, :, i] for i in range(TILE)]).reshape(WINDOW**2, -1, after)
    found = _products(_windows(x_BxHxWxC, dilation), g, 1, 1, precision)
    return jnp.tensordot(KERNEL_2D.T, found, 1).reshape(TAPS, TAPS, before, after)


def _tiles(side: int, dilation: int) -> int:
    """How many tiles cover one of the `dilation` interleaved grids of a side."""
    return math.ceil(side / (dilation * TILE))


def _windows(x_BxHxWxC, dilation: int):
    """The transformed windows of every tile: (36, B rows d columns d, C)."""
    batch, height, width, channels = x_BxHxWxC.shape
    reach = [TILE * _tiles(side, dilation) + TAPS - 1 for side in (height, width)]
    ends = [dilation * length - dilation - side for length, side in zip(reach, (height, width), strict=True)]
    x = jnp.pad(x_BxHxWxC, ((0, 0), (dilation, ends[0]), (dilation, ends[1]), (0, 0)))
    x = x.reshape(batch, reach[0], dilation, reach[1], dilation, channels)
    x = _combine(INPUT, _shifted(x, 1))
    return _combine(INPUT, _shifted(x, 4)).reshape(WINDOW**2, -1, channels)


def _shifted(x, axis: int) -> list[jax.Array]:
    """Every tile's first, second, ... sixth entry along an axis."""
    last = x.shape[axis] - WINDOW
    return [lax.slice_in_dim(x, i, i + last + 1, TILE, axis) for i in range(WINDOW)]


def _combine(matrix: np.ndarray, parts: list[jax.Array]):
    """The matrix times the parts, stacked along a new first axis; zeros cost nothing."""
    rows = [[np.float32(factor) * part for factor, part in zip(row, parts, strict=True) if factor] for row in matrix]
    return jnp.stack([sum(row[1:], row[0]) for row in rows])


def _products(a, b, over_a: int, over_b: int, precision):
    """A matrix product for each of the 36 places of a window."""
    return lax.dot_general(a, b, (((over_a,), (over_b,)), ((0,), (0,))), precision=precision)
