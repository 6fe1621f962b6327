"""A first look at every file before anything is measured: bad ones are told at once, and what was read is on record."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scrn_jax.folders import reading
from scrn_jax.runtime.console import Progress
from scrn_jax.runtime.workers import ahead


@dataclass(frozen=True)
class Survey:
    """What a set of image files is.

    Attributes:
      count: how many.
      sha256: of the files' names and contents, in the order of the names: equal for equal sets, wherever they lie.
      formats, sizes, rules: how many files are of a format ("png"), a size ("256x176") and a rule of `reading.RULES`.
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


def survey(title: str, root: Path, names: Iterable[str], frame: tuple[int, int], strips: bool = False) -> Survey:
    """Looks at the images `names` (paths relative to `root`), each once.

    Raises:
      UserError: the first file, in the order of the names, that cannot be measured (see `reading.inspect`).
    """

    def look(name: str) -> tuple[str, reading.Seen]:
        data = reading.read_bytes(root / name)
        return _line(name, data), reading.inspect(data, str(root / name), frame, strips)

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
    for line in ahead(lambda name: _line(name, reading.read_bytes(root / name)), ordered):
        digest.update(line.encode())
    return Survey(len(ordered), digest.hexdigest())


def _line(name: str, data: bytes) -> str:
    return f"{hashlib.sha256(data).hexdigest()}  {name}\n"


def fingerprint(facts: Any) -> str:
    """The SHA-256 of what JSON can hold: equal exactly when a measurement would come out the same."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
