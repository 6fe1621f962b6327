"""PoNA's discriminators: PATN's, every kernel spectrally normalised."""

from functools import partial

import flax.linen as nn
import jax.numpy as jnp

from scrn_jax.models import layers, spectral
from scrn_jax.models.conditioned import PYTORCHS_INIT
from scrn_jax.models.ops.convolutions import Compute


class ResidualDiscriminator(nn.Module):
    """As `conditioned.ResidualDiscriminator`, of spectrally normalised convolutions."""

    width: int
    blocks: int
    dropout: float
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x, deterministic: bool = True):
        conv = partial(spectral.Conv, kernel_init=PYTORCHS_INIT, compute=self.compute)
        norm = partial(layers.plain_instance_norm, dtype=self.compute.dtype)
        x = nn.relu(norm()(conv(self.width, taps=7, padding=3, reflect=True)(x)))
        for multiple in (2, 4):
            x = nn.relu(norm()(conv(multiple * self.width, stride=2)(x)))
        for _ in range(self.blocks):
            y = nn.relu(norm()(conv(x.shape[-1], reflect=True)(x)))
            y = nn.Dropout(self.dropout)(y, deterministic=deterministic)
            x = x + norm()(conv(x.shape[-1], reflect=True)(y))
        return x.astype(jnp.float32)
