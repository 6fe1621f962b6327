"""One's own pictures: a file `people.toml` beside them says where everything is and what it means. No TensorFlow.

    frame = [256, 176]            # height, width of the data set in pixels; this is the default
    fit = "pad"                   # how pictures get that shape: "exact", "pad" (default) or "crop", see `fitting`
    images = "images"             # folder of JPEG, PNG, WebP, TIFF or BMP files; a picture's name is its path in it
    face_boxes = "faces.json"     # optional: name -> [y0, x0, y1, x1] in the pixels of the joints, or null: no face

    [parsing]
    folder = "parsing"            # PNG label maps, named like the images
    merge = "lip"                 # their classes: "regions" (the 8), "lip" (20), "cihp" (20), "atr" (18), "adgan" (8),
                                  # "pise" (8), or a list: the region of class 0, of class 1, ...
    [joints]
    format = "openpose"           # "deepfashion" (a CSV file), "openpose" (a folder of JSON files), "coco" (a JSON
    path = "openpose"             # file), "npy", "mediapipe", "labelled", "pidm" (folders), see `joint_files`
    size = [256, 176]             # optional: height, width of the frame they are in, [1, 1] for fractions of the
                                  # picture; default: what their files say, else each image's own pixels
    min_confidence = 0.1          # optional: detected points below it are missing
    person = "score"              # optional: of several people the surest; or "largest", or "central"

Then either the pairs, CSV files with the columns from,to:

    [pairs]
    train = "pairs-train.csv"
    test = "pairs-test.csv"

or who is in which picture; all ordered pairs of one person's pictures are taken, and nobody is in both splits:

    [identities]
    by = "folder"                 # the folder that the picture is in; or "prefix": its name up to the first "_"
    file = "who.csv"              # instead of `by`: a CSV file with the columns name,identity
    test = ["anna", "ben"]        # who is held out; or test_share = 0.1, the default: a fixed tenth of the people
    exclude = ["carl"]            # optional: who is left out
"""

import tomllib
from pathlib import Path
from typing import Any

from input_pipeline.formats import collection, identities
from input_pipeline.formats.collection import Collection, Split, drop_incomplete_pairs
from input_pipeline.formats.findings import ERROR, WARNING, Findings
from input_pipeline.formats.identities import FILE_NAME, inside
from input_pipeline.formats.names import Names, Pictures, index_folder, match, tell_nobody
from scrn_jax.errors import UserError
from scrn_jax.person import regions
from scrn_jax.person.fitting import FITS, Rules
from scrn_jax.person.image_headers import read_header
from scrn_jax.person.joint_files import READERS, read_joints
from scrn_jax.person.joint_points import CHOICES, MIN_CONFIDENCE, Detected, Joints
from scrn_jax.person.joints import FRACTIONS
from scrn_jax.runtime.files import Problems, is_number, read_text
from scrn_jax.runtime.nesting import check_levels

_MAX_BYTES = 1 << 20
_SECTIONS = {
    "": {"frame", "fit", "images", "face_boxes", "parsing", "joints", "pairs", "identities"},
    "parsing": {"folder", "merge"},
    "joints": {"format", "path", "size", "min_confidence", "person"},
    "pairs": {"train", "test"},
    "identities": {"by", "file", "test", "test_share", "exclude"},
}
_CHOSEN = {"score": "the surest", "largest": "the largest", "central": "the one nearest to the middle"}
# Detectors' probabilities may exceed 1 by rounding, and a little more.
_SLIP = 0.05


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
        _merge(merge, file),
    )
    images_at, labels_at, joints_at = (
        inside(root, path) for path in (content["images"], content["parsing"]["folder"], content["joints"]["path"])
    )
    images = _pictures(images_at, "images", findings)
    names = Names(images)
    names.tell_doubles(findings)
    labels = _pictures(labels_at, "parsing maps", findings)
    poses = _joints(joints_at, content["joints"], names, images, findings, problems)
    boxes_at = inside(root, content.get("face_boxes", ""))
    boxes = collection.read_face_boxes(boxes_at, problems) if "face_boxes" in content else {}
    identity, pairs = identities.read_pairs(root, content, images, findings, problems)
    for problem in problems:
        findings.add(ERROR, "unreadable line", problem)
    belongs = []
    for values, what, where in (
        (labels, "parsing maps", str(labels_at)),
        (poses, "joints", str(joints_at)),
        (boxes, "face boxes", str(boxes_at)),
    ):
        belongs.append(match(values, names, where, findings))
        tell_nobody(belongs[-1], names, what, where, findings)
    size = content["joints"].get("size")
    splits = {
        name: Split(
            images=images,
            labels=belongs[0].values,
            poses=belongs[1].values,
            pose_size=None if size is None else _size(size, f"{file}: joints.size", FRACTIONS),
            face_boxes=belongs[2].values,
            pairs=collection.find_pairs(listed, names, str(images_at), findings),
            images_at=str(images_at),
            labels_at=str(labels_at),
            joints_at=str(joints_at),
            pose_sizes={} if size is not None else match(poses.canvases, names, "", Findings()).values,
        )
        for name, listed in pairs.items()
    }
    for part in splits.values():
        drop_incomplete_pairs(part, findings)
    provenance = {"manifest": content, "merge": merge}
    return Collection(root, "own", rules, splits, identity, provenance, findings)


def _joints(
    place: Path, about: dict[str, Any], names: Names, images: Pictures, findings: Findings, problems: Problems
) -> Joints:
    """The joints, and findings about pictures of several people and about scores that are no probabilities."""

    def size_of(name: str) -> tuple[int, int] | None:
        own = names.find(name)
        header = None if own is None else read_header(images[own].read(), str(images[own]))
        return None if header is None else (header.height, header.width)

    person = about.get("person", "score")
    options = Detected(about.get("min_confidence", MIN_CONFIDENCE), person, size_of)
    poses = read_joints(about["format"], place, problems, options)
    if poses.several:
        name, count = next(iter(poses.several.items()))
        found = f"{len(poses.several):,} pictures show several people, {name} {count} for one"
        text = f"{place}: {found}; {_CHOSEN[person]} counts (joints.person = {person!r}): look whether that is right"
        findings.add(WARNING, "several people", text)
    lowest, highest = poses.scores
    most = 2 if about["format"] == "coco" else 1  # COCO's flags
    if "min_confidence" not in about and (lowest < 0 or highest > most + _SLIP):
        text = f"{place}: scores from {lowest:.3g} to {highest:.3g} are no probabilities; set joints.min_confidence"
        findings.add(WARNING, "scores", text)
    return poses


def _checked(file: Path) -> dict[str, Any]:
    """The content of a manifest whose keys are known, whose values have the right types, with nothing missing."""
    try:
        content = tomllib.loads(read_text(file, _MAX_BYTES))
        check_levels(content)
    except UserError:
        raise
    except (RecursionError, ValueError) as error:
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
    if not is_number(confidence) or confidence < 0:
        raise UserError(f"{file}: joints.min_confidence is {confidence!r}; it must be 0 or more, as the scores are")
    person = content["joints"].get("person", "score")
    if person not in CHOICES:
        raise UserError(f"{file}: joints.person is {person!r}; choose one of {', '.join(CHOICES)}")
    merge = content["parsing"].get("merge", "regions")
    if not isinstance(merge, str | list):
        raise UserError(f"{file}: parsing.merge is {merge!r}; name a table or list the region of each class")
    if "identities" in content:
        section = content["identities"]
        share = section.get("test_share", 0.1)
        if not is_number(share) or not 0 < share < 1:
            raise UserError(f"{file}: identities.test_share is {share!r}; it must lie between 0 and 1")
        for key in ("test", "exclude"):
            people = section.get(key, [])
            if not isinstance(people, list) or not all(isinstance(who, str) for who in people):
                raise UserError(f"{file}: identities.{key} is {people!r}; it must be a list of texts")
        if ("by" in section) == ("file" in section) or section.get("by", "folder") not in ("folder", "prefix"):
            raise UserError(f'{file}: identities needs by = "folder", by = "prefix" or file = "NAME.csv"')


def _merge(merge: str | list[int], file: Path) -> tuple[int, ...]:
    try:
        return tuple(regions.merge_table(merge).tolist())
    except UserError as error:
        raise UserError(f"{file}: parsing.merge: {error}") from error


def _size(value: Any, where: str, also: tuple[int, int] | None = None) -> tuple[int, int]:
    """[height, width] as a tuple; raises UserError for anything but two integers from 16 to 4096, or `also`."""
    if not isinstance(value, list) or len(value) != 2 or any(type(side) is not int for side in value):
        raise UserError(f"{where} is {value!r}; it must be [height, width] in pixels")
    if tuple(value) != also and not all(16 <= side <= 4096 for side in value):
        raise UserError(f"{where} is {value!r}; both must lie between 16 and 4096 pixels")
    return value[0], value[1]


def _pictures(folder: Path, what: str, findings: Findings) -> Pictures:
    found = index_folder(folder) if folder.is_dir() else Pictures()
    found.tell(str(folder), findings)
    if not found:
        left = "; ".join(finding.text for finding in findings)
        raise UserError(f"{folder}: holds no {what} (JPEG or PNG); mend the path in {FILE_NAME}{left and f' ({left})'}")
    return found
