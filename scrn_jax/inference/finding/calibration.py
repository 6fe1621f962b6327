"""BlazePose's joints moved to where the embedded people have theirs: its shoulders lie higher, its hips elsewhere.

A network of two hidden layers sees all 33 points in the body's own frame (from the shoulders' middle, trunk downwards
and 1 long) with their visibility, and says how far each joint is from its place; so it also mends a joint that does not
fit the others. Trained on rendered people by tools/fit_joints.py. Points are (x, y) with edges at 0, as in `blazepose`;
joints (y, x) with pixel centres at integers.
"""

import functools
from collections.abc import Mapping
from importlib import resources
from typing import Any

import numpy as np

from scrn_jax.errors import UserError
from scrn_jax.inference import packing
from scrn_jax.inference.finding.blazepose import Body
from scrn_jax.person import joints as joints_lib

WEIGHTS = "joints.npz"
POINTS, INPUTS = 33, 3  # inputs of a point: down and across the trunk, visibility
# Left and right of BlazePose's points: inner, middle and outer eye of both sides, then pair after pair.
MIRROR = np.array([0, 4, 5, 6, 1, 2, 3, *(side for n in range(7, POINTS, 2) for side in (n + 1, n))])
_SHOULDERS, _HIPS = [11, 12], [23, 24]


def body_frames(points_NxPx2: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The frames of N bodies: origins (N, 2) and axes (N, 2, 2), down and across the trunk as rows, all (y, x) in
    pixels with centres at integers; lengths (N,) of the trunks, at least a pixel.
    """
    places = points_NxPx2[..., ::-1] - 0.5
    origin = places[:, _SHOULDERS].mean(1)
    trunk = places[:, _HIPS].mean(1) - origin
    length = np.maximum(np.hypot(*trunk.T), 1.0)
    down = trunk / length[:, None]
    return origin, np.stack([down, np.stack([-down[:, 1], down[:, 0]], -1)], 1), length


def inputs(points_NxPx2: np.ndarray, visibility_NxP: np.ndarray) -> np.ndarray:
    """What the network sees of N bodies: float32 (N, POINTS, INPUTS)."""
    origin, axes, length = body_frames(points_NxPx2)
    places = points_NxPx2[..., ::-1] - 0.5 - origin[:, None]
    local = np.einsum("nij,npj->npi", axes, places) / length[:, None, None]
    return np.concatenate([local, visibility_NxP[..., None]], -1).astype(np.float32)


def mirrored(inputs_NxPxI):
    """The same bodies with left and right in each other's place."""
    return inputs_NxPxI[:, MIRROR] * np.float32([1, -1, 1])


def moves(params: Mapping[str, Any], inputs_NxPxI):
    """How far each joint is from its place, (N, 18, 2): down and across, in trunks. NumPy's and JAX's arrays alike.

    `params`: kernel_i (in, out) and bias_i of the three layers; between them ReLU.
    """
    x = inputs_NxPxI.reshape(len(inputs_NxPxI), -1)
    for layer in range(3):
        x = x if layer == 0 else x * (x > 0)
        x = x @ params[f"kernel_{layer}"] + params[f"bias_{layer}"]
    return x.reshape(len(x), joints_lib.NUM_JOINTS, 2)


@functools.cache
def shipped() -> dict[str, np.ndarray]:
    """The parameters that come with the package. Raises UserError when their file is missing or damaged."""
    try:
        params = packing.unpack((resources.files("scrn_jax.inference") / "assets" / WEIGHTS).read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"scrn_jax/inference/assets/{WEIGHTS}: {error}; install scrn_jax anew") from error
    return {name: np.asarray(value, np.float32) for name, value in params.items()}


def calibrated(joints_Jx2: np.ndarray, body: Body, params: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
    """Joints float32 (18, 2) of a body as the embedded people have them; missing ones stay missing.

    A body and its mirror image are treated alike. `params`: see `moves`; by default those that come with the package.
    """
    params = shipped() if params is None else params
    seen = inputs(body.points[None], body.visibility[None])
    ours, theirs = (moves(params, each)[0] for each in (seen, mirrored(seen)))
    moved = (ours + theirs[joints_lib.MIRROR] * np.float32([1, -1])) / 2
    _, axes, length = body_frames(body.points[None])
    found = joints_Jx2 + moved @ axes[0] * length[0]
    return np.where(joints_lib.present(joints_Jx2)[:, None], found, joints_lib.MISSING).astype(np.float32)
