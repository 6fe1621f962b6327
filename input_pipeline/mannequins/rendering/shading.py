"""Light: key, fill and sky on the visible points, darkening between near and far, the studio behind, and the floor."""

from dataclasses import dataclass

import numpy as np

from input_pipeline.mannequins.clothes.wardrobe import to_linear
from input_pipeline.mannequins.rendering.surface import FACE, Surface

SKIN_FALL = np.array([0.86, 1.0, 1.06], np.float32)
VIEW = np.array([0.0, 0.0, 1.0], np.float32)
BACKDROPS = (
    (0.97, 0.97, 0.97),
    (0.93, 0.93, 0.94),
    (0.95, 0.93, 0.91),
    (0.90, 0.92, 0.94),
    (0.88, 0.88, 0.88),
    (0.94, 0.91, 0.88),
    (0.91, 0.94, 0.92),
)


@dataclass(frozen=True)
class Studio:
    """Direction to the key light (3,), its strength, fill and sky; backdrop colour (3,) linear, its fall-off.

    tint: what the light on the person is multiplied by, (3,). place: seed of a `variety.backdrop` instead of a studio.
    """

    key: np.ndarray
    strength: float
    fill: float
    sky: float
    backdrop: np.ndarray
    falloff: float
    floor: float
    tint: np.ndarray | None = None
    place: int | None = None

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "Studio":
        """A light studio with the key from above on either side."""
        side = rng.choice([-1.0, 1.0]) * rng.uniform(0.3, 0.8)
        key = np.array([side, rng.uniform(0.55, 0.85), rng.uniform(0.7, 1.0)], np.float32)
        return cls(
            key / np.linalg.norm(key),
            float(rng.uniform(0.62, 0.78)),
            float(rng.uniform(0.2, 0.3)),
            float(rng.uniform(0.34, 0.42)),
            to_linear(BACKDROPS[int(rng.integers(len(BACKDROPS)))]),
            float(rng.uniform(0.03, 0.14)),
            float(rng.uniform(0.9, 1.0)),
        )


def light(surface: Surface, normal: np.ndarray, openness: np.ndarray, studio: Studio) -> np.ndarray:
    """Linear colours (P, 3) of points with unit normals (P, 3) towards the viewer and openness (P,)."""
    normal = _bend(normal, surface.relief)
    key = normal @ studio.key
    other = np.array([-studio.key[0], 0.15, studio.key[2]], np.float32)
    fill = np.maximum(normal @ (other / np.linalg.norm(other)), 0)
    # Wrapped diffuse light: soft boxes are large, so the terminator is wide.
    wrapped = np.clip((key + 0.25) / 1.25, 0, 1)
    sky = 0.62 + 0.38 * normal[:, 1]
    amount = openness * (studio.strength * wrapped + studio.fill * fill) + openness * openness * studio.sky * sky
    lit = np.repeat((amount * surface.shade)[:, None], 3, 1)
    # Light that enters skin leaves it reddened, which shows where the light fades.
    skin = np.flatnonzero(surface.label >= FACE)
    lit[skin] = np.maximum(lit[skin], 0) ** SKIN_FALL  # blended attributes may be a hair below 0
    colour = surface.albedo * (lit if studio.tint is None else lit * studio.tint)
    half = studio.key + VIEW
    half = half / np.linalg.norm(half)
    facing = np.maximum(normal @ half, 0)
    shine = facing**24 * surface.gloss
    strands = np.flatnonzero(surface.strand)
    shine[strands] = _strand_shine(normal[strands], half) * 0.3
    return colour + (shine * openness * 0.5)[:, None] * (0.35 + 0.65 * colour)


def _bend(normal: np.ndarray, relief: np.ndarray) -> np.ndarray:
    """Normals tilted by relief slopes around (horizontal) and along (upright) the surface."""
    across = np.stack([normal[:, 2], np.zeros(len(normal), np.float32), -normal[:, 0]], 1)
    bent = normal - relief[:, :1] * unit(across)
    bent[:, 1] -= relief[:, 1] * (1 - np.abs(normal[:, 1]))
    return unit(bent)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors (P, 3) scaled to length 1; those near zero stay short."""
    x, y, z = vectors[:, 0], vectors[:, 1], vectors[:, 2]
    return vectors / np.sqrt(np.maximum(x * x + y * y + z * z, 1e-3))[:, None]


def _strand_shine(normal: np.ndarray, half: np.ndarray) -> np.ndarray:
    """The bright band across hair: strands run down the surface and reflect like thin cylinders."""
    strand = np.array([0.0, 1.0, 0.0], np.float32) - normal * normal[:, 1:2]
    along = unit(strand) @ half
    return np.maximum(1 - along * along, 0) ** 12 * np.clip(normal[:, 2] * 1.5, 0, 1)


def crevices(depth: np.ndarray, covered: np.ndarray, radius: int) -> np.ndarray:
    """Brightness (H, W), 1 in the open, less where nearer things surround a point; depth in metres, larger = nearer."""
    weight = covered.astype(np.float32)
    around = _box(depth * weight, radius) / np.maximum(_box(weight, radius), 1e-3)
    return 1 - np.clip((around - depth - 0.012) * 3.2, 0, 0.42)


def _box(image: np.ndarray, radius: int) -> np.ndarray:
    """Mean over a (2 radius + 1) square, edges repeated."""
    size = 2 * radius + 1
    padded = np.pad(image, ((radius + 1, radius), (radius + 1, radius)), mode="edge")
    sums = padded.cumsum(0, dtype=np.float64).cumsum(1)
    total = sums[size:, size:] - sums[:-size, size:] - sums[size:, :-size] + sums[:-size, :-size]
    return (total / size**2).astype(np.float32)


def backdrop(studio: Studio, height: int, width: int, horizon: float) -> np.ndarray:
    """The empty studio, linear (H, W, 3): bright in the middle, a floor below the row `horizon` (frame heights)."""
    y = ((np.arange(height, dtype=np.float32) + 0.5) / height)[:, None]
    x = ((np.arange(width, dtype=np.float32) + 0.5) / height)[None]
    middle = width / height / 2
    glow = 1 - studio.falloff * 2.0 * ((y - 0.42) ** 2 + 1.4 * (x - middle) ** 2)
    floor = 1 / (1 + np.exp(-(y - horizon) * 30))
    bright = glow * (1 + floor * (studio.floor - 1))
    return bright[:, :, None] * studio.backdrop


def contact_shadow(height: int, width: int, feet: np.ndarray, scale: float, side: float) -> np.ndarray:
    """Brightness (H, W) of the floor under feet (F, 2), rows and columns in frame heights; scale: heights per metre.

    A narrow dark pool at each foot and a wide soft one drawn out away from the light (side = sign of the key's x).
    """
    y = ((np.arange(height, dtype=np.float32) + 0.5) / height)[:, None]
    x = ((np.arange(width, dtype=np.float32) + 0.5) / height)[None]
    shadow = np.ones((height, width), np.float32)
    for row, column in feet:
        for wide, tall, shift, dark in ((0.10, 0.022, 0.0, 0.42), (0.26, 0.05, 0.10, 0.20)):
            dx = (x - column + side * shift * scale) / (wide * scale)
            dy = (y - row) / (tall * scale)
            shadow *= 1 - dark * np.exp(-0.5 * (dx * dx)) * np.exp(-0.5 * (dy * dy))
    return shadow
