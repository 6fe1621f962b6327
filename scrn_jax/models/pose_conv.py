"""A convolution over joint heat maps that never makes the maps: same kernel, same numbers, a seventh of the work."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from scrn_jax.models import layers


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
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, inputs):
        """(rows (B, J, H), columns (B, J, W), maps (B, H, W, M)) -> (B, H_out, W_out, features)."""
        rows, columns, maps = inputs
        joints, channels = rows.shape[1], rows.shape[1] + maps.shape[-1]
        kernel_shape = (self.taps, self.taps, channels, self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), kernel_shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        rows, columns, maps, kernel, bias = nn.dtypes.promote_dtype(rows, columns, maps, kernel, bias, dtype=self.dtype)
        window = {"stride": self.stride, "padding": self.padding}
        poses = heat_map_conv(rows, columns, kernel[:, :, :joints], **window)
        return poses + layers.conv2d(maps, kernel[:, :, joints:], **window) + bias
