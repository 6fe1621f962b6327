"""The 8 regions of a parsing map: names, colours, merges of finer label sets, and safe reading of label maps."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scrn_jax.errors import UserError
from scrn_jax.person.image_files import DAMAGE, open_image
from scrn_jax.runtime.file_bytes import read_bytes

NAMES = ("background", "hair", "upper clothes", "dress", "pants", "face", "upper skin", "leg")
NUM_REGIONS = len(NAMES)
LIMBS_SKIN = (6, 7)  # upper skin, leg
SKIN = (5, *LIMBS_SKIN)  # and face

COLOURS = np.array(
    [
        [0, 0, 0], [110, 60, 30], [60, 130, 220], [220, 60, 150],
        [50, 170, 90], [250, 200, 160], [230, 140, 100], [180, 110, 230],
    ],
    np.uint8,
)  # fmt: skip

# The published merges contradict each other; this one follows the meaning of the 8 names. Skirts go with pants,
# one-piece jumpsuits with dresses, shoes and socks with legs, gloves with the skin of arms.
LIP_20 = (
    ("background", 0), ("hat", 1), ("hair", 1), ("glove", 6), ("sunglasses", 5), ("upper-clothes", 2), ("dress", 3),
    ("coat", 2), ("socks", 7), ("pants", 4), ("jumpsuits", 3), ("scarf", 2), ("skirt", 4), ("face", 5), ("left-arm", 6),
    ("right-arm", 6), ("left-leg", 7), ("right-leg", 7), ("left-shoe", 7), ("right-shoe", 7),
)  # fmt: skip
# CIHP numbers its classes as LIP does, except that 10 is the skin of the torso. It has 20 classes with the background;
# whoever has maps with a 21st gives a table of their own.
CIHP_20 = (*LIP_20[:10], ("torso-skin", 6), *LIP_20[11:])
# Maps that hold the 8 regions already.
REGIONS_8 = tuple((name, index) for index, name in enumerate(NAMES))
# The order of the ATR data set, in which the parser of that name numbers its classes. Bags and belts go with what they
# hang on.
ATR_18 = (
    ("background", 0), ("hat", 1), ("hair", 1), ("sunglasses", 5), ("upper-clothes", 2), ("skirt", 4), ("pants", 4),
    ("dress", 3), ("belt", 2), ("left-shoe", 7), ("right-shoe", 7), ("face", 5), ("left-leg", 7), ("right-leg", 7),
    ("left-arm", 6), ("right-arm", 6), ("bag", 2), ("scarf", 2),
)  # fmt: skip
# The 8 classes of the maps that ADGAN released (semantic_merge3), which CASD reads, too, in the order that its author
# gives (github.com/menyifang/ADGAN, issue 10). Dresses are upper clothes there.
ADGAN_8 = (
    ("background", 0), ("pants", 4), ("hair", 1), ("skirt", 4), ("face", 5), ("upper clothes", 2), ("arm", 6),
    ("leg", 7),
)  # fmt: skip
# The 8 classes of the maps that PISE released, in the order that its author gives (github.com/Zhangjinso/PISE, issue
# 20). Arms and legs are one class there, which becomes upper skin: region 7 stays empty.
PISE_8 = (
    ("background", 0), ("hat", 1), ("hair", 1), ("upper clothes", 2), ("lower part", 4), ("lower part", 4), ("skin", 6),
    ("face", 5),
)  # fmt: skip
# The other way about, for weights that were trained on those maps: our region -> their class. What they tell apart and
# we do not (skirts from trousers, hats from hair) is lost.
ADGAN_CLASSES = (0, 2, 5, 5, 1, 4, 6, 7)
PISE_CLASSES = (0, 2, 3, 3, 5, 7, 6, 6)
MERGES = {
    "regions": REGIONS_8, "lip": LIP_20, "cihp": CIHP_20, "atr": ATR_18, "adgan": ADGAN_8, "pise": PISE_8,
}  # fmt: skip


def merge_table(merge: str | Sequence[int]) -> np.ndarray:
    """A merge as a uint8 array (classes,): fine class -> region.

    `merge` is "regions" (8 classes, nothing to merge), "lip", "cihp", "atr", "adgan", "pise", or a table of one's own:
    the region of class 0, of class 1, and so on. Raises UserError on another name and on a table that is none.
    """
    if isinstance(merge, str):
        if merge not in MERGES:
            raise UserError(f"unknown merge of parsing classes {merge!r}: choose one of {', '.join(sorted(MERGES))}")
        return np.array([region for _, region in MERGES[merge]], np.uint8)
    table = list(merge)
    if not 1 <= len(table) <= 256 or any(type(region) is not int or not 0 <= region < NUM_REGIONS for region in table):
        raise UserError(
            f"{table!r} is no merge of parsing classes: list the region, 0 to {NUM_REGIONS - 1}, of each class, or "
            f"name one of {', '.join(sorted(MERGES))}"
        )
    return np.array(table, np.uint8)


def check_labels(labels: np.ndarray, where: str, limit: int = NUM_REGIONS) -> None:
    """Raises UserError, naming `where` and the value, when a label is `limit` or above."""
    highest = int(labels.max(initial=0))
    if highest >= limit:
        merge = f"merge the map into the {NUM_REGIONS} regions {', '.join(NAMES)} first"
        raise UserError(
            f"{where}: label {highest} in a parsing map of {limit} classes (0 to {limit - 1}); "
            f"{merge if limit == NUM_REGIONS else 'take a merge table that has it'}, or remove the pairs that use it"
        )


class LabelMap(NamedTuple):
    """Labels uint8 (H, W), and the palette that the file shows them in, uint8 (colours, 3), if it has one."""

    labels: np.ndarray
    palette: np.ndarray | None


def open_label_map(data: bytes, where: str, limit: int = NUM_REGIONS) -> LabelMap:
    """The label map in an image file's bytes, with values below `limit`.

    Palette images give their indices, grey ones of fewer than 8 bits their numbers. Raises UserError naming `where`
    when the bytes are no readable single-channel PNG or a label is too high.
    """
    header, image = open_image(data, where)
    if header.kind != "png":
        raise UserError(f"{where}: a parsing map must be a PNG: JPEG changes the class numbers; make the map anew")
    mode = image.mode
    if mode not in ("L", "P", "1"):
        raise UserError(f"{where}: a parsing map is one 8-bit channel of class numbers, this one is {mode}; save it so")
    try:
        with image:
            labels = np.asarray(image).astype(np.uint8, copy=False)
            palette = np.reshape(image.getpalette(), (-1, 3)).astype(np.uint8) if mode == "P" else None
    except DAMAGE as error:
        raise UserError(f"{where}: a damaged PNG ({error}); replace the file") from error
    if mode == "L" and header.grey_levels < 256:
        labels = labels // (255 // (header.grey_levels - 1))  # Pillow spreads them over 0 to 255
    check_labels(labels, where, limit)
    return LabelMap(labels, palette)


def label_map_from_bytes(data: bytes, where: str, limit: int = NUM_REGIONS) -> np.ndarray:
    """The labels alone, uint8 (H, W): see `open_label_map`."""
    return open_label_map(data, where, limit).labels


def read_label_map(path: str | Path, limit: int = NUM_REGIONS) -> np.ndarray:
    """The label map in the PNG file `path`: see `label_map_from_bytes`. Raises UserError too when there is no file."""
    return label_map_from_bytes(read_bytes(path, mend="every image needs its parsing map"), str(path), limit)
