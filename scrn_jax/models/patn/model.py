"""PATN as a model that can be trained, see `base.TrainableModel`."""

import jax

from scrn_jax.models import base, conditioned, losses, sections
from scrn_jax.models.patn import objective
from scrn_jax.models.patn import settings as settings_lib
from scrn_jax.models.patn.generator import PATN
from scrn_jax.models.pretrained import weights
from scrn_jax.models.pretrained.vgg import DEPTHS, VGG, as_deep_as


class Patn(base.TrainableModel):
    """A generator with dropout, and two discriminators with it."""

    method = "PATN"
    inputs: tuple[str, ...] = ("source_image", "source_pose", "target_pose")

    def __init__(
        self,
        size: tuple[int, int],
        model: settings_lib.Model,
        loss: settings_lib.LossWeights,
        features: settings_lib.Features,
        adversarial: str,
    ):
        self.size, self.features = size, features
        self.summary = f"a {self.method} generator of {self.size_of(model)}"
        self.weights = losses.term_weights(loss)
        self.generator, discriminator = self.networks(model)
        self.pair = conditioned.Pair(discriminator, size, adversarial)
        self.vgg = VGG(DEPTHS[features.perceptual], (objective.VGG_TAP,), base.compute(model))

    @staticmethod
    def networks(model):
        """The generator, and what each discriminator is."""
        sizes = model.discriminator_width, model.discriminator_blocks, model.dropout
        return PATN(model), conditioned.ResidualDiscriminator(*sizes, base.compute(model))

    @staticmethod
    def size_of(model) -> str:
        """Its size in words."""
        return f"width {model.width} with {base.counted(model.blocks, 'transfer block')}"

    def init(self, key):
        generator_key, discriminator_key = jax.random.split(key)
        inputs = base.example_inputs(self.size)
        variables = self.generator.init(generator_key, **{name: inputs[name] for name in self.inputs})
        # A generator with batch norms has their statistics beside its parameters.
        generator = {**variables["params"], **{name: variables[name] for name in variables if name != "params"}}
        return generator, self.pair.init(discriminator_key), {}

    def _outputs(self, params, batch, key=None):
        """The generator's outputs by name, with dropout from a key."""
        image, *poses = (batch[name] for name in self.inputs)
        options = {} if key is None else {"deterministic": False, "rngs": {"dropout": key}}
        return {"image": self.generator.apply({"params": params}, base.to_float(image), *poses, **options)}

    def generate(self, params, batch):
        return self._outputs(params, batch)

    def generator_terms(self, params, judges, frozen, batch, key):
        own, discriminators = jax.random.split(key)
        outputs = self._outputs(params, batch, own)
        terms = objective.generator_terms(
            self.pair, self.vgg, judges[0], frozen, batch, outputs["image"], self.weights, discriminators
        )
        return terms, outputs

    def discriminator_loss(self, params, statistics, batch, outputs, key):
        loss, accuracy = self.pair.loss(params, batch, outputs["image"], jax.random.split(key)[1])
        return loss, (statistics, accuracy)

    def pretrained(self):
        """{"vgg": parameters}, where the perceptual loss has a weight."""
        if "per" not in self.weights:
            return {}
        whole = weights.load(self.features.perceptual, self.features.perceptual_source, sections.PERCEPTUAL_KEY)
        return {"vgg": as_deep_as(whole, self.vgg.depth, self.vgg.taps)}


def make(size, model, loss, features, adversarial: str, **others) -> Patn:
    """PATN of these sections of a config, see `base.make`; it has no parsing block that `others` could speak of."""
    return Patn(size, model, loss, features, adversarial)
