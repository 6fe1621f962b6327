"""The body of a person: shape from components, forward kinematics, linear blend skinning; metres, y up, z ahead."""

import math
from dataclasses import dataclass

import numpy as np

from input_pipeline.mannequins.body.asset import Asset


def rotation(axis: tuple[float, float, float] | np.ndarray, degrees: float) -> np.ndarray:
    """Rotation matrix (3, 3) about an axis by the right-hand rule (Rodrigues)."""
    x, y, z = (float(part) for part in axis)
    length = math.sqrt(x * x + y * y + z * z)
    x, y, z = x / length, y / length, z / length
    s, c = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    k = 1 - c
    return np.array(
        [
            [c + k * x * x, k * x * y - s * z, k * x * z + s * y],
            [k * x * y + s * z, c + k * y * y, k * y * z - s * x],
            [k * x * z - s * y, k * y * z + s * x, c + k * z * z],
        ]
    )


def shape_vertices(asset: Asset, coefficients: np.ndarray) -> np.ndarray:
    """Rest vertices (V, 3) of a body from its component coefficients (K,)."""
    return asset.mean + np.tensordot(coefficients, asset.shapes, 1).astype(np.float32)


def shape_heads(asset: Asset, coefficients: np.ndarray) -> np.ndarray:
    """Bone heads (B, 3) of a body from its component coefficients (K,)."""
    return asset.heads + np.tensordot(coefficients, asset.head_shapes, 1)


def vertex_normals(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Area-weighted unit vertex normals (V, 3) of triangles (T, 3)."""
    a, b, c = (points[faces[:, i]] for i in range(3))
    cross = np.cross(b - a, c - a)
    normal = np.stack(
        [np.bincount(faces.ravel(), np.repeat(cross[:, k], 3), minlength=len(points)) for k in range(3)], 1
    )
    return (normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)).astype(np.float32)


@dataclass(frozen=True)
class Posed:
    """World transforms of the bones: rotation (B, 3, 3) and translation (B, 3) from rest, and moved heads (B, 3)."""

    rotation: np.ndarray
    translation: np.ndarray
    heads: np.ndarray

    def move(self, points: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Linear blend skinning of rest points (V, 3) by weights (V, B)."""
        matrices = np.concatenate([self.rotation, self.translation[:, :, None]], 2).reshape(len(self.rotation), 12)
        blend = (weights @ matrices.astype(np.float32)).reshape(-1, 3, 4)
        return _apply(blend[:, :, :3], points) + blend[:, :, 3]

    def turn(self, normals: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Unit normals (V, 3) carried along by the blended rotations."""
        blend = (weights @ self.rotation.reshape(-1, 9).astype(np.float32)).reshape(-1, 3, 3)
        turned = _apply(blend, normals)
        return turned / np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), 1e-6)


def _apply(matrices: np.ndarray, points: np.ndarray) -> np.ndarray:
    """One matrix (V, 3, 3) per point (V, 3)."""
    x, y, z = points[:, :1], points[:, 1:2], points[:, 2:]
    return matrices[:, :, 0] * x + matrices[:, :, 1] * y + matrices[:, :, 2] * z


def pose_bones(heads: np.ndarray, parents: tuple[int, ...], local: np.ndarray) -> Posed:
    """Forward kinematics: local (B, 3, 3) turns each bone, with its children, about its head, in rest axes."""
    rotations, translations = np.zeros((len(heads), 3, 3)), np.zeros((len(heads), 3))
    for bone, parent in enumerate(parents):
        above = rotations[parent] if parent >= 0 else np.eye(3)
        shift = translations[parent] if parent >= 0 else np.zeros(3)
        rotations[bone] = above @ local[bone]
        translations[bone] = above @ heads[bone] + shift - rotations[bone] @ heads[bone]
    moved = np.einsum("bij,bj->bi", rotations, heads) + translations
    return Posed(rotations, translations, moved)
