"""What is wrong or notable about a data set, file by file: gathered by those who read it, shown by the doctor."""

import dataclasses
from collections.abc import Iterator

from scrn_jax.errors import UserError

ERROR, WARNING, NOTE = "error", "warning", "note"
LEVELS = (ERROR, WARNING, NOTE)
# Errors of a whole set, which leaving pictures out does not mend.
OF_THE_SET = (
    "frames disagree", "joints fit nowhere", "no joints", "class meaning", "incomplete layout", "empty split",
    "nothing matches",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Finding:
    """One finding. `kind` is what it has in common with others of its sort; `text` names the file, and the mend."""

    level: str
    kind: str
    text: str


class Findings:
    """Findings in the order they were made."""

    def __init__(self):
        self._all: list[Finding] = []

    def add(self, level: str, kind: str, text: object) -> None:
        """Notes one finding; `level` is one of LEVELS."""
        self._all.append(Finding(level, kind, str(text)))

    def extend(self, findings: "list[Finding] | Findings") -> None:
        """Notes many."""
        self._all.extend(findings)

    def forget(self, *kinds: str) -> None:
        """Takes those of some kinds out, which another finding explains."""
        self._all = [finding for finding in self._all if finding.kind not in kinds]

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._all)

    def of(self, level: str) -> list[Finding]:
        """Those of one level."""
        return [finding for finding in self._all if finding.level == level]

    def by_kind(self) -> dict[tuple[str, str], list[Finding]]:
        """(level, kind) -> findings; errors first, and kinds in the order of their first finding."""
        groups: dict[tuple[str, str], list[Finding]] = {}
        for level in LEVELS:
            for finding in self.of(level):
                groups.setdefault((level, finding.kind), []).append(finding)
        return groups

    def raise_errors(self) -> None:
        """Raises the first error as UserError, with the number of the others; returns when there are none."""
        errors = self.of(ERROR)
        if errors:
            more = f" (and {len(errors) - 1} more: python -m input_pipeline.check lists them)" if errors[1:] else ""
            raise UserError(errors[0].text + more)
