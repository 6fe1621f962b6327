"""PoNA's generator: an image code is attended to by itself, every place by every other, and a pose code says how."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from scrn_jax.models import base, layers
from scrn_jax.models.ops.convolutions import Compute
from scrn_jax.models.patn.generator import INIT, PATN
from scrn_jax.models.pona.settings import Model

SHARE = 8  # of the channels that queries and keys have


class ConvPair(nn.Module):
    """3x3, norm, ReLU, dropout, 3x3 to `features`, norm, ReLU; zeros beyond the edges. The first keeps the channels."""

    features: int
    dropout: float
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x, deterministic: bool = True):
        conv = partial(layers.conv3, kernel_init=INIT, compute=self.compute)
        norm = partial(layers.plain_instance_norm, dtype=self.compute.dtype)
        x = nn.relu(norm()(conv(x.shape[-1])(x)))
        x = nn.Dropout(self.dropout)(x, deterministic=deterministic)
        return nn.relu(norm()(conv(self.features)(x)))


class Attention(nn.Module):
    """Non-local attention: every place of `guide` asks all others which values of `x` to take: (B, H, W, C).

    softmax(Q K^T) V with 1x1 projections, Q and K of the guide with an eighth of its channels, V of x; not scaled by
    the square root of these.
    """

    compute: Compute = Compute()

    @nn.compact
    def __call__(self, guide_BxHxWxC, x_BxHxWxC):
        b, h, w, channels = x_BxHxWxC.shape

        def project(name, x, features):
            conv = layers.conv1(features, kernel_init=INIT, compute=self.compute, name=name)
            return conv(x).reshape(b, h * w, features)

        few = max(1, guide_BxHxWxC.shape[-1] // SHARE)
        query, key = (project(name, guide_BxHxWxC, few) for name in ("query", "key"))
        energy = jnp.einsum("btc,bsc->bts", query, key, preferred_element_type=jnp.float32)
        share_BxTxS = jax.nn.softmax(energy).astype(x_BxHxWxC.dtype)
        values = project("value", x_BxHxWxC, channels)
        return jnp.einsum("bts,bsc->btc", share_BxTxS, values).reshape(x_BxHxWxC.shape)


def _weight(module: nn.Module, name: str, dtype):
    """A learned number that starts at 0, so that what it weighs begins without a say."""
    return module.param(name, nn.initializers.zeros, (1,)).astype(dtype)


class Block(nn.Module):
    """A PoNA block: image code and pose code (B, H, W, C), both as large afterwards.

    The pose code is joined by the image code, attends to itself, and goes through two pairs of convolutions (the
    pre-posed, image-guided update). The image code goes through two pairs of its own and is attended to under the new
    pose code (the post-posed, pose-guided one).
    """

    dropout: float
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, image, pose, deterministic: bool = True):
        channels, dtype = image.shape[-1], image.dtype

        def pair(name, x, features):
            return ConvPair(features, self.dropout, self.compute, name=name)(x, deterministic)

        both = jnp.concatenate([image, pose], axis=-1)
        attended = Attention(self.compute, name="pose_attention")(both, both)
        both = both + _weight(self, "pose_beta", dtype) * both + _weight(self, "pose_gamma", dtype) * attended
        both = both + pair("pose_pair", both, 2 * channels)
        pose = pair("pose_narrow", both, channels)
        for name in ("image_pair_1", "image_pair_2"):
            image = image + pair(name, image, channels)
        attended = Attention(self.compute, name="image_attention")(pose, image)
        return image + _weight(self, "image_gamma", dtype) * attended, pose


class PoNA(PATN):
    """PATN, called as that is, with PoNA's blocks. `model`: its size, see `settings.Model`."""

    model: Model = Model()

    def _block(self, name: str) -> nn.Module:
        return Block(self.model.dropout, base.compute(self.model), name=name)
