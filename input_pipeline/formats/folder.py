"""Pairs straight from the files, without writing records first: DeepFashion's layout, or one's own set by a manifest.

Which files a DeepFashion folder holds, `deepfashion` says; what a manifest is, `manifest`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from input_pipeline.formats.collection import Collection, CollectionSource
from input_pipeline.formats.deepfashion import DEFAULTS, FRAME, Options, read_layout
from input_pipeline.formats.manifest import FILE_NAME, read_manifest
from scrn_jax.errors import UserError

__all__ = ["FRAME", "OPTIONS", "FolderSource", "is_raw", "options_of", "read_folder"]

OPTIONS = {"annotation_width": int, "merge": object, "images": str}  # of a config's `data`, with their types


def options_of(data: Mapping[str, Any]) -> Options:
    """The options among a config's `data`, those that are absent or None as by default.

    Raises UserError for a value that is no text, or no list, where one is meant, and as `Options` does.
    """
    for key, kinds in (("images", (str,)), ("merge", (str, list, tuple))):
        value = data.get(key)
        if value is not None and not isinstance(value, kinds):
            raise UserError(f"config.data.{key} is {value!r}; it must be a text{' or a list' * (key == 'merge')}")
    given = {key: data[key] for key in OPTIONS if data.get(key) is not None}
    return Options(**{key: tuple(value) if isinstance(value, list) else value for key, value in given.items()})


def read_folder(directory: str | Path, options: Options = DEFAULTS, split: str | None = None) -> Collection:
    """The data set in a folder, by its manifest if it has one, else in DeepFashion's layout; one split alone if named.

    Raises UserError for a folder that is not there and for options that a manifest has to hold; other errors are among
    the collection's findings.
    """
    root = Path(directory)
    if (root / FILE_NAME).is_file():
        if options != DEFAULTS:
            raise UserError(f"{root / FILE_NAME}: says itself what the other options would say; leave them out")
        return read_manifest(root / FILE_NAME)
    return read_layout(root, options, *(() if split is None else ((split,),)))


def is_raw(directory: Path) -> bool:
    """Whether a folder holds pictures with their annotations, rather than records prepared from them."""
    return (directory / FILE_NAME).is_file() or any(
        not file.name.startswith(".") for file in directory.glob("*annotation-*.csv")
    )


class FolderSource(CollectionSource):
    """The pairs of one split of such a folder; see `pair.Source`.

    Its `frame`, the pixels of joints and face boxes, is (256, 176) in DeepFashion's layout. There `annotation_width` is
    the width in pixels of the frame of its annotations (and face boxes): 176, 256 (side bars of 40 columns are then cut
    off), or None to tell it from the joints, whose middle lies near column 88 or 128.

    Raises UserError for anything missing or malformed, naming file, record and mend; images are looked into when read.
    """

    def __init__(self, directory: str | Path, split: str, options: Options = DEFAULTS):
        collection = read_folder(directory, options, split)
        if split not in collection.splits:
            collection.findings.raise_errors()
            raise UserError(f"{directory}: has no split {split!r}; it has {', '.join(collection.splits)}")
        super().__init__(collection, split)
