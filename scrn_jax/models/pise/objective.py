"""What PISE's two networks are trained to."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from scrn_jax.models import layers, losses
from scrn_jax.models.base import to_float
from scrn_jax.models.ops.convolutions import Compute
from scrn_jax.models.pise.discriminator import Discriminator
from scrn_jax.models.pise.generator import STRIDE, VGG_TAP
from scrn_jax.models.pretrained.vgg import VGG

CONTENT = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
STYLE = {19: ("relu2_2", "relu3_4", "relu4_4", "relu5_2"), 16: ("relu2_2", "relu3_3", "relu4_3", "relu5_2")}


@dataclasses.dataclass(frozen=True)
class Judges:
    """The networks that look at the generator's results, and the form of the adversarial loss, see `losses`."""

    discriminator: Discriminator
    vgg: VGG
    adversarial: str

    @classmethod
    def of(cls, discriminator: Discriminator, depth: int, adversarial: str, compute: Compute) -> "Judges":
        """With VGG of that depth, which sees images as they are, in [-1, 1]."""
        taps = tuple(dict.fromkeys((*CONTENT, *STYLE[depth])))
        return cls(discriminator, VGG(depth, taps, compute, normalised=False), adversarial)

    def discriminate(self, params, statistics, real, fake):
        """D's logits of both from one call, and its moved statistics."""
        logits, moved = self.discriminator.apply(
            {"params": params, "spectral": statistics}, jnp.concatenate([real, fake]), mutable=["spectral"]
        )
        return jnp.split(logits, 2), moved["spectral"]

    def perceive(self, params, image) -> dict[str, jax.Array]:
        """VGG's features by tap."""
        return self.vgg.apply({"params": params}, image)

    def correspond(self, params, image):
        """VGG's relu3_1 of a picture in the frame that the generator works in."""
        vgg = dataclasses.replace(self.vgg, taps=(VGG_TAP,))
        return vgg.apply({"params": params}, layers.pad_to_multiple(image, STRIDE, mode="edge"))[VGG_TAP]


def gram(features_BxhxwxC):
    """Products of channels, averaged over places and channels: (B, C, C)."""
    _, h, w, c = features_BxhxwxC.shape
    return jnp.einsum("bhwc,bhwd->bcd", features_BxhxwxC, features_BxhxwxC) / (h * w * c)


def generator_terms(
    judges: Judges, frozen, batch, outputs, fake_logits, weights: Mapping[str, float]
) -> dict[str, jax.Array]:
    """The raw terms of `weights` by name.

    `l1`: mean abs(I_g - I_t). `adv`: see `losses`. `content`, `style`: L1 of VGG's features and of their Gram matrices,
    summed over the layers. `cor`: the mean squared difference of the features before the spatially-aware norm and VGG's
    relu3_1 of the target. `map`: mean abs(S_g - S_t); `par`: cross-entropy with the map's values as logits.

    Args:
      frozen: {"vgg": parameters}. outputs: the generator's.
    """
    image, target = outputs["image"], to_float(batch["target_image"])
    regions = jax.nn.one_hot(batch["target_parsing"], outputs["map"].shape[-1])
    seen = {"content", "style"} & set(weights)
    ours, theirs = (judges.perceive(frozen["vgg"], each) if seen else {} for each in (image, target))

    def apart(taps, view=lambda features: features):
        return sum(jnp.mean(jnp.abs(view(ours[tap]) - view(theirs[tap]))) for tap in taps)

    def correspondence():
        return losses.correspondence(outputs["features"], judges.correspond(frozen["vgg"], target))

    terms = {
        "l1": lambda: jnp.mean(jnp.abs(image - target)),
        "adv": lambda: losses.adversarial_generator(fake_logits, judges.adversarial),
        "style": lambda: apart(STYLE[judges.vgg.depth], gram),
        "content": lambda: apart(CONTENT),
        "cor": correspondence,
        "par": lambda: losses.parsing(outputs["map"], regions, "cross_entropy"),
        "map": lambda: jnp.mean(jnp.abs(outputs["map"] - regions)),
    }
    return {name: terms[name]() for name in weights}


def discriminator_loss(judges: Judges, params, statistics, batch, outputs) -> tuple[jax.Array, tuple]:
    """The mean of D's loss on real and on generated pictures, and (its moved statistics, its accuracies)."""
    (real, fake), moved = judges.discriminate(params, statistics, to_float(batch["target_image"]), outputs["image"])
    loss = sum(losses.adversarial_discriminator(real, fake, judges.adversarial)) / 2
    return loss, (moved, losses.discriminator_accuracy(real, fake, judges.adversarial))
