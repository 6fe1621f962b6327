"""What a config says of PoNA: its size; losses and their frozen network are PATN's."""

import dataclasses
from typing import Any

from scrn_jax.models import sections
from scrn_jax.models.patn import settings as patn

LossWeights = patn.LossWeights
Features = patn.Features


@dataclasses.dataclass(frozen=True)
class Model(patn.Model):
    """The networks' sizes, the authors' by default: PATN's keys, of which `blocks` are the code's three.

    Queries and keys have an eighth of the blocks' channels; `dropout` is between the two convolutions of every pair.
    """

    name: str = "pona"
    blocks: int = 3


def check(settings: Any) -> None:
    """What the sections of a config ask of each other: raises UserError."""
    sections.check_no_parsing_steps(settings, "PoNA")
