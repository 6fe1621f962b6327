"""Reads the rigged human of `asset.npz` and derives what never changes: part, arm and cloth coordinates of its surface.

All coordinates are metres, x to the person's left, y up, z to the front. "Canonical" means the mean body in its rest
pose: garments and patterns are defined there, so they stick to the surface whatever the body and the pose.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scrn_jax.errors import UserError

ASSET = Path(__file__).with_name("asset.npz")
BODY, LEFT_EYE, RIGHT_EYE = 0, 1, 2
TRUNK, HEAD, LEG_L, LEG_R, ARM_L, ARM_R = range(6)
ARM_CHAIN = ("arm", "forearm", "hand")
TRUNK_RADIUS, TRUNK_FLATNESS = 0.14, 1.6
"""The trunk is an ellipse 1.6 times as wide as deep; cloth runs around it evenly, as around a circle of 0.14 m."""


@dataclass(frozen=True)
class Asset:
    """The rigged human; V vertices, T triangles, B bones, K shape components, N bodies.

    mean (V, 3) canonical vertices; shapes (K, V, 3) metres per standard deviation; heads (B, 3) and head_shapes
    (K, B, 3) likewise for the bone heads; bank (N, K) shape coefficients of sampled bodies with gender (N,), 1 = woman;
    faces (T, 3); kind (V,) BODY or an eye; weights (V, B) sum to 1; lips, ears, lids, openness (V,) in 0..1;
    arm (V,) -0.3 on the trunk, 0 shoulder, 1 elbow, 2 wrist; part (T,) TRUNK..ARM_R;
    cloth (T, 3, 2) metres around and along the part at each triangle corner; bones: name -> index; parents (B,).
    """

    mean: np.ndarray
    shapes: np.ndarray
    heads: np.ndarray
    head_shapes: np.ndarray
    bank: np.ndarray
    gender: np.ndarray
    faces: np.ndarray
    kind: np.ndarray
    weights: np.ndarray
    lips: np.ndarray
    ears: np.ndarray
    lids: np.ndarray
    openness: np.ndarray
    arm: np.ndarray
    part: np.ndarray
    cloth: np.ndarray
    bones: dict[str, int]
    parents: tuple[int, ...]


def _dense_weights(data: dict[str, np.ndarray], bones: int) -> np.ndarray:
    weights = np.zeros((len(data["mean"]), bones), np.float32)
    rows = np.arange(len(weights))[:, None]
    weights[rows, data["weight_bone"]] = data["weight"]
    return weights / weights.sum(1, keepdims=True)


def _arm_coordinate(mean: np.ndarray, heads: np.ndarray, weights: np.ndarray, bones: dict[str, int]) -> np.ndarray:
    """Position along the nearer arm in units of its segments, pulled to -0.3 where the trunk owns the skin."""
    arm = np.full(len(mean), -0.3, np.float32)
    for side in (".L", ".R"):
        shoulder, elbow, wrist = (heads[bones[name + side]] for name in ARM_CHAIN)
        owned = sum(weights[:, bones[n + side]] for n in ("arm", "armtwist", "forearm", "foretwist", "hand"))
        upper, lower = elbow - shoulder, wrist - elbow
        along_upper = (mean - shoulder) @ upper / (upper @ upper)
        along_lower = 1 + (mean - elbow) @ lower / (lower @ lower)
        middle = upper / np.linalg.norm(upper) + lower / np.linalg.norm(lower)
        along = np.where((mean - elbow) @ middle > 0, along_lower, along_upper)
        arm = np.where(owned > 0.01, owned * np.maximum(along, -0.3) + (1 - owned) * -0.3, arm)
    return arm.astype(np.float32)


def _triangle_parts(faces: np.ndarray, weights: np.ndarray, bones: dict[str, int]) -> np.ndarray:
    groups = (
        ("root", "spine.low", "spine.mid", "chest", "clavicle.L", "clavicle.R"),
        ("neck", "head"),
        ("thigh.L", "shin.L", "foot.L"),
        ("thigh.R", "shin.R", "foot.R"),
        ("arm.L", "armtwist.L", "forearm.L", "foretwist.L", "hand.L"),
        ("arm.R", "armtwist.R", "forearm.R", "foretwist.R", "hand.R"),
    )
    share = np.stack([weights[:, [bones[n] for n in group]].sum(1) for group in groups], 1)
    return share[faces].sum(1).argmax(1)


def _cloth_coordinates(asset: dict, heads: np.ndarray, bones: dict[str, int]) -> np.ndarray:
    """Metres around (cut at the back or the inner side) and along each part, unwrapped within a triangle: (T, 3, 2)."""
    cloth = np.zeros((len(asset["faces"]), 3, 2), np.float32)
    straight = {
        TRUNK: (
            np.array([0.0, heads[bones["root"], 1], 0.04]),
            np.array([0.0, heads[bones["chest"], 1], 0.04]),
            (0.0, 0.0, 1.0),
            TRUNK_RADIUS,
        ),
        HEAD: (heads[bones["neck"]], heads[bones["neck"]] + (0, 0.1, 0.0), (0.0, 0.0, 1.0), 0.08),
        LEG_L: (heads[bones["foot.L"]], heads[bones["thigh.L"]], (0.6, 0.0, 0.8), 0.075),
        LEG_R: (heads[bones["foot.R"]], heads[bones["thigh.R"]], (-0.6, 0.0, 0.8), 0.075),
    }
    for part, (low, high, outward, radius) in straight.items():
        faces = asset["faces"][asset["part"] == part]
        offset = asset["mean"][faces] - low
        if part == TRUNK:
            offset = offset * (1.0, 1.0, TRUNK_FLATNESS)
        up = np.broadcast_to((high - low) / np.linalg.norm(high - low), offset.shape)
        around = _unwrapped_angle(offset, up, np.array(outward)) * radius
        cloth[asset["part"] == part] = np.stack([around, (offset * up).sum(-1)], -1)
    for part, side, outward in ((ARM_L, ".L", (0.6, 0.5, 0.6)), (ARM_R, ".R", (-0.6, 0.5, 0.6))):
        faces = asset["faces"][asset["part"] == part]
        shoulder, elbow, wrist = (heads[bones[name + side]] for name in ARM_CHAIN)
        arm = asset["arm"][faces][..., None]
        axis = np.where(arm < 1, shoulder + arm * (elbow - shoulder), elbow + (arm - 1) * (wrist - elbow))
        bend = np.clip((arm - 0.7) / 0.6, 0, 1)
        up = (1 - bend) * (shoulder - elbow) + bend * (elbow - wrist)
        up = up / np.linalg.norm(up, axis=-1, keepdims=True)
        around = _unwrapped_angle(asset["mean"][faces] - axis, up, np.array(outward)) * 0.045
        cloth[asset["part"] == part] = np.stack([around, arm[..., 0] * -0.27], -1)
    return cloth


def _unwrapped_angle(offset: np.ndarray, up: np.ndarray, outward: np.ndarray) -> np.ndarray:
    """Angle (T, 3) of offsets (T, 3, 3) about the axis `up`, 0 at `outward`, without a jump inside a triangle."""
    front = outward - up * (up @ outward)[..., None]
    angle = np.arctan2((offset * np.cross(up, front)).sum(-1), (offset * front).sum(-1))
    return angle - 2 * np.pi * np.rint((angle - angle[:, :1]) / (2 * np.pi))


@functools.lru_cache(maxsize=1)
def load() -> Asset:
    """The asset, read once per process. Raises UserError when the file is missing or unreadable."""
    try:
        with np.load(ASSET, allow_pickle=False) as archive:
            data = dict(archive)
    except (OSError, ValueError) as error:
        raise UserError(f"{ASSET}: cannot read the embedded human ({error}); reinstall the package") from error
    steps = data["shape_steps"][:, None, None]
    shapes = np.concatenate([data["shapes_wide"].astype(np.float32), data["shapes_narrow"].astype(np.float32)]) * steps
    bones = {str(name): i for i, name in enumerate(data["bone_names"])}
    weights = _dense_weights(data, len(bones))
    faces = data["faces"].astype(np.int32)
    mean, heads = data["mean"] * data["mean_step"], data["heads_mean"]
    derived = {"mean": mean, "faces": faces, "arm": _arm_coordinate(mean, heads, weights, bones)}
    derived["part"] = _triangle_parts(faces, weights, bones)
    lips, ears, lids, openness = data["masks"].T.astype(np.float32) / 255
    return Asset(
        shapes=shapes,
        heads=heads,
        head_shapes=data["heads_shapes"],
        bank=data["bank"],
        gender=data["bank_gender"],
        kind=data["kind"],
        weights=weights,
        lips=lips,
        ears=ears,
        lids=lids,
        openness=openness,
        bones=bones,
        cloth=_cloth_coordinates(derived, heads, bones),
        parents=tuple(int(p) for p in data["bone_parents"]),
        **derived,
    )
