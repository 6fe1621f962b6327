"""Hanging cloth (skirts, dresses, loose hems) as a grid wrapped, in the final pose, around whatever it must cover.

Each row is a horizontal ring: the convex hull of the body at that height, plus ease and folds. So legs never poke
through, hems stay level in a stride, and the surface coordinates stay with the hips.
"""

from dataclasses import dataclass

import numpy as np

from input_pipeline.mannequins.body.asset import TRUNK_FLATNESS, TRUNK_RADIUS
from input_pipeline.mannequins.body.skinning import vertex_normals
from input_pipeline.mannequins.clothes.wardrobe import HIP, Skirt

COLUMNS = 48
ROW_METRES = 0.028


@dataclass(frozen=True)
class Sheet:
    """A hanging surface: vertices and normals (N, 3), faces (M, 3), canonical (N, 3) and cloth coordinates (N, 2)."""

    vertices: np.ndarray
    normals: np.ndarray
    faces: np.ndarray
    canonical: np.ndarray
    cloth: np.ndarray


def hang(skirt: Skirt, body: np.ndarray, canonical: np.ndarray, scale: float, yaw: float) -> Sheet:
    """Hangs a skirt on posed trunk and leg vertices (N, 3) with canonical positions (N, 3).

    scale: this body's size over the mean body's; yaw: how the hips are turned about y, radians.
    """
    rows = max(4, int((skirt.top - skirt.hem) / ROW_METRES) + 1)
    heights = np.linspace(skirt.top, skirt.hem, rows)
    around = np.arange(COLUMNS + 1) * (2 * np.pi / COLUMNS) - np.pi
    # Evenly spaced along the ellipse of the trunk, so that patterns run on from the bodice.
    angles = np.arctan2(np.sin(around) * TRUNK_FLATNESS, np.cos(around))
    angles[0], angles[-1] = -np.pi, np.pi
    start = np.median(body[np.abs(canonical[:, 1] - skirt.top) < 0.02, 1])
    levels = start - (skirt.top - heights) * scale
    centre, radius = _hull(body, levels, angles[:-1] + yaw)
    below = np.maximum(heights[:1] - heights, 0.0)
    radius = _let_fall(radius + skirt.ease, levels, skirt.flare)
    down = np.clip(below / max(skirt.top - skirt.hem, 1e-6), 0, 1) ** 1.5
    waves = np.sin(7 * angles[:-1] + 1.3 * np.sin(3 * angles[:-1] + 1)) * np.sin(2 * angles[:-1] + 0.7)
    radius = radius + skirt.folds * down[:, None] * (0.9 + waves[None])
    radius = np.concatenate([radius, radius[:, :1]], 1)
    turned = angles + yaw
    points = (
        np.stack(
            [
                centre[:, :1] + radius * np.sin(turned),
                np.repeat(levels[:, None], COLUMNS + 1, 1),
                centre[:, 1:] + radius * np.cos(turned),
            ],
            -1,
        )
        .reshape(-1, 3)
        .astype(np.float32)
    )
    flat = np.stack(np.meshgrid(heights, angles, indexing="ij"), -1).reshape(-1, 2).astype(np.float32)
    canon = np.stack([0.15 * np.sin(flat[:, 1]), flat[:, 0], 0.15 * np.cos(flat[:, 1])], 1)
    faces = grid_faces(rows, COLUMNS + 1)
    normals = vertex_normals(points, faces).reshape(rows, COLUMNS + 1, 3)
    seam = normals[:, 0] + normals[:, -1]
    normals[:, 0] = normals[:, -1] = seam / np.linalg.norm(seam, axis=1, keepdims=True)
    cloth = np.stack([np.tile(around * TRUNK_RADIUS, rows), flat[:, 0] - HIP], 1)
    return Sheet(points, normals.reshape(-1, 3), faces, canon.astype(np.float32), cloth.astype(np.float32))


def grid_faces(rows: int, columns: int) -> np.ndarray:
    """Triangles (M, 3) of a grid whose columns run to the person's left seen from the front and rows downwards."""
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    return np.concatenate([np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)])


def _hull(body: np.ndarray, levels: np.ndarray, angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centres (R, 2) as x, z and radii (R, A) of the convex hull of the body near each level."""
    directions = np.stack([np.sin(angles), np.cos(angles)])
    step = abs(levels[1] - levels[0])
    support = np.full((len(levels), len(angles)), -np.inf)
    bins = np.rint((levels[0] - body[:, 1]) / step).astype(int)
    chosen = (bins >= 0) & (bins < len(levels))
    order = np.argsort(bins[chosen], kind="stable")
    used, starts = np.unique(bins[chosen][order], return_index=True)
    flat = body[chosen][order][:, [0, 2]]
    support[used] = np.maximum.reduceat(flat @ directions, starts, axis=0)
    support[: used[0]] = support[used[0]]  # no vertex happens to lie at the top
    for row in range(used[0] + 1, len(levels)):
        if not np.isfinite(support[row, 0]):
            support[row] = support[row - 1]
    spread = support.copy()
    spread[2:-1] = np.maximum(support[2:-1], np.maximum(support[1:-2], support[3:]))
    support = 0.5 * (support + spread)
    half = len(angles) // 2
    quarter = len(angles) // 4
    middle = 0.5 * (support - np.roll(support, half, 1))
    centre = np.stack([middle[:, quarter + half], middle[:, half]], 1)
    turn = np.stack([directions[:, quarter + half], directions[:, half]])
    centre = centre @ turn
    centred = support - centre @ directions
    cosine = np.cos(angles[:, None] - angles[None])
    ahead = cosine > 0.05
    # Not times infinity where it is behind: one vertex alone spans nothing, and 0 times infinity is no number.
    distances = np.where(ahead, centred[:, None, :] * (1 / np.where(ahead, cosine, 1.0)), np.inf)
    return centre, distances.min(2)


def _let_fall(radius: np.ndarray, levels: np.ndarray, flare: float) -> np.ndarray:
    """Cloth hangs from every row: the next is as wide at least, plus `flare` per metre of fall (below 0 it narrows)."""
    out = radius.copy()
    for row in range(1, len(out)):
        drop = levels[row - 1] - levels[row]
        falling = out[row - 1] + drop * flare
        out[row] = np.maximum(out[row], falling)
    out[1:-1] = 0.25 * out[:-2] + 0.5 * out[1:-1] + 0.25 * out[2:]
    return out
