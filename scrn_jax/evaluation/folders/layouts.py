"""How the methods that the paper compares with name what they released, as presets: `--compare PISE=DIR@pise`.

Each follows the code that its authors wrote their folders with. A layout gives every image the name that `matching`
reads, FROM___TO; how pictures lie in the files (strips of panels, white bars) is told by their sizes, see `images`.
"""

import dataclasses
import re
from collections.abc import Callable

from scrn_jax.errors import UserError
from scrn_jax.evaluation.folders.matching import ENDING, SEPARATORS, ImageFolder

Pairs = list[tuple[str, str]]  # (from, to) as `matching.read_pairs` gives them
_NUMBERED = re.compile(r"generated_(\d+)")
_JOINED = SEPARATORS[0]


@dataclasses.dataclass(frozen=True)
class Layout:
    """The naming rule of a released folder.

    Attributes:
      methods: whose folders are so.
      example: one file, and what it looks like.
      renamed: (name, names of the references, pairs or None) -> "FROM___TO", or None where the rule does not fit.
      needs_pairs: whether names say nothing without the CSV of pairs.
    """

    methods: str
    example: str
    renamed: Callable[[str, frozenset[str], Pairs | None], str | None]
    needs_pairs: bool = False


def _three_underscores(name: str, references: frozenset[str], pairs: Pairs | None) -> str | None:
    return name if _JOINED in name else None


def _one_underscore(name: str, references: frozenset[str], pairs: Pairs | None) -> str | None:
    """The two names with an underscore between them: told by the references, or by the pairs where they are known."""
    name, known = name.removesuffix(ENDING), None if pairs is None else set(pairs)
    found = []
    for at in (place.start() for place in re.finditer("_", name)):
        source, target = name[:at], name[at + 1 :]
        fits = target in references if known is None else (source, target) in known
        if source and fits:
            found.append((source, target))
    if len(found) > 1:
        # Where one file's name ends with another's, the source may be one of the references, too.
        found = [pair for pair in found if pair[0] in references]
    return _JOINED.join(found[0]) if len(found) == 1 else None


def _numbered(name: str, references: frozenset[str], pairs: Pairs | None) -> str | None:
    """The number of the pair, counted from 1 in the order of the CSV."""
    number = _NUMBERED.fullmatch(name)
    if number is None or pairs is None or not 1 <= int(number[1]) <= len(pairs):
        return None
    return _JOINED.join(pairs[int(number[1]) - 1])


LAYOUTS: dict[str, Layout] = {
    "patn": Layout(
        "PATN, ADGAN, PINet, PoNA", "FROM.jpg___TO.jpg_vis.jpg, five panels of 176 columns, the last one generated",
        _three_underscores,
    ),
    "pise": Layout("PISE", "FROM_TO_vis.jpg, 256x256 with bars on both sides", _one_underscore),
    "dior": Layout(
        "DiOr", "generated_N.jpg for line N of the test pairs, three panels, the last one generated", _numbered,
        needs_pairs=True,
    ),
}  # fmt: skip


def find(folder: ImageFolder, references: ImageFolder) -> str | None:
    """The layout that a folder's names have, or None where `matching` reads them as they are.

    Numbers are DiOr's. One underscore is looked for only where no name has a separator of `matching`.
    """
    names = list(folder.files)
    if all(_NUMBERED.fullmatch(name) for name in names):
        return "dior"
    if any(separator in name for name in names for separator in SEPARATORS):
        return None
    known = frozenset(references.files)
    if any(name.removesuffix(ENDING) in known for name in names):
        return None
    return "pise" if any(_one_underscore(name, known, None) for name in names) else None


def arrange(name: str, folder: ImageFolder, references: ImageFolder, pairs: Pairs | None) -> ImageFolder:
    """The folder with every image under the name FROM___TO; those that the rule does not fit keep theirs.

    Raises:
      UserError: an unknown layout, one that needs pairs without them, no image that the rule fits, or two of one pair.
    """
    if name not in LAYOUTS:
        raise UserError(f"no layout of a released folder is called {name}: choose among {', '.join(LAYOUTS)}")
    layout, known = LAYOUTS[name], frozenset(references.files)
    if layout.needs_pairs and pairs is None:
        raise UserError(
            f"{folder.root}: {layout.methods} numbers its images ({layout.example}); give the CSV that it was run on "
            "with --pairs"
        )
    files: dict[str, str] = {}
    fitting = 0
    for key, file in folder.files.items():
        renamed = layout.renamed(key, known, pairs)
        fitting += renamed is not None
        new = renamed or key
        if new in files:
            raise UserError(f"{folder.root}: {files[new]} and {file} are the same pair; remove one of them")
        files[new] = file
    if not fitting:
        raise UserError(
            f"{folder.root}: none of its {len(files)} images, e.g. {next(iter(folder.files.values()))}, is named as "
            f"{layout.methods} names them ({layout.example}); leave @{name} away or give another folder"
        )
    return ImageFolder(folder.root, dict(sorted(files.items())), folder.ignored)
