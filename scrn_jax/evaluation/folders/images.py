"""How a picture is read and looked at before anything is measured: bad files are told at once, all are on record."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from scrn_jax.errors import UserError
from scrn_jax.person.image_files import colour_notes, open_image, open_picture
from scrn_jax.person.regions import label_map_from_bytes
from scrn_jax.runtime import file_bytes
from scrn_jax.runtime.console import Progress
from scrn_jax.runtime.workers import ahead

RULES = {
    "last_panel": "a strip of panels side by side: the last one is taken",
    "side_bars": "as wide as high: the columns on both sides that are not in the frame are cut off",
    "grey": "one channel: copied to all three",
    "palette": "a palette: its colours are taken",
    "opaque_alpha": "an alpha channel that hides nothing: dropped",
}
_DAMAGED = "make or copy it anew"


@dataclass(frozen=True)
class Survey:
    """What a set of image files is.

    Attributes:
      count: how many.
      sha256: of the files' names and contents, in the order of the names: equal for equal sets, wherever they lie.
      formats, sizes, rules: how many files are of a format ("png"), a size ("256x176") and a rule of `images.RULES`.
    """

    count: int
    sha256: str
    formats: Counter = field(default_factory=Counter)
    sizes: Counter = field(default_factory=Counter)
    rules: Counter = field(default_factory=Counter)

    def as_json(self) -> dict[str, Any]:
        """As it stands in a report."""
        counters = {name: dict(sorted(getattr(self, name).items())) for name in ("formats", "sizes", "rules")}
        return {"count": self.count, "sha256": self.sha256, **counters}


@dataclass(frozen=True)
class Seen:
    """What an image file is, told without decoding it: its format, its size as "HxW", and the rules it falls under."""

    format: str
    size: str
    rules: tuple[str, ...]


def read_bytes(path: Path) -> bytes:
    """The content of a file. Raises UserError when it cannot be read, is no regular file or larger than a picture."""
    return file_bytes.read_bytes(path, mend="restore, replace or remove the file")


def inspect(data: bytes, where: str, frame: tuple[int, int], strips: bool) -> Seen:
    """What an image file's bytes hold.

    Args:
      frame: height and width in which images are compared.
      strips: whether several panels side by side are admitted; they are in generated images only.

    Raises:
      UserError: no JPEG or PNG, damaged, a size that does not fit the frame, or a colour mode without a rule.
    """
    header, image = open_image(data, where, _DAMAGED)
    notes = colour_notes(image, where)
    if "cmyk" in notes:  # what colours it shows depends on who converts it
        raise UserError(f"{where}: its colour mode is CMYK; convert it to 8-bit RGB")
    width, panels = _panels(header.height, header.width, frame, where)
    if panels > 1 and not strips:
        raise UserError(f"{where}: a strip of {panels} panels, but one image is expected here; cut it first")
    rules = (panels > 1 and "last_panel", width > frame[1] and "side_bars", *notes)
    return Seen(header.kind, f"{header.height}x{header.width}", tuple(rule for rule in rules if rule))


def decode(data: bytes, where: str, frame: tuple[int, int]) -> np.ndarray:
    """The pixels of an image that `inspect` admitted, uint8 (H, W, 3) in the frame.

    Raises:
      UserError: damaged, or transparent somewhere.
    """
    picture = open_picture(data, where, _DAMAGED)
    _panels(picture.header.height, picture.header.width, frame, where)
    return _in_frame(np.asarray(picture.image), frame, where)


def decode_mask(data: bytes, where: str, frame: tuple[int, int]) -> np.ndarray:
    """A person mask, uint8 (H, W) of 0 and 1 in the frame: 1 where the PNG's single channel is not 0 (background).

    Raises:
      UserError: not a PNG of one 8-bit channel, damaged, or of another size.
    """
    mask = label_map_from_bytes(data, where, limit=256)
    if _panels(*mask.shape, frame, where)[1] > 1:
        raise UserError(f"{where}: {mask.shape[0]}x{mask.shape[1]} pixels are no mask of one image; cut it")
    return (_in_frame(mask, frame, where) > 0).astype(np.uint8)


def _panels(height: int, width: int, frame: tuple[int, int], where: str) -> tuple[int, int]:
    """The width of a panel, the frame's or a square's, and how many of them the image is wide."""
    found = [(panel, width // panel) for panel in sorted({frame[1], frame[0]}) if width % panel == 0]
    if height != frame[0] or not found:
        raise UserError(
            f"{where}: {height}x{width} pixels do not fit the frame {frame[0]}x{frame[1]}; resize it (the filter moves"
            " the figures: say which one you took), or choose the protocol of its frame"
        )
    if len(found) > 1:
        raise UserError(f"{where}: {width} columns may be {found[0][1]} or {found[1][1]} panels; cut the strip first")
    return found[0]


def _in_frame(pixels: np.ndarray, frame: tuple[int, int], where: str) -> np.ndarray:
    """The last panel's columns inside the frame."""
    width, _ = _panels(*pixels.shape[:2], frame, where)
    begin = pixels.shape[1] - width + (width - frame[1]) // 2
    return pixels[:, begin : begin + frame[1]]


def survey(title: str, root: Path, names: Iterable[str], frame: tuple[int, int], strips: bool = False) -> Survey:
    """Looks at the images `names` (paths relative to `root`), each once.

    Raises:
      UserError: the first file, in the order of the names, that cannot be measured (see `images.inspect`).
    """

    def look(name: str) -> tuple[str, Seen]:
        data = read_bytes(root / name)
        return _line(name, data), inspect(data, str(root / name), frame, strips)

    digest, formats, sizes, rules = hashlib.sha256(), Counter(), Counter(), Counter()
    ordered = sorted(set(names))
    with Progress(title, len(ordered)) as progress:
        for line, seen in ahead(look, ordered):
            digest.update(line.encode())
            formats[seen.format] += 1
            sizes[seen.size] += 1
            rules.update(seen.rules)
            progress.add(1)
    return Survey(len(ordered), digest.hexdigest(), formats, sizes, rules)


def survey_masks(root: Path, names: Iterable[str]) -> Survey:
    """The same for masks, which are looked at closely when they are decoded."""
    ordered = sorted(set(names))
    digest = hashlib.sha256()
    for line in ahead(lambda name: _line(name, read_bytes(root / name)), ordered):
        digest.update(line.encode())
    return Survey(len(ordered), digest.hexdigest())


def _line(name: str, data: bytes) -> str:
    return f"{hashlib.sha256(data).hexdigest()}  {name}\n"


def fingerprint(facts: Any) -> str:
    """The SHA-256 of what JSON can hold: equal exactly when a measurement would come out the same."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
