"""The embedded people as photos show people: any light, any place behind, cloth of any colour, crops of any length.

What is drawn here comes from random streams of its own, so that people without variety stay as they are.
"""

import colorsys
import dataclasses

import numpy as np

from input_pipeline.mannequins.clothes.cloth import Cloth, to_linear
from input_pipeline.mannequins.clothes.wardrobe import Look
from input_pipeline.mannequins.rendering.shading import Studio
from scrn_jax.person.regions import NAMES

CROP_SHARE = 0.4
# As shares of the way from hips to knees, where a crop cuts; below 0 towards the chest. Then how much a whole person
# fills of the frame's height.
CUT, FILL = (-1.0, 1.1), (0.7, 0.96)
# How many skirts and dresses hang to the shins or the ankles, between which heights, and how they widen there.
LONG_SHARE, LONG_HEMS, LONG_FLARES = 0.45, (-0.72, -0.4), (-0.06, 0.1, 0.25)
UPPER = NAMES.index("upper clothes")  # loose hems of tops hang like skirts, too
VERSION = 2  # of what is drawn here; records of another are others


def studio(rng: np.random.Generator) -> Studio:
    """Light from any side in front of the person, strong or weak, warm or cold, and a place behind."""
    key = np.array([rng.uniform(-1, 1), rng.uniform(-0.1, 0.9), rng.uniform(0.15, 1.0)], np.float32)
    warmth = rng.normal(0, 0.08)
    tint = rng.uniform(0.6, 1.3) * np.array([1 + warmth, 1 + rng.normal(0, 0.03), 1 - warmth])
    return Studio(
        key / np.linalg.norm(key),
        float(rng.uniform(0.2, 0.9)),
        float(rng.uniform(0.05, 0.4)),
        float(rng.uniform(0.2, 0.6)),
        to_linear(_colour(rng)),
        0.0,
        1.0,
        tint.astype(np.float32),
        int(rng.integers(1 << 31)),
    )


def backdrop(seed: int, height: int, width: int) -> np.ndarray:
    """A place behind a person, linear (H, W, 3): a wall or sky, a ground, things of plain shapes, and their texture.

    A function of `seed`; another size shows the same place.
    """
    rng = np.random.default_rng(seed)
    y = np.broadcast_to(((np.arange(height) + 0.5) / height)[:, None], (height, width))
    x = np.broadcast_to(((np.arange(width) + 0.5) / height)[None], (height, width))
    top, bottom = np.array(_colour(rng)), np.array(_colour(rng))
    share = rng.uniform(0, 0.6) * y[..., None]
    picture = top * (1 - share) + bottom * share
    if rng.random() < 0.6:
        ground = np.clip((y - rng.uniform(0.5, 0.97)) / rng.uniform(0.005, 0.05) + 0.5, 0, 1)[..., None]
        picture = picture * (1 - ground) + np.array(_colour(rng)) * ground
    for _ in range(int(rng.choice([0, 2, 5, 10, 16]))):
        weight = _thing(rng, y, x)[..., None] * rng.uniform(0.4, 1.0)
        picture = picture * (1 - weight) + np.array(_colour(rng)) * weight
    strength = rng.uniform(0, 1)
    for cells, share in ((3, 0.20), (8, 0.14), (24, 0.10), (60, 0.07)):
        picture = picture + share * strength * rng.random() * _smooth_noise(rng, cells, y, x)
    return (np.clip(picture, 0, 1) ** 2.2).astype(np.float32)


def _thing(rng: np.random.Generator, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """How much of a turned rectangle, ellipse or row of bars is at frame heights y, x: (H, W) in 0..1."""
    centre, half = rng.uniform([0, -0.1], [1, 0.8]), rng.uniform(0.02, [0.4, 0.3])
    angle = rng.normal(0, 0.1) if rng.random() < 0.7 else rng.uniform(0, np.pi)
    down, across = y - centre[0], x - centre[1]
    a = (down * np.cos(angle) - across * np.sin(angle)) / half[0]
    b = (down * np.sin(angle) + across * np.cos(angle)) / half[1]
    kind = rng.choice(["rectangle", "ellipse", "bars"], p=[0.55, 0.3, 0.15])
    inside = 1 - (np.hypot(a, b) if kind == "ellipse" else np.maximum(np.abs(a), np.abs(b)))
    weight = np.clip(inside * half.min() / rng.uniform(0.004, 0.03) + 0.5, 0, 1)
    if kind == "bars":
        weight = weight * (np.sin(b * rng.uniform(4, 25)) > 0)
    return weight


def _smooth_noise(rng: np.random.Generator, cells: int, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Noise (H, W, 3) of spread 1 that changes over 1 / cells of the frame's height, grey half the time."""
    grid = rng.standard_normal((cells + 2, cells + 2, 1 if rng.random() < 0.5 else 3))
    row, column = y * cells, np.clip(x * cells, 0, cells)
    i, j = row.astype(int), column.astype(int)
    u, v = (row - i)[..., None], (column - j)[..., None]
    above = grid[i, j] * (1 - v) + grid[i, j + 1] * v
    below = grid[i + 1, j] * (1 - v) + grid[i + 1, j + 1] * v
    return above * (1 - u) + below * u


def look(rng: np.random.Generator, worn: Look) -> Look:
    """The same garments in other colours, skirts often longer, with other skin and hair tones."""
    dyed: dict[int, Cloth] = {}

    def dye(cloth: Cloth | None) -> Cloth | None:
        if cloth is None or id(cloth) in dyed:
            return None if cloth is None else dyed[id(cloth)]
        changed = cloth
        if rng.random() < 0.6:
            colours = np.stack([to_linear(_colour(rng)) for _ in range(3)])
            if cloth.pattern in ("denim", "rib"):
                colours = colours[0] * np.array([[1.0], [0.75], [1.4]], np.float32)
            changed = dataclasses.replace(cloth, colours=colours.astype(np.float32))
        dyed[id(cloth)] = changed
        return changed

    top = dataclasses.replace(worn.top, cloth=dye(worn.top.cloth), inner=dye(worn.top.inner))
    bottom = worn.bottom and dataclasses.replace(worn.bottom, cloth=dye(worn.bottom.cloth))
    skirts = tuple(dataclasses.replace(skirt, cloth=dye(skirt.cloth)) for skirt in worn.skirts)
    shoe, hair = worn.shoe, worn.hair
    if rng.random() < 0.4:
        shoe = dataclasses.replace(shoe, leather=to_linear(_colour(rng)))
    if rng.random() < 0.1:
        hair = dataclasses.replace(hair, colour=to_linear(_colour(rng)))
    tone = (rng.uniform(0.8, 1.1) * (1 + rng.normal(0, 0.03, 3))).astype(np.float32)
    skin, lips = np.minimum(worn.skin * tone, 0.95), np.minimum(worn.lips * tone, 0.95)
    if rng.random() < LONG_SHARE:
        hem, flare = float(rng.uniform(*LONG_HEMS)), float(rng.choice(LONG_FLARES))
        skirts = tuple(
            skirt if skirt.label == UPPER else dataclasses.replace(skirt, hem=hem, flare=flare) for skirt in skirts
        )
    return dataclasses.replace(worn, top=top, bottom=bottom, skirts=skirts, shoe=shoe, hair=hair, skin=skin, lips=lips)


def _colour(rng: np.random.Generator) -> tuple[float, float, float]:
    """A display colour, of all hues, mostly muted as colours of things are."""
    return colorsys.hsv_to_rgb(rng.random(), rng.random() ** 1.6, rng.uniform(0.05, 1.0))
