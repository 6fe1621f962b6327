"""PoNA as a model that can be trained: PATN's losses and pair of discriminators around other networks."""

from scrn_jax.models import base
from scrn_jax.models.patn.model import Patn
from scrn_jax.models.pona.discriminator import ResidualDiscriminator
from scrn_jax.models.pona.generator import PoNA


class Pona(Patn):
    """See `Patn`."""

    method = "PoNA"

    @staticmethod
    def networks(model):
        """The generator, and what each discriminator is."""
        sizes = model.discriminator_width, model.discriminator_blocks, model.dropout
        return PoNA(model), ResidualDiscriminator(*sizes, base.compute(model))


def make(size, model, loss, features, adversarial: str, **others) -> Pona:
    """PoNA of these sections of a config, see `base.make`; it has no parsing block that `others` could speak of."""
    return Pona(size, model, loss, features, adversarial)
