"""The one place where a config's `data` section becomes a source of pairs."""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict, config_dict

from input_pipeline.formats import folder
from input_pipeline.pair import Source
from scrn_jax.errors import UserError

_PEOPLE_KEYS = {
    "train_identities": int, "test_identities": int, "views": int, "height": int, "width": int, "seed": int,
    "varied": bool, "test_from": int,
}  # fmt: skip
_KEYS = {"name": str, "dir": str} | folder.OPTIONS | _PEOPLE_KEYS


def section(**given) -> ConfigDict:
    """A config's `data` with these values; every other key is unset, so that a flag can set it."""
    return ConfigDict({key: config_dict.placeholder(kind) for key, kind in _KEYS.items()} | given)


def open_source(data: Mapping[str, Any], split: str) -> Source:
    """The pairs of `split` ("train" or "test") of the data set that the mapping `data` describes.

    `data.name` is one of
      mannequins  embedded people, rendered into records under `data.dir` when they are not there yet; optional keys
                  train_identities, test_identities, views, height, width, seed, varied, test_from
      records     a prepared data set of `input_pipeline.records`, at or below the folder `data.dir`
      folder      pictures as they are in `data.dir`: the DeepFashion field's own layout, with the optional keys
                  annotation_width (176 or 256), merge and images of `deepfashion.Options`; or a manifest, people.toml.
                  Some of them are looked at first, see `check.dataset.check_meaning`
      deepfashion the same, prepared into records under `data.dir`/records when they are not there yet; or such records
    Raises UserError for unknown names and keys and for whatever is wrong with the data.
    """
    unknown = sorted(set(data) - set(_KEYS))
    if unknown:
        raise UserError(f"unknown key config.data.{unknown[0]}: the keys are {', '.join(sorted(_KEYS))}")
    for key, kinds in (("name", (str,)), ("dir", (str, Path))):
        value = data.get(key)
        if value is not None and not isinstance(value, kinds):
            raise UserError(f"config.data.{key} is {value!r}; it must be a text")
    folder.options_of(data)
    name = data.get("name")
    if name not in _OPENERS:
        raise UserError(f"config.data.name is {name!r}; choose one of {', '.join(_OPENERS)}")
    if not data.get("dir"):
        raise UserError("config.data.dir is not set; give the folder of the data set")
    return _OPENERS[name](data, Path(data["dir"]).expanduser(), split)


def _mannequins(data: Mapping[str, Any], directory: Path, split: str) -> Source:
    builder = importlib.import_module("input_pipeline.mannequins.builder")
    options = {key: data[key] for key in _PEOPLE_KEYS if data.get(key) is not None}
    return _records(data, builder.prepare(directory, builder.PeopleConfig(**options)), split)


def _records(data: Mapping[str, Any], directory: Path, split: str) -> Source:
    return importlib.import_module("input_pipeline.records").RecordSource(directory, split)


def _folder(data: Mapping[str, Any], directory: Path, split: str) -> Source:
    source = folder.FolderSource(directory, split, folder.options_of(data))
    importlib.import_module("input_pipeline.check.dataset").check_meaning(source.split, source.rules, directory)
    return source


def _deepfashion(data: Mapping[str, Any], directory: Path, split: str) -> Source:
    if not folder.is_raw(directory):
        return _records(data, directory, split)
    deepfashion = importlib.import_module("input_pipeline.prepare.builders")
    config = deepfashion.FolderConfig(name="pairs", options=folder.options_of(data))
    return _records(data, deepfashion.prepare(directory, directory / "records", config)[0], split)


_OPENERS: dict[str, Callable[[Mapping[str, Any], Path, str], Source]] = {
    "mannequins": _mannequins,
    "records": _records,
    "folder": _folder,
    "deepfashion": _deepfashion,
}
