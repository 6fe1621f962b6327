"""PISE as a model that can be trained, see `base.TrainableModel`."""

import jax

from scrn_jax.models import base, losses, sections
from scrn_jax.models.pise import objective
from scrn_jax.models.pise import settings as settings_lib
from scrn_jax.models.pise.discriminator import Discriminator
from scrn_jax.models.pise.generator import PISE
from scrn_jax.models.pretrained import weights
from scrn_jax.models.pretrained.vgg import DEPTHS, as_deep_as


class Pise(base.TrainableModel):
    """A generator that predicts a parsing map and holds a frozen VGG, and a patch discriminator."""

    columns = base.WITH_PARSING

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
        self.summary = f"a PISE generator of width {model.width}"
        self.weights = losses.term_weights(loss)
        self.generator = PISE(model, depth)
        self.discriminator = Discriminator(model.discriminator_width, compute)
        self.judges = objective.Judges.of(self.discriminator, depth, adversarial, compute)

    def init(self, key):
        generator_key, discriminator_key = jax.random.split(key)
        inputs = base.example_inputs(self.size)
        generator = self.generator.init(generator_key, **inputs)["params"]
        discriminator = self.discriminator.init(discriminator_key, inputs["source_image"])
        return generator, discriminator["params"], discriminator["spectral"]

    def fill(self, params):
        """With VGG's weights as far as the generator looks."""
        whole = self._vgg()
        return {**params, "vgg": {name: whole[name] for name in params["vgg"]}}

    def generate(self, params, batch):
        prepared = {**batch, "source_image": base.to_float(batch["source_image"])}
        return self.generator.apply({"params": params}, **{key: prepared[key] for key in base.INPUTS})

    def generator_terms(self, params, judges, frozen, batch, key):
        outputs = self.generate(params, batch)
        (_, fake), _ = self.judges.discriminate(*judges, base.to_float(batch["target_image"]), outputs["image"])
        return objective.generator_terms(self.judges, frozen, batch, outputs, fake, self.weights), outputs

    def discriminator_loss(self, params, statistics, batch, outputs, key):
        return objective.discriminator_loss(self.judges, params, statistics, batch, outputs)

    def pretrained(self):
        """{"vgg": parameters}, where a term needs them."""
        if not {"content", "style", "cor"} & set(self.weights):
            return {}
        return {"vgg": as_deep_as(self._vgg(), self.judges.vgg.depth, self.judges.vgg.taps)}

    def _vgg(self):
        return weights.load(self.features.perceptual, self.features.perceptual_source, sections.PERCEPTUAL_KEY)


def make(size, model, loss, features, adversarial: str, **others) -> Pise:
    """PISE of these sections of a config, see `base.make`; its parsing map has losses of its own."""
    return Pise(size, model, loss, features, adversarial)
