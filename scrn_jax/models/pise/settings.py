"""What a config says of PISE: its size, its losses and their frozen network."""

import dataclasses
from typing import Any

from scrn_jax.errors import UserError, require_at_most, require_one_of
from scrn_jax.models import sections

MAX_WIDTH, MAX_HALVINGS = 512, 4  # frames are filled up to multiples of 16


@dataclasses.dataclass(frozen=True)
class LossWeights:
    """Weights of the terms, see `objective.generator_terms`; the defaults are the authors'."""

    l1: float = 5.0
    adv: float = 2.0
    style: float = 200.0
    content: float = 0.5
    cor: float = 30.0
    par: float = 1.0
    map: float = 100.0


@dataclasses.dataclass(frozen=True)
class Model:
    """The networks' sizes, the authors' by default.

    Attributes:
      width: channels of the image networks; features have four times as many.
      parsing_width: of the parsing generator. parsing_halvings: of its grid, 1 to 4; four take 256x176 to 16x11, and
        smaller frames need fewer to keep as fine a grid.
      discriminator_width: see `discriminator.Discriminator`.
      published: whether the generator is the function that the weights are of which the authors published, with their
        classes, frame and norms: docs/methods/pise.md. To be used, not to be trained.
      dtype, convolutions: how they are computed, as in `scrn.settings.Model`.
    """

    name: str = "pise"
    width: int = 64
    parsing_width: int = 32
    parsing_halvings: int = 4
    discriminator_width: int = 32
    published: bool = False
    dtype: str = "float32"
    convolutions: str = "auto"

    def __post_init__(self):
        require_one_of(self, "model", "name", ("pise",))
        sizes = {"width": MAX_WIDTH, "parsing_width": MAX_WIDTH, "discriminator_width": MAX_WIDTH}
        require_at_most(self, "model", **sizes, parsing_halvings=MAX_HALVINGS)
        sections.check_computed(self)


Features = sections.PerceptualFeatures


def check(settings: Any) -> None:
    """What the sections of a config ask of each other: raises UserError."""
    if settings.train.parsing_steps:
        raise UserError("config.train.parsing_steps is SCRN's; PISE learns its parsing map along with the rest: set 0")
