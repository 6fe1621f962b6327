"""`lax.conv_general_dilated` with the same numbers, computed otherwise where XLA is slow on a CPU.

Every network here convolves by `convolution`, as `nn.Conv(..., conv_general_dilated=convolution)`; `computed` chooses
between it and XLA's own way. docs/performance.md has what each gives. On a CPU the choice is, for stride 1:

- grids of fewer pixels than the kernel has taps: gather patches, one matrix product (`patches`);
- 3x3 over many channels: a quarter of the products (`winograd`);
- few channels on both sides: the weight gradient in blocks of 2x2 outputs, as one pixel of four times the channels
  (`packed`);
- fewer output than input channels: input and output's gradient change places in the weight gradient (`swapped`);
- few input and many output channels: the weight gradient in pieces of the outputs (`in_pieces`);
- no padding at all: with a padding of 1, whose results are cut off (`framed`);

where a single core computes (`computed_by_a_core`): kernels of 3, 5 or 7 taps by `winograd` if that pays, others of few
taps by `patches`;

for stride 2: the input's gradient as that of a convolution of stride 1 over pixels folded 2x2 (`folded`); anything else
as XLA does it.
"""

import contextlib
import contextvars
import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from scrn_jax import winograd

FEW = 16  # channels on both sides up to which `packed` wins
FEW_INPUTS, PIECE = 8, 32  # input channels up to which `in_pieces` wins, given many outputs; outputs a piece
MANY, WIDE = 128, 512  # channels on both sides, and pixels, from which Winograd's way wins with 3x3 taps
# A single core's time by Winograd's way, as a share of the plain time, is about the share of the products that are left
# times 1 + CHANNEL (1/C + 1/F), for what it costs to transform features, + KERNEL / tiles, for the kernel; from LIMIT
# on it is not worth the rounding.
CHANNEL, KERNEL, LIMIT = 30, 50, 0.9
MOST_TAPS = 9  # of a kernel up to which a single core is faster with `patches`
BLOCK = 2  # pixels a side of the blocks of `packed` and `folded`
NHWC = ("NHWC", "HWIO", "NHWC")

CHOICES = ("auto", "own", "plain")
_choice = contextvars.ContextVar("convolutions", default="auto")
_core = contextvars.ContextVar("core", default=False)


@contextlib.contextmanager
def computed(choice: str):
    """How `convolution` computes in whatever is traced meanwhile: `own`, `plain` (XLA's), or `auto`, own on a CPU."""
    with _set(_choice, choice):
        yield


@contextlib.contextmanager
def computed_by_a_core():
    """Tells that a single core computes whatever is traced meanwhile, other cores being busy with their own.

    XLA's plain convolutions use all cores, what Winograd's way adds to its products only one: with a core for each
    there is more to gain.
    """
    with _set(_core, True):
        yield


@contextlib.contextmanager
def _set(variable: contextvars.ContextVar, value):
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def _is_own() -> bool:
    choice = _choice.get()
    return choice == "own" or (choice == "auto" and jax.default_backend() == "cpu")


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


def convolution(
    x_BxHxWxC, kernel_KxLxCxF, strides, padding, *, lhs_dilation=None, rhs_dilation=None, dimension_numbers=None,
    feature_group_count=1, precision=None,
):  # fmt: skip
    """As `lax.conv_general_dilated` for two-dimensional NHWC features, as `nn.Conv` calls it.

    Reverse-mode derivatives only (as of any `jax.custom_vjp`), wherever a way of its own applies.
    """
    dimension_numbers = dimension_numbers or NHWC
    layouts = [lax.conv_dimension_numbers(x_BxHxWxC.shape, kernel_KxLxCxF.shape, d) for d in (dimension_numbers, NHWC)]
    dense = feature_group_count == 1 and tuple(lhs_dilation or (1, 1)) == (1, 1) and layouts[0] == layouts[1]
    if not _is_own() or not dense or isinstance(padding, str):
        return lax.conv_general_dilated(
            x_BxHxWxC, kernel_KxLxCxF, strides, padding, lhs_dilation=lhs_dilation, rhs_dilation=rhs_dilation,
            dimension_numbers=dimension_numbers, feature_group_count=feature_group_count, precision=precision,
        )  # fmt: skip
    window = Window(
        tuple(tuple(side) for side in padding), tuple(strides), tuple(rhs_dilation or (1, 1)), precision
    )  # fmt: skip
    way = choose(x_BxHxWxC, kernel_KxLxCxF, window)
    return way(x_BxHxWxC, kernel_KxLxCxF, window)


def choose(x, kernel, window: Window) -> Callable:
    """The way for arrays of these shapes and dtypes: a function of (x, kernel, window)."""
    rows, columns, before, after = kernel.shape
    if _core.get():
        if _suits_winograd(x, kernel, window):
            return partial(_convolve, way=WINOGRAD)
        return patches if rows * columns <= MOST_TAPS else plain
    height, width = jax.eval_shape(partial(plain, window=window), x, kernel).shape[1:3]
    if window.strides != (1, 1):
        foldable = (
            window.strides == (BLOCK, BLOCK) and window.dilation == (1, 1) and rows % BLOCK == columns % BLOCK == 0
        )
        even = all((side + sum(ends)) % BLOCK == 0 for side, ends in zip(x.shape[1:3], window.padding, strict=True))
        return partial(_convolve, way=Way(input_gradient=folded)) if foldable and even else plain
    if height * width < rows * columns:
        return patches
    if _suits_winograd(x, kernel, window):
        return partial(_convolve, way=WINOGRAD)
    even = height % BLOCK == width % BLOCK == 0 and window.dilation == (1, 1)
    if even and max(before, after) <= FEW:
        return partial(_convolve, way=Way(weight_gradient=packed))
    if window.padding == ((0, 0), (0, 0)) and min(rows, columns) > 1 and height * width >= WIDE:
        return partial(_convolve, way=Way(framed))
    if after < before:
        return partial(_convolve, way=Way(weight_gradient=swapped))
    if before <= FEW_INPUTS and after >= MANY and after % PIECE == 0 and height * width > WIDE:
        return partial(_convolve, way=Way(weight_gradient=in_pieces))
    return plain


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _convolve(x, kernel, window: Window, way: Way):
    return way.forward(x, kernel, window)


def _forward(x, kernel, window: Window, way: Way):
    return way.forward(x, kernel, window), (x, kernel)


def _backward(window: Window, way: Way, saved, gradient):
    x, kernel = saved
    return way.input_gradient(kernel, gradient, x, window), way.weight_gradient(x, gradient, kernel, window)


_convolve.defvjp(_forward, _backward)


def _suits_winograd(x, kernel, window: Window) -> bool:
    taps, channels = kernel.shape[:2], kernel.shape[2:]
    known = taps != (1, 1) and all(each in winograd.POINTS for each in taps)
    uniform = window.strides == (1, 1) and window.dilation[0] == window.dilation[1]
    if not known or not uniform or x.dtype != jnp.float32:
        return False
    if not _core.get():
        same = window.padding == tuple((d, d) for d in window.dilation)
        return taps == (3, 3) and same and min(channels) >= MANY and x.shape[1] * x.shape[2] >= WIDE
    layout = winograd.Layout.of(x.shape, kernel.shape, window.padding, window.dilation[0])
    tiles = x.shape[0] * math.prod(layout.tiles) * layout.dilation**2
    return layout.share * (1 + CHANNEL * sum(1 / count for count in channels) + KERNEL / tiles) < LIMIT


def _winograd(x, kernel, window: Window):
    return winograd.convolve(x, kernel, window.padding, window.dilation[0], window.precision)


def _winograd_input_gradient(kernel, gradient, x, window: Window):
    return _winograd(gradient, kernel[::-1, ::-1].swapaxes(2, 3), _back(window, kernel))


def _winograd_weight_gradient(x, gradient, kernel, window: Window):
    return winograd.weight_gradient(x, gradient, kernel.shape, window.padding, window.dilation[0], window.precision)


WINOGRAD = Way(_winograd, _winograd_input_gradient, _winograd_weight_gradient)


def _back(window: Window, kernel) -> Window:
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
    found = plain_weight_gradient(gradient, x, mirrored, _back(window, kernel))
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
