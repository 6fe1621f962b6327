"""PCKh of a folder: the joints found in the generated images beside those of the references."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from scrn_jax.errors import UserError
from scrn_jax.folders.listing import key_of
from scrn_jax.folders.matching import ENDING, Pair
from scrn_jax.metrics.pckh import pckh
from scrn_jax.person.joint_files import read_deepfashion
from scrn_jax.person.joints import MISSING, NUM_JOINTS


def count_right(
    pairs: Sequence[Pair], generated_csv: Path, reference_csv: Path, allow_missing: bool
) -> tuple[np.ndarray, np.ndarray, int]:
    """The joints that are right and those that count, int32 (N,) each, and how many pairs lack an annotation.

    Both files are annotation CSVs of the field in pixels of one frame, and name the images as the folders do, with or
    without extension. With `allow_missing` a pair without annotations counts no joint.

    Raises:
      UserError: an unreadable CSV, or an image without annotation.
    """
    found, target = _read(generated_csv), _read(reference_csv)
    lacking = 0
    arrays = np.full((2, len(pairs), NUM_JOINTS, 2), MISSING, np.float32)
    for i, pair in enumerate(pairs):
        names = (key_of(pair.generated).removesuffix(ENDING), found), (key_of(pair.reference), target)
        absent = [name for name, people in names if name not in people]
        if absent and not allow_missing:
            file = generated_csv if names[0][0] in absent else reference_csv
            raise UserError(f"{file}: no joints of {absent[0]}; add them, or leave the pair out with --allow_missing")
        lacking += bool(absent)
        if not absent:
            arrays[:, i] = found[names[0][0]], target[names[1][0]]
    right, counted = pckh(*arrays)
    return np.asarray(right), np.asarray(counted), lacking


def _read(path: Path) -> dict[str, np.ndarray]:
    people: dict[str, np.ndarray] = {}
    for name, joints in read_deepfashion(path).items():
        key = key_of(name).removesuffix(ENDING)
        if key in people:
            raise UserError(f"{path}: {name} is annotated twice under different extensions; remove one line")
        people[key] = joints
    return people
