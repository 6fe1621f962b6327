"""What a model is to training, evaluation and use: they know this page and no model's parts.

A model NAME is a package with the same file names as the others: `settings.py` with what a config says of it (`Model`,
which has at least `name`, `dtype` and `convolutions`; `LossWeights`; `Features`; `check`), `generator.py`,
`objective.py`, and `model.py` with `make`, see `make` here.
"""

import abc
import dataclasses
import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from scrn_jax.errors import UserError
from scrn_jax.models.ops.convolutions import Compute
from scrn_jax.person import draw, joints

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}
# What `config.model.name` may say, and the package of each: a config from outside names no module.
PACKAGES = {name: f"scrn_jax.models.{name}" for name in ("scrn", "patn", "pise", "adgan", "pona", "pinet")}
DEFAULT = "scrn"  # of configs, checkpoints and exports that name none
INPUTS = ("source_image", "source_pose", "target_pose", "source_parsing")
WITH_PARSING = ("source", "target pose", "parsing", "generated", "target")  # `columns` of who predicts a map
# Of a generator's parameters, what no gradient moves but the batch says in training, where it is an output: the mean
# and variance of batch norms. Flax's own name of the collection.
STATISTICS = "batch_stats"

Tree = Any  # nested dicts of arrays
Arrays = Mapping[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class Stage:
    """The first `steps` steps of a run, in which only the generator's `part` learns, by the `terms` alone."""

    steps: int
    part: str
    terms: tuple[str, ...]


class TrainableModel(abc.ABC):
    """A generator, its discriminators, what they are trained to, and how the results are shown.

    Discriminators are one tree of parameters, whose statistics (a second tree) move in every step; a model may keep
    several in it. Nothing is random but `init` and what is drawn from a step's key. Batches come from the input
    pipeline (uint8 images (B, H, W, 3), uint8 labels (B, H, W), joints (B, 18, 2) in pixels, face boxes (B, 4)).

    Attributes:
      size: (height, width) in pixels.
      weights: the weight of each term of the generator's loss, without those that are 0.
      first_stage: None where everything learns from the start.
      summary: what it is, in a few words, for its card.
      columns: the titles of a sample sheet's pictures.
      fills_background: whether it paints the source's own background, and what may lie where the source hides it.
      scored: outputs (B, H, W, 3) in [-1, 1] that are scored beside `image`, by the name of their row in a report.
    """

    size: tuple[int, int]
    weights: Mapping[str, float]
    first_stage: Stage | None = None
    summary: str
    columns: tuple[str, ...] = ("source", "target pose", "generated", "target")
    fills_background: bool = False
    scored: Mapping[str, str] = {}

    @abc.abstractmethod
    def init(self, key: jax.Array) -> tuple[Tree, Tree, Tree]:
        """Fresh parameters of the generator and of the discriminators, and the discriminators' statistics."""

    def fill(self, params: Tree) -> Tree:
        """A fresh generator's parameters, with the weights of frozen networks where `init` left room for them.

        Such weights belong to the generator, since it needs them to generate; it has to see to it that they get no
        gradient. Raises UserError where they are at no place.
        """
        return params

    def with_statistics(self, params: Tree, statistics: Tree) -> Tree:
        """A generator's parameters with these in place, which `generator_terms` has as the output STATISTICS."""
        return params

    @abc.abstractmethod
    def generate(self, params: Tree, batch: Arrays) -> dict[str, jax.Array]:
        """The generator's outputs for a batch of `INPUTS`, whose images may be floats in [-1, 1] as well.

        `image` (B, H, W, 3) in [-1, 1], those of `scored`, and whatever the losses need; `parsing` (B, H, W, 8), a
        distribution over regions, where the model predicts one. A batch may also have `style_image`, `style_pose`,
        `style_parsing` and `style_share`, (B, 8) in [0, 1]: another person, and how far each region is dressed as
        theirs; models that cannot do it leave them alone.
        """

    @abc.abstractmethod
    def generator_terms(
        self, params: Tree, judges: tuple[Tree, Tree], frozen: Tree, batch: Arrays, key: jax.Array
    ) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
        """The raw terms of `weights`, differentiable by `params`, and the outputs.

        Args:
          judges: the discriminators' parameters and statistics.
          frozen: what `pretrained` gave.
          key: the step's own, folded from (seed, step), for dropout; the discriminators' loss is given the same one.
        """

    @abc.abstractmethod
    def discriminator_loss(
        self, params: Tree, statistics: Tree, batch: Arrays, outputs: Arrays, key: jax.Array
    ) -> tuple[jax.Array, tuple[Tree, dict[str, jax.Array]]]:
        """The discriminators' loss, differentiable by `params`; their moved statistics and their accuracies by name."""

    @abc.abstractmethod
    def pretrained(self) -> Tree:
        """The parameters of the frozen networks that the terms need. Raises UserError where they are at no place."""

    def gauges(self, params: Tree) -> dict[str, jax.Array]:
        """Scalars of a generator's parameters that are logged at every step, by name."""
        return {}

    def panels(self, batch: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> list[list[np.ndarray]]:
        """A row of uint8 pictures (H, W, 3) for each sample of a batch and outputs on the host, as `columns` say.

        The likeliest regions of a predicted map come before the generated picture, where `columns` have them.
        """
        generated = to_uint8(outputs["image"])
        poses = [draw.skeleton(pose, *self.size) for pose in batch["target_pose"]]
        maps = [draw.paint_regions(outputs["parsing"].argmax(-1))] if self.columns == WITH_PARSING else []
        rows = zip(batch["source_image"], poses, *maps, generated, batch["target_image"], strict=True)
        return [list(row) for row in rows]

    def generator_shapes(self) -> Tree:
        """The shapes and dtypes of a generator's parameters (jax.ShapeDtypeStruct)."""
        return jax.eval_shape(lambda: self.init(jax.random.key(0))[0])


def sections(name: str) -> ModuleType:
    """The module `settings` of a model, which types and checks its sections of a config; UserError for another name."""
    if name not in PACKAGES:
        raise UserError(f"config.model.name must be one of {', '.join(PACKAGES)}, got {name!r}")
    return importlib.import_module(f"{PACKAGES[name]}.settings")


def compute(model) -> Compute:
    """How the networks of a config's section `model` compute."""
    return Compute(DTYPES[model.dtype], model.convolutions)


def make(settings, **changes) -> TrainableModel:
    """The model that a `Settings` describes: NAME.model.make with its frame, sections and forms of losses.

    `changes` are values of its section `model` that are to be others, e.g. `convolutions`.
    """
    package, model = PACKAGES[settings.model.name], dataclasses.replace(settings.model, **changes)
    return importlib.import_module(f"{package}.model").make(
        size=settings.size, model=model, loss=settings.loss, features=settings.features,
        adversarial=settings.adversarial, parsing=settings.parsing, parsing_steps=settings.train.parsing_steps,
    )  # fmt: skip


def counted(number: int, what: str) -> str:
    """So many of them in words: 1 block, 2 blocks."""
    return f"{number} {what}{'s' if number != 1 else ''}"


def example_inputs(size: tuple[int, int]) -> Mapping[str, np.ndarray]:
    """`INPUTS` for one sample of nothing, for shapes only."""
    height, width = size
    pose = np.full((1, joints.NUM_JOINTS, 2), joints.MISSING, np.float32)
    return {
        "source_image": np.zeros((1, height, width, 3), np.float32),
        "source_pose": pose,
        "target_pose": pose,
        "source_parsing": np.zeros((1, height, width), np.uint8),
    }


def to_float(image):
    """uint8 images to float32 in [-1, 1]; floats, which are so already, as they are."""
    return image.astype(jnp.float32) / 127.5 - 1.0 if image.dtype == np.uint8 else image


def to_uint8(image):
    """Float images in [-1, 1], NumPy's or JAX's, to uint8, rounded and clipped."""
    return ((image + 1) * 127.5).clip(0, 255).round().astype(np.uint8)


def to_eight_bits(image):
    """Images in [0, 1] to what an 8-bit file would hold, in [0, 1]."""
    return jnp.round(jnp.clip(image * 255, 0, 255)) / 255
