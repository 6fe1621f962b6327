"""What people wear and how they look: garments as signed distances on the canonical body, hair styles, colours.

A garment covers the points whose distance is positive. Distances are metres on the mean body in its rest pose, so a
garment needs no mesh of its own; only skirts, dresses and loose hems hang as a surface of their own (`drape.py`).
"""

from dataclasses import dataclass

import numpy as np

from input_pipeline.mannequins.clothes import cloth
from input_pipeline.mannequins.clothes.cloth import Cloth, to_linear

ANKLE, KNEE, CROTCH, HIP, WAIST, BUST = -0.735, -0.287, 0.095, 0.19, 0.355, 0.53
NECKS = ("crew", "v", "boat", "turtle", "scoop", "strapless")
SKINS = (
    (0.96, 0.80, 0.70),
    (0.91, 0.72, 0.59),
    (0.84, 0.62, 0.47),
    (0.72, 0.50, 0.36),
    (0.55, 0.36, 0.25),
    (0.40, 0.25, 0.18),
    (0.94, 0.76, 0.68),
)
HAIRS = (
    (0.06, 0.05, 0.05),
    (0.14, 0.09, 0.07),
    (0.26, 0.16, 0.10),
    (0.42, 0.27, 0.15),
    (0.66, 0.48, 0.27),
    (0.80, 0.66, 0.42),
    (0.48, 0.20, 0.10),
    (0.45, 0.44, 0.44),
)
IRISES = ((0.25, 0.15, 0.08), (0.15, 0.09, 0.06), (0.30, 0.42, 0.52), (0.32, 0.40, 0.28))
LEATHERS = (
    (0.08, 0.08, 0.08),
    (0.93, 0.93, 0.92),
    (0.36, 0.22, 0.14),
    (0.62, 0.46, 0.30),
    (0.75, 0.15, 0.18),
    (0.20, 0.25, 0.42),
    (0.80, 0.70, 0.60),
)


@dataclass(frozen=True)
class Top:
    """A top, or the bodice of a dress: lower edge, sleeve end (arm coordinate), neck, ease in metres, how it closes.

    An open jacket has `inner`, the cloth of the shirt that shows between its fronts.
    """

    cloth: Cloth
    hem: float
    sleeve: float
    neck: str
    ease: float
    closure: str
    hangs: bool
    inner: Cloth | None = None

    def gap(self, point: np.ndarray) -> np.ndarray:
        """Signed distance (N,) into the gap between the fronts of an open jacket; wider towards neck and hem."""
        half = 0.034 + 0.10 * np.maximum(point[:, 1] - 0.5, 0) ** 0.8 + 0.06 * np.maximum(0.35 - point[:, 1], 0)
        return np.where(point[:, 2] > 0.02, half - np.abs(point[:, 0]), -1.0)

    def distance(self, point: np.ndarray, arm: np.ndarray) -> np.ndarray:
        """Signed distance (N,) of canonical points (N, 3) with arm coordinates (N,)."""
        x, y, z = np.abs(point[:, 0]), point[:, 1], point[:, 2]
        inside = np.minimum((self.sleeve - arm) * 0.27, _neck_distance(self.neck, x, y, z))
        return np.minimum(inside, np.where(arm > -0.05, 1.0, y - self.hem))


def _neck_distance(neck: str, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    collar = 0.792 - 0.6 * z - y
    if neck == "turtle":
        return collar + 0.05
    if neck == "v":
        opening = np.where(z > 0.02, x - 0.46 * (y - 0.6), 1.0)
        return np.minimum(collar, opening)
    if neck == "boat":
        return 0.766 - 0.25 * z - y
    if neck == "scoop":
        opening = np.where(z > 0.02, np.hypot(x, np.minimum(y - 0.775, 0)) - 0.115, 1.0)
        return np.minimum(collar, opening)
    if neck == "strapless":
        return 0.605 - y + np.where(z > 0, 0.012 - 0.1 * np.abs(x - 0.07), -0.02)
    return collar


@dataclass(frozen=True)
class Bottom:
    """Trousers or shorts: waist, hem (heights), ease at the hip and at the hem in metres, belt or not."""

    cloth: Cloth
    waist: float
    hem: float
    ease: float
    flare: float
    belt: bool

    def distance(self, point: np.ndarray, arm: np.ndarray) -> np.ndarray:
        """Signed distance (N,), as for `Top`."""
        y = point[:, 1]
        return np.minimum(np.minimum(self.waist - y, y - self.hem), (-0.12 - arm) * 0.5)


@dataclass(frozen=True)
class Skirt:
    """Hanging cloth from `top` to `hem` (heights): metres of ease, widening per metre of fall, depth of its folds.

    `label` is the region it counts as: 2 upper clothes, 3 dress, 4 pants.
    """

    cloth: Cloth
    top: float
    hem: float
    ease: float
    flare: float
    folds: float
    label: int


@dataclass(frozen=True)
class Shoe:
    """Footwear: upper edge (height), linear colours of leather and sole, and stockings up to a height."""

    top: float
    leather: np.ndarray
    sole: np.ndarray
    sock_top: float
    sock: np.ndarray


@dataclass(frozen=True)
class Hair:
    """Hair: colour, volume over the scalp in metres, hairline shift, and the hanging part: none, loose, tail or bun."""

    colour: np.ndarray
    volume: float
    hairline: float
    fringe: bool
    style: str
    length: float


@dataclass(frozen=True)
class Look:
    """Everything about a person's appearance but the body."""

    top: Top
    bottom: Bottom | None
    skirts: tuple[Skirt, ...]
    dress: bool
    shoe: Shoe
    hair: Hair
    skin: np.ndarray
    lips: np.ndarray
    iris: np.ndarray
    makeup: float


def sample(rng: np.random.Generator, woman: bool) -> Look:
    """A random look."""
    kind = str(
        rng.choice(
            ["pants", "skirt", "dress", "shorts"], p=[0.42, 0.19, 0.25, 0.14] if woman else [0.78, 0.0, 0.0, 0.22]
        )
    )
    top = _sample_top(rng, woman, kind)
    bottom, skirts = None, []
    if kind in ("pants", "shorts"):
        bottom = _sample_bottom(rng, kind, woman)
    if kind in ("skirt", "dress"):
        skirts.append(_sample_skirt(rng, top, kind == "dress"))
    if top.hangs and kind in ("pants", "shorts"):
        skirts.append(Skirt(top.cloth, BUST - 0.02, top.hem, 0.001, -0.08, 0.006, 2))
    skin = _mix(rng, SKINS)
    lips = (
        skin * np.array([1.0, 0.62, 0.62], np.float32)
        if not woman
        else skin * 0.5
        + 0.5 * to_linear(((0.75, 0.25, 0.30), (0.70, 0.12, 0.18), (0.80, 0.45, 0.42))[int(rng.integers(3))])
    )
    return Look(
        top,
        bottom,
        tuple(skirts),
        kind == "dress",
        _sample_shoe(rng, woman),
        _sample_hair(rng, woman),
        skin,
        lips.astype(np.float32),
        to_linear(IRISES[int(rng.integers(len(IRISES)))]),
        float(rng.uniform(0.4, 1.0)) if woman else 0.15,
    )


def _mix(rng: np.random.Generator, palette: tuple) -> np.ndarray:
    """A colour near one of a palette, linear."""
    chosen, other = rng.choice(len(palette), 2, replace=False)
    share = rng.uniform(0, 0.35)
    return (to_linear(palette[chosen]) * (1 - share) + to_linear(palette[other]) * share).astype(np.float32)


def _sample_top(rng: np.random.Generator, woman: bool, kind: str) -> Top:
    neck = str(rng.choice(NECKS, p=[0.34, 0.2, 0.12, 0.1, 0.16, 0.08] if woman else [0.7, 0.2, 0.0, 0.1, 0.0, 0.0]))
    sleeves = [-0.13, 0.3, 0.55, 0.9, 1.5, 1.93]
    shares = [0.22, 0.1, 0.26, 0.08, 0.1, 0.24] if woman else [0.06, 0.0, 0.54, 0.06, 0.04, 0.3]
    sleeve = -0.2 if neck == "strapless" else float(rng.choice(sleeves, p=shares))
    if neck == "turtle" and sleeve < 0.3 and not woman:
        sleeve = 1.93
    hangs = bool(kind in ("pants", "shorts") and neck != "strapless" and rng.random() < 0.6)
    if kind == "dress":
        hem = WAIST - 0.03
    elif hangs:
        hem = float(rng.uniform(0.09, 0.2))
    elif woman and rng.random() < 0.2:
        hem = float(rng.uniform(0.38, 0.46))
    else:
        hem = float(rng.uniform(0.24, 0.30))
    ease = float(rng.uniform(0.006, 0.016) if hangs else rng.uniform(0.003, 0.009))
    inner = None
    if kind in ("pants", "shorts") and neck in ("crew", "v") and rng.random() < 0.2:
        inner, hem = cloth.sample(rng), float(rng.uniform(0.09, 0.2))
        hangs, sleeve, neck, ease = True, 1.9, "crew", 0.014
    closure = "buttons" if inner is None and neck in ("crew", "v") and rng.random() < 0.25 else "none"
    return Top(cloth.sample(rng), hem, sleeve, neck, ease, closure, hangs, inner)


def _sample_bottom(rng: np.random.Generator, kind: str, woman: bool) -> Bottom:
    waist = float(rng.uniform(0.285, 0.36))
    fabric = cloth.sample(rng, bottom=True)
    if kind == "shorts":
        hem = float(rng.uniform(-0.12, 0.02) if woman else rng.uniform(-0.27, -0.15))
        return Bottom(fabric, waist, hem, 0.008, float(rng.uniform(0.012, 0.03)), bool(rng.random() < 0.4))
    fit = str(rng.choice(["tight", "straight", "wide"], p=[0.4, 0.42, 0.18] if woman else [0.15, 0.7, 0.15]))
    ease, flare = {"tight": (0.003, 0.003), "straight": (0.008, 0.016), "wide": (0.010, 0.05)}[fit]
    hem = float(rng.uniform(-0.70, -0.52)) if fit == "tight" and rng.random() < 0.4 else -0.775
    return Bottom(fabric, waist, hem, ease, flare, bool(fit != "tight" and rng.random() < 0.45))


def _sample_skirt(rng: np.random.Generator, top: Top, dress: bool) -> Skirt:
    hem = float(rng.choice([-0.08, -0.2, -0.32, -0.5, -0.68], p=[0.25, 0.33, 0.24, 0.1, 0.08]))
    hem += float(rng.uniform(-0.04, 0.04))
    fit = str(rng.choice(["pencil", "line", "flared"], p=[0.3, 0.4, 0.3]))
    flare = {"pencil": -0.12, "line": 0.2, "flared": 0.45}[fit] * (0.6 if hem < -0.4 else 1.0)
    folds = {"pencil": 0.002, "line": 0.012, "flared": 0.028}[fit]
    fabric = top.cloth if dress else cloth.sample(rng, bottom=True)
    return Skirt(fabric, WAIST + (0.03 if dress else 0.0), hem, 0.003, flare, folds, 3 if dress else 4)


def _sample_shoe(rng: np.random.Generator, woman: bool) -> Shoe:
    boots = rng.random() < (0.2 if woman else 0.12)
    height = float(rng.uniform(-0.66, -0.5)) if boots else float(rng.uniform(-0.765, -0.745))
    leather = to_linear(LEATHERS[int(rng.integers(len(LEATHERS)))])
    sole = to_linear((0.92, 0.92, 0.9) if rng.random() < 0.4 else (0.12, 0.10, 0.09))
    stocking = rng.random()
    sock_top = 0.1 if woman and stocking < 0.12 else (-0.66 if stocking < 0.4 else -1.0)
    sock = to_linear(((0.10, 0.10, 0.11), (0.92, 0.92, 0.90), (0.5, 0.5, 0.52))[int(rng.integers(3))])
    if sock_top > 0:
        sock = to_linear((0.13, 0.11, 0.12))
    return Shoe(height, leather, sole, sock_top, sock)


def _sample_hair(rng: np.random.Generator, woman: bool) -> Hair:
    style = str(
        rng.choice(["short", "loose", "tail", "bun"], p=[0.14, 0.54, 0.18, 0.14] if woman else [0.92, 0.05, 0.0, 0.03])
    )
    colour = _mix(rng, HAIRS)
    volume = float(rng.uniform(0.006, 0.02) if style == "short" else rng.uniform(0.008, 0.014))
    length = float(rng.choice([0.14, 0.2, 0.3, 0.42, 0.5], p=[0.2, 0.2, 0.25, 0.2, 0.15]))
    return Hair(colour, volume, float(rng.uniform(-0.006, 0.006)), bool(woman and rng.random() < 0.3), style, length)
