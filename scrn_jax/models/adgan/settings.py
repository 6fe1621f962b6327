"""What a config says of ADGAN: its size, its losses and their frozen network."""

import dataclasses
from typing import Any

from scrn_jax.errors import UserError, require_at_most, require_not_negative, require_one_of
from scrn_jax.models import sections
from scrn_jax.person.regions import NUM_REGIONS

MAX_BLOCKS, MAX_WIDTH, MAX_CODE = 64, 512, 4096


@dataclasses.dataclass(frozen=True)
class LossWeights:
    """Weights of the terms: both discriminators', L1, L1 of VGG19's relu1_2, and the contextual loss."""

    adv: float = 5.0
    l1: float = 1.0
    per: float = 1.0
    cx: float = 0.1


@dataclasses.dataclass(frozen=True)
class Model:
    """The networks' sizes, the authors' by default.

    Attributes:
      width: channels at full size; features have four times as many.
      blocks: residual blocks of the pose encoder, and of the decoder.
      style: numbers of the whole style, an equal share a region.
      hidden: width of the layers that make the norms' numbers of the style.
      dropout: share of features that each residual block of the discriminators drops.
      discriminator_width, discriminator_blocks: see `conditioned.ResidualDiscriminator`.
      published: whether poses and regions are given as the weights that the authors published know them: a pixel a
        joint instead of a Gaussian, and the classes of their maps, docs/methods/adgan.md.
      dtype, convolutions: how they are computed, as in `scrn.settings.Model`.
    """

    name: str = "adgan"
    width: int = 64
    blocks: int = 8
    style: int = 512
    hidden: int = 256
    dropout: float = 0.5
    discriminator_width: int = 64
    discriminator_blocks: int = 3
    published: bool = False
    dtype: str = "float32"
    convolutions: str = "auto"

    def __post_init__(self):
        require_one_of(self, "model", "name", ("adgan",))
        require_at_most(
            self, "model", width=MAX_WIDTH, blocks=MAX_BLOCKS, style=MAX_CODE, hidden=MAX_CODE,
            discriminator_width=MAX_WIDTH,
        )  # fmt: skip
        require_not_negative(self, "model", "discriminator_blocks")
        sections.check_computed(self)
        sections.check_dropout(self.dropout)
        if self.style % NUM_REGIONS:
            raise UserError(f"config.model.style must be a multiple of the {NUM_REGIONS} regions, got {self.style}")


Features = sections.PerceptualFeatures


def check(settings: Any) -> None:
    """What the sections of a config ask of each other: raises UserError."""
    sections.check_no_parsing_steps(settings, "ADGAN")
