"""The one reader of lists of pairs, for data sets and for evaluation: CSV files with the columns from,to."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from scrn_jax.errors import UserError
from scrn_jax.runtime.files import Problems, meet, read_table


@dataclasses.dataclass(frozen=True, slots=True)
class ListedPair:
    """An ordered pair of picture names and where it is listed."""

    where: str
    source: str
    target: str


def read_pairs(file: Path, name_of: Callable[[str], str], problems: Problems | None = None) -> list[ListedPair]:
    """The pairs of a CSV file in its order; other columns than from and to are skipped.

    `name_of` makes of an entry the name that is meant, or raises UserError with the reason why there is none.

    Raises UserError naming file and line for another header, for what is no name, and for no pair at all; or appends to
    `problems` what single lines lack, and leaves them out.
    """
    pairs = []
    for line, names in read_table(file, ("from", "to"), problems):
        where = f"{file}, line {line}"
        try:
            if not all(names):
                raise UserError("'' is no name of an image; write from,to or remove the line")
            source, target = map(name_of, names)
            pairs.append(ListedPair(where, source, target))
        except UserError as error:
            meet(UserError(f"{where}: {error}"), problems)
    if not pairs and not problems:
        raise UserError(f"{file}: holds no pairs; list at least one under the header from,to")
    return pairs
