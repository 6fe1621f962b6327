"""The nine-layer patch discriminator with spectral normalisation."""

import flax.linen as nn
import jax.numpy as jnp

from scrn_jax.models import layers
from scrn_jax.models.ops.convolutions import Compute

WIDTHS = (1, 2, 4, 4)  # multiples of the base width


class SpectralConv(nn.Module):
    """Convolution whose kernel is divided by its largest singular value, tracked by one power iteration a call.

    The estimate of the singular vector lives in the collection 'spectral' and moves with every call.
    """

    conv: nn.Module

    @nn.compact
    def __call__(self, x):
        return nn.SpectralNorm(self.conv, collection_name="spectral")(x, update_stats=True)


class DownBlock(nn.Module):
    """Residual block that halves the grid: 3x3, LeakyReLU, 4x4 stride 2, plus a pooled 1x1 shortcut; LeakyReLU."""

    features: int
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x):
        def conv(kind):
            return SpectralConv(kind(self.features, compute=self.compute))

        y = layers.leaky_relu(conv(layers.conv3)(x))
        y = conv(layers.down_conv)(y)
        shortcut = nn.avg_pool(x, (2, 2), (2, 2))
        return layers.leaky_relu(y + conv(layers.conv1)(shortcut))


class Discriminator(nn.Module):
    """Images (N, H, W, 3) in [-1, 1] to a map of logits (N, H/16, W/16), one a patch, float32: high means real.

    Four residual blocks of two convolutions and a 1x1 output convolution: the paper's nine layers. Widths are
    base_width times 1, 2, 4, 4 (the paper's size: 32, 64, 128, 128). Sides must be at least 16; odd grids drop their
    last row.
    """

    base_width: int
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, image):
        x = image
        for multiple in WIDTHS:
            x = DownBlock(multiple * self.base_width, self.compute)(x)
        logits = SpectralConv(layers.conv1(1, compute=self.compute))(x)
        return logits[..., 0].astype(jnp.float32)
