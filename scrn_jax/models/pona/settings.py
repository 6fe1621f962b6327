"""What a config says of PoNA: its size; losses and their frozen network are PATN's."""

import dataclasses
from typing import Any

from scrn_jax.errors import require_at_most, require_not_negative, require_one_of
from scrn_jax.models import sections
from scrn_jax.models.patn import settings as patn

MAX_BLOCKS, MAX_WIDTH = 64, 512

LossWeights = patn.LossWeights
Features = patn.Features


@dataclasses.dataclass(frozen=True)
class Model:
    """The networks' sizes, the authors' by default.

    Attributes:
      width: channels at full size; the blocks have four times as many, and an eighth of these for queries and keys.
      blocks: transfer blocks, the code's three.
      dropout: share of features that the middle of each pair of convolutions drops in training.
      discriminator_width, discriminator_blocks: as PATN's.
      published: whether poses are given as the weights that the authors published know them: a pixel a joint instead of
        a Gaussian.
      dtype, convolutions: how they are computed, as in `scrn.settings.Model`.
    """

    name: str = "pona"
    width: int = 64
    blocks: int = 3
    dropout: float = 0.5
    discriminator_width: int = 64
    discriminator_blocks: int = 3
    published: bool = False
    dtype: str = "float32"
    convolutions: str = "auto"

    def __post_init__(self):
        require_one_of(self, "model", "name", ("pona",))
        require_at_most(self, "model", width=MAX_WIDTH, blocks=MAX_BLOCKS, discriminator_width=MAX_WIDTH)
        require_not_negative(self, "model", "discriminator_blocks")
        sections.check_computed(self)
        sections.check_dropout(self.dropout)


def check(settings: Any) -> None:
    """What the sections of a config ask of each other: raises UserError."""
    sections.check_no_parsing_steps(settings, "PoNA")
