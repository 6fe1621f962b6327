"""A dressed body ready to be posed: inflated rest vertices, skin weights, attributes of every triangle corner."""

from dataclasses import dataclass

import numpy as np

from input_pipeline.mannequins.body.asset import BODY, Asset
from input_pipeline.mannequins.body.skinning import Posed, shape_vertices, vertex_normals
from input_pipeline.mannequins.clothes import drape, hair
from input_pipeline.mannequins.clothes.wardrobe import ANKLE, HIP, KNEE, Look

SKIN, EYE, HAIR, SHEET = range(4)
BIAS = np.array([0.0, 0.0, 0.018, 0.004], np.float32)
"""Depth added to each layer: hair hides the ears it falls over, hanging cloth the body beneath."""
CHANNELS = 8
"""Corner attributes: canonical x, y, z; arm coordinate; cloth u, v; openness; lips, or minus the ears."""
HAIRLINE_DEGREES = (0, 25, 42, 55, 68, 78, 88, 98, 110, 130, 180)
HAIRLINE_Y = (1.004, 1.001, 0.990, 0.972, 0.945, 0.926, 0.930, 0.918, 0.892, 0.866, 0.846)
"""Height of the hairline on the mean head by the angle from the front, seen from above."""


@dataclass(frozen=True)
class Mesh:
    """A posed figure: vertices and normals (V, 3), faces (T, 3), layer (T,) SKIN.. or SHEET + number of the skirt,
    corners (3, T, 8) fixed attributes, bias (T,) metres added to the depth."""

    vertices: np.ndarray
    normals: np.ndarray
    faces: np.ndarray
    layer: np.ndarray
    corners: np.ndarray
    bias: np.ndarray


def scalp(point: np.ndarray, shift: float, fringe: bool) -> np.ndarray:
    """Signed distance (N,) of canonical points (N, 3) above the hairline, metres, positive under hair."""
    heights = np.array(HAIRLINE_Y) + shift
    if fringe:
        heights[:4] -= (0.036, 0.034, 0.026, 0.012)
    degrees = np.degrees(np.arctan2(np.abs(point[:, 0]), point[:, 2] - 0.05))
    return point[:, 1] - np.interp(degrees, HAIRLINE_DEGREES, heights)


class Figure:
    """A person's dressed body. Everything that does not depend on the pose is worked out here, once."""

    def __init__(self, asset: Asset, coefficients: np.ndarray, look: Look, rng: np.random.Generator):
        self._asset, self._look, self.bones = asset, look, asset.bones
        bare = shape_vertices(asset, coefficients)
        self.rest = bare + vertex_normals(bare, asset.faces) * self._thickness()[:, None]
        shod, shoe_normals = _wear_shoes(self.rest, bare, asset)
        self.scale = float(bare[:, 1].max() - bare[:, 1].min()) / float(np.ptp(asset.mean[:, 1]))
        locks = hair.grow(look.hair, asset, bare, rng)
        normals = [vertex_normals(self.rest, asset.faces), *(lock.normals for lock in locks)]
        normals[0][shod] = shoe_normals
        self._vertices = np.concatenate([self.rest, *(lock.vertices for lock in locks)]).astype(np.float32)
        self._normals = np.concatenate(normals)
        self._weights = np.concatenate([asset.weights, *(lock.weights for lock in locks)])
        offsets = np.cumsum([len(self.rest), *(len(lock.vertices) for lock in locks)])
        self._faces = np.concatenate([asset.faces, *(k.faces + o for k, o in zip(locks, offsets, strict=False))])
        body_layer = np.where(asset.kind[asset.faces[:, 0]] == BODY, SKIN, EYE)
        self._layer = np.concatenate([body_layer, *(np.full(len(lock.faces), HAIR) for lock in locks)])
        self._corners = np.concatenate([self._body_corners(shod), *map(_lock_corners, locks)], 1)
        self._lower = (asset.kind == BODY) & (asset.arm < -0.15) & (asset.mean[:, 1] < 0.6)

    def _thickness(self) -> np.ndarray:
        """How far clothes and short hair lift the surface (V,), metres."""
        asset, look = self._asset, self._look
        point, arm = asset.mean, asset.arm
        thick = np.zeros(len(point), np.float32)
        if look.bottom is not None:
            bottom = look.bottom
            ramp = np.clip((HIP - 0.1 - point[:, 1]) / (HIP - 0.1 - min(bottom.hem, KNEE)), 0, 1)
            ease = bottom.ease + ramp**1.5 * (bottom.flare - bottom.ease)
            thick = np.where(bottom.distance(point, arm) > 0, ease, thick)
        thick = np.maximum(thick, np.where(point[:, 1] < look.shoe.top, 0.006, 0.0))
        top = look.top
        sleeve = 1 + 0.9 * np.clip(arm / max(top.sleeve, 0.3), 0, 1.2) * (top.sleeve < 1.0) * (top.sleeve > 0)
        covered = np.clip(top.distance(point, arm) / 0.012 + 0.6, 0, 1)
        thick = np.maximum(thick, covered * top.ease * np.where(arm > 0, sleeve, 1.0))
        above = scalp(point, look.hair.hairline, look.hair.fringe)
        head = (asset.kind == BODY) & (point[:, 1] > 0.8) & (asset.ears < 0.2)
        grown = np.clip(above / 0.03, 0, 1) * look.hair.volume + 0.003 * (above > 0)
        return np.where(head & (above > 0), grown, thick).astype(np.float32)

    def _body_corners(self, shod: np.ndarray) -> np.ndarray:
        asset, openness = self._asset, self._asset.openness.copy()
        openness[shod] = 0.9
        per_vertex = np.column_stack(
            [asset.mean, asset.arm, np.zeros((len(asset.mean), 2)), openness, asset.lips - asset.ears]
        )
        corners = per_vertex[asset.faces].astype(np.float32)
        corners[:, :, 4:6] = asset.cloth
        return corners.transpose(1, 0, 2)

    def pose(self, posed: Posed) -> Mesh:
        """The figure in a pose, hanging cloth included; axes are the person's own."""
        vertices = posed.move(self._vertices, self._weights)
        normals = posed.turn(self._normals, self._weights)
        parts = [(vertices, normals, self._faces, self._layer, self._corners)]
        root = posed.rotation[self._asset.bones["root"]]
        yaw = float(np.arctan2(root[0, 2], root[2, 2]))
        lower = vertices[: len(self.rest)][self._lower]
        canonical = self._asset.mean[self._lower]
        offset = len(vertices)
        for number, skirt in enumerate(self._look.skirts):
            sheet = drape.hang(skirt, lower, canonical, self.scale, yaw)
            parts.append(
                (
                    sheet.vertices,
                    sheet.normals,
                    sheet.faces + offset,
                    np.full(len(sheet.faces), SHEET + number),
                    _sheet_corners(sheet),
                )
            )
            offset += len(sheet.vertices)
        vertices, normals, faces, layer = (np.concatenate([part[i] for part in parts]) for i in range(4))
        corners = np.concatenate([part[4] for part in parts], 1)
        return Mesh(vertices, normals, faces, layer, corners, BIAS[np.minimum(layer, SHEET)])


def _lock_corners(lock: hair.Lock) -> np.ndarray:
    per_vertex = np.zeros((len(lock.vertices), CHANNELS), np.float32)
    per_vertex[:, 1] = 1.0
    per_vertex[:, 3] = -0.3
    per_vertex[:, 4:6] = lock.strand
    per_vertex[:, 6] = lock.openness
    return per_vertex[lock.faces].transpose(1, 0, 2)


def _sheet_corners(sheet: drape.Sheet) -> np.ndarray:
    per_vertex = np.zeros((len(sheet.vertices), CHANNELS), np.float32)
    per_vertex[:, :3] = sheet.canonical
    per_vertex[:, 3] = -0.3
    per_vertex[:, 4:6] = sheet.cloth
    per_vertex[:, 6] = 0.94
    return per_vertex[sheet.faces].transpose(1, 0, 2)


def _wear_shoes(rest: np.ndarray, bare: np.ndarray, asset: Asset) -> tuple[np.ndarray, np.ndarray]:
    """Rounds the forefoot of each foot of `rest` in place to the shape of a shoe, so that no toes show.

    Returns the vertices of the forefoot (F,) and smooth normals (F, 3) that do not know of the toes beneath.
    """
    indices, normals = [], []
    for sign in (1.0, -1.0):
        foot = np.flatnonzero((asset.kind == BODY) & (asset.mean[:, 0] * sign > 0) & (asset.mean[:, 1] < ANKLE + 0.02))
        points = bare[foot]
        sole = points[:, 1].min()
        heel, toe = points[points[:, 2].argmin()], points[points[:, 2].argmax()]
        axis = np.array([toe[0] - heel[0], 0, toe[2] - heel[2]])
        length = np.linalg.norm(axis)
        axis /= length
        across = np.array([axis[2], 0, -axis[0]])
        along, sideways = (points - heel) @ axis / length, (points - heel) @ across
        ball = np.abs(along - 0.68) < 0.12
        middle = 0.5 * (sideways[ball].min() + sideways[ball].max())
        forward = np.clip((along - 0.5) / 0.55, 0, 1)
        rounding = np.sqrt(np.clip(1 - forward**2.6, 0.0, 1)) * 0.96 + 0.04
        width = (0.5 * np.ptp(sideways[ball]) + 0.006) * rounding
        tall = (0.046 - 0.02 * forward) * np.sqrt(rounding)
        u, v = (sideways - middle) / width, (points[:, 1] - sole - 0.9 * tall) / tall
        stretch = 1 / np.maximum((np.abs(u) ** 2.5 + np.abs(v) ** 2.5) ** 0.4, 0.2)
        u, v = u * stretch, v * stretch
        shod = heel + np.outer(along * length * 1.02, axis) + np.outer(middle + u * width, across)
        shod[:, 1] = sole + 0.9 * tall + v * tall
        blend = np.clip((along - 0.5) / 0.2, 0, 1)[:, None]
        rest[foot] = (1 - blend) * rest[foot] + blend * shod
        outward = np.outer(u, across) + np.outer(v, (0, 1, 0)) + np.outer(0.3 + forward**3, axis)
        round_part = blend[:, 0] > 0.5
        indices.append(foot[round_part])
        normals.append(outward[round_part] / np.linalg.norm(outward[round_part], axis=1, keepdims=True))
    return np.concatenate(indices), np.concatenate(normals).astype(np.float32)
