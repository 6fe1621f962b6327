"""What a config says of SCRN: its size, its losses and their frozen networks."""

import dataclasses
import types
from collections.abc import Mapping
from typing import Any

from scrn_jax.errors import UserError, require_at_most, require_one_of
from scrn_jax.models import losses, sections

# Beyond these no model of this kind is meant; a file that says more would have its reader build for hours.
MAX_BLOCKS, MAX_WIDTH, MAX_MULTIPLE, MAX_LEVELS = 64, 512, 64, 8

# What we found better than the paper's model as printed, in config.model; docs/pictures.md has the figures of each.
BETTER_PICTURES: Mapping[str, Any] = types.MappingProxyType({
    "upsampling": "nearest", "parsing_detail": True, "parsing_hints": True, "parsing_alone": True, "paint": "blended",
    "style_norm": "region", "style_bounded": False,
})  # fmt: skip


@dataclasses.dataclass(frozen=True)
class LossWeights:
    """Weights lambda of Eq. 4; the defaults are section IV-A3's. A weight of 0 leaves the term out."""

    cor: float = 300.0
    l1: float = 5.0
    adv: float = 2.0
    per: float = 3.0
    par: float = 1.0
    face: float = 1.0


@dataclasses.dataclass(frozen=True)
class Model:
    """The generator's and the discriminator's size, and their variants.

    A new field's default is what models did before it came, so that older configs, checkpoints and exports, which lack
    it, mean what they meant.

    Attributes:
      width: base width c; features on the grid have 4c channels.
      blocks: Coarse Blocks (the paper's ablation: 3).
      refine_area: False for the ablation without the RefineArea block: F'_crs = F_crs.
      parsing_multiples: widths of the parsing block's stride-2 layers, as multiples of `width` (the paper: four layers,
        which take 256x176 to a grid of 16x11; smaller frames need fewer to keep as fine a grid).
      style_multiples: the same of the style encoder (the paper: five, to a grid of 8x6).
      discriminator_width: its base width, see `models.discriminator`.

    The defaults are the paper's model as printed; docs/pictures.md says what each of the following gains:
      upsampling: `transposed` or `nearest`, see `models.upsampling.UpResBlock`.
      parsing_detail: `coarse.DetailedParsingBlock` in place of `ParsingBlock`.
      parsing_hints: the parsing block also sees the source's regions as the body's parts carry them to the target pose,
        and how near each part is.
      parsing_alone: S_g learns from Eq. 9 only; the gradients of all that uses it stop.
      parsing_sleeves: how far, in logits, S_g's arms follow the length of the source's sleeves, see `person.arms`.
      parsing_bared: whether what bare forearms hide of the body counts as what is beside them, in those hints. Both may
        be set for a model that has learned without.
      paint: what the last decoder adds to: `none` (nothing), `flat` (colours of regions), `carried` (source pixels
        carried by the body's parts) or `blended` (the one or the other, as it says of every pixel), see `person.paint`.
        The image encoder sees flat or carried paint as well.
      background: of that paint, `flat` (one colour) or `kept` (the source's own, and what lies around where the source
        hides it), see `person.background`.
      style_norm: `frame` or `region`, see `refine.InjectStyle`. style_bounded: whether codes pass a tanh.

    How it is computed, which may change between two starts of a run:
      dtype: of convolutions and features. Parameters, norm statistics, softmax and outputs stay float32.
      remat: whether the Coarse Blocks' insides are computed again for the gradient rather than kept in memory.
      convolutions: `own`, `plain` or `auto`, see `models.ops.convolutions.Compute`.
    """

    name: str = "scrn"
    width: int = 64
    blocks: int = 6
    refine_area: bool = True
    parsing_multiples: tuple[int, ...] = (1, 2, 4, 8)
    style_multiples: tuple[int, ...] = (1, 2, 4, 4, 4)
    upsampling: str = "transposed"
    parsing_detail: bool = False
    parsing_hints: bool = False
    parsing_alone: bool = False
    parsing_sleeves: float = 0.0
    parsing_bared: bool = False
    paint: str = "none"
    background: str = "flat"
    style_norm: str = "frame"
    style_bounded: bool = True
    discriminator_width: int = 32
    dtype: str = "float32"
    remat: bool = False
    convolutions: str = "auto"

    def __post_init__(self):
        require_one_of(self, "model", "name", ("scrn",))
        require_at_most(self, "model", width=MAX_WIDTH, blocks=MAX_BLOCKS, discriminator_width=MAX_WIDTH)
        sections.check_computed(self)
        if not 0 <= self.parsing_sleeves <= 20:
            raise UserError(f"config.model.parsing_sleeves must be 0 to 20, got {self.parsing_sleeves}")
        require_one_of(self, "model", "upsampling", ("transposed", "nearest"))
        require_one_of(self, "model", "paint", ("none", "flat", "carried", "blended"))
        require_one_of(self, "model", "background", ("flat", "kept"))
        require_one_of(self, "model", "style_norm", ("frame", "region"))
        # The style encoder doubles its grid twice afterwards.
        for name, least in (("parsing_multiples", 1), ("style_multiples", 2)):
            multiples = getattr(self, name)
            whole = all(isinstance(n, int) and 1 <= n <= MAX_MULTIPLE for n in multiples)
            if not whole or not least <= len(multiples) <= MAX_LEVELS:
                raise UserError(
                    f"config.model.{name} must be {least} to {MAX_LEVELS} whole numbers from 1 to {MAX_MULTIPLE}, got "
                    f"{multiples}"
                )

    @property
    def paint_options(self) -> dict[str, bool]:
        """What `person.paint.Paint.of` is asked for; meaningless where there is no paint."""
        return {"carried": self.paint in ("carried", "blended"), "background_kept": self.background == "kept"}


@dataclasses.dataclass(frozen=True)
class Features:
    """The frozen networks of Eq. 5 and Eq. 8, and where their weights come from (`models.pretrained.weights`).

    perceptual_scale: how many times enlarged Eq. 8's AlexNet sees pictures; its first layer has a stride of 4, so that
    it overlooks much of a small frame.
    """

    correspondence: str = "vgg19"
    correspondence_source: str = "auto"
    perceptual_source: str = "auto"
    perceptual_scale: int = 1

    def __post_init__(self):
        if not 1 <= self.perceptual_scale <= 8:
            raise UserError(f"config.features.perceptual_scale must be 1 to 8, got {self.perceptual_scale}")
        require_one_of(self, "features", "correspondence", ("vgg19", "vgg16"))


def check(settings) -> None:
    """What the sections of a config ask of each other: raises UserError."""
    require_one_of(settings, "", "parsing", losses.PARSING_FORMS)
    if settings.train.parsing_steps and not settings.loss.par:
        raise UserError(
            "config.train.parsing_steps trains the parsing block by config.loss.par alone, which is 0; give it a "
            "weight, or set parsing_steps to 0"
        )
    if max(settings.size) <= (stride := 2 ** len(settings.model.style_multiples)):
        # An instance norm over one cell is 0 whatever the image.
        raise UserError(
            f"config.size {settings.size} leaves the style encoder a grid of one cell; make a side longer than "
            f"{stride} or shorten config.model.style_multiples"
        )
