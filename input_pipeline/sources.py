"""The one place where a config's `data` section becomes a source of pairs."""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from input_pipeline.pair import Source
from scrn_jax.errors import UserError

_PEOPLE_KEYS = ("train_identities", "test_identities", "views", "height", "width", "seed", "varied", "test_from")
_LAYOUT_KEYS = ("annotation_width", "merge", "images")


def open_source(data: Mapping[str, Any], split: str) -> Source:
    """The pairs of `split` ("train" or "test") of the data set that the mapping `data` describes.

    `data.name` is one of
      mannequins  embedded people, rendered into records under `data.dir` when they are not there yet; optional keys
                  train_identities, test_identities, views, height, width, seed, varied, test_from
      records     a prepared data set of `input_pipeline.records`, at or below the folder `data.dir`
      folder      pictures as they are in `data.dir`: the DeepFashion field's own layout, with the optional keys
                  annotation_width (176 or 256), merge and images of `deepfashion.Options`; or a manifest, people.toml
      deepfashion the same, prepared into records under `data.dir`/records when they are not there yet; or such records
    Raises UserError for unknown names and keys and for whatever is wrong with the data.
    """
    known = {"name", "dir", *_LAYOUT_KEYS, *_PEOPLE_KEYS}
    unknown = sorted(set(data) - known)
    if unknown:
        raise UserError(f"unknown key config.data.{unknown[0]}: the keys are {', '.join(sorted(known))}")
    check_types(data)
    name = data.get("name")
    if name not in _OPENERS:
        raise UserError(f"config.data.name is {name!r}; choose one of {', '.join(_OPENERS)}")
    if not data.get("dir"):
        raise UserError("config.data.dir is not set; give the folder of the data set")
    return _OPENERS[name](data, Path(data["dir"]).expanduser(), split)


def check_types(data: Mapping[str, Any]) -> None:
    """Raises UserError for a value of `config.data` that is no text, or no list, where one is meant."""
    for key, kinds in (("name", (str,)), ("dir", (str, Path)), ("images", (str,)), ("merge", (str, list, tuple))):
        value = data.get(key)
        if value is not None and not isinstance(value, kinds):
            raise UserError(f"config.data.{key} is {value!r}; it must be a text{' or a list' * (key == 'merge')}")


def _mannequins(data: Mapping[str, Any], directory: Path, split: str) -> Source:
    builder = importlib.import_module("input_pipeline.mannequins.builder")
    options = {key: data[key] for key in _PEOPLE_KEYS if data.get(key) is not None}
    return _records(data, builder.prepare(directory, builder.PeopleConfig(**options)), split)


def _records(data: Mapping[str, Any], directory: Path, split: str) -> Source:
    return importlib.import_module("input_pipeline.records").RecordSource(directory, split)


def _folder(data: Mapping[str, Any], directory: Path, split: str) -> Source:
    folder = importlib.import_module("input_pipeline.formats.folder")
    return folder.FolderSource(directory, split, **_layout_options(data))


def _deepfashion(data: Mapping[str, Any], directory: Path, split: str) -> Source:
    if not importlib.import_module("input_pipeline.formats.folder").is_raw(directory):
        return _records(data, directory, split)
    deepfashion = importlib.import_module("input_pipeline.prepare.builders")
    layout = importlib.import_module("input_pipeline.formats.deepfashion")
    config = deepfashion.FolderConfig(name="pairs", options=layout.Options(**_layout_options(data)))
    return _records(data, deepfashion.prepare(directory, directory / "records", config)[0], split)


def _layout_options(data: Mapping[str, Any]) -> dict[str, Any]:
    options = {key: data[key] for key in _LAYOUT_KEYS if data.get(key) is not None}
    if not isinstance(options.get("merge", ""), str):
        options["merge"] = tuple(options["merge"])
    return options


_OPENERS: dict[str, Callable[[Mapping[str, Any], Path, str], Source]] = {
    "mannequins": _mannequins,
    "records": _records,
    "folder": _folder,
    "deepfashion": _deepfashion,
}
