"""What the two networks are trained to: from a batch to G's weighted terms (Eq. 4) and D's loss (Eq. 7)."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from scrn_jax import settings as settings_lib
from scrn_jax.models import base, losses
from scrn_jax.models.base import INPUTS, to_float
from scrn_jax.models.discriminator import Discriminator
from scrn_jax.models.pretrained.alexnet import AlexNet
from scrn_jax.models.pretrained.vgg import VGG
from scrn_jax.models.scrn.generator import SCRN
from scrn_jax.models.scrn.model import make_discriminator, make_generator
from scrn_jax.models.scrn.settings import LossWeights
from scrn_jax.training.state import TrainState

CORRESPONDENCE_TAP = "conv3_1"
VGG_DEPTHS = {"vgg16": 16, "vgg19": 19}


@dataclasses.dataclass(frozen=True)
class Networks:
    """The modules a step computes with; hashable, so that they can be closed over without being traced."""

    generator: SCRN
    discriminator: Discriminator
    vgg: VGG
    alexnet: AlexNet
    perceptual_scale: int = 1

    @classmethod
    def from_settings(cls, settings: settings_lib.Settings) -> "Networks":
        """The networks that a config describes."""
        dtype = base.DTYPES[settings.model.dtype]
        return cls(
            generator=make_generator(settings.model),
            discriminator=make_discriminator(settings.model),
            vgg=VGG(depth=VGG_DEPTHS[settings.features.correspondence], taps=(CORRESPONDENCE_TAP,), dtype=dtype),
            alexnet=AlexNet(dtype=dtype),
            perceptual_scale=settings.features.perceptual_scale,
        )

    def perceive(self, params, image_BxHxWx3) -> dict[str, jax.Array]:
        """AlexNet's features of Eq. 8 (a float32 array per tap) of pictures in [-1, 1], enlarged if so configured."""
        batch, height, width, channels = image_BxHxWx3.shape
        if (scale := self.perceptual_scale) > 1:
            size = (batch, scale * height, scale * width, channels)
            image_BxHxWx3 = jax.image.resize(image_BxHxWx3, size, "bilinear")
        return self.alexnet.apply({"params": params}, image_BxHxWx3)


def prepare(batch: Mapping[str, jax.Array], regions: int) -> dict[str, jax.Array]:
    """A batch as it crossed the bus (uint8 and joints) to what the networks take."""
    return {
        **batch,
        "source_image": to_float(batch["source_image"]),
        "target_image": to_float(batch["target_image"]),
        "target_parsing": jax.nn.one_hot(batch["target_parsing"], regions),
    }


def term_weights(settings: settings_lib.Settings) -> dict[str, float]:
    """The weights of Eq. 4's terms by name, without those that are 0."""
    weights = dataclasses.asdict(settings.loss)
    return {name: weight for name, weight in weights.items() if weight}


def target_features(networks: Networks, frozen, target_image, weights: LossWeights):
    """The frozen networks' view of the target, computed once a step: ({tap: array} of VGG, of AlexNet)."""
    vgg = networks.vgg.apply({"params": frozen["vgg"]}, target_image) if weights.cor else {}
    alexnet = networks.perceive(frozen["alexnet"], target_image) if weights.per else {}
    return vgg, alexnet


def generator_terms(networks: Networks, frozen, outputs, batch, fake_logits, settings: settings_lib.Settings):
    """The raw terms of Eq. 4 by name, those with weight 0 left out."""
    weights, adversarial = settings.loss, settings.adversarial
    vgg, alexnet = target_features(networks, frozen, batch["target_image"], weights)
    image, target = outputs["image"], batch["target_image"]
    terms = {
        "cor": lambda: losses.correspondence(outputs["features"], vgg[CORRESPONDENCE_TAP]),
        "l1": lambda: losses.l1(image, outputs["coarse_image"], target),
        "adv": lambda: sum(losses.adversarial_generator(logits, adversarial) for logits in fake_logits),
        "per": lambda: losses.perceptual(networks.perceive(frozen["alexnet"], image), alexnet),
        "par": lambda: losses.parsing(outputs["parsing_logits"], batch["target_parsing"], settings.parsing),
        "face": lambda: losses.face(image, target, batch["face_box"]),
    }
    return {name: term() for name, term in terms.items() if getattr(weights, name)}


def discriminate(networks: Networks, params, spectral, batch, outputs):
    """D's logits of (real, I_g, I_crs) from one call, and its moved spectral statistics."""
    images = jnp.concatenate([batch["target_image"], outputs["image"], outputs["coarse_image"]])
    logits, updates = networks.discriminator.apply(
        {"params": params, "spectral": spectral}, images, update_stats=True, mutable=["spectral"]
    )
    return jnp.split(logits, 3), updates["spectral"]


def generate_and_judge(
    networks: Networks, settings: settings_lib.Settings, params, state: TrainState, frozen, batch
) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
    """A generator's raw terms (see `generator_terms`) and outputs.

    Args:
      params: the generator's parameters, those that terms are differentiated by.
      state: where the discriminator comes from.
      frozen: {"vgg": params, "alexnet": params}.
      batch: as `prepare` gives it.
    """
    outputs = networks.generator.apply({"params": params}, **{key: batch[key] for key in INPUTS})
    (_, *fakes), _ = discriminate(networks, state.discriminator, state.spectral, batch, outputs)
    return generator_terms(networks, frozen, outputs, batch, fakes, settings), outputs


def discriminator_loss(
    networks: Networks, settings: settings_lib.Settings, params, state: TrainState, batch, outputs
) -> tuple[jax.Array, tuple]:
    """Eq. 7 for D over the two fakes, and (its moved spectral statistics, its accuracies)."""
    (real, *fakes), spectral = discriminate(networks, params, state.spectral, batch, outputs)
    pairs = [losses.adversarial_discriminator(real, fake, settings.adversarial) for fake in fakes]
    loss = pairs[0][0] + sum(on_fake for _, on_fake in pairs)
    accuracy = {"real": jnp.mean(real > 0), "fake": jnp.mean(jnp.concatenate(fakes) < 0)}
    return loss, (spectral, accuracy)
