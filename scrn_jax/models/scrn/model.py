"""SCRN as a model that can be trained: its networks, its frozen networks, what it says of itself."""

from typing import Any

import jax

from scrn_jax.models import base
from scrn_jax.models.discriminator import Discriminator
from scrn_jax.models.pretrained import weights
from scrn_jax.models.scrn import settings as scrn_settings
from scrn_jax.models.scrn.generator import SCRN
from scrn_jax.settings import Settings


def make_generator(model: scrn_settings.Model) -> SCRN:
    """The generator that a config describes."""
    dtype = base.DTYPES[model.dtype]
    return SCRN(
        width=model.width,
        blocks=model.blocks,
        refine_area=model.refine_area,
        parsing_multiples=model.parsing_multiples,
        style_multiples=model.style_multiples,
        upsampling=model.upsampling,
        parsing_detail=model.parsing_detail,
        parsing_hints=model.parsing_hints,
        parsing_alone=model.parsing_alone,
        paint=model.paint,
        style_norm=model.style_norm,
        style_bounded=model.style_bounded,
        dtype=dtype,
        remat=model.remat,
    )


def make_discriminator(model: scrn_settings.Model) -> Discriminator:
    """The discriminator that a config describes."""
    return Discriminator(base_width=model.discriminator_width, dtype=base.DTYPES[model.dtype])


def load_frozen(settings: Settings) -> dict[str, Any]:
    """The frozen networks' parameters that the weighted losses need, as `make_train_step` takes them."""
    features, frozen = settings.features, {}
    if settings.loss.cor:
        frozen["vgg"] = weights.load(features.correspondence, features.correspondence_source)
    if settings.loss.per:
        frozen["alexnet"] = weights.load("alexnet", features.perceptual_source)
    return frozen


def attention_gammas(generator_params) -> dict[str, jax.Array]:
    """How strong each Coarse Block's criss-cross attention is, by its metric's name; 0 at the start."""
    blocks = {name: part for name, part in generator_params["coarse_generator"].items() if name.startswith("block_")}
    return {f"attention_gamma/{name}": part["CrissCrossAttention_0"]["gamma"] for name, part in blocks.items()}
