"""ADGAN as a model that can be trained, see `base.TrainableModel`."""

import jax

from scrn_jax.models import base, conditioned, losses, sections
from scrn_jax.models.adgan import objective
from scrn_jax.models.adgan import settings as settings_lib
from scrn_jax.models.adgan.generator import ADGAN
from scrn_jax.models.pretrained import weights
from scrn_jax.models.pretrained.vgg import DEPTHS, VGG, as_deep_as

INPUTS = ("source_image", "target_pose", "source_parsing")


class Adgan(base.TrainableModel):
    """A generator that holds a frozen VGG, and two discriminators with dropout."""

    def __init__(
        self,
        size: tuple[int, int],
        model: settings_lib.Model,
        loss: settings_lib.LossWeights,
        features: settings_lib.Features,
        adversarial: str,
    ):
        compute, depth = base.compute(model), DEPTHS[features.perceptual]
        self.size, self.features = size, features
        blocks = base.counted(model.blocks, "residual block")
        self.summary = f"an ADGAN generator of width {model.width} with {blocks} of each kind"
        self.weights = losses.term_weights(loss)
        self.generator = ADGAN(model, depth)
        network = conditioned.ResidualDiscriminator(
            model.discriminator_width, model.discriminator_blocks, model.dropout, compute
        )
        self.pair = conditioned.Pair(network, size, adversarial)
        self.vgg = VGG(depth, (objective.PERCEPTUAL, *objective.CONTEXTUAL), compute)

    def init(self, key):
        generator_key, discriminator_key = jax.random.split(key)
        inputs = base.example_inputs(self.size)
        generator = self.generator.init(generator_key, **{name: inputs[name] for name in INPUTS})["params"]
        return generator, self.pair.init(discriminator_key), {}

    def fill(self, params):
        """With VGG's weights as far as the generator looks."""
        whole = self._vgg()
        return {**params, "vgg": {name: whole[name] for name in params["vgg"]}}

    def generate(self, params, batch):
        prepared = {**batch, "source_image": base.to_float(batch["source_image"])}
        return {"image": self.generator.apply({"params": params}, **{key: prepared[key] for key in INPUTS})}

    def generator_terms(self, params, judges, frozen, batch, key):
        outputs = self.generate(params, batch)
        terms = objective.generator_terms(
            self.pair, self.vgg, judges[0], frozen, batch, outputs["image"], self.weights, key
        )
        return terms, outputs

    def discriminator_loss(self, params, statistics, batch, outputs, key):
        loss, accuracy = self.pair.loss(params, batch, outputs["image"], key)
        return loss, (statistics, accuracy)

    def pretrained(self):
        """{"vgg": parameters}, where a term needs them."""
        if not {"per", "cx"} & set(self.weights):
            return {}
        return {"vgg": as_deep_as(self._vgg(), self.vgg.depth, self.vgg.taps)}

    def _vgg(self):
        return weights.load(self.features.perceptual, self.features.perceptual_source, sections.PERCEPTUAL_KEY)


def make(size, model, loss, features, adversarial: str, **others) -> Adgan:
    """ADGAN of these sections of a config, see `base.make`; it has no parsing block that `others` could speak of."""
    return Adgan(size, model, loss, features, adversarial)
