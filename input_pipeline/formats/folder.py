"""Pairs straight from the files, without writing records first: DeepFashion's layout, or one's own set by a manifest.

Which files a DeepFashion folder holds, `deepfashion` says; what a manifest is, `manifest`.
"""

from pathlib import Path

from input_pipeline.formats.collection import Collection, CollectionSource
from input_pipeline.formats.deepfashion import DEFAULTS, FRAME, Options, read_layout
from input_pipeline.formats.manifest import FILE_NAME, read_manifest
from scrn_jax.errors import UserError

__all__ = ["FRAME", "FolderSource", "is_raw", "read_folder"]


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

    Attributes: `frame`, the pixels of joints and face boxes, (256, 176) in DeepFashion's layout. `annotation_width` is
    the width in pixels of the frame of its annotations (and face boxes): 176, 256 (side bars of 40 columns are then cut
    off), or None to tell it from the joints, whose middle lies near column 88 or 128. `merge` and `images`: see
    `deepfashion.Options`.

    Raises UserError for anything missing or malformed, naming file, record and mend; images are looked into when read.
    """

    def __init__(
        self,
        directory: str | Path,
        split: str,
        annotation_width: int | None = None,
        merge: str | tuple[int, ...] = "regions",
        images: str | None = None,
    ):
        options = Options(annotation_width, merge, images)
        collection = read_folder(directory, options, split)
        if split not in collection.splits:
            collection.findings.raise_errors()
            raise UserError(f"{directory}: has no split {split!r}; it has {', '.join(collection.splits)}")
        super().__init__(collection, split)
