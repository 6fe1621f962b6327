"""Cloth: colours and patterns as functions of metres on the surface, and a shared relief of folds."""

import functools
from dataclasses import dataclass

import numpy as np

RELIEF_SIZE = 256
RELIEF_METRES = 0.45
PATTERNS = ("plain", "stripes", "bars", "checks", "gingham", "dots", "blotches", "flowers", "denim", "rib")
SHARES = (0.36, 0.13, 0.05, 0.08, 0.05, 0.08, 0.07, 0.06, 0.06, 0.06)
BOTTOM_SHARES = (0.5, 0.04, 0.04, 0.06, 0.03, 0.03, 0.04, 0.04, 0.22, 0.0)
DYES = (
    (0.94, 0.94, 0.92), (0.10, 0.10, 0.11), (0.72, 0.72, 0.73), (0.35, 0.36, 0.38), (0.14, 0.19, 0.36),
    (0.22, 0.38, 0.62), (0.55, 0.70, 0.86), (0.70, 0.13, 0.16), (0.45, 0.09, 0.15), (0.92, 0.55, 0.55),
    (0.95, 0.78, 0.80), (0.88, 0.45, 0.16), (0.93, 0.77, 0.25), (0.20, 0.42, 0.28), (0.38, 0.42, 0.24),
    (0.55, 0.78, 0.68), (0.15, 0.45, 0.47), (0.43, 0.27, 0.52), (0.74, 0.66, 0.84), (0.76, 0.64, 0.47),
    (0.48, 0.33, 0.22), (0.90, 0.85, 0.74), (0.80, 0.20, 0.45),
)  # fmt: skip
DENIM = ((0.16, 0.22, 0.36), (0.32, 0.43, 0.58), (0.55, 0.65, 0.77), (0.12, 0.13, 0.17))


def to_linear(colour: tuple[float, float, float]) -> np.ndarray:
    """Display colour (3,) in 0..1 to linear light, float32."""
    return np.asarray(colour, np.float32) ** np.float32(2.2)


@dataclass(frozen=True)
class Cloth:
    """A cloth: pattern (one of PATTERNS), linear colours (3, 3), period in metres, offset (2,), fold depth, gloss."""

    pattern: str
    colours: np.ndarray
    period: float
    offset: tuple[float, float]
    folds: float
    gloss: float

    def colour(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Linear colours (N, 3) at metres u around and v along the body, both (N,)."""
        a, b = u + np.float32(self.offset[0]), v + np.float32(self.offset[1])
        base, second, third = self.colours
        weight, other = _PATTERN_WEIGHTS[self.pattern](a / np.float32(self.period), b / np.float32(self.period))
        if weight is None:
            return np.broadcast_to(base, (len(u), 3))
        out = base + weight[:, None] * (second - base)
        return out if other is None else out + other[:, None] * (third - out)


def sample(rng: np.random.Generator, bottom: bool = False) -> Cloth:
    """A random cloth; `bottom` prefers what trousers and skirts are made of."""
    pattern = str(rng.choice(PATTERNS, p=BOTTOM_SHARES if bottom else SHARES))
    dyes = [to_linear(DYES[i]) for i in rng.choice(len(DYES), 3, replace=False)]
    if pattern == "denim":
        base = to_linear(DENIM[int(rng.integers(len(DENIM)))])
        dyes = [base, base * 0.72, base * 1.5]
    elif pattern == "rib":
        dyes[1] = dyes[0] * 0.8
    elif pattern in ("stripes", "bars", "checks", "gingham", "dots") and rng.random() < 0.5:
        dyes[int(rng.integers(2))] = to_linear(DYES[0])
    period = {
        "stripes": (0.03, 0.09),
        "bars": (0.03, 0.07),
        "checks": (0.05, 0.10),
        "gingham": (0.03, 0.05),
        "dots": (0.035, 0.07),
        "blotches": (0.25, 0.45),
        "flowers": (0.10, 0.16),
        "rib": (0.012, 0.02),
    }
    low, high = period.get(pattern, (0.2, 0.3))
    return Cloth(
        pattern,
        np.stack(dyes).astype(np.float32),
        float(rng.uniform(low, high)),
        (float(rng.uniform(0, 1)), float(rng.uniform(0, 1))),
        float(rng.uniform(0.3, 0.8)),
        float(rng.choice([0.0, 0.04, 0.15], p=[0.6, 0.3, 0.1])),
    )


@functools.lru_cache(maxsize=1)
def relief() -> np.ndarray:
    """Folds (S, S, 3): slope around, slope along and height of a tiling cloth surface of RELIEF_METRES a side."""
    rng = np.random.default_rng(7)
    height = np.zeros((RELIEF_SIZE, RELIEF_SIZE))
    rows, columns = np.mgrid[:RELIEF_SIZE, :RELIEF_SIZE] * (2 * np.pi / RELIEF_SIZE)
    warp = sum(
        np.sin(a * rows + b * columns + p) / (1 + a + abs(b))
        for a, b, p in zip(rng.integers(1, 4, 6), rng.integers(-3, 4, 6), rng.uniform(0, 6.3, 6), strict=True)
    )
    for _ in range(14):
        a, b = int(rng.integers(-4, 5)), int(rng.integers(1, 6))
        phase, size = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.0) / np.hypot(a, b)
        # Sharp crests and round valleys, as in hanging cloth.
        height += size * (1 - np.abs(np.sin(0.5 * (a * rows + b * columns + phase) + 1.1 * warp)) ** 0.8)
    height = _blur(height, 3)
    height = (height - height.mean()) / height.std()
    around = np.roll(height, -1, 1) - np.roll(height, 1, 1)
    along = np.roll(height, -1, 0) - np.roll(height, 1, 0)
    return np.stack([around * 6, along * 6, height], -1).astype(np.float32)


@functools.lru_cache(maxsize=1)
def noise() -> np.ndarray:
    """Smooth tiling noise (S, S, 2) of about eight bumps a side, zero mean, unit spread."""
    rng = np.random.default_rng(11)
    rough = rng.normal(size=(RELIEF_SIZE, RELIEF_SIZE, 2))
    smooth = np.stack([_blur(rough[..., i], 14) for i in range(2)], -1)
    return ((smooth - smooth.mean((0, 1))) / smooth.std((0, 1))).astype(np.float32)


def _blur(image: np.ndarray, radius: float) -> np.ndarray:
    """Gaussian blur of a tiling image by Fourier transform."""
    frequency = np.fft.fftfreq(len(image)) * 2 * np.pi
    kernel = np.exp(-0.5 * (frequency * radius) ** 2)
    return np.fft.ifft2(np.fft.fft2(image) * kernel[:, None] * kernel[None]).real


def lookup(table: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Nearest entry of a tiling table at u, v in tiles."""
    scale = np.float32(len(table))
    column = (u * scale).astype(np.int32) & (len(table) - 1)
    row = (v * scale).astype(np.int32) & (len(table) - 1)
    return table.reshape(-1, *table.shape[2:]).take(row * len(table) + column, 0)


def _wave(t: np.ndarray, sharp: float = 6.0) -> np.ndarray:
    """A square wave of period 1 with soft edges, 0..1."""
    return np.clip(np.abs((t - np.floor(t)) * 2 - 1) * sharp - (sharp - 1) / 2, 0, 1)


Weights = tuple[np.ndarray | None, np.ndarray | None]
"""How much of the second and of the third dye a pattern shows at points, 0..1 each; None for none."""


def _plain(u: np.ndarray, v: np.ndarray) -> Weights:
    return None, None


def _stripes(u: np.ndarray, v: np.ndarray) -> Weights:
    return _wave(v, 16.0), None


def _bars(u: np.ndarray, v: np.ndarray) -> Weights:
    return _wave(u, 12.0), None


def _checks(u: np.ndarray, v: np.ndarray) -> Weights:
    wide = _wave(u + 0.2, 9) * (_wave(u, 3.0) > 0.9)
    lines = np.maximum(np.clip(3 - np.abs((u % 1) - 0.5) * 40, 0, 1), np.clip(3 - np.abs((v % 1) - 0.5) * 40, 0, 1))
    return 0.55 * _wave(v, 8) + 0.45 * wide, lines


def _gingham(u: np.ndarray, v: np.ndarray) -> Weights:
    return 0.5 * (_wave(u, 14.0) + _wave(v, 14.0)), None


def _dots(u: np.ndarray, v: np.ndarray) -> Weights:
    row = np.floor(v)
    shifted = u + 0.5 * (row % 2)
    distance = np.hypot(shifted - np.floor(shifted) - 0.5, v - row - 0.5)
    return np.clip((0.27 - distance) * 14 + 0.5, 0, 1), None


def _blotches(u: np.ndarray, v: np.ndarray) -> Weights:
    field = lookup(noise(), u, v)
    return np.clip(field[:, 0] * 6 + 0.5, 0, 1), np.clip((field[:, 1] - 0.6) * 6 + 0.5, 0, 1)


def _flowers(u: np.ndarray, v: np.ndarray) -> Weights:
    row = np.floor(v)
    shifted = u + 0.5 * (row % 2)
    dx, dy = shifted - np.floor(shifted) - 0.5, v - row - 0.5
    radius, angle = np.hypot(dx, dy), np.arctan2(dy, dx)
    petals = np.clip((0.24 + 0.11 * np.cos(5 * angle + row) - radius) * 14 + 0.5, 0, 1)
    return petals, np.clip((0.09 - radius) * 25 + 0.5, 0, 1)


def _denim(u: np.ndarray, v: np.ndarray) -> Weights:
    field = lookup(noise(), u * 2, v * 0.7)
    return np.clip(0.35 + 0.25 * field[:, 0], 0, 1), np.clip(field[:, 1] * 0.15 + 0.08, 0, 0.35)


def _rib(u: np.ndarray, v: np.ndarray) -> Weights:
    return 0.5 + 0.5 * np.sin(2 * np.pi * u), None


_PATTERN_WEIGHTS = dict(
    zip(PATTERNS, (_plain, _stripes, _bars, _checks, _gingham, _dots, _blotches, _flowers, _denim, _rib), strict=True)
)
