"""people-v1, a named benchmark of embedded people: python -m input_pipeline.people_v1 --dir data/mannequins

Renders the set unless it is there, checks that it is what the name stands for, and says so; exit code 1 when it is not.
What to train on, what to report and how: docs/people-v1.md.
"""

import argparse
import hashlib
import io
import sys
from pathlib import Path
from types import MappingProxyType

import numpy as np
from PIL import Image

from input_pipeline import sources
from input_pipeline.pair import Pair, Source
from scrn_jax.errors import UserError

NAME = "people-v1"
# The `data` section of a config, but for `dir`.
DATA = MappingProxyType({
    "name": "mannequins", "train_identities": 300, "test_identities": 24, "views": 5, "height": 64, "width": 44,
    "seed": 0,
})  # fmt: skip
PAIRS = MappingProxyType({"train": 6000, "test": 480})
SHA256 = MappingProxyType({
    "train": "5a8e1ca8f8e89f51ee9424ecaec67c642c54e335bc40358ce9fbbe15e0e052e7",
    "test": "1e6a805a82425f6ae12167f6e08ce358f3467f6cb81d02efd2ee7c04927f07c4",
})  # fmt: skip


def digest(source: Source) -> str:
    """The SHA-256 of what the pairs of a source show and say, in their order, however their files are written.

    Of every picture and label map its pixels, of joints and face boxes their numbers to a thousandth of a pixel.
    """
    total, known = hashlib.sha256(), {}
    for index in range(len(source)):
        total.update(_of_pair(source.read(index), known))
    return total.hexdigest()


def _of_pair(pair: Pair, known: dict[bytes, bytes]) -> bytes:
    parts = [f"{pair.source_name} {pair.target_name}\n".encode()]
    for image in (pair.source_image, pair.source_parsing, pair.target_image, pair.target_parsing):
        parts.append(_of_image(image, known))
    for numbers in (pair.source_pose, pair.target_pose, pair.face_box):
        parts.append(np.round(np.asarray(numbers, np.float64) * 1000).astype("<i8").tobytes())
    return hashlib.sha256(b"".join(parts)).digest()


def _of_image(image: bytes, known: dict[bytes, bytes]) -> bytes:
    """A digest of the pixels; a person's picture occurs in many pairs and is decoded once."""
    if (key := hashlib.sha256(image).digest()) not in known:
        with Image.open(io.BytesIO(image)) as opened:
            pixels = np.asarray(opened)
        known[key] = hashlib.sha256(f"{pixels.shape}\n".encode() + pixels.tobytes()).digest()
    return known[key]


def check(directory: Path) -> dict[str, str]:
    """The digests of both splits below `directory`, which is rendered first unless it is there.

    Raises:
      UserError: the set is another one than the name stands for.
    """
    found = {}
    for split, expected in SHA256.items():
        source = sources.open_source({**DATA, "dir": str(directory)}, split)
        found[split] = digest(source)
        if len(source) != PAIRS[split] or found[split] != expected:
            raise UserError(
                f"{directory}: its {split} split, {len(source)} pairs with the SHA-256 {found[split]}, is not {NAME}'s "
                f"({PAIRS[split]} pairs, {expected}); render it anew into an empty folder with this version, and if "
                f"that gives the same, do not call your figures {NAME}'s: another processor may round pixels otherwise"
            )
    return found


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dir", type=Path, default=Path("data/mannequins"))
    try:
        found = check(parser.parse_args(arguments).dir.expanduser())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for split, sha256 in found.items():
        print(f"{NAME} {split}: {PAIRS[split]} pairs, {sha256}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
