"""Which images a folder holds, and which generated one belongs to which reference: by names, or by a CSV of pairs."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from scrn_jax.errors import UserError
from scrn_jax.person import pair_files
from scrn_jax.person.image_files import SUFFIXES, flat_name
from scrn_jax.runtime.folders import list_files

SEPARATORS = ("___", "_2_", "_to_")
ENDING = "_vis"
RULES = "FROM___TO_vis.png, FROM_2_TO_vis.jpg, FROM_to_TO.png or TO.png"


# Some code keeps the extensions of both images inside a generated image's name: a.jpg___b.jpg_vis.png.
_INNER_SUFFIX = re.compile(rf"(?:{'|'.join(map(re.escape, SUFFIXES))})(?=_|$)", re.IGNORECASE)


@dataclass(frozen=True)
class ImageFolder:
    """The images of a folder and of the folders inside it.

    Attributes:
      root: the folder.
      files: name (see `key_of`) -> path relative to the root, with slashes; in the order of the names.
      ignored: how many other files are there.
    """

    root: Path
    files: dict[str, str]
    ignored: int


@dataclass(frozen=True)
class Pair:
    """A generated image and its reference, as paths relative to their folders; `source` is "" when no name tells it."""

    generated: str
    reference: str
    source: str


@dataclass(frozen=True)
class Matched:
    """The pairs in the order of the generated images' names, what should be there and is not, and what is too much."""

    pairs: tuple[Pair, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]


def match(
    generated: ImageFolder, reference: ImageFolder, pairs_csv: Path | None = None, allow_missing: bool = False
) -> Matched:
    """Pairs the images of two folders.

    Without a CSV every reference should have a generated image, and every generated image a reference; with one, what
    it lists should be there, and the reference folder may hold more (the sources, say).

    Raises:
      UserError: nothing matches, a name can be read in two ways, two images claim one pair, an unreadable CSV; and,
        unless `allow_missing`, an image that is missing or extra.
    """
    by_bare = _bare_names(generated)
    if pairs_csv is None:
        matched = _match_by_names(by_bare, generated, reference)
    else:
        matched = _match_by_csv(read_pairs(pairs_csv), by_bare, reference)
    if not matched.pairs:
        raise UserError(
            f"{generated.root}: none of its {len(by_bare)} images, e.g. {next(iter(by_bare.values()))}, matches"
            f" {'a pair of ' + str(pairs_csv) if pairs_csv else 'an image of ' + str(reference.root)};"
            f" name them {RULES}" + ("" if pairs_csv else ", or list the pairs in a CSV with --pairs")
        )
    if (matched.missing or matched.extra) and not allow_missing:
        raise UserError(_complaint(generated, matched))
    return matched


def _complaint(generated: ImageFolder, matched: Matched) -> str:
    found = []
    if matched.missing:
        found.append(f"{len(matched.missing)} missing (first: {matched.missing[0]})")
    if matched.extra:
        found.append(f"{len(matched.extra)} without a partner (first: {matched.extra[0]})")
    return (
        f"{generated.root}: {len(matched.pairs)} images match, {' and '.join(found)};"
        " complete the folders, or pass --allow_missing to measure what matches and count the rest"
    )


def _bare_names(generated: ImageFolder) -> dict[str, str]:
    """The generated files by name without the ending _vis."""
    bare: dict[str, str] = {}
    for key, file in generated.files.items():
        name = key.removesuffix(ENDING)
        if name in bare:
            raise UserError(f"{generated.root}: {bare[name]} and {file} are the same pair; remove one of them")
        bare[name] = file
    return bare


def _match_by_names(by_bare: dict[str, str], generated: ImageFolder, reference: ImageFolder) -> Matched:
    pairs, extra, claimed = [], [], {}
    for name, file in by_bare.items():
        split = _split(name, reference, generated)
        if split is None:
            extra.append(file)
            continue
        if split in claimed:
            raise UserError(f"{generated.root}: {claimed[split]} and {file} are the same pair; remove one of them")
        claimed[split] = file
        pairs.append(Pair(file, reference.files[split[1]], split[0]))
    reached = {pair.reference for pair in pairs}
    missing = [file for file in reference.files.values() if file not in reached]
    return Matched(tuple(pairs), tuple(missing), tuple(extra))


def _split(name: str, reference: ImageFolder, generated: ImageFolder) -> tuple[str, str] | None:
    """Source and target of a name, whose target must be a reference; None when there is no such reading."""
    if name in reference.files:
        return "", name
    readings = []
    for separator in SEPARATORS:
        at = name.find(separator)
        while at >= 0:
            source, target = name[:at], name[at + len(separator) :]
            if source and target in reference.files:
                readings.append((source, target))
            at = name.find(separator, at + 1)
        if readings and separator == SEPARATORS[0]:
            break  # no other name has three underscores in a row
    known = [reading for reading in readings if reading[0] in reference.files] or readings
    if len({target for _, target in known}) > 1:
        raise UserError(
            f"{generated.root}, {name}: its name fits the references {known[0][1]} and {known[1][1]};"
            " list the pairs in a CSV with --pairs"
        )
    return known[0] if known else None


def _match_by_csv(listed: list[tuple[str, str]], by_bare: dict[str, str], reference: ImageFolder) -> Matched:
    pairs, missing, used = [], [], set()
    times = Counter(target for _, target in listed)
    for source, target in listed:
        names = [f"{source}{separator}{target}" for separator in SEPARATORS]
        names += [target] if times[target] == 1 else []  # TO.png cannot stand for several pairs
        file = next((by_bare[name] for name in names if name in by_bare), None)
        if file is None:
            missing.append(names[0])
        elif target not in reference.files:
            missing.append(f"{target} among the references")
            used.add(file)
        else:
            pairs.append(Pair(file, reference.files[target], source))
            used.add(file)
    extra = [file for file in by_bare.values() if file not in used]
    return Matched(tuple(sorted(pairs, key=lambda pair: pair.generated)), tuple(missing), tuple(extra))


def read_pairs(path: Path) -> list[tuple[str, str]]:
    """The names (see `matching.key_of`) under `from` and `to` of a CSV; other columns are skipped.

    Raises:
      UserError: unreadable, without these columns, what is no name, a pair given twice, or no pair at all.
    """
    pairs: dict[tuple[str, str], str] = {}
    for pair in pair_files.read_pairs(path, key_of):
        first = pairs.setdefault((pair.source, pair.target), pair.where)
        if first != pair.where:
            raise UserError(f"{pair.where}: the same pair as {first}; remove one of them")
    return list(pairs)


def key_of(path: str) -> str:
    """The name under which an image is matched: its file name without folders and extensions.

    In DeepFashion's original tree, whose file names are not unique, it is the flat name that the field gives it:
    MEN/Denim/id_00000080/01_1_front.jpg is fashionMENDenimid0000008001_1front. Raises UserError for ".".
    """
    *folders, file = PurePosixPath(path).parts or [""]
    if not file:
        raise UserError(f"{path!r} is no name of an image; mend the line")
    stem = _INNER_SUFFIX.sub("", file)
    return PurePosixPath(flat_name("/".join([*folders, stem]))).name


def list_images(folder: Path, what: str) -> ImageFolder:
    """The images in `folder`; hidden files and folders are not looked at.

    Args:
      what: what the folder should hold, for messages.

    Raises:
      UserError: no such folder, no image in it, or two images of one name.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give the folder of the {what} images")
    files: dict[str, str] = {}
    listing = list_files(folder)
    ignored = len(listing.left_out)
    for path, _ in listing.files:
        if not path.lower().endswith(SUFFIXES):
            ignored += 1
            continue
        key = key_of(path)
        if key in files:
            raise UserError(f"{folder}: {files[key]} and {path} have the same name; remove one of them")
        files[key] = path
    if not files:
        raise UserError(f"{folder}: holds no {what} image, neither PNG nor JPEG; give the folder of the images")
    return ImageFolder(folder, dict(sorted(files.items())), ignored)
