"""Puts one picture, its parsing map, joints and face box into the frame of a data set. Imports no TensorFlow.

Which part of a picture becomes the frame is its window, by one of three rules:
  exact  the picture is shaped like the frame (within 5 percent); or it is square and the frame is not, then its middle
         columns are the frame, as in DeepFashion's 256x256 pictures with side bars
  pad    the whole picture, with bars of its edge colour where it is too narrow or too flat
  crop   the largest part of the frame's shape around the middle
Joints and face boxes move along.
"""

import dataclasses
import io
import math

import numpy as np
from PIL import Image

from scrn_jax.errors import UserError
from scrn_jax.person import face, joints, regions
from scrn_jax.person.image_files import LARGE, in_turn, open_picture
from scrn_jax.person.image_headers import Header, read_header
from scrn_jax.person.resizing import resize_labels, resize_photo, shrinks
from scrn_jax.runtime.files import Held, Stored

FITS = ("exact", "pad", "crop")
_ASPECT_TOLERANCE = 0.05
# Pictures with less than an eighth of the frame's rows or columns show nothing.
_LEAST = 8
# What is stored anew loses little: full colour resolution, and above the quality that DeepFashion's own files have.
_JPEG = {"format": "jpeg", "quality": 95, "subsampling": 0}
# And nothing where only the file's kind changes.
_PNG = {"format": "png", "compress_level": 1}
# Of a window's edges, in pixels.
_ROUNDING = 1e-6

Size = tuple[int, int]
Window = tuple[float, float, float, float]


@dataclasses.dataclass(frozen=True)
class Rules:
    """How everything of a data set is put into its frame.

    frame: (height, width) in pixels. fit: one of FITS. merge: for each class of the parsing maps its region. resize:
    store pictures at the frame's size; False keeps the bytes of pictures whose window any reader finds by itself.
    """

    frame: Size
    fit: str = "exact"
    merge: tuple[int, ...] = tuple(range(regions.NUM_REGIONS))
    resize: bool = True


@dataclasses.dataclass(frozen=True)
class Person:
    """One picture of a person as it is on disk. `pose` and `face_box` (None: to be derived) are in pixels of a picture
    of `pose_size`, of the image itself when that is None, or fractions of it (joints.FRACTIONS)."""

    name: str
    image: Stored | Held
    labels: Stored | Held
    pose: np.ndarray
    pose_size: Size | None
    face_box: np.ndarray | None


@dataclasses.dataclass(frozen=True)
class Fitted:
    """The same in the frame: JPEG or PNG bytes, 8-bit grey PNG bytes of regions, joints, face box (zeros: no face)."""

    image: bytes
    labels: bytes
    pose: np.ndarray
    face_box: np.ndarray


def window(size: Size, frame: Size, fit: str, where: str) -> Window:
    """(top, left, height, width) of the part of a picture of `size` that becomes the frame; may reach beyond it.

    Raises UserError naming `where` for a shape that `exact` does not take, and for pictures of hardly any pixels.
    """
    rows, columns = size
    height, width = frame
    if rows * _LEAST < height or columns * _LEAST < width:
        raise UserError(f"{where}: {rows} x {columns} pixels are no picture for {height} x {width}; take a larger one")
    if fit == "pad":
        tall = max(rows, columns * height / width)
        return (rows - tall) / 2, (columns - tall * width / height) / 2, tall, tall * width / height
    if fit == "crop":
        tall = min(rows, columns * height / width)
        return (rows - tall) / 2, (columns - tall * width / height) / 2, tall, tall * width / height
    if rows == columns and width < height:
        kept = columns * width // height
        return 0, (columns - kept) // 2, rows, kept
    if abs(columns / rows * height / width - 1) > _ASPECT_TOLERANCE:
        raise UserError(
            f"{where}: {rows} x {columns} pixels is neither square nor shaped like {height} x {width}; crop or pad it "
            "to that shape"
        )
    return 0, 0, rows, columns


def fit_pose(pose: np.ndarray, size: Size, rules: Rules, where: str) -> np.ndarray:
    """Joints in pixels of a picture of `size` as float32 (18, 2) in the frame; those outside become missing."""
    return joints.clip_to_frame(joints.move(pose, *placement(size, rules, where)), *rules.frame)


def fit_box(box: np.ndarray, size: Size, rules: Rules, where: str) -> np.ndarray:
    """A face box in pixels of a picture of `size` as float32 (4,) in the frame; zeros when nothing of it is left."""
    return face.move_box(box, rules.frame, *placement(size, rules, where))


def placement(size: Size, rules: Rules, where: str) -> tuple[tuple[float, float], tuple[float, float]]:
    """How what is in pixels of a picture of `size` gets into the frame: (scale, offset) of `joints.move`. UserError."""
    top, left, height, width = window(size, rules.frame, rules.fit, where)
    return (rules.frame[0] / height, rules.frame[1] / width), (-top, -left)


def in_pixels(pose: np.ndarray, pose_size: Size | None, size: Size) -> tuple[np.ndarray, Size]:
    """Joints of an image of `size` in pixels, and (height, width) of the picture whose pixels they are.

    `pose_size` as in `Person`.
    """
    if pose_size != joints.FRACTIONS:
        return pose, pose_size or size
    there = joints.present(pose)[:, None]
    return np.where(there, pose * np.array(size) - 0.5, joints.MISSING), size  # pixel centres lie at integers


Annotation = tuple[np.ndarray, np.ndarray]


def fit_person(person: Person, rules: Rules, annotation: Annotation | None = None) -> Fitted:
    """`person` in the frame; `annotation` is what `fit_annotation` gave for them before, if it did.

    Raises UserError naming the file that is unreadable, damaged or wrongly shaped.
    """
    data = person.image.read()
    header = read_header(data, str(person.image))
    image = fit_image(data, header, rules, str(person.image))
    labels = fit_labels(person.labels.read(), rules, str(person.labels))
    pose, box = annotation or fit_annotation(person, (header.height, header.width), rules)
    return Fitted(image, labels, pose, box)


def fit_task(task: tuple[Person, Rules]) -> Fitted:
    """`fit_person` of a single argument, for `workers.ordered_map`."""
    return fit_person(*task)


def fit_annotation(person: Person, size: Size, rules: Rules) -> Annotation:
    """Joints and face box of `person`, whose image is of `size`, in the frame; without a box one is derived."""
    where, box = str(person.image), person.face_box
    pose, measured = in_pixels(person.pose, person.pose_size, size)
    fitted = fit_pose(pose, measured, rules, where)
    if box is None:
        return fitted, face.face_box_from_joints(fitted, *rules.frame)
    if person.pose_size == joints.FRACTIONS:
        box = box * np.array(2 * size)
    return fitted, fit_box(box, measured, rules, where)


def fit_image(data: bytes, header: Header, rules: Rules, where: str) -> bytes:
    """A picture's bytes in the frame; kept as they are when every reader finds the frame and the colours in them.

    Raises UserError for what is damaged or misshapen.
    """
    size = header.height, header.width
    part = window(size, rules.frame, rules.fit, where)
    height, width = rules.frame
    fits = size == rules.frame or (rules.fit == "exact" and size == (height, height))
    is_small = rules.fit == "exact" and not rules.resize and header.pixels <= LARGE
    if header.is_plain and (fits or is_small):
        return data
    with in_turn(header):
        framed = _framed(open_picture(data, where, header=header).image, part, rules.frame)
    stream = io.BytesIO()
    framed.save(stream, **(_PNG if fits else _JPEG))
    return stream.getvalue()


def _framed(image: Image.Image, part: Window, frame: Size, labels: bool = False) -> Image.Image:
    """The window `part` of the picture at the frame's size, by area, or bilinearly where photos have to grow.

    Where the window reaches beyond the picture, the axis that it does not leave is resized first: the bars are then
    added to what has the frame's length already, so that they never cost more than the picture.
    """
    top, left, height, width = part
    fill = "constant" if labels else "edge"
    smaller = shrinks((height, width), frame)

    def resized(image: Image.Image, size: Size, box: tuple[float, float, float, float]) -> Image.Image:
        return resize_labels(image, size, box) if labels else resize_photo(image, size, box, smaller)

    beyond = [_beyond(top, height, image.height), _beyond(left, width, image.width)]
    if any(beyond[0]):
        box = (max(0, left), 0, min(left + width, image.width), image.height)
        image = resized(image, (image.height, frame[1]), box)
        left, width = 0, frame[1]
    elif any(beyond[1]):
        box = (0, max(0, top), image.width, min(top + height, image.height))
        image = resized(image, (frame[0], image.width), box)
        top, height = 0, frame[0]
    if any(beyond[0]) or any(beyond[1]):
        pixels = np.asarray(image)
        image = Image.fromarray(np.pad(pixels, (*beyond, (0, 0))[: pixels.ndim], fill))
        top, left = top + beyond[0][0], left + beyond[1][0]
    box = (max(0, left), max(0, top), min(left + width, image.width), min(top + height, image.height))
    return resized(image, frame, box)


def _beyond(start: float, length: float, size: int) -> tuple[int, int]:
    """How many whole pixels a window from `start` on reaches beyond a side of `size`, before it and after it."""
    return max(0, math.ceil(-start - _ROUNDING)), max(0, math.ceil(start + length - size - _ROUNDING))


def fit_labels(data: bytes, rules: Rules, where: str) -> bytes:
    """A parsing map's bytes as an 8-bit grey PNG of regions; kept as they are when they are that already."""
    header = read_header(data, where)
    size = header.height, header.width
    window(size, rules.frame, rules.fit, where)
    merged = tuple(rules.merge) != tuple(range(len(rules.merge)))
    if header.is_plain_grey and not merged and (size == rules.frame or (rules.fit == "exact" and not rules.resize)):
        return data
    labels = regions.label_map_from_bytes(data, where, len(rules.merge))
    whole = not rules.resize and rules.fit == "exact"
    labels = np.array(rules.merge, np.uint8).take(labels) if whole else regions_in_frame(labels, rules, where)
    stream = io.BytesIO()
    Image.fromarray(labels).save(stream, "png")
    return stream.getvalue()


def regions_in_frame(labels: np.ndarray, rules: Rules, where: str) -> np.ndarray:
    """The regions uint8 (height, width) of the frame, of a parsing map's classes uint8 (H, W): as `fit_labels` has them
    where it resizes. Raises UserError for a wrong shape."""
    part = window(labels.shape, rules.frame, rules.fit, where)
    merged = np.array(rules.merge, np.uint8).take(labels)
    if labels.shape == rules.frame:
        return merged
    return np.asarray(_framed(Image.fromarray(merged), part, rules.frame, labels=True))
