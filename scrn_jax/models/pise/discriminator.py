"""PISE's patch discriminator: four residual blocks, every kernel spectrally normalised."""

import flax.linen as nn
import jax.numpy as jnp

from scrn_jax.models import layers
from scrn_jax.models.discriminator import SpectralConv
from scrn_jax.models.ops.convolutions import Compute


class Block(nn.Module):
    """LeakyReLU, 3x3 to `hidden`, LeakyReLU, 4x4 of stride 2, plus a 1x1 of what came in, pooled by two."""

    features: int
    hidden: int
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x):
        def conv(kind, features):
            return SpectralConv(kind(features, compute=self.compute))

        y = conv(layers.conv3, self.hidden)(layers.leaky_relu(x))
        y = conv(layers.down_conv, self.features)(layers.leaky_relu(y))
        return y + conv(layers.conv1, self.features)(nn.avg_pool(x, (2, 2), (2, 2)))


class Discriminator(nn.Module):
    """Images (N, H, W, 3) in [-1, 1] to a map (N, H/16, W/16), one number a patch, float32: high means real."""

    width: int
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, image):
        c, x = self.width, image
        for features, hidden in ((c, c), (2 * c, c), (4 * c, 2 * c), (4 * c, 4 * c)):
            x = Block(features, hidden, self.compute)(x)
        logits = SpectralConv(layers.conv1(1, compute=self.compute))(layers.leaky_relu(x))
        return logits[..., 0].astype(jnp.float32)
