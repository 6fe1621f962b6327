"""BlazePose: 33 body points and a person mask from a photo, by two TFLite networks that come with the package.

A detector finds people in the whole photo as a hip centre and a circle around the body; the landmark network then looks
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
        if not people:
            return None
        square = max(people, key=lambda square: square.side)
        # The second look stands at the first one's own measure of the body.
        for _ in range(2):
            found = self._look(photo, square)
            if found is None:
                return None
            body, square = found
        return dataclasses.replace(body, people=len(people))

    def _detect(self, photo: Image.Image) -> list[Square]:
        side = max(photo.size)
        whole = Square(np.array(photo.size) / 2, side, 0.0)
        outputs = _run(self._detector, whole.cut(photo, _DETECTOR_SIDE) / 127.5 - 1)
        boxes, scores = sorted(outputs, key=lambda output: -output.shape[-1])
        scores = _sigmoid(scores.reshape(-1))
        boxes = boxes.reshape(-1, 6, 2) / _DETECTOR_SIDE
        # Middle, size, and four points relative to the anchor: the first two are the hips and the circle.
        boxes[:, [0, 2, 3, 4, 5]] += self._anchors[:, None]
        found = []
        left = np.flatnonzero(scores >= LEAST_SCORE)
        left = left[np.argsort(-scores[left])]
        while len(left):
            same = _overlap(boxes[left, :2], boxes[left[0], :2]) > 0.3
            group = left[same]
            merged = (boxes[group] * scores[group, None, None]).sum(0) / scores[group].sum()
            points = (merged[2:4] - 0.5) * side + whole.centre
            found.append(Square.around(*points))
            left = left[~same]
        return found

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
