"""DeepFashion's in-shop pictures as users have them on disk, in every variant that the field shares. No TensorFlow.

images        train/ and test/ with flat names; or one folder (img/, img_highres/, or the set's own root) or archive
              (img.zip, img_highres.zip) with the original tree MEN/ and WOMEN/ or with flat names
parsing maps  trainSPL8/ and testSPL8/ (or another train*SPL*), PNG, named like the images with flat names
joints        f(a)s(h)ion-[resize-]annotation-{train,test}.csv: see `scrn_jax.person.joint_files.read_deepfashion`
pairs         f(a)s(h)ion-[resize-]pairs-{train,test}.csv: header from,to; a leading index column is skipped
train.lst, test.lst   optional, checked against the rest
face-boxes.json       optional: name -> [y0, x0, y1, x1] in the pixels of the joints, or null where there is no face
"""

import dataclasses
import logging
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from input_pipeline.formats import collection
from input_pipeline.formats.collection import Collection, Split, drop_incomplete_pairs, find_pairs
from input_pipeline.formats.findings import ERROR, NOTE, WARNING, Findings
from input_pipeline.formats.names import Names, Pictures, index_archive, index_folder, match, tell_nobody
from scrn_jax.errors import UserError
from scrn_jax.person import joint_files, joints, regions
from scrn_jax.person.fitting import Rules, Size
from scrn_jax.person.image_files import GENDERS, flat_name
from scrn_jax.person.pair_files import read_pairs
from scrn_jax.runtime.files import Problems, read_lines
from scrn_jax.runtime.folders import tidy

log = logging.getLogger(__name__)

FRAME = (256, 176)
SPLITS = ("train", "test")
SQUARE_WIDTH = 256
BOXES = "face-boxes.json"
_ITEM = re.compile(r"(fashion(?:WO)?MEN.*?id\d{8})\d*_")


@dataclasses.dataclass(frozen=True)
class Options:
    """What a user can say of a DeepFashion folder: the width in pixels of the annotations' frame (176, 256 with side
    bars, None to tell it from the joints), the merge of the parsing classes, the images to take (None: found)."""

    annotation_width: int | None = None
    merge: str | tuple[int, ...] = "regions"
    images: str | None = None


DEFAULTS = Options()


def item_key(name: str) -> str | None:
    """The item that a flat name shows, without its colour: one person's clothes. None for other names."""
    match = _ITEM.match(name)
    return match.group(1) if match else None


def read_layout(root: Path, options: Options = DEFAULTS, splits: Iterable[str] = SPLITS) -> Collection:
    """The data set in `root`. What is wrong with it is in `findings` of the result, so that all of it can be told.

    Raises UserError only for a folder that is not there and for impossible options.
    """
    if not root.is_dir():
        first = next(iter(splits))
        raise UserError(f"{root}: no such folder; set config.data.dir to the folder with {first}/ in it")
    if options.annotation_width not in (None, FRAME[1], SQUARE_WIDTH):
        wrong = f"config.data.annotation_width is {options.annotation_width}"
        raise UserError(f"{wrong}; it can be {FRAME[1]} or {SQUARE_WIDTH}")
    findings = Findings()
    read, places = {}, {}
    indexed: dict[Path, Pictures] = {}
    boxes = _read_boxes(root / BOXES, findings)
    for split in splits:
        try:
            read[split], places[split] = _read_split(root, split, options, findings, indexed, boxes)
        except UserError as error:
            findings.add(ERROR, "incomplete layout", error)
    if len(read) > 1:
        names = Names(name for part in read.values() for name in part.images)
        tell_nobody(
            match(boxes, names, str(root / BOXES), Findings()), names, "face boxes", str(root / BOXES), findings
        )
    provenance = {
        "images": places,
        "annotation_size": {split: list(part.pose_size) for split, part in read.items()},
        "merge": options.merge if isinstance(options.merge, str) else list(options.merge),
    }
    rules = Rules(FRAME, "exact", tuple(regions.merge_table(options.merge).tolist()))
    return Collection(root, "deepfashion", rules, read, item_key, provenance, findings)


def _read_boxes(file: Path, findings: Findings) -> dict[str, np.ndarray]:
    """The face boxes by flat name; what is wrong with them is among the findings."""
    problems: Problems = []
    boxes: dict[str, np.ndarray] = {}
    try:
        boxes = collection.read_face_boxes(file, problems) if file.exists() else {}
    except UserError as error:
        findings.add(ERROR, "incomplete layout", error)
    for problem in problems:
        findings.add(ERROR, "unreadable line", problem)
    return {flat_name(tidy(name)): box for name, box in boxes.items()}


def _read_split(
    root: Path,
    split: str,
    options: Options,
    findings: Findings,
    indexed: dict[Path, Pictures],
    boxes: dict[str, np.ndarray],
) -> tuple[Split, str]:
    place = _image_place(root, split, options.images, findings)
    if place not in indexed:
        indexed[place] = index_folder(place, flat_name) if place.is_dir() else index_archive(place, flat_name)
        indexed[place].tell(str(place), findings)
    problems: Problems = []
    try:
        part = _read_files(root, split, options, place, indexed[place], boxes, problems, findings)
    finally:
        for problem in problems:
            findings.add(ERROR, "unreadable line", problem)
    _check_list(part, root / f"{split}.lst", findings)
    drop_incomplete_pairs(part, findings)
    return part, place.relative_to(root).as_posix()


def _read_files(
    root: Path,
    split: str,
    options: Options,
    place: Path,
    images: Pictures,
    boxes: dict[str, np.ndarray],
    problems: Problems,
    findings: Findings,
) -> Split:
    names = Names(images)
    labels_at, annotations = _label_folder(root, split), csv_file(root, "annotation", split)
    poses = {flat_name(tidy(name)): pose for name, pose in joint_files.read_deepfashion(annotations, problems).items()}
    labels = index_folder(labels_at, flat_name)
    labels.tell(str(labels_at), findings)
    belongs = []
    for values, what, where in ((labels, "parsing maps", labels_at), (poses, "joints", annotations)):
        belongs.append(match(values, names, str(where), findings))
        tell_nobody(belongs[-1], names, what, str(where), findings)
    pairs = read_pairs(csv_file(root, "pairs", split), lambda name: flat_name(collection.name_inside(name)), problems)
    return Split(
        images=images,
        labels=belongs[0].values,
        poses=belongs[1].values,
        pose_size=annotation_size(poses, options.annotation_width, annotations),
        face_boxes=match(boxes, names, str(root / BOXES), findings).values,
        pairs=find_pairs(pairs, names, str(place), findings),
        images_at=str(place),
        labels_at=str(labels_at),
        joints_at=str(annotations),
        listed=_read_list(root / f"{split}.lst", names),
    )


def _image_place(root: Path, split: str, wanted: str | None, findings: Findings) -> Path:
    """The folder or archive with the images of `split`."""
    if wanted is not None:
        place = root / wanted
        if not place.is_relative_to(root) or ".." in Path(wanted).parts or not place.exists():
            raise UserError(f"{place}: no such folder or archive of images in {root}; mend config.data.images")
        return place
    if (root / split).is_dir():
        return root / split
    places = [root / name for name in ("img", "img_highres") if (root / name).is_dir()]
    places += [root] if any((root / gender).is_dir() for gender in GENDERS) else []
    places += [root / name for name in ("img.zip", "img_highres.zip") if (root / name).is_file()]
    if not places:
        raise UserError(
            f"{root / split}: no such folder; it should hold the images (or img/, img_highres/, MEN/ and WOMEN/, "
            "img.zip or img_highres.zip beside it), or mend config.data.dir"
        )
    if len(places) > 1:
        names = ", ".join(place.name for place in places)
        findings.add(NOTE, "several image sets", f"{root}: has {names}; {places[0].name} is used, or set data.images")
    return places[0]


def _label_folder(root: Path, split: str) -> Path:
    exact = root / f"{split}SPL8"
    others = sorted(path for path in root.glob(f"{split}*SPL*") if path.is_dir())
    if exact.is_dir() or not others:
        others = [exact]
    if not others[0].is_dir():
        raise UserError(f"{exact}: no such folder; it should hold the parsing maps, or mend config.data.dir")
    return others[0]


def csv_file(root: Path, what: str, split: str) -> Path:
    """The annotation or pairs file of a split in any of its spellings, that with -resize- first. Raises UserError."""
    names = [f"{word}-{resize}{what}-{split}.csv" for resize in ("resize-", "") for word in ("fashion", "fasion")]
    for name in names:
        if (root / name).is_file():
            return root / name
    raise UserError(f"{root}: no {what} file for {split}; expected one of {', '.join(names)}")


def annotation_size(poses: dict[str, np.ndarray], width: int | None, file: Path) -> Size:
    """The frame of the annotations: (256, `width`), or as told by the joints, whose middle lies near column 88 or 128.

    Raises UserError when all joints are missing and for joints far outside either frame.
    """
    every = [pose[joints.present(pose)] for pose in poses.values()]
    points = np.concatenate(every) if every else np.zeros((0, 2))
    if len(points) == 0:
        raise UserError(f"{file}: every joint is missing; annotate the images first")
    for name, pose in poses.items():
        if (pose >= 2 * SQUARE_WIDTH).any():
            raise UserError(
                f"{file}, {name}: a joint at {pose.max():g} is far outside the frame of {FRAME[0]}x{FRAME[1]} or "
                f"{FRAME[0]}x{SQUARE_WIDTH} pixels; scale the joints to one of them"
            )
    if width is None:
        middle = float(np.median(points[:, 1]))
        width = SQUARE_WIDTH if middle > (FRAME[1] + SQUARE_WIDTH) / 4 else FRAME[1]
        log.info("%s: joints centred at column %.0f, read in a %d-wide frame", file, middle, width)
    return FRAME[0], width


def _read_list(file: Path, names: Names) -> tuple[str, ...] | None:
    """The names in a .lst file, as the pictures have them, or None when there is none."""
    if not file.is_file():
        return None
    listed = (flat_name(tidy(line.strip())) for line in read_lines(file) if line.strip())
    return tuple(names.find(name) or name for name in listed)


def _check_list(split: Split, file: Path, findings: Findings) -> None:
    """Reports names of the list without an image, and names in pairs that the list does not have."""
    if split.listed is None:
        return
    for name in split.listed:
        if name not in split.images:
            findings.add(WARNING, "listed image absent", f"{file}, {name}: no such image in {split.images_at}; add it")
    listed = set(split.listed)
    reported = set()
    for pair in split.pairs:
        for name in {pair.source, pair.target} - listed - reported:
            reported.add(name)
            findings.add(WARNING, "pair outside the list", f"{pair.where}, {name}: not in {file}; add it there")
