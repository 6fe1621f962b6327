"""The ways of computing a convolution or one of its gradients, among which `convolutions.choose` chooses."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

FEW_INPUTS, PIECE = 8, 32  # input channels up to which `in_pieces` wins, given many outputs; outputs a piece
BLOCK = 2  # pixels a side of the blocks of `packed` and `folded`
NHWC = ("NHWC", "HWIO", "NHWC")


@dataclasses.dataclass(frozen=True)
class Window:
    """How a kernel moves over NHWC features: everything of a convolution but its arrays."""

    padding: tuple[tuple[int, int], tuple[int, int]]
    strides: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    precision: Any = None


def plain(x, kernel, window: Window):
    """The convolution as XLA does it."""
    return lax.conv_general_dilated(
        x, kernel, window.strides, window.padding, rhs_dilation=window.dilation, dimension_numbers=NHWC,
        precision=window.precision,
    )  # fmt: skip


def plain_input_gradient(kernel, gradient, x, window: Window):
    """The input's gradient as XLA does it; of `x` only shape and dtype count."""
    return jax.linear_transpose(lambda x: plain(x, kernel, window), x)(gradient)[0]


def plain_weight_gradient(x, gradient, kernel, window: Window):
    """The kernel's gradient as XLA does it; of `kernel` only shape and dtype count."""
    return jax.linear_transpose(lambda kernel: plain(x, kernel, window), kernel)(gradient)[0]


@dataclasses.dataclass(frozen=True)
class Way:
    """How a convolution is computed, and its two gradients."""

    forward: Callable = plain
    input_gradient: Callable = plain_input_gradient
    weight_gradient: Callable = plain_weight_gradient


def back(window: Window, kernel) -> Window:
    """The window of a convolution of stride 1 that leads from the output's grid back to the input's."""
    reach = [d * (taps - 1) for d, taps in zip(window.dilation, kernel.shape, strict=False)]
    padding = tuple((far - low, far - high) for far, (low, high) in zip(reach, window.padding, strict=True))
    return dataclasses.replace(window, padding=padding)


def framed(x, kernel, window: Window):
    """The convolution with one more pixel of padding, which XLA computes several times as fast, cut off again."""
    return plain(x, kernel, dataclasses.replace(window, padding=((1, 1), (1, 1))))[:, 1:-1, 1:-1]


def swapped(x, gradient, kernel, window: Window):
    """The weight gradient with input and output gradient in each other's place.

    dW[i] = sum_y x[y + d i - p] g[y] = sum_u g[u + d (K - 1 - i) - (d (K - 1) - p)] x[u]: the gradient of a convolution
    that leads from g to x, with flipped taps.
    """
    mirrored = jax.ShapeDtypeStruct((*kernel.shape[:2], kernel.shape[3], kernel.shape[2]), kernel.dtype)
    found = plain_weight_gradient(gradient, x, mirrored, back(window, kernel))
    return found[::-1, ::-1].swapaxes(2, 3)


def in_pieces(x, gradient, kernel, window: Window):
    """The weight gradient of `PIECE` outputs at a time; the number of outputs must be a multiple of it."""
    few = jax.ShapeDtypeStruct((*kernel.shape[:3], PIECE), kernel.dtype)
    pieces = jnp.split(gradient, gradient.shape[-1] // PIECE, axis=-1)
    return jnp.concatenate([plain_weight_gradient(x, piece, few, window) for piece in pieces], axis=-1)


def packed(x, gradient, kernel, window: Window):
    """The weight gradient of `convolve_blocks`, which the undilated convolution equals on even output grids."""
    return jax.linear_transpose(lambda kernel: convolve_blocks(x, kernel, window), kernel)(gradient)[0]


def convolve_blocks(x_BxHxWxC, kernel_KxLxCxF, window: Window):
    """A convolution whose every pixel is a block of 2x2: input 4C, output 4F channels, half the taps (and one).

    The kernel of a block's output (i, j) is the kernel moved by (i, j) within a frame of whole blocks. The zeros in the
    frame cost (8/7)^2 for 7x7 and (4/3)^2 for 3x3.
    """
    (rows, columns, before, after), (batch, height, width, _) = kernel_KxLxCxF.shape, x_BxHxWxC.shape
    blocks, taps, ends = [], [], []
    for side, size, (low, high) in zip((height, width), (rows, columns), window.padding, strict=True):
        blocks.append((side + low + high - size + 1) // BLOCK)
        taps.append(-(-(size + BLOCK - 1) // BLOCK))
        ends.append(BLOCK * (blocks[-1] + taps[-1] - 1) - side - low)
    (top, _), (left, _) = window.padding
    x = jnp.pad(x_BxHxWxC, ((0, 0), (top, ends[0]), (left, ends[1]), (0, 0)))
    frame = [BLOCK * taps[0] - rows, BLOCK * taps[1] - columns]
    moved = [
        jnp.pad(kernel_KxLxCxF, ((i, frame[0] - i), (j, frame[1] - j), (0, 0), (0, 0)))
        for i in range(BLOCK) for j in range(BLOCK)
    ]  # fmt: skip
    kernel = _fold_kernel(jnp.stack(moved, axis=3).reshape(*(BLOCK * n for n in taps), before, -1))
    y = plain(_fold(x), kernel, Window(((0, 0), (0, 0)), precision=window.precision))
    y = y.reshape(batch, *blocks, BLOCK, BLOCK, after).transpose(0, 1, 3, 2, 4, 5)
    return y.reshape(batch, BLOCK * blocks[0], BLOCK * blocks[1], after)


def folded(kernel, gradient, x, window: Window):
    """The input's gradient of stride 2, even taps and an even padded frame: that of stride 1 over folded pixels."""
    beside = ((0, 0), *window.padding, (0, 0))
    inner = Window(((0, 0), (0, 0)), precision=window.precision)

    def convolve(x):
        return plain(_fold(jnp.pad(x, beside)), _fold_kernel(kernel), inner)

    return jax.linear_transpose(convolve, x)(gradient)[0]


def _fold(x_BxHxWxC):
    """Blocks of 2x2 pixels as one pixel each: (B, H/2, W/2, 4C), channels by row and column in the block."""
    b, h, w, c = x_BxHxWxC.shape
    x = x_BxHxWxC.reshape(b, h // BLOCK, BLOCK, w // BLOCK, BLOCK, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, h // BLOCK, w // BLOCK, -1)


def _fold_kernel(kernel_KxLxCxF):
    """The kernel for folded pixels: (K/2, L/2, 4C, F)."""
    *_, before, after = kernel_KxLxCxF.shape
    return _fold(kernel_KxLxCxF.reshape(1, *kernel_KxLxCxF.shape[:2], -1)).reshape(
        kernel_KxLxCxF.shape[0] // BLOCK, kernel_KxLxCxF.shape[1] // BLOCK, BLOCK**2 * before, after
    )


def patches(x_BxHxWxC, kernel_KxLxCxF, window: Window):
    """The convolution as one product of the patches (B H W, K L C) with the kernel."""
    x = jnp.pad(x_BxHxWxC, ((0, 0), *window.padding, (0, 0)))
    views = [x]
    for axis, taps in enumerate(kernel_KxLxCxF.shape[:2]):
        stride, dilation = window.strides[axis], window.dilation[axis]
        reach = x.shape[axis + 1] - dilation * (taps - 1)  # first places of a patch
        views = [
            lax.slice_in_dim(view, i * dilation, i * dilation + reach, stride, axis + 1)
            for view in views for i in range(taps)
        ]  # fmt: skip
    kernel = kernel_KxLxCxF.reshape(-1, kernel_KxLxCxF.shape[-1])
    return lax.dot_general(
        jnp.concatenate(views, axis=-1), kernel, (((3,), (0,)), ((), ())), precision=window.precision
    )
