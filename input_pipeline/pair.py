"""One ordered pair of pictures of a person, still encoded, and what every source of pairs offers."""

import dataclasses
from typing import Protocol

import numpy as np


@dataclasses.dataclass(frozen=True)
class Pair:
    """A source and a target picture of one person with their annotations.

    Images are JPEG or PNG bytes, parsing maps are 8-bit single-channel PNG bytes (values 0 to 7). Poses are float32
    (18, 2) and the target's face box float32 (4,), all in the pixels of the source's `frame`.
    """

    source_image: bytes
    source_pose: np.ndarray
    source_parsing: bytes
    target_image: bytes
    target_pose: np.ndarray
    target_parsing: bytes
    face_box: np.ndarray
    source_name: str
    target_name: str


class Source(Protocol):
    """Pairs with random access. `frame` is the (height, width) in pixels of the joints and face boxes.

    An image that is square where the frame is not carries side bars, as DeepFashion's 256x256 pictures do: its middle
    columns are the frame. Any other image is the frame at another resolution.
    """

    frame: tuple[int, int]

    def __len__(self) -> int:
        """The number of pairs."""

    def read(self, index: int) -> Pair:
        """Pair `index`; raises UserError naming file or record when it is broken. Safe to call from many threads."""

    def names(self, index: int) -> tuple[str, str]:
        """Source and target name of pair `index`."""

    def where(self, index: int, key: str) -> str:
        """How an error message names the entry `key` of pair `index`."""
