"""The folder of an exported model: what is in it, and how it is read without any training code."""

import hashlib
import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from scrn_jax.errors import UserError, first_line
from scrn_jax.inference import packing
from scrn_jax.models import base
from scrn_jax.runtime import file_bytes, files
from scrn_jax.settings import Settings, from_config

log = logging.getLogger(__name__)

LAYOUT = 1  # of the folder; a reader takes its own only
MODEL_FILE, CARD_FILE, PARAMS = "model.json", "README.md", "params"
PACKED = "params.npz"  # in place of the folder `params`: float16, in one file
PARAMS_SHA256 = "params_sha256"
_MAX_BYTES = 1 << 20  # of model.json


def is_exported(folder: Path) -> bool:
    """Whether `folder` looks like an exported model."""
    return (folder / MODEL_FILE).is_file()


def read_model_file(folder: Path) -> Mapping[str, Any]:
    """What model.json says: `layout`, `config`, `step`, `versions`, `params_sha256` and `report` (or null).

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


def read_params(folder: Path, model: base.TrainableModel, sharding, *, trusting: bool = False) -> Any:
    """The generator's averaged parameters, float32, placed by `sharding`, once their SHA-256 is found to be right.

    An export of before, which says no SHA-256, is loaded with a warning.

    Args:
      trusting: whether packed parameters are taken for the model's when the SHA-256 is right. To compare their shapes
        takes as long as to trace the model; whoever traces it next meets what does not fit as a FlaxError.

    Raises:
      UserError: they are not those that were exported, damaged, or of another model than `model`.
    """
    packed = (folder / PACKED).is_file()
    path = (folder / (PACKED if packed else PARAMS)).resolve()
    _verify(folder, path)
    try:
        if packed and trusting:
            return jax.device_put(packing.unpack(file_bytes.read_bytes(path)), sharding)
        shapes = model.generator_shapes()
        if packed:
            return jax.device_put(packing.unpack(file_bytes.read_bytes(path), shapes), sharding)
        like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), shapes)
        with ocp.StandardCheckpointer() as checkpointer:
            _check_chunks(checkpointer.metadata(path))
            return checkpointer.restore(path, like)
    except Exception as error:  # Orbax and TensorStore raise whatever they meet
        raise UserError(
            f"{path}: the parameters cannot be read or are of another model ({first_line(error)}); export the run anew"
        ) from error


def _verify(folder: Path, path: Path) -> None:
    """Raises UserError unless the parameters' files are those that model.json was written for."""
    found, expected = params_sha256(path), read_model_file(folder).get(PARAMS_SHA256)
    if expected is None:
        log.warning(
            "%s names no sha256 of its parameters, as those of earlier versions do: damage would pass unseen; export "
            "the run anew to have it noticed",
            folder / MODEL_FILE,
        )
    elif found != expected:
        raise UserError(
            f"{path}: wrong sha256, expected {expected}, found {found}: the parameters are damaged or of another "
            "export; copy the folder anew, or export the run anew"
        )


def _check_chunks(metadata: Any) -> None:
    """Raises ValueError for an array stored in pieces larger than itself, which unpack to whatever they claim."""
    for leaf in jax.tree.leaves(metadata.item_metadata):
        if math.prod(leaf.storage.chunk_shape) > max(1, math.prod(leaf.shape)):
            raise ValueError(f"an array {leaf.shape} in pieces of {leaf.storage.chunk_shape}")


def write_params(folder: Path, params: Any) -> None:
    """Write parameters where `read_params` finds them."""
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save((folder / PARAMS).resolve(), params)


def write_packed(folder: Path, model: Mapping[str, Any], card: str, params: Any, most_bytes: int | None = None) -> int:
    """Writes model.json, the card and the parameters in float16, in place of what `folder` holds; their bytes.

    Args:
      model: what model.json says, but for the sum of the parameters.

    Raises:
      UserError: the parameters take more than `most_bytes`.
    """
    data = packing.pack(params)
    if most_bytes is not None and len(data) > most_bytes:
        raise UserError(f"{folder}: {len(data):,} bytes of parameters, at most {most_bytes:,}; make the model narrower")
    folder.mkdir(parents=True, exist_ok=True)
    described = json.dumps({**model, PARAMS_SHA256: hashlib.sha256(data).hexdigest()}, indent=2)
    for name, content in ((PACKED, data), (CARD_FILE, card.encode()), (MODEL_FILE, f"{described}\n".encode())):
        with files.written_whole(folder / name) as part:
            part.write_bytes(content)
    return len(data)


def params_sha256(path: Path) -> str:
    """The hexadecimal SHA-256 of the names and contents of all files in the folder of the parameters, or of their file.

    Raises:
      UserError: no such folder, or a link, pipe or device in it, which no export has: it may lead anywhere.
    """
    if path.name == PACKED and path.is_file():
        return _sha256(path)
    if not path.is_dir():
        raise UserError(f"{path}: no such folder; copy the exported folder whole, or export the run anew")
    total = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        if file.is_symlink() or not (file.is_dir() or file.is_file()):
            raise UserError(f"{file}: a link or no file, which no export has; copy the folder anew with its files")
        if file.is_file():
            total.update(f"{_sha256(file)}  {file.relative_to(path).as_posix()}\n".encode())
    return total.hexdigest()


def _sha256(file: Path) -> str:
    try:
        with file_bytes.open_regular(file) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); copy the exported folder anew") from error
