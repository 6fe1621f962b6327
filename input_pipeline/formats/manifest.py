"""One's own pictures: a file `people.toml` beside them says where everything is and what it means. No TensorFlow.

    frame = [256, 176]            # height, width of the data set in pixels; this is the default
    fit = "pad"                   # how pictures get that shape: "exact", "pad" (default) or "crop", see `fitting`
    images = "images"             # folder of JPEG and PNG files; a picture's name is its path in it
    face_boxes = "faces.json"     # optional: name -> [y0, x0, y1, x1] in the pixels of the joints, or null: no face

    [parsing]
    folder = "parsing"            # PNG label maps, named like the images
    merge = "lip"                 # their classes: "regions" (the 8), "lip" (20), "cihp" (20), or a list: the region of
                                  # class 0, of class 1, ...
    [joints]
    format = "openpose"           # "deepfashion" (a CSV file), "openpose" (a folder of JSON files), "coco" (a JSON
    path = "openpose"             # file), "npy" (a folder), see `scrn_jax.person.joint_files`
    size = [256, 176]             # optional: height, width of the frame they are in; default: each image's own pixels
    min_confidence = 0.1          # optional: detected points below it are missing

Then either the pairs, CSV files with the columns from,to:

    [pairs]
    train = "pairs-train.csv"
    test = "pairs-test.csv"

or who is in which picture; all ordered pairs of one person's pictures are taken, and nobody is in both splits:

    [identities]
    by = "folder"                 # the folder that the picture is in; or "prefix": its name up to the first "_"
    file = "who.csv"              # instead of `by`: a CSV file with the columns name,identity
    test = ["anna", "ben"]        # who is held out; or test_share = 0.1, the default: a fixed tenth of the people
"""

import hashlib
import itertools
import tomllib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from input_pipeline.formats import collection
from input_pipeline.formats.collection import Collection, ListedPair, Split, drop_incomplete_pairs, index_folder
from input_pipeline.formats.deepfashion import item_key
from input_pipeline.formats.findings import ERROR, NOTE, WARNING, Findings
from scrn_jax.errors import UserError
from scrn_jax.person import regions
from scrn_jax.person.fitting import FITS, Rules
from scrn_jax.person.joint_files import MIN_CONFIDENCE, READERS, read_joints
from scrn_jax.runtime.files import Problems, Stored, is_number, read_table, read_text

FILE_NAME = "people.toml"
# A pair takes some 200 bytes of memory.
MAX_PAIRS = 1 << 21
_MAX_BYTES = 1 << 20
_SECTIONS = {
    "": {"frame", "fit", "images", "face_boxes", "parsing", "joints", "pairs", "identities"},
    "parsing": {"folder", "merge"},
    "joints": {"format", "path", "size", "min_confidence"},
    "pairs": {"train", "test"},
    "identities": {"by", "file", "test", "test_share"},
}

Identity = Callable[[str], str | None]


def read_manifest(file: Path) -> Collection:
    """The data set that a manifest describes. What is wrong with its files is in `findings` of the result.

    Raises UserError naming the manifest, the key and the mend for what is wrong with the manifest itself, and for
    folders and files that it names and that cannot be read at all.
    """
    content = _checked(file)
    root, findings = file.parent, Findings()
    problems: Problems = []
    merge = content["parsing"].get("merge", "regions")
    rules = Rules(
        _size(content.get("frame", [256, 176]), f"{file}: frame"),
        content.get("fit", "pad"),
        tuple(regions.merge_table(merge).tolist()),
    )
    images_at, labels_at = (_inside(root, path) for path in (content["images"], content["parsing"]["folder"]))
    images, labels = _pictures(images_at, "images"), _pictures(labels_at, "parsing maps")
    about = content["joints"]
    joints_at = _inside(root, about["path"])
    poses = read_joints(about["format"], joints_at, problems, about.get("min_confidence", MIN_CONFIDENCE))
    boxes_at = content.get("face_boxes")
    boxes = collection.read_face_boxes(_inside(root, boxes_at), problems) if boxes_at else {}
    identity, pairs = _pairs(root, content, images, findings, problems)
    for problem in problems:
        findings.add(ERROR, "unreadable line", problem)
    splits = {
        name: Split(
            images=images,
            labels={name.rpartition(".")[0]: stored for name, stored in labels.items()},
            poses=poses,
            pose_size=_size(about["size"], f"{file}: joints.size") if "size" in about else None,
            face_boxes=boxes,
            pairs=listed,
            images_at=str(images_at),
            labels_at=str(labels_at),
            joints_at=str(joints_at),
        )
        for name, listed in pairs.items()
    }
    for part in splits.values():
        drop_incomplete_pairs(part, findings)
    provenance = {"manifest": content, "merge": merge}
    return Collection(root, "own", rules, splits, identity, provenance, findings)


def _checked(file: Path) -> dict[str, Any]:
    """The content of a manifest whose keys are known, whose values have the right types, with nothing missing."""
    try:
        content = tomllib.loads(read_text(file, _MAX_BYTES))
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{file}: not TOML ({error}); see docs/data.md for an example") from error
    for section, known in _SECTIONS.items():
        values = content if not section else content.get(section, {})
        if not isinstance(values, dict):
            raise UserError(f"{file}: {section} must be a section [{section}] of keys; see docs/data.md")
        for key in sorted(set(values) - known):
            path = f"{section}.{key}".lstrip(".")
            raise UserError(f"{file}: unknown key {path}; the keys here are {', '.join(sorted(known))}")
    for path in ("images", "parsing.folder", "joints.format", "joints.path"):
        _text(content, path, file)
    for path in ("face_boxes", "fit", "pairs.train", "pairs.test", "identities.by", "identities.file"):
        _text(content, path, file, optional=True)
    if content.get("fit", "pad") not in FITS:
        raise UserError(f"{file}: fit is {content['fit']!r}; choose one of {', '.join(FITS)}")
    if content["joints"]["format"] not in READERS:
        wrong = f"joints.format is {content['joints']['format']!r}"
        raise UserError(f"{file}: {wrong}; choose one of {', '.join(READERS)}")
    if ("pairs" in content) == ("identities" in content):
        raise UserError(f"{file}: needs either [pairs] or [identities], so that it is known what to pair with what")
    _check_numbers(content, file)
    return content


def _text(content: dict[str, Any], path: str, file: Path, *, optional: bool = False) -> None:
    """Raises UserError unless the value at `path`, as in "joints.path", is a text, or absent where that is allowed."""
    value: Any = content
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    if (value is None and not optional) or not isinstance(value, str | None) or value == "":
        raise UserError(f"{file}: {path} is {value!r}; it must be a text, see docs/data.md")


def _check_numbers(content: dict[str, Any], file: Path) -> None:
    confidence = content["joints"].get("min_confidence", MIN_CONFIDENCE)
    if not is_number(confidence) or not 0 <= confidence <= 1:
        raise UserError(f"{file}: joints.min_confidence is {confidence!r}; it must lie between 0 and 1")
    merge = content["parsing"].get("merge", "regions")
    if not isinstance(merge, str | list):
        raise UserError(f"{file}: parsing.merge is {merge!r}; name a table or list the region of each class")
    if "identities" in content:
        section = content["identities"]
        share, people = section.get("test_share", 0.1), section.get("test", [])
        if not is_number(share) or not 0 < share < 1:
            raise UserError(f"{file}: identities.test_share is {share!r}; it must lie between 0 and 1")
        if not isinstance(people, list) or not all(isinstance(person, str) for person in people):
            raise UserError(f"{file}: identities.test is {people!r}; it must be a list of texts")
        if ("by" in section) == ("file" in section) or section.get("by", "folder") not in ("folder", "prefix"):
            raise UserError(f'{file}: identities needs by = "folder", by = "prefix" or file = "NAME.csv"')


def _size(value: Any, where: str) -> tuple[int, int]:
    """[height, width] as a tuple; raises UserError for anything but two integers from 16 to 4096."""
    if not isinstance(value, list) or len(value) != 2 or any(type(side) is not int for side in value):
        raise UserError(f"{where} is {value!r}; it must be [height, width] in pixels")
    if not all(16 <= side <= 4096 for side in value):
        raise UserError(f"{where} is {value!r}; both must lie between 16 and 4096 pixels")
    return value[0], value[1]


def _inside(root: Path, path: str) -> Path:
    """`path` below the manifest's folder, or as it is when absolute."""
    if "\0" in path:
        raise UserError(f"{root / FILE_NAME}: {path!r} is no path; mend it")
    return root / Path(path).expanduser()


def _pictures(folder: Path, what: str) -> dict[str, Stored]:
    found = index_folder(folder) if folder.is_dir() else {}
    if not found:
        raise UserError(f"{folder}: holds no {what} (JPEG or PNG); mend the path in {FILE_NAME}")
    return found


def _pairs(
    root: Path, content: dict[str, Any], images: dict[str, Stored], findings: Findings, problems: Problems
) -> tuple[Identity, dict[str, list[ListedPair]]]:
    """Who is in a picture, and the pairs of each split."""
    if "pairs" in content:
        section = content["pairs"]
        files = {split: _inside(root, section[split]) for split in ("train", "test") if split in section}
        if not files:
            raise UserError(f"{root / FILE_NAME}: [pairs] names no file; set train, test or both")
        pairs = {split: collection.read_pairs(file, problems=problems) for split, file in files.items()}
        return item_key, pairs
    section = content["identities"]
    identity = _identity(root, section, problems)
    people: dict[str, list[str]] = {}
    for name in sorted(images):
        who = identity(name)
        if who is None:
            findings.add(WARNING, "person unknown", f"{images[name]}: belongs to nobody in {section['file']}; add it")
        else:
            people.setdefault(who, []).append(name)
    count = sum(len(names) * (len(names) - 1) for names in people.values())
    if count > MAX_PAIRS:
        raise UserError(
            f"{root / FILE_NAME}: [identities] makes {count:,} pairs, at most {MAX_PAIRS:,} are taken; is one "
            "folder many people? else list the pairs that you want with [pairs]"
        )
    held_out = _held_out(root, section, sorted(people))
    pairs = {"train": [], "test": []}
    for who, names in people.items():
        if len(names) < 2:
            findings.add(NOTE, "single picture", f"{images[names[0]]}: the only picture of {who!r}, so in no pair")
        split = "test" if who in held_out else "train"
        pairs[split] += [ListedPair(f"pairs of {who}", *pair) for pair in itertools.permutations(names, 2)]
    for split, listed in pairs.items():
        if not listed:
            nobody = f"{root / FILE_NAME}: nobody in {split} has two pictures; mend [identities]"
            findings.add(ERROR, "empty split", nobody)

    return identity, pairs


def _identity(root: Path, section: dict[str, Any], problems: Problems) -> Identity:
    if "file" in section:
        file = _inside(root, section["file"])
        table = {row[0]: row[1] for _, row in read_table(file, ("name", "identity"), problems)}
        return lambda name: table.get(name) or None
    if section["by"] == "folder":
        return lambda name: str(PurePosixPath(name).parent)
    return lambda name: PurePosixPath(name).name.partition("_")[0]


def _held_out(root: Path, section: dict[str, Any], people: list[str]) -> set[str]:
    """Who is in the test split: those named, or the share whose names' digests come first, whoever else is there."""
    if "test" in section:
        for who in section["test"]:
            if who not in people:
                raise UserError(f"{root / FILE_NAME}: identities.test names {who!r}, of whom there is no picture")
        return set(section["test"])
    ordered = sorted(people, key=lambda who: hashlib.sha256(who.encode()).digest())
    count = int(np.clip(round(section.get("test_share", 0.1) * len(people)), 1, max(1, len(people) - 1)))
    return set(ordered[:count])
