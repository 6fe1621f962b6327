"""The small text files of a data set, read strictly: pairs, lists, identities, face boxes."""

import csv
import io
from pathlib import Path, PurePosixPath

import numpy as np

from input_pipeline.collection import ListedPair
from scrn_jax.errors import UserError
from scrn_jax.person import formats
from scrn_jax.person.formats import Problems, meet


def read_table(file: Path, columns: tuple[str, ...], problems: Problems | None = None) -> list[tuple[int, list[str]]]:
    """(line number, values of `columns`) of every row of a CSV file with a header; other columns are skipped.

    Raises UserError naming file, line and mend for another header, for what is no CSV and for an empty file.
    """
    rows = csv.DictReader(io.StringIO(formats.read_text(file)), strict=True)
    found = []
    try:
        if not set(columns) <= set(rows.fieldnames or ()):
            wanted = ",".join(columns)
            raise UserError(f"{file}, line 1: expected the columns {wanted}, found {rows.fieldnames}; mend the header")
        for row in rows:
            if any(row[column] is None for column in columns):
                meet(
                    UserError(f"{file}, line {rows.line_num}: has fewer fields than the header; mend the line"),
                    problems,
                )
                continue
            found.append((rows.line_num, [row[column].strip() for column in columns]))
    except csv.Error as error:
        raise UserError(f"{file}, line {rows.line_num}: not readable as CSV ({error}); mend the line") from error
    return found


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
    boxes = formats.read_json(file)
    if not isinstance(boxes, dict):
        raise UserError(f"{file}: must map names to [y0, x0, y1, x1]; mend or remove it")
    read = {}
    for name, box in boxes.items():
        numbers = [0, 0, 0, 0] if box is None else box
        if not isinstance(numbers, list) or len(numbers) != 4 or not all(map(formats.is_number, numbers)):
            wrong = f"{file}, {name}: {box!r} is no face box [y0, x0, y1, x1] in pixels; mend it or write null"
            meet(UserError(wrong), problems)
            continue
        read[name] = np.array(numbers, np.float64)
    return read
