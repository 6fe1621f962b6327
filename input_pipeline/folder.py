"""Pairs straight from a folder in the layout that the DeepFashion field uses, without writing records first.

    train/ test/                   JPEG or PNG images: 256x256 with side bars, or 256x176, or that shape at any size
    trainSPL8/ testSPL8/           PNG label maps of 8 regions, named like the images
    fashion-annotation-train.csv   joints: see `scrn_jax.person.formats.read_deepfashion`
    fashion-pairs-train.csv        header from,to; a leading index column is skipped
    face-boxes.json                optional: name -> [y0, x0, y1, x1], or null where there is no face

The CSV files may also be spelled `fasion-` and carry `-resize-`, which is preferred when both are there.
"""

import csv
import io
import json
import logging
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from input_pipeline.pair import Pair
from scrn_jax.errors import UserError
from scrn_jax.person import formats, joints
from scrn_jax.person.images import Header, read_header
from scrn_jax.person.regions import label_map_from_bytes

log = logging.getLogger(__name__)

FRAME = (256, 176)
_SQUARE_WIDTH = 256
_BAR = 40
_ASPECT_TOLERANCE = 0.05


class FolderSource:
    """The pairs of one split of such a folder.

    Attributes: `frame` = (256, 176), the pixels of joints and face boxes. `annotation_width` is the width in pixels of
    the frame of the annotations (and face boxes): 176, 256 (side bars of 40 columns are then cut off), or None to tell
    it from the joints, whose middle lies near column 88 or 128.

    Raises UserError for anything missing or malformed, naming file, record and mend; images are looked into when read.
    """

    frame = FRAME

    def __init__(self, directory: str | Path, split: str, annotation_width: int | None = None):
        root = Path(directory)
        if not root.is_dir():
            raise UserError(f"{root}: no such folder; set config.data.dir to the folder with {split}/ in it")
        self._images = _subfolder(root, split, "images")
        self._labels = _subfolder(root, f"{split}SPL8", "parsing maps")
        annotations = _csv_file(root, "annotation", split)
        raw_poses = formats.read_deepfashion(annotations)
        offset = _bar_offset(raw_poses, annotation_width, annotations)
        self._poses = {
            name: joints.clip_to_frame(joints.move(pose, offset=(0, offset)), *FRAME)
            for name, pose in raw_poses.items()
        }
        self._face_boxes = _read_face_boxes(root / "face-boxes.json", offset)
        self._pairs_file = _csv_file(root, "pairs", split)
        self._pairs = _read_pairs(self._pairs_file)
        self._check_pairs(annotations)

    def _check_pairs(self, annotations: Path) -> None:
        """Raises UserError for the first pair whose image, annotation or parsing map is absent."""
        known: set[str] = set()
        for line, *names in self._pairs:
            for name in names:
                if name in known:
                    continue
                where = f"{self._pairs_file}, line {line}, {name}"
                if not (self._images / name).is_file():
                    raise UserError(f"{where}: no such image in {self._images}; add it or remove the pair")
                if name not in self._poses:
                    raise UserError(f"{where}: no joints in {annotations}; add them or remove the pair")
                if not self._label_file(name).is_file():
                    raise UserError(f"{where}: no parsing map {self._label_file(name)}; add it or remove the pair")
                known.add(name)

    def __len__(self) -> int:
        return len(self._pairs)

    def names(self, index: int) -> tuple[str, str]:
        """Source and target file name of pair `index`."""
        _, source, target = self._pairs[index]
        return source, target

    def where(self, index: int, key: str) -> str:
        """The file that holds the entry `key` of pair `index`."""
        name = self.names(index)[0 if key.startswith("source") else 1]
        return str(self._label_file(name) if key.endswith("parsing") else self._images / name)

    def read(self, index: int) -> Pair:
        """Pair `index`. Raises UserError naming the file for unreadable files and wrongly sized images."""
        source, target = self.names(index)
        source_image, source_parsing = self._picture(source)
        target_image, target_parsing = self._picture(target)
        return Pair(
            source_image=source_image,
            source_pose=self._poses[source],
            source_parsing=source_parsing,
            target_image=target_image,
            target_pose=self._poses[target],
            target_parsing=target_parsing,
            face_box=self._face_box(target),
            source_name=source,
            target_name=target,
        )

    def _picture(self, name: str) -> tuple[bytes, bytes]:
        """Image and parsing bytes of `name`, checked as far as their headers go."""
        image_file, label_file = self._images / name, self._label_file(name)
        image, labels = _read_bytes(image_file), _read_bytes(label_file)
        _check_shape(read_header(image, str(image_file)), image_file)
        header = read_header(labels, str(label_file))
        _check_shape(header, label_file)
        if not header.is_plain_grey:
            # Decoders turn a palette into its colours; what counts are its indices.
            labels = _as_plain_grey(label_map_from_bytes(labels, str(label_file)))
        return image, labels

    def _face_box(self, name: str) -> np.ndarray:
        box = self._face_boxes.get(name)
        return joints.face_box_from_joints(self._poses[name], *FRAME) if box is None else box

    def _label_file(self, name: str) -> Path:
        return (self._labels / name).with_suffix(".png")


def _subfolder(root: Path, name: str, what: str) -> Path:
    if not (root / name).is_dir():
        raise UserError(f"{root / name}: no such folder; it should hold the {what}, or mend config.data.dir")
    return root / name


def _csv_file(root: Path, what: str, split: str) -> Path:
    """The annotation or pairs file of a split in any of its spellings."""
    names = [f"{word}-{resize}{what}-{split}.csv" for resize in ("resize-", "") for word in ("fashion", "fasion")]
    for name in names:
        if (root / name).is_file():
            return root / name
    raise UserError(f"{root}: no {what} file for {split}; expected one of {', '.join(names)}")


def _bar_offset(poses: dict[str, np.ndarray], annotation_width: int | None, file: Path) -> float:
    """What to add to the x of every joint: -40 when the annotations count from the left edge of a 256-wide frame."""
    if annotation_width not in (None, FRAME[1], _SQUARE_WIDTH):
        raise UserError(f"config.data.annotation_width is {annotation_width}; it can be {FRAME[1]} or {_SQUARE_WIDTH}")
    every = np.concatenate([pose[joints.present(pose)] for pose in poses.values()])
    if len(every) == 0:
        raise UserError(f"{file}: every joint is missing; annotate the images first")
    for name, pose in poses.items():
        if (pose >= 2 * _SQUARE_WIDTH).any():
            raise UserError(
                f"{file}, {name}: a joint at {pose.max():g} is far outside the frame of {FRAME[0]}x{FRAME[1]} or "
                f"{FRAME[0]}x{_SQUARE_WIDTH} pixels; scale the joints to one of them"
            )
    if annotation_width is None:
        middle = float(np.median(every[:, 1]))
        annotation_width = _SQUARE_WIDTH if middle > (FRAME[1] + _SQUARE_WIDTH) / 4 else FRAME[1]
        log.info("%s: joints centred at column %.0f, read in a %d-wide frame", file, middle, annotation_width)
    return -_BAR if annotation_width == _SQUARE_WIDTH else 0


def _read_face_boxes(file: Path, offset: float) -> dict[str, np.ndarray]:
    """Face boxes by name in the 256x176 frame; an empty dict when there is no such file."""
    if not file.exists():
        return {}
    try:
        boxes = json.loads(formats.read_text(file))
    except (json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"{file}: not JSON ({error}); write name -> [y0, x0, y1, x1] or remove it") from error
    if not isinstance(boxes, dict):
        raise UserError(f"{file}: must map names to [y0, x0, y1, x1]; mend or remove it")
    read = {}
    for name, box in boxes.items():
        numbers = [0, 0, 0, 0] if box is None else box
        if not isinstance(numbers, list) or len(numbers) != 4 or not all(_is_finite(number) for number in numbers):
            raise UserError(f"{file}, {name}: {box!r} is no face box [y0, x0, y1, x1] in pixels; mend it or write null")
        read[name] = joints.move_box(np.array(numbers, np.float64), FRAME, offset=(0, offset))
    return read


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def _read_pairs(file: Path) -> list[tuple[int, str, str]]:
    """(line number, from, to) of every pair."""
    rows = csv.DictReader(io.StringIO(formats.read_text(file)), strict=True)
    pairs = []
    try:
        if not {"from", "to"} <= set(rows.fieldnames or ()):
            raise UserError(f"{file}, line 1: expected the columns from,to, found {rows.fieldnames}; mend the header")
        for row in rows:
            pairs.append((rows.line_num, _checked_name(row["from"], file, rows), _checked_name(row["to"], file, rows)))
    except csv.Error as error:
        raise UserError(f"{file}, line {rows.line_num}: not readable as CSV ({error}); mend the line") from error
    if not pairs:
        raise UserError(f"{file}: holds no pairs; list at least one under the header from,to")
    return pairs


def _checked_name(name: str | None, file: Path, rows: csv.DictReader) -> str:
    """A file name that stays inside the image folder."""
    name = (name or "").strip()
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise UserError(f"{file}, line {rows.line_num}: {name!r} is no name of an image in the folder; mend the line")
    return name


def _read_bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); restore the file or remove its pairs") from error


def _check_shape(header: Header, file: Path) -> None:
    """Raises UserError unless the picture is square (side bars) or shaped like the frame within 5 percent."""
    stretch = header.width / header.height * FRAME[0] / FRAME[1]
    if header.width != header.height and abs(stretch - 1) > _ASPECT_TOLERANCE:
        raise UserError(
            f"{file}: {header.height} x {header.width} pixels is neither square nor shaped like "
            f"{FRAME[0]} x {FRAME[1]}; crop or pad it to that shape"
        )


def _as_plain_grey(labels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(labels).save(buffer, "png")
    return buffer.getvalue()
