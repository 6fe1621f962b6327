"""A data set as it lies on disk: its pictures by name, their annotations, the pairs of each split. No TensorFlow."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

import numpy as np

from input_pipeline.formats.findings import ERROR, Findings
from input_pipeline.formats.names import Names, stem
from input_pipeline.pair import Pair
from scrn_jax.errors import UserError
from scrn_jax.person.face import has_area
from scrn_jax.person.fitting import Annotation, Fitted, Person, Rules, Size, fit_person
from scrn_jax.person.pair_files import ListedPair
from scrn_jax.runtime.files import TABLE_ROWS, Problems, Stored, is_number, meet, read_json
from scrn_jax.runtime.folders import tidy


@dataclasses.dataclass
class Split:
    """One split. Images, parsing maps, joints and face boxes by the pictures' names; `pose_size` is the (height, width)
    in whose pixels joints and face boxes are, None for each image's own, and `pose_sizes` those of single pictures. The
    `_at` say where each kind of file was looked for. `listed` are the names in the split's .lst file, if there is one.
    `dropped` are the pictures whose pairs are left out, because something of them is absent."""

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
    pose_sizes: Mapping[str, Size] = dataclasses.field(default_factory=dict)
    dropped: list[str] = dataclasses.field(default_factory=list)

    def names(self) -> list[str]:
        """The names of the pictures that pairs use, those of one person together, each once."""
        return sorted({name for pair in self.pairs for name in (pair.source, pair.target)})

    def person(self, name: str) -> Person:
        """One picture with its annotations. Raises KeyError when something of it is absent."""
        return Person(
            name=name,
            image=self.images[name],
            labels=self.labels[name],
            pose=self.poses[name],
            pose_size=self.pose_sizes.get(name, self.pose_size),
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


def find_pairs(pairs: list[ListedPair], names: Names, images_at: str, findings: Findings) -> list[ListedPair]:
    """The pairs with the pictures' own names; a finding when no listed name is a picture's."""
    found = {name: names.find(name) for pair in pairs for name in (pair.source, pair.target)}
    if found and names.all and not any(found.values()):
        listed = f"{pairs[0].where}: no name of its list is a picture's in {images_at}"
        alike = f"they are called like {pairs[0].source!r}, pictures like {names.first()!r}; name them alike"
        findings.add(ERROR, "nothing matches", f"{listed}: {alike}")
        return []
    own = {name: known or name for name, known in found.items()}
    if all(name == known for name, known in own.items()):
        return pairs  # a copy of millions takes hundreds of megabytes
    return [ListedPair(pair.where, own[pair.source], own[pair.target]) for pair in pairs]


def drop_incomplete_pairs(split: Split, findings: Findings) -> None:
    """Leaves in `split` the pairs whose two pictures have image, joints and parsing map, and reports the others.

    Where nothing of a kind belongs to any picture, another finding has said so.
    """
    complete: dict[str, bool] = {}

    def is_complete(pair: ListedPair, name: str) -> bool:
        if name not in complete:
            lack = _lack(split, name)
            complete[name] = lack is None
            if lack:
                split.dropped.append(name)
            if lack and lack[1]:
                findings.add(ERROR, lack[0], f"{pair.where}, {name}: {lack[1]} or remove the pair")
        return complete[name]

    split.pairs = [
        pair for pair in split.pairs if all([is_complete(pair, name) for name in (pair.source, pair.target)])
    ]


def _lack(split: Split, name: str) -> tuple[str, str] | None:
    """What a picture lacks, as the kind of a finding and its text (empty: said already), or None."""
    if name not in split.images:
        return "image absent", f"no such image in {split.images_at}; add it"
    if name not in split.poses:
        return "joints absent", (f"no joints in {split.joints_at}; add them" if split.poses else "")
    if name not in split.labels:
        map_file = f"{split.labels_at}/{stem(name)}.png"
        return "parsing map absent", (f"no parsing map {map_file}; add it" if split.labels else "")
    return None


class CollectionSource:
    """The pairs of one split, read from the files as they are: see `pair.Source`.

    Attributes: `frame` in pixels; the `split`, and the `rules` that put its pictures into the frame.

    Raises UserError for the first error that was found in the collection, and for what reading a pair finds.
    """

    def __init__(self, collection: Collection, split: str):
        collection.findings.raise_errors()
        self.split, self.rules = collection.splits[split], collection.rules
        self.frame = self.rules.frame
        self._as_they_are = dataclasses.replace(self.rules, resize=False)
        self._annotations: dict[str, Annotation] = {}

    def __len__(self) -> int:
        return len(self.split.pairs)

    def names(self, index: int) -> tuple[str, str]:
        """Source and target name of pair `index`."""
        pair = self.split.pairs[index]
        return pair.source, pair.target

    def where(self, index: int, key: str) -> str:
        """The file that holds the entry `key` of pair `index`."""
        person = self.split.person(self.names(index)[0 if key.startswith("source") else 1])
        return str(person.labels if key.endswith("parsing") else person.image)

    def read(self, index: int) -> Pair:
        """Pair `index`. Raises UserError naming the file for unreadable files and wrongly sized images."""
        source_name, target_name = self.names(index)
        return make_pair(source_name, self._fitted(source_name), target_name, self._fitted(target_name))

    def _fitted(self, name: str) -> Fitted:
        # Joints and boxes are worked out once: they cost as much as reading the files.
        fitted = fit_person(self.split.person(name), self._as_they_are, self._annotations.get(name))
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


def name_inside(name: str) -> str:
    """The name of a picture as a list has it, tidied; raises UserError for that of a file outside the folder."""
    path = PurePosixPath(tidy(name))
    drive = path.parts[:1] and path.parts[0].endswith(":")
    if path.is_absolute() or drive or ".." in path.parts or "\0" in name:
        raise UserError(f"{name!r} is no name of an image in the folder; mend the line")
    return tidy(name)


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
        if any(numbers) and not has_area(np.array(numbers, np.float64)):
            wrong = f"{file}, {name}: {box!r} ends before it begins; write [y0, x0, y1, x1], or null for no face"
            meet(UserError(wrong), problems)
            continue
        read[name] = np.array(numbers, np.float64)
    return read
