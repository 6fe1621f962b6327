"""What the sections of several models in a config have in common: a frozen VGG, how it is computed, and dropout."""

import dataclasses

from scrn_jax.errors import UserError, require_one_of
from scrn_jax.models.base import DTYPES
from scrn_jax.models.ops import convolutions

PERCEPTUAL_KEY = "config.features.perceptual_source"  # what to set where those weights are missing


@dataclasses.dataclass(frozen=True)
class PerceptualFeatures:
    """The frozen VGG of the losses, and of generators that look through one; where its weights come from.

    perceptual_source: as in `pretrained.weights.find`.
    """

    perceptual: str = "vgg19"
    perceptual_source: str = "auto"

    def __post_init__(self):
        require_one_of(self, "features", "perceptual", ("vgg19", "vgg16"))


def check_computed(model) -> None:
    """Raises UserError for a `dtype` or `convolutions` of a section `model` that there is not."""
    require_one_of(model, "model", "dtype", DTYPES)
    require_one_of(model, "model", "convolutions", convolutions.CHOICES)


def check_dropout(share: float) -> None:
    """Raises UserError for a share of features that cannot be dropped."""
    if not 0 <= share < 1:
        raise UserError(f"config.model.dropout must be in [0, 1), got {share}")


def check_no_parsing_steps(settings, method: str) -> None:
    """Raises UserError where a config has a parsing block learn first, which this method does not have."""
    if settings.train.parsing_steps:
        raise UserError(
            f"config.train.parsing_steps is for models with a parsing block, and {method} has none; set it to 0"
        )
