"""What ADGAN's generator is trained to."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from scrn_jax.models import conditioned
from scrn_jax.models.base import to_float
from scrn_jax.models.pretrained.vgg import VGG

PERCEPTUAL, CONTEXTUAL = "relu1_2", ("relu3_2", "relu4_2")
BANDWIDTH = 0.5


def contextual(features_BxhxwxC, target_features_BxhxwxC):
    """The contextual loss of a picture's features and the target's: how far each of the target's finds its like.

    Mechrez et al., 2018. Features are centred by the target's mean (over the batch) and of length 1. With d = (1 - cos)
    / 2 over the smallest d that the picture's feature has to any of the target's, similarity is a softmax of (1 - d) /
    0.5 over the target's features; each of them takes its best; minus the logarithm of the mean, averaged over pairs.
    """
    centre = target_features_BxhxwxC.mean((0, 1, 2))

    def directions(features):
        features = (features - centre).reshape(len(features), -1, features.shape[-1])
        return features / jnp.sqrt(jnp.maximum((features**2).sum(-1, keepdims=True), 1e-24))

    cosine_BxPxT = jnp.einsum(
        "bpc,btc->bpt", directions(features_BxhxwxC), directions(target_features_BxhxwxC), precision="highest"
    )
    distance = (1 - cosine_BxPxT) / 2
    relative = distance / (distance.min(-1, keepdims=True) + 1e-5)
    similarity_BxPxT = jax.nn.softmax((1 - relative) / BANDWIDTH, axis=-1)
    return -jnp.log(similarity_BxPxT.max(1).mean(-1)).mean()


def generator_terms(
    pair: conditioned.Pair, vgg: VGG, judges, frozen, batch, image, weights: Mapping[str, float], key: jax.Array
) -> dict[str, jax.Array]:
    """The raw terms of `weights` by name.

    `adv`: the mean of both discriminators' loss. `l1`: mean abs(I_g - I_t). `per`: the mean absolute difference of
    VGG's relu1_2. `cx`: `contextual` of relu3_2 and of relu4_2, summed.

    Args:
      judges: the discriminators' parameters. frozen: {"vgg": parameters}, needed for `per` and `cx`.
      image: I_g (B, H, W, 3) in [-1, 1].
    """
    target = to_float(batch["target_image"])
    needed = {"per", "cx"} & set(weights)
    ours, theirs = (vgg.apply({"params": frozen["vgg"]}, each) if needed else {} for each in (image, target))
    terms = {
        "adv": lambda: pair.generator_term(judges, batch, image, key),
        "l1": lambda: jnp.mean(jnp.abs(image - target)),
        "per": lambda: jnp.mean(jnp.abs(ours[PERCEPTUAL] - theirs[PERCEPTUAL])),
        "cx": lambda: sum(contextual(ours[tap], theirs[tap]) for tap in CONTEXTUAL),
    }
    return {name: terms[name]() for name in weights}
