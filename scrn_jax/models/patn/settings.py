"""What a config says of PATN: its size, its losses and their frozen network."""

import dataclasses
from typing import Any

from scrn_jax.errors import require_at_most, require_not_negative, require_one_of
from scrn_jax.models import sections

MAX_BLOCKS, MAX_WIDTH = 64, 512


@dataclasses.dataclass(frozen=True)
class LossWeights:
    """Weights of the terms: the adversarial loss of both discriminators, L1, and L1 of VGG19's relu1_2."""

    adv: float = 5.0
    l1: float = 1.0
    per: float = 1.0


@dataclasses.dataclass(frozen=True)
class Model:
    """The networks' sizes, the authors' by default.

    Attributes:
      width: channels at full size; the blocks have four times as many.
      blocks: transfer blocks, the paper's nine.
      dropout: share of features that each path's first layer drops in training, and each residual block's of the
        discriminators.
      discriminator_width, discriminator_blocks: see `conditioned.ResidualDiscriminator`.
      published: whether poses are given as the weights that the authors published know them: a pixel a joint instead of
        a Gaussian.
      dtype, convolutions: how they are computed, as in `scrn.settings.Model`.
    """

    name: str = "patn"
    width: int = 64
    blocks: int = 9
    dropout: float = 0.5
    discriminator_width: int = 64
    discriminator_blocks: int = 3
    published: bool = False
    dtype: str = "float32"
    convolutions: str = "auto"

    def __post_init__(self):
        require_one_of(self, "model", "name", (type(self).name,))
        require_at_most(self, "model", width=MAX_WIDTH, blocks=MAX_BLOCKS, discriminator_width=MAX_WIDTH)
        require_not_negative(self, "model", "discriminator_blocks")
        sections.check_computed(self)
        sections.check_dropout(self.dropout)


Features = sections.PerceptualFeatures


def check(settings: Any) -> None:
    """What the sections of a config ask of each other: raises UserError."""
    sections.check_no_parsing_steps(settings, "PATN")
