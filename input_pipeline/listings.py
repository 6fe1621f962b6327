"""The small text files of a data set, read strictly: pairs, lists, identities, face boxes."""

from pathlib import Path, PurePosixPath

import numpy as np

from input_pipeline.collection import ListedPair
from scrn_jax.errors import UserError
from scrn_jax.runtime.files import TABLE_ROWS, Problems, is_number, meet, read_json, read_table


def read_pairs(file: Path, rename=str, problems: Problems | None = None) -> list[ListedPair]:
    """The pairs in a CSV file with the columns from,to. Raises UserError, or appends to `problems` what lines lack."""
    pairs = []
    for line, names in read_table(file, ("from", "to"), problems):
        try:
            source, target = (rename(checked_name(name, file, line)) for name in names)
            pairs.append(ListedPair(f"{file}, line {line}", source, target))
        except UserError as error:
            meet(error, problems)
    if not pairs and not problems:
        raise UserError(f"{file}: holds no pairs; list at least one under the header from,to")
    return pairs


def checked_name(name: str, file: Path, line: int) -> str:
    """`name` when it is one of a file that stays inside its folder; raises UserError otherwise."""
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise UserError(f"{file}, line {line}: {name!r} is no name of an image in the folder; mend the line")
    return name


def read_face_boxes(file: Path, problems: Problems | None = None) -> dict[str, np.ndarray]:
    """Face boxes (y0, x0, y1, x1), float64 (4,), by name from a JSON file; null means no face and gives zeros.

    Raises UserError naming the file and the name of a box that is none, or appends it to `problems`.
    """
    boxes = read_json(file)
    if not isinstance(boxes, dict):
        raise UserError(f"{file}: must map names to [y0, x0, y1, x1]; mend or remove it")
    if len(boxes) > TABLE_ROWS:
        raise UserError(f"{file}: {len(boxes):,} boxes, at most {TABLE_ROWS:,} are read; leave out what is not needed")
    read = {}
    for name, box in boxes.items():
        numbers = [0, 0, 0, 0] if box is None else box
        if not isinstance(numbers, list) or len(numbers) != 4 or not all(map(is_number, numbers)):
            wrong = f"{file}, {name}: {box!r} is no face box [y0, x0, y1, x1] in pixels; mend it or write null"
            meet(UserError(wrong), problems)
            continue
        read[name] = np.array(numbers, np.float64)
    return read
