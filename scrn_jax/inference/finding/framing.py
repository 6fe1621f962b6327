"""Where the person of a photo stands, and the part of the photo that becomes a model's frame.

Framed as the embedded people are: a whole person fills nine tenths of the height; one whom the photo cuts off reaches
to the lower edge, with a little room above the head, or more if the body is wide.
"""

import dataclasses

import numpy as np
from PIL import Image

from scrn_jax.person import joints as joints_lib

FILL, SIDE_FILL, MARGIN = 0.91, 0.96, 0.05
# Of somebody whom the photo cuts off: how wide a body is at most, of the frame's width.
WIDEST = 1.15
# A body whose lowest row is nearer to the photo's edge than this share of its height counts as cut off.
_CUT_OFF = 0.02

Size = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Window:
    """A part of a photo in its pixels, which may reach beyond it: upper left corner, height and width."""

    top: float
    left: float
    height: float
    width: float

    def scale(self, frame: Size) -> tuple[float, float]:
        """Pixels of a frame (height, width) for a pixel of the photo, downwards and across."""
        return frame[0] / self.height, frame[1] / self.width

    def grown(self, share: float) -> "Window":
        """The window of `share` times its height and width around the same middle."""
        top, left = self.top + (1 - share) / 2 * self.height, self.left + (1 - share) / 2 * self.width
        return Window(top, left, share * self.height, share * self.width)

    def joints_into(self, joints: np.ndarray, frame: Size) -> np.ndarray:
        """Joints (..., 18, 2) of the photo in the pixels of a frame; those outside it become missing."""
        moved = joints_lib.move(joints, self.scale(frame), (-self.top, -self.left))
        return joints_lib.clip_to_frame(moved, *frame)

    def cut(self, picture: np.ndarray, frame: Size, labels: bool = False) -> np.ndarray:
        """The window of a picture (H, W) or (H, W, 3) at the frame's size, edges repeated beyond the picture.

        uint8 or, without channels, float32; `labels` takes the nearest pixel instead of the mean of all.
        """
        rows, columns = picture.shape[:2]
        low = np.floor([self.top, self.left]).astype(int)
        high = np.ceil([self.top + self.height, self.left + self.width]).astype(int)
        before, after = np.maximum(-low, 0), np.maximum(high - [rows, columns], 0)
        start, end = np.clip(low, 0, [rows - 1, columns - 1]), np.clip(high, 1, [rows, columns])
        part = picture[start[0] : end[0], start[1] : end[1]]
        pads = list(zip(before, after, strict=True)) + [(0, 0)] * (picture.ndim - 2)
        part = np.pad(part, pads, "edge")
        grows = frame[0] > self.height or frame[1] > self.width
        shrinking = Image.Resampling.BILINEAR if grows else Image.Resampling.BOX
        method = Image.Resampling.NEAREST if labels else shrinking
        top, left = self.top - low[0], self.left - low[1]
        box = (left, top, left + self.width, top + self.height)
        limits = (part.shape[1], part.shape[0])
        box = tuple(float(np.clip(edge, 0, limits[i % 2])) for i, edge in enumerate(box))
        return np.array(Image.fromarray(np.ascontiguousarray(part)).resize((frame[1], frame[0]), method, box=box))

    def shown(self, size: Size, frame: Size) -> np.ndarray:
        """Which pixels of a frame a photo of `size` (height, width) shows, bool (h, w): whose middle lies in it."""
        down, across = (
            start + (np.arange(count) + 0.5) / scale
            for start, count, scale in zip((self.top, self.left), frame, self.scale(frame), strict=True)
        )
        return ((down >= 0) & (down <= size[0]))[:, None] & ((across >= 0) & (across <= size[1]))

    def paste(self, values: np.ndarray, size: Size) -> np.ndarray:
        """float32 values (h, w) of a frame, seen bilinearly in the whole photo of `size` (height, width); 0 outside."""
        down, across = values.shape[0] / self.height, values.shape[1] / self.width
        data = (across, 0, -self.left * across, 0, down, -self.top * down)
        image = Image.fromarray(np.ascontiguousarray(values, np.float32))
        return np.asarray(image.transform(size[::-1], Image.Transform.AFFINE, data, Image.Resampling.BILINEAR))


def body_box(joints: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(y0, x0, y1, x1) of a person with joints (18, 2) and mask (H, W): of the joints and the mask around them."""
    rows, columns = mask.shape
    there = joints[joints_lib.present(joints)]
    low, high = there.min(0), there.max(0) + 1
    room = 0.35 * max(*(high - low), 1)
    start = np.clip(np.floor(low - room), 0, [rows, columns]).astype(int)
    end = np.clip(np.ceil(high + room), 0, [rows, columns]).astype(int)
    inside = mask[start[0] : end[0], start[1] : end[1]] > 0.5
    if inside.any():
        in_rows, in_columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        low = np.minimum(low, start + [in_rows[0], in_columns[0]])
        high = np.maximum(high, start + [in_rows[-1] + 1, in_columns[-1] + 1])
    return np.concatenate([np.maximum(low, 0), np.minimum(high, [rows, columns])])


def is_cut_off(box: np.ndarray, size: Size) -> bool:
    """Whether the photo of `size` (height, width) ends where the body of `box` does, below."""
    return bool(size[0] - box[2] <= _CUT_OFF * (box[2] - box[0]))


def window_around(box: np.ndarray, size: Size, aspect: float, room: float = 1.0) -> Window:
    """The window that frames a body of `box` as the training pictures do; aspect = width / height of the frame.

    It is `room` times as large; of somebody whom the photo cuts off, it ends below where it would without.
    """
    tall, wide = box[2] - box[0], box[3] - box[1]
    middle = (box[1] + box[3]) / 2
    if is_cut_off(box, size):
        height = room * max(tall / (1 - MARGIN), wide / (WIDEST * aspect))
        top = box[2] - height
    else:
        height = room * max(tall / FILL, wide / (SIDE_FILL * aspect))
        top = (box[0] + box[2]) / 2 - height / 2
    width = height * aspect
    return Window(float(top), float(middle - width / 2), float(height), float(width))
