"""The small parts every network here is built from: convolutions with PyTorch's padding, norms, residual blocks."""

from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from scrn_jax.models.ops.algorithms import NHWC
from scrn_jax.models.ops.convolutions import Compute, convolution


def add_bias(x, bias):
    """x + bias in the dtype of x, added in float32.

    The gradient of a bias is a sum over every pixel of the batch. Added in bfloat16 it would be summed in bfloat16,
    whose 8 digits let a sum of ones stop growing long before it is complete.
    """
    return (x.astype(jnp.float32) + bias).astype(x.dtype)


class Conv(nn.Module):
    """Convolution over (B, H, W, C) with symmetric zero padding: the parameters of `nn.Conv`, and `add_bias`."""

    features: int
    kernel_size: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    padding: int = 0
    kernel_dilation: int = 1
    use_bias: bool = True
    kernel_init: Any = nn.initializers.lecun_normal()
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x):
        kernel = self.param("kernel", self.kernel_init, (*self.kernel_size, x.shape[-1], self.features))
        x, kernel = nn.dtypes.promote_dtype(x, kernel, dtype=self.compute.dtype)
        # One tap is a matrix product, which XLA does as well as anybody.
        ways = "plain" if self.kernel_size == (1, 1) else self.compute.convolutions
        y = convolution(
            x, kernel, self.strides, ((self.padding, self.padding),) * 2, rhs_dilation=(self.kernel_dilation,) * 2,
            dimension_numbers=NHWC, ways=ways,
        )  # fmt: skip
        return add_bias(y, self.param("bias", nn.initializers.zeros, (self.features,))) if self.use_bias else y


conv3 = partial(Conv, kernel_size=(3, 3), padding=1)
dilated_conv3 = partial(Conv, kernel_size=(3, 3), padding=2, kernel_dilation=2)
conv7 = partial(Conv, kernel_size=(7, 7), padding=3)
conv1 = partial(Conv, kernel_size=(1, 1))
# Halves an even side exactly: (n + 2 - 4) / 2 + 1 = n / 2.
down_conv = partial(Conv, kernel_size=(4, 4), strides=(2, 2), padding=1)
stride2_conv3 = partial(Conv, kernel_size=(3, 3), strides=(2, 2), padding=1)  # halves an even side exactly, too
# Flax's defaults (variance as E[x^2] - E[x]^2, eps 1e-6) lose digits on near-constant channels; these are PyTorch's.
instance_norm = partial(nn.InstanceNorm, epsilon=1e-5, use_fast_variance=False)
layer_norm = partial(nn.GroupNorm, num_groups=1, epsilon=1e-5, use_fast_variance=False)
leaky_relu = partial(nn.leaky_relu, negative_slope=0.1)


# InstanceNorm2d as PyTorch has it by default: no scale and no shift.
plain_instance_norm = partial(instance_norm, use_scale=False, use_bias=False)


def reflect_pad(x_BxHxWxC, pixels: int):
    """`torch.nn.ReflectionPad2d`: every side grows by the picture mirrored at its outermost pixels."""
    return jnp.pad(x_BxHxWxC, ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0)), mode="reflect")


def reflect_conv(x_BxHxWxC, features: int, taps: int = 3, stride: int = 1, padding: int | None = None, **options):
    """A convolution of a mirrored frame, which keeps its sides unless told otherwise; `options` are Conv's.

    It makes a Conv of the module whose `nn.compact` method calls it.
    """
    padded = reflect_pad(x_BxHxWxC, taps // 2 if padding is None else padding)
    return Conv(features, (taps, taps), strides=(stride, stride), padding=0, **options)(padded)


def reflect_encode(x_BxHxWxC, width: int, **options):
    """To a grid of quarter sides, (B, H/4, W/4, 4 width): 7x7 of a mirrored frame, two stride-2 3x3, norms and ReLUs.

    Norms have no parameters; `options` as of `reflect_conv`, `compute` among them. Its layers are of the module that
    calls it.
    """
    norm = partial(plain_instance_norm, dtype=options["compute"].dtype)
    x = nn.relu(norm()(reflect_conv(x_BxHxWxC, width, taps=7, **options)))
    for multiple in (2, 4):
        x = nn.relu(norm()(stride2_conv3(multiple * width, **options)(x)))
    return x


def conv2d(x_BxHxWxC, kernel_KxKxCxF, *, stride: int = 1, padding=0, ways: str = "auto"):
    """Convolution with zero padding, an int or ((top, bottom), (left, right)); `ways` as in `convolution`."""
    if isinstance(padding, int):
        padding = ((padding, padding), (padding, padding))
    return convolution(x_BxHxWxC, kernel_KxKxCxF, (stride, stride), padding, dimension_numbers=NHWC, ways=ways)


class ConvNormAct(nn.Module):
    """Convolution, instance norm, LeakyReLU(0.1): the plain layer of the encoders. `conv` is a partial of Conv."""

    features: int
    conv: Any = conv3
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x):
        x = self.conv(self.features, compute=self.compute)(x)
        return leaky_relu(instance_norm(dtype=self.compute.dtype)(x))


class GatedConv(nn.Module):
    """Gated convolution: features LeakyReLU(0.2)(conv) times a gate sigmoid(conv), then instance norm.

    The two convolutions see the same input, so they run as one of twice the width: features first, gate second.
    """

    features: int
    conv: Any = conv3
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x):
        features, gate = jnp.split(self.conv(2 * self.features, compute=self.compute)(x), 2, axis=-1)
        return instance_norm(dtype=self.compute.dtype)(nn.leaky_relu(features, 0.2) * nn.sigmoid(gate))


class ReflectPair(nn.Module):
    """3x3, norm, ReLU, dropout, 3x3 to `features`, and a norm after it when `norm_last`; frames mirrored at the edges.

    The first convolution keeps the channels. Dropout draws from the stream `dropout`, unless `deterministic`.
    """

    features: int
    norm_last: bool = True
    dropout: float = 0.0
    kernel_init: Any = nn.initializers.lecun_normal()
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x, deterministic: bool = True):
        options = {"kernel_init": self.kernel_init, "compute": self.compute}
        x = nn.relu(plain_instance_norm(dtype=self.compute.dtype)(reflect_conv(x, x.shape[-1], **options)))
        x = nn.Dropout(self.dropout)(x, deterministic=deterministic)
        x = reflect_conv(x, self.features, **options)
        return plain_instance_norm(dtype=self.compute.dtype)(x) if self.norm_last else x


class ResBlock(nn.Module):
    """Pre-activation residual block of two 3x3 convolutions, x + f(x), at constant width."""

    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x):
        y = x
        for _ in range(2):
            y = leaky_relu(instance_norm(dtype=self.compute.dtype)(y))
            y = conv3(x.shape[-1], compute=self.compute)(y)
        return x + y


def mean_pool(x_BxHxWxC, factor: int):
    """Resize by area: the mean of every factor x factor block. The sides must be multiples of `factor`."""
    b, h, w, c = x_BxHxWxC.shape
    return x_BxHxWxC.reshape(b, h // factor, factor, w // factor, factor, c).mean((2, 4))


def pad_to_multiple(x_BxHxWxC, multiple: int, mode: str = "constant"):
    """Pad at the bottom and right to the next multiple, so that odd sizes (176 / 32 = 5.5) lose nothing.

    mode: `constant`, zeros, or `edge`, the last row and column again.
    """
    rows, columns = (-side % multiple for side in x_BxHxWxC.shape[1:3])
    if mode == "constant":
        return jnp.pad(x_BxHxWxC, ((0, 0), (0, rows), (0, columns), (0, 0)))
    # Not jnp.pad's own `edge`, of which ONNX's converter makes a wrong graph.
    x_BxHxWxC = jnp.concatenate([x_BxHxWxC] + rows * [x_BxHxWxC[:, -1:]], axis=1)
    return jnp.concatenate([x_BxHxWxC] + columns * [x_BxHxWxC[:, :, -1:]], axis=2)


def _windows(profile_BxJxN, taps: int, stride: int, padding: int):
    """Every tap's view of a zero-padded profile: (B, J, taps, N_out)."""
    n_out = (profile_BxJxN.shape[-1] + 2 * padding - taps) // stride + 1
    padded = jnp.pad(profile_BxJxN, ((0, 0), (0, 0), (padding, padding)))
    last = stride * (n_out - 1) + 1
    return jnp.stack([padded[..., k : k + last : stride] for k in range(taps)], axis=2)


def heat_map_conv(rows_BxJxH, columns_BxJxW, kernel_KxKxJxC, *, stride: int, padding: int):
    """Convolution of the heat maps rows (x) columns with a kernel, from the one-dimensional profiles.

    A joint's heat map is an outer product, so the sum over its K x K window factors:
    out[y, x, c] = sum_{j, k} rows[j, s y + k] * (sum_l kernel[k, l, j, c] columns[j, s x + l]).
    The outer sum is a matrix product of depth J K instead of J K^2 (7x7: 7 times less). Zero padding outside the frame
    is exact, because the padded heat map is the outer product of the padded profiles.

    Args:
      rows_BxJxH, columns_BxJxW: `heatmaps.profiles`.
      kernel_KxKxJxC: kernel [row, column, joint, out].

    Returns:
      Features (B, H_out, W_out, C) with H_out = (H + 2 padding - K) / stride + 1.
    """
    taps = kernel_KxKxJxC.shape[0]
    rows = _windows(rows_BxJxH, taps, stride, padding)
    columns = _windows(columns_BxJxW, taps, stride, padding)
    across_BxJxKxWxC = jnp.einsum("bjlx,kljc->bjkxc", columns, kernel_KxKxJxC)
    return jnp.einsum("bjky,bjkxc->byxc", rows, across_BxJxKxWxC)


class PoseConv(nn.Module):
    """First layer of a network that looks at poses and maps: conv(cat(heat maps, maps)), 7x7 unless told otherwise.

    Equal to a plain convolution over the concatenation; see `heat_map_conv` for why the poses never become maps.
    """

    features: int
    taps: int = 7
    stride: int = 1
    padding: int = 3
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, inputs):
        """(rows (B, J, H), columns (B, J, W), maps (B, H, W, M)) -> (B, H_out, W_out, features)."""
        rows, columns, maps = inputs
        joints, channels = rows.shape[1], rows.shape[1] + maps.shape[-1]
        kernel_shape = (self.taps, self.taps, channels, self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), kernel_shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        rows, columns, maps, kernel = nn.dtypes.promote_dtype(rows, columns, maps, kernel, dtype=self.compute.dtype)
        window = {"stride": self.stride, "padding": self.padding}
        poses = heat_map_conv(rows, columns, kernel[:, :, :joints], **window)
        seen = conv2d(maps, kernel[:, :, joints:], **window, ways=self.compute.convolutions)
        return add_bias(poses + seen, bias)
