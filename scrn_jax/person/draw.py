"""Pictures of a person's joints and regions, for sample sheets, reports and checks."""

import colorsys

import numpy as np
from PIL import Image, ImageDraw

from scrn_jax.person.face import has_area
from scrn_jax.person.joints import LIMBS, present
from scrn_jax.person.regions import COLOURS

_SUPERSAMPLING = 4


def _limb_colour(index: int) -> tuple[int, int, int]:
    """A colour of the rainbow for limb `index`."""
    red, green, blue = colorsys.hsv_to_rgb(index / len(LIMBS) * 0.85, 0.9, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def _skeleton_rgba(joints: np.ndarray, height: int, width: int, line: float | None) -> np.ndarray:
    """The skeleton on transparent ground: float (H, W, 4) in [0, 1], colour premultiplied by alpha."""
    factor = _SUPERSAMPLING
    thick = factor * (max(1.0, height / 64) if line is None else line)
    canvas = Image.new("RGBA", (width * factor, height * factor), (0, 0, 0, 0))
    pen = ImageDraw.Draw(canvas)
    there = present(joints)
    at_joint = [((x + 0.5) * factor, (y + 0.5) * factor) for y, x in joints.tolist()]
    for index, (start, end) in enumerate(LIMBS):
        if there[start] and there[end]:
            pen.line([at_joint[start], at_joint[end]], fill=(*_limb_colour(index), 255), width=round(thick))
    for index in np.flatnonzero(there):
        x, y = at_joint[index]
        radius = 0.7 * thick
        pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=(255, 255, 255, 255))
    fine = np.asarray(canvas, np.float32) / 255
    fine[..., :3] *= fine[..., 3:]
    return fine.reshape(height, factor, width, factor, 4).mean(axis=(1, 3))


def skeleton(joints: np.ndarray, height: int, width: int, line: float | None = None) -> np.ndarray:
    """Coloured limbs and white joints on black, anti-aliased: uint8 (H, W, 3).

    joints: (18, 2) in the pixels of this frame; `line` is the width of a limb in pixels, by default height / 64.
    """
    return np.round(255 * _skeleton_rgba(joints, height, width, line)[..., :3]).astype(np.uint8)


def paint_regions(labels: np.ndarray) -> np.ndarray:
    """Parsing labels (H, W), values 0 to 7, in the colours of the regions: uint8 (H, W, 3)."""
    return COLOURS[labels]


def overlay(image: np.ndarray, joints: np.ndarray, labels: np.ndarray, face_box: np.ndarray) -> np.ndarray:
    """The photo uint8 (H, W, 3) under its regions (half transparent, background clear), skeleton and face box."""
    height, width = labels.shape
    painted = image.astype(np.float32)
    inside = labels > 0
    painted[inside] = 0.5 * painted[inside] + 0.5 * paint_regions(labels)[inside]
    bones = _skeleton_rgba(joints, height, width, line=None)
    painted = painted * (1 - bones[..., 3:]) + 255 * bones[..., :3]
    picture = Image.fromarray(np.round(painted).astype(np.uint8))
    if has_area(face_box):
        y0, x0, y1, x1 = (float(edge) for edge in face_box)
        ImageDraw.Draw(picture).rectangle([x0, y0, x1 - 1, y1 - 1], outline=(255, 255, 0))
    return np.asarray(picture)
