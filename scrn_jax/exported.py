"""The folder of an exported model: what is in it, and how it is read without any training code."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from scrn_jax import networks
from scrn_jax.errors import UserError
from scrn_jax.runtime import files
from scrn_jax.settings import Settings, from_config

LAYOUT = 1  # of the folder; a reader takes its own only
MODEL_FILE, CARD_FILE, PARAMS = "model.json", "README.md", "params"
_MAX_BYTES = 1 << 20  # of model.json


def is_exported(folder: Path) -> bool:
    """Whether `folder` looks like an exported model."""
    return (folder / MODEL_FILE).is_file()


def read_model_file(folder: Path) -> Mapping[str, Any]:
    """What model.json says: `layout`, `config`, `step`, `versions` and `report` (or null).

    Raises:
      UserError: no exported model there, a damaged one, or one of another layout.
    """
    path = folder / MODEL_FILE
    if not path.exists():
        raise UserError(f"{path} does not exist; give the --output folder of an export (--mode export)")
    try:
        model = files.read_json(path, _MAX_BYTES)
    except UserError as error:
        raise UserError(f"{path} cannot be read ({error}); export the model anew with --mode export") from error
    layout = model.get("layout") if isinstance(model, dict) else None
    if layout != LAYOUT:
        raise UserError(
            f"{path}: layout {layout}, and this version of scrn_jax reads layout {LAYOUT}; "
            "export the run anew with this version, or use the version that model.json names"
        )
    if not isinstance(model.get("config"), dict) or not isinstance(model.get("step"), int):
        raise UserError(f"{path}: `config` or `step` is missing; export the model anew with --mode export")
    return model


def read_settings(folder: Path) -> Settings:
    """The settings of the run that an exported model comes from; UserError as `read_model_file`."""
    config = read_model_file(folder)["config"]
    try:
        return from_config(config)
    except UserError as error:
        raise UserError(f"{folder / MODEL_FILE}: {error}") from error


def read_params(folder: Path, settings: Settings, sharding) -> Any:
    """The generator's averaged parameters, float32, placed by `sharding`.

    Raises:
      UserError: they are damaged or of another model than `settings` describe.
    """
    generator, inputs = networks.make_generator(settings.model), networks.example_inputs(settings.size)
    shapes = jax.eval_shape(lambda: generator.init(jax.random.key(0), **inputs)["params"])
    like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), shapes)
    path = (folder / PARAMS).resolve()
    try:
        with ocp.StandardCheckpointer() as checkpointer:
            return checkpointer.restore(path, like)
    except Exception as error:  # Orbax and TensorStore raise whatever they meet
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise UserError(
            f"{path}: the parameters cannot be read or are of another model ({reason}); export the run anew"
        ) from error


def write_params(folder: Path, params: Any) -> None:
    """Write parameters where `read_params` finds them."""
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save((folder / PARAMS).resolve(), params)
