"""Criss-cross attention: every pixel attends to its own row and column (CCNet)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from scrn_jax.models.layers import conv1
from scrn_jax.models.ops.convolutions import Compute


def criss_cross(query_BxHxWxK, key_BxHxWxK, value_BxHxWxC):
    """Attention of each pixel over the H + W - 1 pixels of its column and row, itself counted once.

    Scores are plain inner products (no 1/sqrt scaling, as in CCNet) under one softmax over both branches, in
    float32; the column branch masks the pixel's own position, which the row branch holds. Memory is O(HW(H + W)),
    never O((HW)^2).

    Returns:
      The attended values (B, H, W, C) in the dtype of `value`.
    """
    height = query_BxHxWxK.shape[1]
    f32 = {"preferred_element_type": jnp.float32}
    column_BxHxWxG = jnp.einsum("bhwk,bgwk->bhwg", query_BxHxWxK, key_BxHxWxK, **f32)
    row_BxHxWxG = jnp.einsum("bhwk,bhgk->bhwg", query_BxHxWxK, key_BxHxWxK, **f32)
    itself_Hx1xH = np.eye(height, dtype=bool)[:, None, :]
    column_BxHxWxG = jnp.where(itself_Hx1xH, -jnp.inf, column_BxHxWxG)
    weights = jax.nn.softmax(jnp.concatenate([column_BxHxWxG, row_BxHxWxG], axis=-1), axis=-1)
    down, across = jnp.split(weights.astype(value_BxHxWxC.dtype), [height], axis=-1)
    return jnp.einsum("bhwg,bgwc->bhwc", down, value_BxHxWxC) + jnp.einsum("bhwg,bhgc->bhwc", across, value_BxHxWxC)


class CrissCrossAttention(nn.Module):
    """x + gamma * criss_cross(q(x), k(x), v(x)): q and k of C/8 channels, v of C, gamma a scalar that starts at 0."""

    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x_BxHxWxC):
        channels = x_BxHxWxC.shape[-1]
        query = conv1(max(channels // 8, 1), compute=self.compute, name="query")(x_BxHxWxC)
        key = conv1(max(channels // 8, 1), compute=self.compute, name="key")(x_BxHxWxC)
        value = conv1(channels, compute=self.compute, name="value")(x_BxHxWxC)
        gamma = self.param("gamma", nn.initializers.zeros, ())
        # In float32, for gamma's gradient sums over every number of the batch: see `layers.add_bias`.
        change = gamma * criss_cross(query, key, value).astype(jnp.float32)
        return (x_BxHxWxC.astype(jnp.float32) + change).astype(x_BxHxWxC.dtype)
