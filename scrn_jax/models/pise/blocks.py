"""The blocks that PISE's networks are put together from: norm, LeakyReLU, convolution, twice, in four shapes."""

from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from scrn_jax.models import layers, spectral
from scrn_jax.models.ops.convolutions import Compute

PLAIN_INIT = nn.initializers.orthogonal(0.02)  # of kernels that no norm rescales


class Block(nn.Module):
    """What the blocks have in common.

    spectral: whether kernels are spectrally normalised. affine: whether instance norms have a scale and a shift.
    slope: of the LeakyReLU on negative numbers.
    """

    features: int
    hidden: int = 0  # channels between the two convolutions; 0: as many as come out
    spectral: bool = True
    affine: bool = True
    slope: float = 0.1
    compute: Compute = Compute()

    def layer(self, kind: Any, features: int, **options):
        """A convolution of the block."""
        init = nn.initializers.lecun_normal() if self.spectral else PLAIN_INIT
        return kind(features, spectral=self.spectral, kernel_init=init, compute=self.compute, **options)

    def norm_act(self, x):
        """An instance norm and the LeakyReLU."""
        norm = partial(layers.instance_norm, use_scale=self.affine, use_bias=self.affine, dtype=self.compute.dtype)
        return nn.leaky_relu(norm()(x), self.slope)


class DownBlock(Block):
    """Halves the grid: 4x4 of stride 2, then 3x3."""

    @nn.compact
    def __call__(self, x):
        x = self.layer(spectral.Conv, self.hidden or self.features, taps=4, stride=2)(self.norm_act(x))
        return self.layer(spectral.Conv, self.features)(self.norm_act(x))


class UpBlock(Block):
    """Doubles the grid: 3x3, transposed 3x3, plus a transposed 3x3 of what came in."""

    @nn.compact
    def __call__(self, x):
        y = self.layer(spectral.Conv, self.hidden or x.shape[-1])(self.norm_act(x))
        y = self.layer(spectral.UpConv, self.features)(self.norm_act(y))
        return y + self.layer(spectral.UpConv, self.features, name="shortcut")(x)


class ResBlock(Block):
    """Keeps the grid and the channels: two 3x3, plus what came in."""

    @nn.compact
    def __call__(self, x):
        y = self.layer(spectral.Conv, self.features)(self.norm_act(x))
        return x + self.layer(spectral.Conv, self.features)(self.norm_act(y))


class Output(Block):
    """To the `features` of a picture or a map in [-1, 1]: norm, LeakyReLU, 3x3 with mirrored edges, tanh."""

    @nn.compact
    def __call__(self, x):
        x = self.layer(spectral.Conv, self.features, reflect=True)(self.norm_act(x))
        return jnp.tanh(x.astype(jnp.float32))


class GatedConv(nn.Module):
    """LeakyReLU(0.2) of one 3x3 times the sigmoid of another, then an instance norm without parameters."""

    features: int
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x):
        both = spectral.Conv(2 * self.features, spectral=False, kernel_init=PLAIN_INIT, compute=self.compute)(x)
        features, gate = jnp.split(both, 2, axis=-1)
        return layers.plain_instance_norm(dtype=self.compute.dtype)(nn.leaky_relu(features, 0.2) * nn.sigmoid(gate))
