"""`lax.conv_general_dilated` with the same numbers, computed otherwise where XLA is slow on a CPU.

XLA's CPU back end is slow at weight gradients with few output channels: for the last layer of a decoder, 7x7 from 64
channels to 3, by more than an order of magnitude. Here is the choice:

- fewer output than input channels: input and output's gradient change places (`swapped`);
- few channels on both sides: compute blocks of 2x2 outputs as one pixel with four times the channels (`packed`);
- grids of fewer pixels than the kernel has taps: gather patches, one matrix product (`patches`);
- anything else, strides included: as XLA does it.

docs/performance.md has what each gives. Use it as `nn.Conv(..., conv_general_dilated=conv_gradients.convolution)`.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

FEW = 16  # channels on both sides up to which `packed` wins
BLOCK = 2  # pixels a side of its blocks
NHWC = ("NHWC", "HWIO", "NHWC")


def convolution(
    x_BxHxWxC, kernel_KxLxCxF, strides, padding, *, lhs_dilation=None, rhs_dilation=None, dimension_numbers=None,
    feature_group_count=1, precision=None,
):  # fmt: skip
    """As `lax.conv_general_dilated` for two-dimensional NHWC features, as `nn.Conv` calls it.

    Reverse-mode derivatives only (as of any `jax.custom_vjp`), wherever a rule of its own applies.
    """
    dilation, strides, dimension_numbers = tuple(rhs_dilation or (1, 1)), tuple(strides), dimension_numbers or NHWC
    if not isinstance(padding, str):
        padding = tuple(tuple(side) for side in padding)
    as_it_is = partial(
        lax.conv_general_dilated, window_strides=strides, padding=padding, lhs_dilation=lhs_dilation,
        rhs_dilation=dilation, dimension_numbers=dimension_numbers, feature_group_count=feature_group_count,
        precision=precision,
    )  # fmt: skip
    layouts = [lax.conv_dimension_numbers(x_BxHxWxC.shape, kernel_KxLxCxF.shape, d) for d in (dimension_numbers, NHWC)]
    dense = feature_group_count == 1 and tuple(lhs_dilation or (1, 1)) == (1, 1) and layouts[0] == layouts[1]
    if not dense or strides != (1, 1) or isinstance(padding, str):
        return as_it_is(x_BxHxWxC, kernel_KxLxCxF)
    rows, columns, before, after = kernel_KxLxCxF.shape
    height, width = jax.eval_shape(as_it_is, x_BxHxWxC, kernel_KxLxCxF).shape[1:3]
    if height * width < rows * columns:
        return patches(x_BxHxWxC, kernel_KxLxCxF, padding, dilation, precision)
    even = height % BLOCK == width % BLOCK == 0 and dilation == (1, 1)
    if even and max(before, after) <= FEW:
        return _convolve(x_BxHxWxC, kernel_KxLxCxF, padding, dilation, precision, packed)
    if after < before:
        return _convolve(x_BxHxWxC, kernel_KxLxCxF, padding, dilation, precision, swapped)
    return as_it_is(x_BxHxWxC, kernel_KxLxCxF)


def plain(x, kernel, padding, dilation, precision=None):
    """The convolution of stride 1 as XLA does it."""
    return lax.conv_general_dilated(
        x, kernel, (1, 1), padding, rhs_dilation=dilation, dimension_numbers=NHWC, precision=precision
    )


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4, 5))
def _convolve(x, kernel, padding, dilation, precision, weight_gradient):
    """The plain convolution with a weight gradient of one's choice."""
    return plain(x, kernel, padding, dilation, precision)


def _forward(x, kernel, padding, dilation, precision, weight_gradient):
    return plain(x, kernel, padding, dilation, precision), (x, kernel)


def _backward(padding, dilation, precision, weight_gradient, saved, gradient):
    x, kernel = saved
    (of_x,) = jax.linear_transpose(lambda x: plain(x, kernel, padding, dilation, precision), x)(gradient)
    return of_x, weight_gradient(x, gradient, kernel, padding, dilation, precision)


_convolve.defvjp(_forward, _backward)


def swapped(x, gradient, kernel, padding, dilation, precision=None):
    """The weight gradient with input and output gradient in each other's place.

    dW[i] = sum_y x[y + d i - p] g[y] = sum_u g[u + d (K - 1 - i) - (d (K - 1) - p)] x[u]: the gradient of a convolution
    that leads from g to x, with flipped taps.
    """
    reach = [d * (taps - 1) for d, taps in zip(dilation, kernel.shape, strict=False)]
    back = tuple((far - low, far - high) for far, (low, high) in zip(reach, padding, strict=True))
    mirrored = jax.ShapeDtypeStruct((*kernel.shape[:2], kernel.shape[3], kernel.shape[2]), kernel.dtype)
    convolve = partial(plain, gradient, padding=back, dilation=dilation, precision=precision)
    (found,) = jax.linear_transpose(convolve, mirrored)(x)
    return found[::-1, ::-1].swapaxes(2, 3)


def packed(x, gradient, kernel, padding, dilation, precision=None):
    """The weight gradient of `convolve_blocks`, which the undilated convolution equals on even output grids."""
    del dilation
    (found,) = jax.linear_transpose(lambda kernel: convolve_blocks(x, kernel, padding, precision), kernel)(gradient)
    return found


def convolve_blocks(x_BxHxWxC, kernel_KxLxCxF, padding, precision=None):
    """A convolution whose every pixel is a block of 2x2: input 4C, output 4F channels, half the taps (and one).

    The kernel of a block's output (i, j) is the kernel moved by (i, j) within a frame of whole blocks. The zeros in the
    frame cost (8/7)^2 for 7x7 and (4/3)^2 for 3x3.
    """
    (rows, columns, before, after), (batch, height, width, _) = kernel_KxLxCxF.shape, x_BxHxWxC.shape
    blocks, taps, ends = [], [], []
    for side, size, (low, high) in zip((height, width), (rows, columns), padding, strict=True):
        blocks.append((side + low + high - size + 1) // BLOCK)
        taps.append(-(-(size + BLOCK - 1) // BLOCK))
        ends.append(BLOCK * (blocks[-1] + taps[-1] - 1) - side - low)
    x = jnp.pad(x_BxHxWxC, ((0, 0), (padding[0][0], ends[0]), (padding[1][0], ends[1]), (0, 0)))
    groups = [blocks[axis] + taps[axis] - 1 for axis in (0, 1)]
    x = x.reshape(batch, groups[0], BLOCK, groups[1], BLOCK, before).transpose(0, 1, 3, 2, 4, 5)
    frame = [BLOCK * taps[0] - rows, BLOCK * taps[1] - columns]
    moved = [
        jnp.pad(kernel_KxLxCxF, ((i, frame[0] - i), (j, frame[1] - j), (0, 0), (0, 0)))
        for i in range(BLOCK) for j in range(BLOCK)
    ]  # fmt: skip
    kernel = jnp.stack(moved, axis=3).reshape(taps[0], BLOCK, taps[1], BLOCK, before, -1).transpose(0, 2, 1, 3, 4, 5)
    kernel = kernel.reshape(*taps, BLOCK**2 * before, BLOCK**2 * after)
    y = plain(x.reshape(batch, *groups, -1), kernel, ((0, 0), (0, 0)), (1, 1), precision)
    y = y.reshape(batch, *blocks, BLOCK, BLOCK, after).transpose(0, 1, 3, 2, 4, 5)
    return y.reshape(batch, BLOCK * blocks[0], BLOCK * blocks[1], after)


def patches(x_BxHxWxC, kernel_KxLxCxF, padding, dilation, precision=None):
    """The convolution as one product of the patches (B H W, K L C) with the kernel."""
    rows, columns, before, after = kernel_KxLxCxF.shape
    x = jnp.pad(x_BxHxWxC, ((0, 0), *padding, (0, 0)))
    height = x.shape[1] - dilation[0] * (rows - 1)
    width = x.shape[2] - dilation[1] * (columns - 1)
    views = [
        x[:, i * dilation[0] : i * dilation[0] + height, j * dilation[1] : j * dilation[1] + width]
        for i in range(rows) for j in range(columns)
    ]  # fmt: skip
    kernel = kernel_KxLxCxF.reshape(-1, after)
    return lax.dot_general(
        jnp.concatenate(views, axis=-1), kernel, (((3,), (0,)), ((), ())), precision=precision
    )  # fmt: skip
