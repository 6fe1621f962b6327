"""`lax.conv_general_dilated` with the same numbers, computed otherwise where XLA is slow on a CPU.

Every network here convolves by `convolution` and tells it which ways to take, see `Compute`. docs/performance.md has
what each gives. On a CPU the choice is, for stride 1:

- grids of fewer pixels than the kernel has taps: gather patches, one matrix product (`patches`);
- 3x3 over many channels, whatever the padding: a quarter of the products (`winograd`);
- few channels on both sides: the weight gradient in blocks of 2x2 outputs, as one pixel of four times the channels
  (`packed`);
- fewer output than input channels on a grid that does not shrink: input and output's gradient change places in the
  weight gradient (`swapped`);
- few input and many output channels: the weight gradient in pieces of the outputs (`in_pieces`);
- no padding at all: with a padding of 1, whose results are cut off (`framed`);

for stride 2: the input's gradient as that of a convolution of stride 1 over pixels folded 2x2 (`folded`); anything else
as XLA does it.

Where a single core computes: kernels of 3, 5 or 7 taps by `winograd` if that pays, others of few taps by `patches`.
"""

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Any

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
# Of a kernel that no cache holds once it is transformed, from HEAVY pairs of channels on, the batch must have so many.
HEAVY, WIDER = 1 << 17, 2048
# A single core's time by Winograd's way, as a share of the plain time, is about the share of the products that are left
# times 1 + CHANNEL (1/C + 1/F), for what it costs to transform features, + KERNEL / tiles, for the kernel; from LIMIT
# on it is not worth the rounding.
CHANNEL, KERNEL, LIMIT = 30, 50, 0.9
MOST_TAPS = 9  # of a kernel up to which a single core is faster with `patches`

CHOICES = ("auto", "own", "plain")  # of a config
CORE = "core"


@dataclasses.dataclass(frozen=True)
class Compute:
    """How a network computes, whose parameters and results are float32 whatever it says.

    Attributes:
      dtype: of convolutions and features.
      convolutions: which ways `convolution` takes. `own`: ours; `plain`: XLA's; `auto`: ours on a CPU, XLA's elsewhere;
        `core`: as `auto`, but those for a single core, other cores being busy with their own (`choose_for_a_core`).
    """

    dtype: Any = jnp.float32
    convolutions: str = "auto"

    def __post_init__(self):
        if self.convolutions not in (*CHOICES, CORE):
            raise ValueError(f"convolutions must be one of {', '.join((*CHOICES, CORE))}, got {self.convolutions!r}")


def convolution(
    x_BxHxWxC, kernel_KxLxCxF, strides, padding, *, lhs_dilation=None, rhs_dilation=None, dimension_numbers=None,
    feature_group_count=1, precision=None, ways: str = "auto",
):  # fmt: skip
    """As `lax.conv_general_dilated` for two-dimensional NHWC features, as `nn.Conv` calls it.

    Reverse-mode derivatives only (as of any `jax.custom_vjp`), wherever a way of its own applies.

    Args:
      ways: `Compute.convolutions`.
    """
    dimension_numbers = dimension_numbers or NHWC
    layouts = [lax.conv_dimension_numbers(x_BxHxWxC.shape, kernel_KxLxCxF.shape, d) for d in (dimension_numbers, NHWC)]
    dense = feature_group_count == 1 and tuple(lhs_dilation or (1, 1)) == (1, 1) and layouts[0] == layouts[1]
    ours = ways == "own" or (ways in ("auto", CORE) and jax.default_backend() == "cpu")
    if not ours or not dense or isinstance(padding, str):
        return lax.conv_general_dilated(
            x_BxHxWxC, kernel_KxLxCxF, strides, padding, lhs_dilation=lhs_dilation, rhs_dilation=rhs_dilation,
            dimension_numbers=dimension_numbers, feature_group_count=feature_group_count, precision=precision,
        )  # fmt: skip
    window = Window(
        tuple(tuple(side) for side in padding), tuple(strides), tuple(rhs_dilation or (1, 1)), precision
    )  # fmt: skip
    way = (choose_for_a_core if ways == CORE else choose)(x_BxHxWxC, kernel_KxLxCxF, window)
    return way(x_BxHxWxC, kernel_KxLxCxF, window)


def choose(x, kernel, window: Window) -> Callable:
    """The way for arrays of these shapes and dtypes: a function of (x, kernel, window)."""
    rows, columns, before, after = kernel.shape
    height, width = jax.eval_shape(partial(plain, window=window), x, kernel).shape[1:3]
    if window.strides != (1, 1):
        foldable = (
            window.strides == (BLOCK, BLOCK) and window.dilation == (1, 1) and rows % BLOCK == columns % BLOCK == 0
        )
        even = all((side + sum(ends)) % BLOCK == 0 for side, ends in zip(x.shape[1:3], window.padding, strict=True))
        return partial(_convolve, way=Way(input_gradient=folded)) if foldable and even else plain
    if height * width < rows * columns:
        return patches
    pixels = x.shape[1] * x.shape[2]
    large = min(before, after) >= MANY and pixels >= WIDE
    large &= before * after < HEAVY or x.shape[0] * pixels >= WIDER
    if (rows, columns) == (3, 3) and large and _winograd_can(x, kernel, window):
        return partial(_convolve, way=WINOGRAD)
    even = height % BLOCK == width % BLOCK == 0 and window.dilation == (1, 1)
    if even and max(before, after) <= FEW:
        return partial(_convolve, way=Way(weight_gradient=packed))
    if window.padding == ((0, 0), (0, 0)) and min(rows, columns) > 1 and height * width >= WIDE:
        return partial(_convolve, way=Way(framed))
    # Where the grid shrinks, the way back pads by more than its kernel reaches: XLA takes up to 150 times as long.
    if after < before and height >= x.shape[1] and width >= x.shape[2]:
        return partial(_convolve, way=Way(weight_gradient=swapped))
    if before <= FEW_INPUTS and after >= MANY and after % PIECE == 0 and height * width > WIDE:
        return partial(_convolve, way=Way(weight_gradient=in_pieces))
    return plain


def choose_for_a_core(x, kernel, window: Window) -> Callable:
    """`choose` where other cores are busy with their own.

    XLA's plain convolutions use all cores, what Winograd's way adds to its products only one: with a core for each
    there is more to gain.
    """
    if _winograd_can(x, kernel, window):
        layout = winograd.Layout.of(x.shape, kernel.shape, window.padding, window.dilation[0])
        tiles = x.shape[0] * math.prod(layout.tiles) * layout.dilation**2
        if layout.share * (1 + CHANNEL * sum(1 / count for count in kernel.shape[2:]) + KERNEL / tiles) < LIMIT:
            return partial(_convolve, way=WINOGRAD)
    return patches if math.prod(kernel.shape[:2]) <= MOST_TAPS else plain


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _convolve(x, kernel, window: Window, way: Way):
    return way.forward(x, kernel, window)


def _forward(x, kernel, window: Window, way: Way):
    return way.forward(x, kernel, window), (x, kernel)


def _backward(window: Window, way: Way, saved, gradient):
    x, kernel = saved
    return way.input_gradient(kernel, gradient, x, window), way.weight_gradient(x, gradient, kernel, window)


_convolve.defvjp(_forward, _backward)


def _winograd_can(x, kernel, window: Window) -> bool:
    """Whether Winograd's way computes this convolution at all."""
    taps = kernel.shape[:2]
    known = taps != (1, 1) and all(each in winograd.POINTS for each in taps)
    uniform = window.strides == (1, 1) and window.dilation[0] == window.dilation[1]
    return known and uniform and x.dtype == jnp.float32


def _winograd(x, kernel, window: Window):
    return winograd.convolve(x, kernel, window.padding, window.dilation[0], window.precision)


def _winograd_input_gradient(kernel, gradient, x, window: Window):
    return _winograd(gradient, kernel[::-1, ::-1].swapaxes(2, 3), back(window, kernel))


def _winograd_weight_gradient(x, gradient, kernel, window: Window):
    return winograd.weight_gradient(x, gradient, kernel.shape, window.padding, window.dilation[0], window.precision)


WINOGRAD = Way(_winograd, _winograd_input_gradient, _winograd_weight_gradient)
