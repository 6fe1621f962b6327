"""What SCRN's two networks are trained to: from a batch to G's terms (Eq. 4) and D's loss (Eq. 7)."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from scrn_jax.models import losses
from scrn_jax.models.base import to_float
from scrn_jax.models.discriminator import Discriminator
from scrn_jax.models.ops.convolutions import Compute
from scrn_jax.models.pretrained.alexnet import AlexNet
from scrn_jax.models.pretrained.vgg import DEPTHS, VGG
from scrn_jax.models.scrn.settings import Features

CORRESPONDENCE_TAP = "conv3_1"


@dataclasses.dataclass(frozen=True)
class Forms:
    """The forms of Eq. 7 and of Eq. 9, see `losses`."""

    adversarial: str
    parsing: str


@dataclasses.dataclass(frozen=True)
class Judges:
    """The networks that look at the generator's results."""

    discriminator: Discriminator
    vgg: VGG
    alexnet: AlexNet
    perceptual_scale: int = 1

    @classmethod
    def of(cls, discriminator: Discriminator, features: Features, compute: Compute) -> "Judges":
        """With the frozen networks that a config describes."""
        return cls(
            discriminator=discriminator,
            vgg=VGG(depth=DEPTHS[features.correspondence], taps=(CORRESPONDENCE_TAP,), compute=compute),
            alexnet=AlexNet(compute=compute),
            perceptual_scale=features.perceptual_scale,
        )

    def perceive(self, params, image_BxHxWx3) -> dict[str, jax.Array]:
        """AlexNet's features of Eq. 8 (a float32 array per tap) of pictures in [-1, 1], enlarged if so configured."""
        batch, height, width, channels = image_BxHxWx3.shape
        if (scale := self.perceptual_scale) > 1:
            size = (batch, scale * height, scale * width, channels)
            image_BxHxWx3 = jax.image.resize(image_BxHxWx3, size, "bilinear")
        return self.alexnet.apply({"params": params}, image_BxHxWx3)

    def discriminate(self, params, spectral, batch, outputs):
        """D's logits of (real, I_g, I_crs) from one call, and its moved spectral statistics."""
        images = jnp.concatenate([batch["target_image"], outputs["image"], outputs["coarse_image"]])
        logits, updates = self.discriminator.apply(
            {"params": params, "spectral": spectral}, images, mutable=["spectral"]
        )
        return jnp.split(logits, 3), updates["spectral"]


def prepare(batch: Mapping[str, jax.Array], regions: int) -> dict[str, jax.Array]:
    """A batch as it crossed the bus (uint8 and joints) to what the losses take."""
    return {
        **batch,
        "target_image": to_float(batch["target_image"]),
        "target_parsing": jax.nn.one_hot(batch["target_parsing"], regions),
    }


def target_features(judges: Judges, frozen, target_image, weights: Mapping[str, float]):
    """The frozen networks' view of the target, computed once a step: ({tap: array} of VGG, of AlexNet)."""
    vgg = judges.vgg.apply({"params": frozen["vgg"]}, target_image) if "cor" in weights else {}
    alexnet = judges.perceive(frozen["alexnet"], target_image) if "per" in weights else {}
    return vgg, alexnet


def generator_terms(
    judges: Judges, frozen, outputs, batch, fake_logits, weights: Mapping[str, float], forms: Forms
) -> dict[str, jax.Array]:
    """The raw terms of Eq. 4 that have a weight, by name.

    Args:
      frozen: {"vgg": params, "alexnet": params}.
      outputs: the generator's. batch: as `prepare` gives it. fake_logits: D's, of I_g and of I_crs.
    """
    vgg, alexnet = target_features(judges, frozen, batch["target_image"], weights)
    image, target = outputs["image"], batch["target_image"]
    terms = {
        "cor": lambda: losses.correspondence(outputs["features"], vgg[CORRESPONDENCE_TAP]),
        "l1": lambda: losses.l1(image, outputs["coarse_image"], target),
        "adv": lambda: sum(losses.adversarial_generator(logits, forms.adversarial) for logits in fake_logits),
        "per": lambda: losses.perceptual(judges.perceive(frozen["alexnet"], image), alexnet),
        "par": lambda: losses.parsing(outputs["parsing_logits"], batch["target_parsing"], forms.parsing),
        "face": lambda: losses.face(image, target, batch["face_box"]),
    }
    return {name: term() for name, term in terms.items() if name in weights}


def discriminator_loss(judges: Judges, params, spectral, batch, outputs, forms: Forms) -> tuple[jax.Array, tuple]:
    """Eq. 7 for D over the two fakes, and (its moved spectral statistics, its accuracies)."""
    (real, *fakes), spectral = judges.discriminate(params, spectral, batch, outputs)
    pairs = [losses.adversarial_discriminator(real, fake, forms.adversarial) for fake in fakes]
    loss = pairs[0][0] + sum(on_fake for _, on_fake in pairs)
    return loss, (spectral, losses.discriminator_accuracy(real, jnp.concatenate(fakes), forms.adversarial))
