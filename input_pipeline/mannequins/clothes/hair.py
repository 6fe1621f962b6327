"""Hanging hair: a double-sided shell from the crown to the back, a tail or a bun, built on the person's own head."""

from dataclasses import dataclass

import numpy as np

from input_pipeline.mannequins.body.asset import BODY, Asset
from input_pipeline.mannequins.body.skinning import vertex_normals
from input_pipeline.mannequins.clothes.drape import grid_faces
from input_pipeline.mannequins.clothes.wardrobe import Hair

SKULL_FROM = 0.965
CROWN_ROWS, FALL_ROWS, COLUMNS = 8, 16, 41
REACH = np.radians(100)


@dataclass(frozen=True)
class Lock:
    """A piece of hair at rest: vertices and normals (N, 3), faces (M, 3), weights (N, B), strand coordinates (N, 2)
    in metres, openness (N,)."""

    vertices: np.ndarray
    normals: np.ndarray
    faces: np.ndarray
    weights: np.ndarray
    strand: np.ndarray
    openness: np.ndarray


@dataclass(frozen=True)
class _Skull:
    centre: np.ndarray
    radius: np.ndarray


def grow(hair: Hair, asset: Asset, rest: np.ndarray, rng: np.random.Generator) -> list[Lock]:
    """The hanging parts of a hair style on a body at rest (V, 3); an empty list for short hair."""
    top = rest[(asset.kind == BODY) & (asset.mean[:, 1] > SKULL_FROM)]
    low, high = top.min(0), top.max(0)
    centre = np.array([0.0, low[1], 0.5 * (low[2] + high[2])])
    skull = _Skull(centre, np.array([high[0], high[1] - low[1], 0.5 * (high[2] - low[2])]))
    trunk = rest[(asset.kind == BODY) & (asset.arm < 0.15) & (asset.mean[:, 1] > 0.2) & (asset.mean[:, 1] < 0.84)]
    if hair.style == "loose":
        return [_shell(hair, asset, skull, trunk, rng)]
    if hair.style == "tail":
        return [_tail(hair, asset, skull, trunk)]
    if hair.style == "bun":
        return [_bun(asset, skull, rng)]
    return []


def _shell(hair: Hair, asset: Asset, skull: _Skull, trunk: np.ndarray, rng: np.random.Generator) -> Lock:
    theta = np.linspace(-REACH, REACH, COLUMNS)
    polar = np.radians(np.linspace(14, 90, CROWN_ROWS))
    out = np.stack([np.sin(theta), np.zeros(COLUMNS), -np.cos(theta)], 1)
    swell = skull.radius * (1.10, 1.02, 1.05) + hair.volume + 0.004
    cap = (np.sin(polar)[:, None, None] * out * swell + np.cos(polar)[:, None, None] * [0, swell[1], 0]) + skull.centre
    hem = 1 - 0.14 * (np.abs(theta) / REACH) ** 2 + 0.015 * np.sin(5 * theta + rng.uniform(0, 6))
    length = (hair.length + 0.06) * hem
    share = np.linspace(0, 1, FALL_ROWS + 1)[1:, None]
    fall = np.repeat(cap[-1][None], FALL_ROWS, 0)
    fall[..., 1] -= share * length
    # Towards the tips hair closes in behind the neck and gathers into locks.
    close = 1 - 0.06 * share**0.7 - 0.14 * share**6
    locks = 1 + 0.035 * share * np.sin(11 * theta + rng.uniform(0, 6) + 1.5 * share) * np.sin(4 * theta)
    fall[..., 0] *= close * locks
    fall[..., 2] = skull.centre[2] + (fall[..., 2] - skull.centre[2]) * (1 - 0.12 * share**0.7) * locks
    _clear_body(fall, trunk)
    points = np.concatenate([cap, fall])
    along = np.concatenate([polar * 0.1, polar[-1] * 0.1 + share[:, 0] * hair.length])
    strand = np.stack(np.broadcast_arrays(theta[None] * 0.1, along[:, None]), -1).reshape(-1, 2)
    return _finish(asset, points.reshape(-1, 3), grid_faces(*points.shape[:2])[:, ::-1], strand, two_sided=True)


def _clear_body(points: np.ndarray, trunk: np.ndarray) -> None:
    """Moves falling hair (R, C, 3) behind the back where it would enter the trunk."""
    flat = points.reshape(-1, 3)
    near = np.linalg.norm(flat[:, None, :2] - trunk[None, :, :2], axis=2) < 0.03
    back = np.where(near, trunk[None, :, 2], np.inf).min(1).reshape(points.shape[:2])
    z = points[..., 2]
    z[:] = np.minimum(z, back - 0.014)
    for _ in range(3):
        z[1:-1] = 0.25 * z[:-2] + 0.5 * z[1:-1] + 0.25 * z[2:]


def _tail(hair: Hair, asset: Asset, skull: _Skull, trunk: np.ndarray) -> Lock:
    rows, columns = 14, 13
    share = np.linspace(0, 1, rows)
    start = skull.centre + [0, 0.035, -skull.radius[2] + 0.005]
    length = min(hair.length, 0.36) + 0.06
    spine = start + np.stack(
        [
            np.zeros(rows),
            0.02 * np.sin(share * 9).clip(0) - length * share**1.2,
            -0.05 * np.sqrt(share) * (1.2 - share),
        ],
        1,
    )
    radius = np.interp(share, [0, 0.08, 0.3, 0.75, 1], [0.012, 0.024, 0.034, 0.026, 0.004])
    near = np.linalg.norm(spine[:, None, :2] - trunk[None, :, :2], axis=2) < 0.04
    back = np.where(near, trunk[None, :, 2], np.inf).min(1)
    spine[:, 2] = np.minimum(spine[:, 2], back - radius * 0.8 - 0.006)
    angle = np.linspace(-np.pi, np.pi, columns)
    ring = np.stack([np.sin(angle), np.zeros(columns), np.cos(angle)], 1)
    points = spine[:, None] + radius[:, None, None] * ring[None]
    strand = np.stack(np.broadcast_arrays(angle[None] * 0.05, (share * length)[:, None]), -1).reshape(-1, 2)
    return _finish(asset, points.reshape(-1, 3), grid_faces(rows, columns), strand, two_sided=False)


def _bun(asset: Asset, skull: _Skull, rng: np.random.Generator) -> Lock:
    rows, columns = 10, 17
    lift = rng.uniform(0.2, 1.0)
    towards = np.array([0.0, lift, -1.0]) / np.hypot(1, lift)
    centre = skull.centre + towards * skull.radius * 1.02 + towards * 0.02
    size = rng.uniform(0.034, 0.046)
    polar, angle = np.linspace(0.02, np.pi - 0.02, rows), np.linspace(-np.pi, np.pi, columns)
    ball = np.stack(
        np.broadcast_arrays(
            np.sin(polar)[:, None] * np.sin(angle),
            np.cos(polar)[:, None] * 0.85,
            np.sin(polar)[:, None] * np.cos(angle),
        ),
        -1,
    )
    strand = np.stack(np.broadcast_arrays(angle[None] * 0.05 + polar[:, None] * 0.04, polar[:, None] * 0.05), -1)
    points = (centre + size * ball).reshape(-1, 3)
    return _finish(asset, points, grid_faces(rows, columns), strand.reshape(-1, 2), two_sided=False)


def _finish(asset: Asset, points: np.ndarray, faces: np.ndarray, strand: np.ndarray, two_sided: bool) -> Lock:
    """Adds normals, skin weights (head above, chest below the shoulders) and, for a shell, its darker inner side."""
    shoulder, chin = asset.heads[asset.bones["arm.L"], 1] - 0.06, 0.80
    on_head = np.clip((points[:, 1] - shoulder) / (chin - shoulder), 0, 1)
    on_head = on_head * on_head * (3 - 2 * on_head)
    weights = np.zeros((len(points), len(asset.bones)), np.float32)
    weights[:, asset.bones["head"]] = on_head
    weights[:, asset.bones["chest"]] = 1 - on_head
    normals = vertex_normals(points, faces)
    openness = np.full(len(points), 0.95, np.float32)
    if two_sided:
        faces = np.concatenate([faces, faces[:, ::-1] + len(points)])
        points, normals = np.concatenate([points, points - normals * 0.002]), np.concatenate([normals, -normals])
        weights, strand = np.tile(weights, (2, 1)), np.tile(strand, (2, 1))
        openness = np.concatenate([openness, openness * 0.4])
    points, strand = points.astype(np.float32), strand.astype(np.float32)
    return Lock(points, normals, faces.astype(np.int32), weights, strand, openness)
