"""SCRN as a model that can be trained, see `base.TrainableModel`."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from scrn_jax.models import base, losses, sections
from scrn_jax.models.discriminator import Discriminator
from scrn_jax.models.pretrained import weights
from scrn_jax.models.pretrained.vgg import as_deep_as
from scrn_jax.models.scrn import objective
from scrn_jax.models.scrn import settings as settings_lib
from scrn_jax.models.scrn.generator import SCRN
from scrn_jax.person import draw

PARSING_BLOCK, PARSING_TERM = "parsing_block", "par"
STYLE = ("image", "pose", "parsing", "share")  # of `generator.SCRN`'s style, each as "style_NAME" of a batch


class Scrn(base.TrainableModel):
    """One generator of two stages, one discriminator that sees the results of both."""

    columns = ("source", "target pose", "coarse", "parsing", "generated", "target")
    scored = {"coarse": "coarse_image"}

    def __init__(
        self,
        size: tuple[int, int],
        model: settings_lib.Model,
        loss: settings_lib.LossWeights,
        features: settings_lib.Features,
        forms: objective.Forms,
        parsing_steps: int,
    ):
        compute = base.compute(model)
        self.size, self.features, self.forms = size, features, forms
        self.generator, self.discriminator = SCRN(model), Discriminator(model.discriminator_width, compute)
        self.judges = objective.Judges.of(self.discriminator, features, compute)
        self.weights = losses.term_weights(loss)
        blocks = base.counted(model.blocks, "Coarse Block")
        self.summary = f"an SCRN generator of width {model.width} with {blocks}"
        self.fills_background = model.background == "kept"
        if parsing_steps:
            self.first_stage = base.Stage(parsing_steps, PARSING_BLOCK, (PARSING_TERM,))

    def init(self, key):
        generator_key, discriminator_key = jax.random.split(key)
        inputs = base.example_inputs(self.size)
        generator = self.generator.init(generator_key, **inputs)["params"]
        discriminator = self.discriminator.init(discriminator_key, inputs["source_image"])
        return generator, discriminator["params"], discriminator["spectral"]

    def generate(self, params, batch):
        floats = {name: base.to_float(x) if name.endswith("_image") else x for name, x in batch.items()}
        given = {key: floats[key] for key in base.INPUTS}
        style = {key: floats[f"style_{key}"] for key in STYLE if f"style_{key}" in floats}
        return self.generator.apply({"params": params}, **given, style=style or None)

    def generator_terms(self, params, judges, frozen, batch, key):
        outputs = self.generate(params, batch)
        batch = objective.prepare(batch, self.generator.regions)
        (_, *fakes), _ = self.judges.discriminate(*judges, batch, outputs)
        terms = objective.generator_terms(self.judges, frozen, outputs, batch, fakes, self.weights, self.forms)
        return terms, outputs

    def discriminator_loss(self, params, statistics, batch, outputs, key):
        batch = objective.prepare(batch, self.generator.regions)
        return objective.discriminator_loss(self.judges, params, statistics, batch, outputs, self.forms)

    def pretrained(self) -> dict[str, Any]:
        """{"vgg": parameters, "alexnet": parameters}, of those that the weighted losses need."""
        frozen, features = {}, self.features
        if "cor" in self.weights:
            key, vgg = "config.features.correspondence_source", self.judges.vgg
            whole = weights.load(features.correspondence, features.correspondence_source, key)
            frozen["vgg"] = as_deep_as(whole, vgg.depth, vgg.taps)
        if "per" in self.weights:
            frozen["alexnet"] = weights.load("alexnet", features.perceptual_source, sections.PERCEPTUAL_KEY)
        return frozen

    def gauges(self, params) -> dict[str, jax.Array]:
        """How strong each Coarse Block's criss-cross attention is; 0 at the start."""
        blocks = {name: part for name, part in params["coarse_generator"].items() if name.startswith("block_")}
        return {f"attention_gamma/{name}": part["CrissCrossAttention_0"]["gamma"] for name, part in blocks.items()}

    def panels(self, batch: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> list[list[np.ndarray]]:
        """With the coarse result and the likeliest region of S_g before the generated picture."""
        coarse = base.to_uint8(outputs["coarse_image"])
        parsing = draw.paint_regions(outputs["parsing"].argmax(-1))
        rows = super().panels(batch, outputs)
        return [[*row[:2], *between, *row[2:]] for row, *between in zip(rows, coarse, parsing, strict=True)]


def make(size, model, loss, features, adversarial: str, parsing: str, parsing_steps: int) -> Scrn:
    """SCRN of these sections of a config, see `base.make`."""
    return Scrn(size, model, loss, features, objective.Forms(adversarial, parsing), parsing_steps)
