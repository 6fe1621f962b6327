"""Layers that double the grid, by transposed convolutions or by pixels taken four times, and what is built of them."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from scrn_jax.models import layers
from scrn_jax.models.ops.convolutions import Compute


def _interleaved(phase, x_BxHxWxC):
    """The four `phase(row parity, column parity)`, each (B, H, W, K), as the pixels of (B, 2H, 2W, K)."""
    b, h, w, _ = x_BxHxWxC.shape
    phases = jnp.stack([jnp.stack([phase(i, j) for j in (0, 1)], axis=3) for i in (0, 1)], axis=2)  # B,H,2,W,2,K
    return phases.reshape(b, 2 * h, 2 * w, -1)


def stride2_transposed_conv3(x_BxHxWxC, kernel_3x3xCxK, ways: str = "auto"):
    """Transposed 3x3 convolution, stride 2, padding 1, output padding 1, as four phase convolutions.

    Input pixel i adds kernel[k] to output pixel 2i - 1 + k. So an even output row 2m sees only kernel row 1 at input m,
    and an odd one 2m + 1 sees kernel row 2 at m and row 0 at m + 1; likewise the columns. The four combinations are
    convolutions of 1, 2, 2 and 4 taps, interleaved afterwards. XLA's own transposed convolution gives the same numbers,
    but its weight gradient on a CPU is slower by two orders of magnitude.

    Args:
      x_BxHxWxC: input features.
      kernel_3x3xCxK: kernel indexed [row, column, in, out], not flipped (`torch.nn.ConvTranspose2d.weight` moved from
        (in, out, row, column)).
      ways: of the four convolutions, as in `convolution`.

    Returns:
      Features (B, 2H, 2W, K).
    """
    taps = {0: (slice(1, 2), 0), 1: (slice(2, None, -2), 1)}  # parity -> (taps in input order, pixels ahead)

    def phase(row_parity: int, column_parity: int):
        (rows, below), (columns, right) = taps[row_parity], taps[column_parity]
        return layers.conv2d(x_BxHxWxC, kernel_3x3xCxK[rows, columns], padding=((0, below), (0, right)), ways=ways)

    return _interleaved(phase, x_BxHxWxC)


def nearest_conv3(x_BxHxWxC, kernel_3x3xCxK, ways: str = "auto"):
    """3x3 convolution, padding 1, of every pixel taken four times, (B, 2H, 2W, K), as four 2x2 phase convolutions.

    Of the three rows that an even output row 2m sees, the last two are copies of input m, and the first is m - 1; an
    odd one 2m + 1 sees m twice and then m + 1; likewise the columns. Taps on copies of one pixel add up: 16 products
    where the enlarged picture takes 36. `ways` as in `convolution`.
    """

    def taps(kernel, axis: int, parity: int):
        first, second, third = jnp.split(kernel, 3, axis)
        pairs = (first, second + third) if parity == 0 else (first + second, third)
        return jnp.concatenate(pairs, axis)

    def phase(row_parity: int, column_parity: int):
        kernel = taps(taps(kernel_3x3xCxK, 0, row_parity), 1, column_parity)
        padding = tuple((1 - parity, parity) for parity in (row_parity, column_parity))
        return layers.conv2d(x_BxHxWxC, kernel, padding=padding, ways=ways)

    return _interleaved(phase, x_BxHxWxC)


def bilinear_init(key, shape, dtype=jnp.float32):
    """For `stride2_transposed_conv3`: starts as a random 1x1 convolution, up-sampled bilinearly.

    Independent taps would start the four phases with variances of 1 to 4, a checkerboard that training has to undo.
    """
    profile = jnp.array([0.5, 1.0, 0.5], dtype)
    return profile[:, None, None, None] * profile[:, None, None] * nn.initializers.lecun_normal()(key, shape[2:], dtype)


class UpConv(nn.Module):
    """A convolution that doubles the grid, with its kernel and bias: (B, H, W, C) -> (B, 2H, 2W, features).

    upsampling: `transposed`, by `stride2_transposed_conv3`, whose four phases have weights of their own and leave a
    mesh of period 2; `nearest`, by `nearest_conv3`, whose phases share theirs.
    """

    features: int
    upsampling: str = "transposed"
    compute: Compute = Compute()
    kernel_init: Any = None

    @nn.compact
    def __call__(self, x):
        transposed = self.upsampling == "transposed"
        init = self.kernel_init or (bilinear_init if transposed else nn.initializers.lecun_normal())
        kernel = self.param("kernel", init, (3, 3, x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        x, kernel = nn.dtypes.promote_dtype(x, kernel, dtype=self.compute.dtype)
        double = stride2_transposed_conv3 if transposed else nearest_conv3
        return layers.add_bias(double(x, kernel, self.compute.convolutions), bias)


def nearest_double(x_BxHxWxC):
    """Every pixel as a block of 2x2: (B, 2H, 2W, C)."""
    return jnp.repeat(jnp.repeat(x_BxHxWxC, 2, axis=1), 2, axis=2)


class UpResBlock(nn.Module):
    """Residual block that doubles the grid: (norm, act, 3x3, norm, act, up-convolution) plus x, doubled.

    `upsampling` as in `UpConv`; x is doubled by a second transposed convolution, or a 1x1 one and nearest pixels.
    """

    features: int
    upsampling: str
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x):
        y = layers.leaky_relu(layers.instance_norm(dtype=self.compute.dtype)(x))
        y = layers.conv3(x.shape[-1], compute=self.compute)(y)
        y = layers.leaky_relu(layers.instance_norm(dtype=self.compute.dtype)(y))
        y = UpConv(self.features, self.upsampling, self.compute)(y)
        if self.upsampling == "nearest":
            shortcut = layers.conv1(self.features, use_bias=False, compute=self.compute, name="shortcut")
            return y + nearest_double(shortcut(x))
        return y + UpConv(self.features, compute=self.compute, name="shortcut")(x)


class Decoder(nn.Module):
    """Features (B, H/4, W/4, 4c) to an image (B, H, W, 3) in [-1, 1].

    Two up-sampling residual blocks (2c, c), layer norm, LeakyReLU, 7x7, tanh.
    """

    width: int
    upsampling: str
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x):
        for multiple in (2, 1):
            x = UpResBlock(multiple * self.width, self.upsampling, self.compute)(x)
        # Over channels too: an instance norm would give every channel, and so every colour, the same strength in every
        # picture; none at all lets the large F_g that Eq. 5 asks for saturate the tanh.
        x = layers.leaky_relu(layers.layer_norm(dtype=self.compute.dtype)(x))
        return jnp.tanh(layers.conv7(3, compute=self.compute)(x).astype(jnp.float32))
