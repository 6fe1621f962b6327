"""Two discriminators that each see a picture beside what it should go with: its source, and its pose (PATN, ADGAN)."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from scrn_jax.models import layers, losses
from scrn_jax.models.base import to_float
from scrn_jax.models.ops.convolutions import Compute
from scrn_jax.person import heatmaps

PYTORCHS_INIT = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")  # of convolutions left as they are made
APPEARANCE, SHAPE = "appearance", "shape"


class ResidualDiscriminator(nn.Module):
    """Pictures beside a condition (N, H, W, C) to feature maps (N, H/4, W/4, 4 width): high means real.

    7x7, two stride-2 3x3, `blocks` residual blocks with dropout, all with instance norms and mirrored edges but for the
    strides. There is no layer that makes one logit of the features: each of them is judged.
    """

    width: int
    blocks: int
    dropout: float
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x, deterministic: bool = True):
        options = {"kernel_init": PYTORCHS_INIT, "compute": self.compute}
        x = layers.reflect_encode(x, self.width, **options)
        for _ in range(self.blocks):
            x = x + layers.ReflectPair(x.shape[-1], dropout=self.dropout, **options)(x, deterministic)
        return x.astype(jnp.float32)


class Pair:
    """The two discriminators as one tree of parameters: `appearance` sees the source, `shape` the target's heat maps.

    `network`: a `ResidualDiscriminator`, or another that is called as it is.
    `form`: of the adversarial loss, see `losses`; the authors' is `lsgan`.
    """

    def __init__(self, network: nn.Module, size: tuple[int, int], form: str = "lsgan"):
        self.network, self.size, self.form = network, size, form

    def init(self, key: jax.Array) -> dict[str, Any]:
        """Fresh parameters of both."""
        channels = {APPEARANCE: 3 + 3, SHAPE: 3 + 18}
        return {
            name: self.network.init(each, jnp.zeros((1, *self.size, channels[name])))["params"]
            for name, each in zip(channels, jax.random.split(key), strict=True)
        }

    def look(self, params, batch: Mapping[str, jax.Array], image, key: jax.Array) -> dict[str, jax.Array]:
        """What each makes of pictures (B, H, W, 3) in [-1, 1]: {name: maps}, with dropout from `key`."""
        conditions = {
            APPEARANCE: to_float(batch["source_image"]),
            SHAPE: heatmaps.heat_maps(batch["target_pose"], *self.size),
        }
        return {
            name: self.network.apply(
                {"params": params[name]},
                jnp.concatenate([image, condition], axis=-1),
                deterministic=False,
                rngs={"dropout": each},
            )
            for (name, condition), each in zip(conditions.items(), jax.random.split(key), strict=True)
        }

    def generator_term(self, params, batch, image, key: jax.Array) -> jax.Array:
        """The mean of both discriminators' adversarial loss for generated pictures."""
        maps = self.look(params, batch, image, jax.random.split(key)[0])
        return sum(losses.adversarial_generator(each, self.form) for each in maps.values()) / len(maps)

    def loss(self, params, batch, image, key: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The sum of both's loss, each the mean over real and generated pictures, and their accuracies."""
        # The generator's term drew from the first key, so that its pass over the generated pictures is this one.
        on_fake, on_real = jax.random.split(key)
        fake = self.look(params, batch, image, on_fake)
        real = self.look(params, batch, to_float(batch["target_image"]), on_real)
        each = [sum(losses.adversarial_discriminator(real[name], fake[name], self.form)) / 2 for name in real]
        right = [losses.discriminator_accuracy(real[name], fake[name], self.form) for name in real]
        return sum(each), {side: sum(shares[side] for shares in right) / len(right) for side in ("real", "fake")}
