"""PINet as a model that can be trained: PATN's losses, PoNA's discriminators, and a map that is predicted."""

import jax

from scrn_jax.models import base, losses
from scrn_jax.models.patn.model import Patn
from scrn_jax.models.pinet.generator import PINet
from scrn_jax.models.pona.discriminator import ResidualDiscriminator


class Pinet(Patn):
    """A generator that predicts a parsing map as well, and two discriminators with dropout.

    The generator's parameters hold the statistics of its norms as well, those of the latest batch in training; their
    average, as that of everything else, is what pictures are made with.
    """

    method = "PINet"
    inputs = base.INPUTS
    columns = base.WITH_PARSING

    @staticmethod
    def networks(model):
        """The generator, and what each discriminator is."""
        sizes = model.discriminator_width, model.discriminator_blocks, model.dropout
        return PINet(model), ResidualDiscriminator(*sizes, base.compute(model))

    @staticmethod
    def size_of(model) -> str:
        """Its size in words."""
        return f"width {model.width}, with a parsing network of width {model.parsing_width}"

    def _outputs(self, params, batch, key=None):
        """With a key, in training: with the statistics of the batch, which are an output. No dropout is drawn by it."""
        prepared = {**batch, "source_image": base.to_float(batch["source_image"])}
        inputs = {name: prepared[name] for name in self.inputs}
        learned = {name: leaf for name, leaf in params.items() if name != base.STATISTICS}
        variables = {"params": learned, base.STATISTICS: params[base.STATISTICS]}
        if key is None:
            return self.generator.apply(variables, **inputs)
        outputs, found = self.generator.apply(variables, **inputs, training=True, mutable=[base.STATISTICS])
        return {**outputs, **jax.lax.stop_gradient(found)}

    def with_statistics(self, params, statistics):
        return {**params, base.STATISTICS: statistics}

    def generator_terms(self, params, judges, frozen, batch, key):
        terms, outputs = super().generator_terms(params, judges, frozen, batch, key)
        if "par" in self.weights:
            target = jax.nn.one_hot(batch["target_parsing"], outputs["parsing"].shape[-1])
            terms["par"] = losses.parsing(outputs["parsing_logits"], target, "cross_entropy")
        return terms, outputs


def make(size, model, loss, features, adversarial: str, **others) -> Pinet:
    """PINet of these sections of a config, see `base.make`; its parsing map has a loss of its own."""
    return Pinet(size, model, loss, features, adversarial)
