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
import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from scrn_jax.models.ops import winograd
from scrn_jax.models.ops.algorithms import (
    BLOCK,
    FEW_INPUTS,
    NHWC,
    PIECE,
    Way,
    Window,
    back,
    folded,
    framed,
    in_pieces,
    packed,
    patches,
    plain,
    swapped,
)

FEW = 16  # channels on both sides up to which `packed` wins
MANY, WIDE = 128, 512  # channels on both sides, and pixels, from which Winograd's way wins with 3x3 taps
# A single core's time by Winograd's way, as a share of the plain time, is about the share of the products that are left
# times 1 + CHANNEL (1/C + 1/F), for what it costs to transform features, + KERNEL / tiles, for the kernel; from LIMIT
# on it is not worth the rounding.
CHANNEL, KERNEL, LIMIT = 30, 50, 0.9
MOST_TAPS = 9  # of a kernel up to which a single core is faster with `patches`

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
    return _winograd(gradient, kernel[::-1, ::-1].swapaxes(2, 3), back(window, kernel))


def _winograd_weight_gradient(x, gradient, kernel, window: Window):
    return winograd.weight_gradient(x, gradient, kernel.shape, window.padding, window.dilation[0], window.precision)


WINOGRAD = Way(_winograd, _winograd_input_gradient, _winograd_weight_gradient)
