"""What PATN's generator is trained to."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from scrn_jax.models import conditioned
from scrn_jax.models.base import to_float
from scrn_jax.models.pretrained.vgg import VGG

VGG_TAP = "relu1_2"


def generator_terms(
    pair: conditioned.Pair, vgg: VGG, judges, frozen, batch, image, weights: Mapping[str, float], key: jax.Array
) -> dict[str, jax.Array]:
    """The raw terms of `weights` by name; others, which a method has besides, are left to it.

    `adv`: the mean of both discriminators' loss. `l1`: mean abs(I_g - I_t). `per`: the mean absolute
    difference of VGG's relu1_2.

    Args:
      judges: the discriminators' parameters. frozen: {"vgg": parameters}, needed for `per`.
      image: I_g (B, H, W, 3) in [-1, 1].
    """
    target = to_float(batch["target_image"])

    def perceive(picture):
        return vgg.apply({"params": frozen["vgg"]}, picture)[VGG_TAP]

    terms = {
        "adv": lambda: pair.generator_term(judges, batch, image, key),
        "l1": lambda: jnp.mean(jnp.abs(image - target)),
        "per": lambda: jnp.mean(jnp.abs(perceive(image) - perceive(target))),
    }
    return {name: term() for name, term in terms.items() if name in weights}
