"""What a config says of PINet: its size, its losses and their frozen network."""

import dataclasses
from typing import Any

from scrn_jax.errors import UserError, require_at_most, require_not_negative, require_one_of
from scrn_jax.models import sections
from scrn_jax.models.patn import settings as patn


@dataclasses.dataclass(frozen=True)
class LossWeights(patn.LossWeights):
    """PATN's weights, and that of the parsing map's cross-entropy."""

    par: float = 1.0


@dataclasses.dataclass(frozen=True)
class Model:
    """The networks' sizes, the authors' by default.

    Attributes:
      width: channels of the network that paints at full size; its grid has four times as many.
      parsing_width: the same of the network that predicts the parsing map.
      dropout: share of features that each residual block of the discriminators drops in training.
      discriminator_width, discriminator_blocks: see `pona.discriminator.ResidualDiscriminator`.
      dtype, convolutions: how they are computed, as in `scrn.settings.Model`.
    """

    name: str = "pinet"
    width: int = 64
    parsing_width: int = 64
    dropout: float = 0.5
    discriminator_width: int = 64
    discriminator_blocks: int = 3
    dtype: str = "float32"
    convolutions: str = "auto"

    def __post_init__(self):
        require_one_of(self, "model", "name", ("pinet",))
        widths = ("width", "parsing_width", "discriminator_width")
        require_at_most(self, "model", **dict.fromkeys(widths, patn.MAX_WIDTH))
        require_not_negative(self, "model", "discriminator_blocks")
        for name in ("width", "parsing_width"):
            if getattr(self, name) < 2:
                raise UserError(f"config.model.{name} must be at least 2, as its last layers have half of it")
        sections.check_computed(self)
        sections.check_dropout(self.dropout)


Features = sections.PerceptualFeatures


def check(settings: Any) -> None:
    """What the sections of a config ask of each other: raises UserError."""
    if settings.train.parsing_steps:
        raise UserError("config.train.parsing_steps is SCRN's; PINet learns its parsing map along with the rest: set 0")
