"""A data set as it lies on disk: its pictures by name, their annotations, the pairs of each split. No TensorFlow."""

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

import numpy as np

from input_pipeline.formats.findings import ERROR, Findings
from input_pipeline.pair import Pair
from scrn_jax.errors import UserError
from scrn_jax.person.fitting import Annotation, Fitted, Person, Rules, Size, fit_person
from scrn_jax.runtime.files import TABLE_ROWS, Problems, Stored, is_number, meet, open_archive, read_json, read_table

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclasses.dataclass(frozen=True)
class ListedPair:
    """An ordered pair of picture names and where it is listed."""

    where: str
    source: str
    target: str


@dataclasses.dataclass
class Split:
    """One split. Images by name; parsing maps and joints by name or by name without suffix; `pose_size` is the
    (height, width) in whose pixels joints and face boxes are, None for each image's own. The `_at` say where each kind
    of file was looked for. `listed` are the names in the split's .lst file, if there is one."""

    images: Mapping[str, Stored]
    labels: Mapping[str, Stored]
    poses: Mapping[str, np.ndarray]
    pose_size: Size | None
    face_boxes: Mapping[str, np.ndarray]
    pairs: list[ListedPair]
    images_at: str
    labels_at: str
    joints_at: str
    listed: tuple[str, ...] | None = None

    def names(self) -> list[str]:
        """The names of the pictures that pairs use, those of one person together, each once."""
        return sorted({name for pair in self.pairs for name in (pair.source, pair.target)})

    def person(self, name: str) -> Person:
        """One picture with its annotations. Raises KeyError when something of it is absent."""
        return Person(
            name=name,
            image=self.images[name],
            labels=by_name(self.labels, name),
            pose=by_name(self.poses, name),
            pose_size=self.pose_size,
            face_box=self.face_boxes.get(name),
        )


@dataclasses.dataclass
class Collection:
    """A data set: `kind` ("deepfashion" or "own"), the rules that put it into its frame, its splits, who is in a
    picture (None: unknown), where it comes from as JSON values, and what was found while it was read."""

    root: Path
    kind: str
    rules: Rules
    splits: dict[str, Split]
    identity: Callable[[str], str | None]
    provenance: dict[str, object]
    findings: Findings


def without_suffix(name: str) -> str:
    """The name of a picture without .jpg and the like."""
    stem, dot, _ = name.rpartition(".")
    return stem if dot else name


def by_name(values: Mapping, name: str):
    """The value of a picture, filed under its name or under its name without suffix. Raises KeyError."""
    return values[name] if name in values else values[without_suffix(name)]


def index_folder(folder: Path, rename: Callable[[str], str] = str) -> dict[str, Stored]:
    """The pictures in and below a folder by their path in it, as `rename` changes it. Raises UserError for doubles."""
    found: dict[str, Stored] = {}
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for file in sorted(files):
            if not file.startswith(".") and file.lower().endswith(IMAGE_SUFFIXES):
                path = os.path.join(parent, file)
                _enter(found, rename(Path(path).relative_to(folder).as_posix()), Stored(path))
    return found


def index_archive(file: Path, rename: Callable[[str], str] = str) -> dict[str, Stored]:
    """The pictures in a zip archive, likewise. Raises UserError for a damaged or encrypted archive."""
    found: dict[str, Stored] = {}
    for info in open_archive(str(file)).infolist():
        path = PurePosixPath(info.filename)
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("."):
            if info.flag_bits & 1:
                raise UserError(f"{file}: encrypted; unpack it with the password that came with the set")
            _enter(found, rename(info.filename), Stored(str(file), info.filename))
    return found


def _enter(found: dict[str, Stored], name: str, stored: Stored) -> None:
    if name in found:
        raise UserError(f"{stored}: has the same name {name} as {found[name]}; remove one of them")
    found[name] = stored


def drop_incomplete_pairs(split: Split, findings: Findings) -> None:
    """Leaves in `split` the pairs whose two pictures have image, joints and parsing map, and reports the others."""
    complete: dict[str, bool] = {}

    def is_complete(pair: ListedPair, name: str) -> bool:
        if name not in complete:
            lack = _lack(split, name)
            complete[name] = lack is None
            if lack:
                findings.add(ERROR, *(lack[0], f"{pair.where}, {name}: {lack[1]} or remove the pair"))
        return complete[name]

    split.pairs = [
        pair for pair in split.pairs if all([is_complete(pair, name) for name in (pair.source, pair.target)])
    ]


def _lack(split: Split, name: str) -> tuple[str, str] | None:
    """What a picture lacks, as the kind of a finding and its text, or None."""
    stem = without_suffix(name)
    if name not in split.images:
        return "image absent", f"no such image in {split.images_at}; add it"
    if name not in split.poses and stem not in split.poses:
        return "joints absent", f"no joints in {split.joints_at}; add them"
    if name not in split.labels and stem not in split.labels:
        return "parsing map absent", f"no parsing map {split.labels_at}/{stem}.png; add it"
    return None


class CollectionSource:
    """The pairs of one split, read from the files as they are: see `pair.Source`. `frame` is in pixels.

    Raises UserError for the first error that was found in the collection, and for what reading a pair finds.
    """

    def __init__(self, collection: Collection, split: str):
        collection.findings.raise_errors()
        self._split = collection.splits[split]
        self._rules = dataclasses.replace(collection.rules, resize=False)
        self._annotations: dict[str, Annotation] = {}
        self.frame = collection.rules.frame

    def __len__(self) -> int:
        return len(self._split.pairs)

    def names(self, index: int) -> tuple[str, str]:
        """Source and target name of pair `index`."""
        pair = self._split.pairs[index]
        return pair.source, pair.target

    def where(self, index: int, key: str) -> str:
        """The file that holds the entry `key` of pair `index`."""
        person = self._split.person(self.names(index)[0 if key.startswith("source") else 1])
        return str(person.labels if key.endswith("parsing") else person.image)

    def read(self, index: int) -> Pair:
        """Pair `index`. Raises UserError naming the file for unreadable files and wrongly sized images."""
        source_name, target_name = self.names(index)
        return make_pair(source_name, self._fitted(source_name), target_name, self._fitted(target_name))

    def _fitted(self, name: str) -> Fitted:
        # Joints and boxes are worked out once: they cost as much as reading the files.
        fitted = fit_person(self._split.person(name), self._rules, self._annotations.get(name))
        self._annotations.setdefault(name, (fitted.pose, fitted.face_box))
        return fitted


def make_pair(source_name: str, source: Fitted, target_name: str, target: Fitted) -> Pair:
    """The ordered pair of two pictures in the frame."""
    return Pair(
        source_image=source.image,
        source_pose=source.pose,
        source_parsing=source.labels,
        target_image=target.image,
        target_pose=target.pose,
        target_parsing=target.labels,
        face_box=target.face_box,
        source_name=source_name,
        target_name=target_name,
    )


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
