"""BlazePose: 33 body points and a person mask from a photo, by two TFLite networks that come with the package.

A detector finds people in the photo as a hip centre and a circle around the body; the landmark network then looks
at an upright square around one of them (Bazarevsky et al., 2020). Points are (x, y) here, as in the networks.
"""

import dataclasses
import hashlib
import math
from importlib import resources

import numpy as np
from PIL import Image

from scrn_jax.errors import UserError

DETECTOR = "pose_detection.tflite", "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c"
LANDMARKER = "pose_landmark_full.tflite", "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f"
_DETECTOR_SIDE, _SIDE = 224, 256
_STRIDES = (8, 16, 32, 32, 32)
LEAST_SCORE = 0.5
# The square's side by the circle's diameter, and the window and least value of the points' refinement by heat maps.
_ROOM, _WINDOW, _LEAST_HEAT = 1.25, 7, 0.5
_POINTS = 33
_MOST_LOOKS = 4  # at what the detector takes for people, the largest first
_PLACES = [0, 2, 3, 4, 5]  # of the detector's boxes; 1 is a size


@dataclasses.dataclass(frozen=True)
class Square:
    """A turned square in a photo: centre (x, y) and side in pixels, angle in radians."""

    centre: np.ndarray
    side: float
    angle: float

    @classmethod
    def around(cls, hips: np.ndarray, top: np.ndarray) -> "Square":
        """The upright square around a body with its hip centre and a point on the circle around it, above the head."""
        up = top - hips
        return cls(hips, 2 * _ROOM * math.hypot(*up), math.atan2(up[0], -up[1]))

    @property
    def turn(self) -> np.ndarray:
        """(2, 2), from row vectors in the square to row vectors in the photo."""
        c, s = math.cos(self.angle), math.sin(self.angle)
        return np.array([[c, s], [-s, c]])

    def cut(self, photo: Image.Image, pixels: int) -> np.ndarray:
        """The square as float32 (pixels, pixels, 3) in [0, 255]; black beyond the photo."""
        (a, d), (b, e) = self.turn * (self.side / pixels)
        start = self.centre - np.array([0.5, 0.5]) @ self.turn * self.side
        data = (a, b, start[0], d, e, start[1])
        cut = photo.transform((pixels, pixels), Image.Transform.AFFINE, data, Image.Resampling.BILINEAR)
        return np.asarray(cut, np.float32)

    def paste(self, mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """A mask (N, N) of the square, seen in the whole photo of `size` (width, height); 0 outside the square."""
        (a, d), (b, e) = self.turn.T * (len(mask) / self.side)
        start = len(mask) / 2 - self.centre @ self.turn.T * (len(mask) / self.side)
        data = (a, b, start[0], d, e, start[1])
        image = Image.fromarray(mask.astype(np.float32))
        return np.asarray(image.transform(size, Image.Transform.AFFINE, data, Image.Resampling.BILINEAR))


@dataclasses.dataclass(frozen=True)
class Body:
    """What is found of one person.

    points (33, 2): (x, y) in pixels, edges of the photo at 0 and its size; depth (33,): pixels, smaller is nearer;
    visibility (33,) in [0, 1]; mask (H, W) float32 in [0, 1]; people: how many the detector sees.
    """

    points: np.ndarray
    depth: np.ndarray
    visibility: np.ndarray
    mask: np.ndarray
    people: int


class BlazePose:
    """Finds the largest person of a photo: `BlazePose()(photo)`.

    Raises UserError when ai-edge-litert, of the extra `photo`, is not installed, or a network's file is damaged.
    """

    def __init__(self, threads: int = 2):
        self._detector, self._landmarker = _interpreter(*DETECTOR, threads), _interpreter(*LANDMARKER, threads)
        self._anchors = anchors()

    def __call__(self, photo: Image.Image) -> Body | None:
        """The largest person of an RGB picture, or None when there is nobody."""
        people = self._detect(photo)
        for square in sorted(people, key=lambda square: -square.side)[:_MOST_LOOKS]:
            # The second look stands at the first one's own measure of the body.
            found = self._look(photo, square)
            found = found and self._look(photo, found[1])
            if found is not None:
                return dataclasses.replace(found[0], people=len(people))
        return None

    def _detect(self, photo: Image.Image) -> list[Square]:
        """The squares around the people of a photo; where none is seen in all of it, it is looked at piece by piece.

        Whom a piece shows is small: what would be larger than the photo is an animal's face, or a letter.
        """
        whole, *smaller = pieces(photo.size)
        people = self._seen(photo, whole)
        for squares in smaller:
            people = people or [square for square in self._seen(photo, squares) if square.side <= min(photo.size)]
        return people

    def _seen(self, photo: Image.Image, squares: list[Square]) -> list[Square]:
        looks = [self._candidates(photo, square) for square in squares]
        return _people(*(np.concatenate(each) for each in zip(*looks, strict=True)))

    def _candidates(self, photo: Image.Image, square: Square) -> tuple[np.ndarray, np.ndarray]:
        """What may be a person in a square that is not turned: boxes (N, 6, 2) as of `_people`, and scores (N,)."""
        outputs = _run(self._detector, square.cut(photo, _DETECTOR_SIDE) / 127.5 - 1)
        boxes, scores = sorted(outputs, key=lambda output: -output.shape[-1])
        scores = _sigmoid(scores.reshape(-1))
        boxes = boxes.reshape(-1, 6, 2) / _DETECTOR_SIDE
        boxes[:, _PLACES] += self._anchors[:, None]
        boxes *= square.side
        boxes[:, _PLACES] += square.centre - square.side / 2
        return boxes[scores >= LEAST_SCORE], scores[scores >= LEAST_SCORE]

    def _look(self, photo: Image.Image, square: Square) -> tuple[Body, Square] | None:
        """The body in a square, and the square around it; None when the network sees nobody there."""
        outputs = {output.shape: output for output in _run(self._landmarker, square.cut(photo, _SIDE) / 255)}
        if outputs[1, 1].item() < LEAST_SCORE:
            return None
        marks = outputs[1, 195].reshape(39, 5)
        places = refine(marks[:, :2] / _SIDE, outputs[1, 64, 64, 39][0])
        points = (places - 0.5) @ square.turn * square.side + square.centre
        mask = square.paste(_sigmoid(outputs[1, 256, 256, 1][0, :, :, 0]), photo.size)
        body = Body(
            points[:_POINTS], marks[:_POINTS, 2] / _SIDE * square.side, _sigmoid(marks[:_POINTS, 3]), mask, people=1
        )
        return body, Square.around(points[_POINTS], points[_POINTS + 1])


def pieces(size: tuple[int, int]) -> list[list[Square]]:
    """Where the detector looks in a photo of `size` (width, height): all of it; or else squares of its shorter side, or
    of half of it, each half over its neighbour. In a square of 224 pixels somebody far away is too small."""
    looks = [[Square(np.array(size) / 2, max(size), 0.0)]]
    for side in (min(size), min(size) / 2):
        across, down = (
            np.linspace(side / 2, length - side / 2, 1 + math.ceil(2 * (length - side) / side)) for length in size
        )
        looks.append([Square(np.array([x, y]), side, 0.0) for y in down for x in across])
    return looks


def _people(boxes: np.ndarray, scores: np.ndarray) -> list[Square]:
    """The squares around people, the surest first, of candidates: boxes (N, 6, 2) in a photo's pixels, scores (N,).

    A box is its middle and size, and four points, of which the first two are the hips and the circle. Boxes that
    overlap are one person's, the mean by their scores.
    """
    found, left = [], np.argsort(-scores)
    while len(left):
        same = _overlap(boxes[left, :2], boxes[left[0], :2]) > 0.3
        group = left[same]
        merged = (boxes[group] * scores[group, None, None]).sum(0) / scores[group].sum()
        found.append(Square.around(*merged[2:4]))
        left = left[~same]
    return found


def anchors() -> np.ndarray:
    """The detector's anchors (2254, 2), (x, y) in shares of its picture: two a cell and layer, row by row."""
    cells = []
    for stride in sorted(set(_STRIDES)):
        count = math.ceil(_DETECTOR_SIDE / stride)
        centres = (np.arange(count) + 0.5) / count
        grid = np.stack(np.meshgrid(centres, centres), -1).reshape(-1, 2)
        cells.append(np.repeat(grid, 2 * _STRIDES.count(stride), axis=0))
    return np.concatenate(cells).astype(np.float32)


def refine(places: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Places (P, 2), (x, y) in shares of the square, moved to the centre of the heat (h, w, P) logits around them.

    A place whose surroundings are colder than 0.5 stays.
    """
    height, width, _ = heat.shape
    moved, reach = places.copy(), _WINDOW // 2
    for index, (x, y) in enumerate(places):
        column, row = int(x * width), int(y * height)
        if not (0 <= column < width and 0 <= row < height):
            continue
        top, left = max(0, row - reach), max(0, column - reach)
        part = _sigmoid(heat[top : row + reach + 1, left : column + reach + 1, index])
        if part.max() < _LEAST_HEAT:
            continue
        rows, columns = np.mgrid[top : top + part.shape[0], left : left + part.shape[1]]
        moved[index] = (columns * part).sum() / part.sum() / width, (rows * part).sum() / part.sum() / height
    return moved


def _overlap(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (N, 2, 2) with one (2, 2), each a middle and a size."""
    low = np.maximum(boxes[:, 0] - boxes[:, 1] / 2, box[0] - box[1] / 2)
    high = np.minimum(boxes[:, 0] + boxes[:, 1] / 2, box[0] + box[1] / 2)
    common = np.clip(high - low, 0, None).prod(-1)
    return common / (boxes[:, 1].prod(-1) + box[1].prod() - common + 1e-9)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(x, -80, 80)))


def _interpreter(name: str, sha256: str, threads: int):
    data = (resources.files("scrn_jax.inference") / "assets" / name).read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise UserError(f"scrn_jax/inference/assets/{name}: is not the file of this version; install scrn_jax anew")
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise UserError(
            f"finding a person in a photo needs ai-edge-litert ({error}); pip install 'scrn-jax[photo]'"
        ) from error
    interpreter = Interpreter(model_content=data, num_threads=threads)
    interpreter.allocate_tensors()
    return interpreter


def _run(interpreter, image: np.ndarray) -> list[np.ndarray]:
    """The outputs for one picture (N, N, 3)."""
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.ascontiguousarray(image[None], np.float32))
    interpreter.invoke()
    return [interpreter.get_tensor(output["index"]) for output in interpreter.get_output_details()]
