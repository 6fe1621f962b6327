"""What a config says, as typed values: every key known, every value checked, before anything is built."""

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from typing import Any

from scrn_jax.errors import UserError, require_not_negative, require_one_of, require_positive
from scrn_jax.models import base, losses

# Beyond these no model of this kind is meant; a file that says more would have its reader build for hours.
MAX_SIDE = 2048
# What a whole number may be where a float is meant: larger ones are none.
_LARGEST = 1 << 63


@dataclasses.dataclass(frozen=True)
class Optim:
    """Adam for all networks; the learning rate stays for `constant_steps`, then falls linearly to 0 at `train.steps`.

    muon_learning_rate: where above 0, the generator's convolution kernels are moved by Muon at this rate instead, which
    falls alike; see `training.state.make_optimizers`.
    discriminator_ratio: D's learning rate as a share of G's. clip: global norm above which a network's gradient is
    scaled down, 0 for never. ema_decay: of the averaged generator that is evaluated and exported. max_skipped: steps in
    a row that may be skipped for a loss or gradient that is not finite.
    """

    learning_rate: float = 1e-3
    muon_learning_rate: float = 0.0
    constant_steps: int = 0
    discriminator_ratio: float = 0.1
    b1: float = 0.9
    b2: float = 0.999
    clip: float = 0.0
    ema_decay: float = 0.999
    max_skipped: int = 10

    def __post_init__(self):
        require_positive(self, "optim", "learning_rate", "max_skipped")
        rates = "learning_rate", "muon_learning_rate", "discriminator_ratio"
        require_not_negative(self, "optim", *rates, "constant_steps", "clip")
        for name in ("b1", "b2", "ema_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"config.optim.{name} must be in [0, 1), got {getattr(self, name)}")


@dataclasses.dataclass(frozen=True)
class Train:
    """Length and cadence of a run, in steps; `batch_size` is global, over all devices. 0 switches a cadence off.

    accumulate: parts that a batch is worked on in, one after the other, for batches that memory does not hold.
    annotation_noise: pixels by which the sources' regions and joints are off, as those that are found in photos are;
    see `input_pipeline.annotation_noise`.
    parsing_steps: so many steps at first in which only the parsing block learns, see `training.stages`.
    term_norms_every: how often to log the gradient norm of every loss term. keep: newest checkpoints kept; keep_every:
    also keep for good those at multiples of it.
    """

    steps: int = 120_000
    batch_size: int = 6
    accumulate: int = 1
    parsing_steps: int = 0
    flip: bool = True
    annotation_noise: float = 0.0
    log_every: int = 50
    term_norms_every: int = 0
    sheet_every: int = 1000
    sheet_pairs: int = 6
    checkpoint_every: int = 1000
    keep: int = 2
    keep_every: int = 0

    def __post_init__(self):
        require_positive(self, "train", "steps", "batch_size", "accumulate", "log_every", "sheet_pairs", "keep")
        require_not_negative(
            self,
            "train",
            "annotation_noise",
            "parsing_steps",
            "term_norms_every",
            "sheet_every",
            "checkpoint_every",
            "keep_every",
        )
        if self.batch_size % self.accumulate:
            raise UserError(
                f"config.train.batch_size is {self.batch_size}, which does not divide into config.train.accumulate = "
                f"{self.accumulate} equal parts; choose a multiple"
            )


@dataclasses.dataclass(frozen=True)
class Eval:
    """Evaluation at the end of a run: batch size, and how many test pairs at most (0 for all).

    judge: who computes LPIPS-VGG: "own", or the package "lpips-j", to check the former (`lpips.load_lpips_j`).
    """

    batch_size: int = 8
    limit: int = 0
    judge: str = "own"

    def __post_init__(self):
        require_one_of(self, "eval", "judge", ("own", "lpips-j"))
        require_positive(self, "eval", "batch_size")
        require_not_negative(self, "eval", "limit")


@dataclasses.dataclass(frozen=True)
class Settings:
    """A whole config.

    size: (height, width) in pixels. adversarial, parsing: the forms of Eq. 7 and Eq. 9, see `losses`. data: checked by
    `input_pipeline.sources`. compilation_cache: "auto", a folder, or "" for none, see `devices.keep_programs`.
    init_from: the workdir of a run, or an exported model, whose weights a new run starts from; "" for a fresh start.
    fsdp: devices that share one copy of the parameters, see `runtime.devices`. model, loss, features: the sections of
    the model that `model.name` names, see `models.base`.
    """

    data: Mapping[str, Any]
    seed: int = 0
    size: tuple[int, int] = (256, 176)
    adversarial: str = "non_saturating"
    parsing: str = "l1"
    compilation_cache: str = "auto"
    init_from: str = ""
    fsdp: int = 1
    model: Any = dataclasses.field(default_factory=lambda: base.sections(base.DEFAULT).Model())
    loss: Any = dataclasses.field(default_factory=lambda: base.sections(base.DEFAULT).LossWeights())
    features: Any = dataclasses.field(default_factory=lambda: base.sections(base.DEFAULT).Features())
    optim: Optim = Optim()
    train: Train = Train()
    eval: Eval = Eval()

    def __post_init__(self):
        terms = [field.name for field in dataclasses.fields(self.loss)]
        require_not_negative(self.loss, "loss", *terms)
        if not any(getattr(self.loss, term) for term in terms):
            raise UserError("every weight in config.loss is 0: there is nothing to train; give one of them a weight")
        if self.fsdp < 1:
            raise UserError(f"config.fsdp must be 1 or more devices, got {self.fsdp}")
        require_one_of(self, "", "adversarial", losses.ADVERSARIAL_FORMS)
        pair = isinstance(self.size, tuple) and len(self.size) == 2
        if not pair or any(not isinstance(n, int) or not 32 <= n <= MAX_SIDE or n % 4 for n in self.size):
            raise UserError(
                f"config.size must be (height, width), multiples of 4 from 32 to {MAX_SIDE}, got {self.size}"
            )
        base.sections(self.model.name).check(self)


def from_config(config: Mapping[str, Any]) -> Settings:
    """Check a config (an ml_collections ConfigDict or any mapping) and type it.

    Raises:
      UserError: an unknown key (with the nearest known one), no `data` section, a value of the wrong type or range.
    """
    mapping = config.to_dict() if hasattr(config, "to_dict") else dict(config)
    if not isinstance(mapping.get("data"), Mapping):
        raise UserError("the config has no `data` section; name a data set, e.g. config.data = {'name': 'mannequins'}")
    mapping = mapping | {"data": {key: value for key, value in mapping["data"].items() if value is not None}}
    model = mapping.get("model", {})
    name = model.get("name", base.DEFAULT) if isinstance(model, Mapping) else base.DEFAULT
    own = base.sections(_typed(str, name, "config.model.name"))
    sections = {"model": own.Model, "loss": own.LossWeights, "features": own.Features}
    return _build(Settings, dict.fromkeys(sections, {}) | mapping, "config", sections)


def defaults(model: str = base.DEFAULT) -> dict[str, Any]:
    """Every key with its default as a plain nested dict, for config files to start from; `data` is empty.

    model: whose sections, see `models.base.PACKAGES`.
    """
    return to_config(from_config({"data": {}, "model": {"name": model}}))


def to_config(settings: Settings) -> dict[str, Any]:
    """The plain nested dict of a `Settings`, for JSON; `from_config` reads it back to an equal one."""
    return dataclasses.asdict(settings)


def _build(cls, mapping: Mapping[str, Any], where: str, sections: Mapping[str, type] = types.MappingProxyType({})):
    """A dataclass of the mapping's values; `sections` are the types of those fields that depend on the model."""
    hints = {**typing.get_type_hints(cls), **sections}
    for key in mapping:
        if key not in hints:
            near = difflib.get_close_matches(key, hints, n=1)
            mend = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(sorted(hints))}"
            raise UserError(f"unknown config key {where}.{key}; {mend}")
    return cls(**{key: _typed(hints[key], value, f"{where}.{key}") for key, value in mapping.items()})


def _typed(kind, value, where: str):
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, Mapping):
            raise UserError(f"{where} must be a section of keys, got {value!r}")
        return _build(kind, value, where)
    if isinstance(kind, types.GenericAlias) or typing.get_origin(kind):
        is_list = isinstance(value, list | tuple)
        if not is_list and ... in typing.get_args(kind):  # of pairs, `Settings` says what they are
            raise UserError(f"{where} must be a list, got {value!r}")
        return tuple(value) if typing.get_origin(kind) is tuple and is_list else value
    if kind is float and type(value) is int and abs(value) < _LARGEST:
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise UserError(f"{where} must be {kind.__name__}, got {value!r}")
    return value
