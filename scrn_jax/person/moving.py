"""The source's pixels taken along by the body, for pictures that people look at.

Models have learned with `paint.carry`, which therefore stays as it is. What is different here:

- a torso seen from the other side is the source's, mirrored, and one whose hips are not shown goes by its shoulders;
- a dress or a skirt moves as one piece, by hips and knees, not with the legs;
- what the source hides of a limb or of one half is the other one's, mirrored;
- where parts take a pixel from nearly the same place, it comes from in between, so that prints go on across joints.

All arrays are float32; positions and joints are (y, x) in pixels with pixel centres at integers, missing joints
(-1, -1).
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scrn_jax.person import body, joints, paint, regions

_NECK, _RIGHT_SHOULDER, _LEFT_SHOULDER, _HIPS, _KNEES = 1, 2, 5, (8, 11), (9, 12)
# Of the parts of `body` and the skirt, which is the last.
_IS_LEG = np.array([0, *(limb[0] in (*_HIPS, *_KNEES) for limb in body.LIMBS), 0], np.float32)
_IS_SKIRT = np.eye(body.PARTS + 1, dtype=np.float32)[-1]
_DRESS, _PANTS = regions.NAMES.index("dress"), regions.NAMES.index("pants")
# Half widths that a pixel of a skirt goes further for the skirt's part, and one of something else for another: less
# than for the right region.
_KIND = 3.0
_MIRRORED = 1.0  # and not to take it from the body's other half
_SHARPNESS = 3.0  # how fast parts lose their say with each half width that they are farther than the nearest
_NEAR = 0.02  # of the frame's height: so near to each other are places that are mixed
# Scatters, as shares of the frame's height, that weigh as much as that of the joints does: a torso seen from the side
# is a line, and knees that spread do not stretch a skirt's print.
_TORSO_STIFFNESS, _SKIRT_STIFFNESS = 1 / 13, 4 / 13
# How much a part is narrowed or shortened in the source, where nothing and where all of it is taken along: a print that
# is seen from the side would be stretched.
_TOO_NARROW, _WIDE_ENOUGH = 0.3, 0.6
_THIGH, _ACROSS = 2 / 3, 7  # how far down the thighs, and at how many points between them, trousers show a gap
_einsum = partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)


def move(maps_BxHxWxC, masks_BxHxWxR, source_pose_Bx18x2, target_pose_Bx18x2, parsing_BxHxWxR):
    """The source's maps where the body takes them, and how far each pixel is known.

    Args:
      maps_BxHxWxC: whatever is known of the source's pixels; masks_BxHxWxR: its regions, shares or one-hot, or all 0
        where they are unsure.
      parsing_BxHxWxR: the target's regions, a distribution; see `paint.sharpen`.

    Returns:
      maps (B, H, W, C), anything where nothing is known, and weight (B, H, W, 1) in [0, 1].
    """
    height, width = masks_BxHxWxR.shape[1:3]
    labels = masks_BxHxWxR.argmax(-1)
    positions, distances, width_BxP = part_map(source_pose_Bx18x2, target_pose_Bx18x2, height, width)
    nearest = jnp.round(positions).astype(jnp.int32)
    agreeing = paint.agreement(labels, parsing_BxHxWxR, nearest[..., 0], nearest[..., 1])
    closed = _is_closed(masks_BxHxWxR, source_pose_Bx18x2) & _is_closed(parsing_BxHxWxR, target_pose_Bx18x2)
    skirt = parsing_BxHxWxR[..., _DRESS] + closed[:, None, None] * parsing_BxHxWxR[..., _PANTS]
    wrong = jnp.tile(skirt[..., None] * _IS_LEG + (1 - skirt[..., None]) * _IS_SKIRT, 2)
    cost = distances + paint.DETOUR * (1 - agreeing) + _KIND * wrong
    own, other = jnp.split(cost, 2, -1)
    # What is unsure in the source, an outline, is not hidden there.
    y, x = jnp.moveaxis(body.of_part(nearest, own.argmin(-1)), -1, 0)
    unsure = body.inside(jnp.stack([y, x], -1), height, width)
    unsure &= body.gather(masks_BxHxWxR.sum(-1, keepdims=True), y, x)[..., 0] < 0.5
    cost = jnp.concatenate([own, other + _MIRRORED + paint.DETOUR * unsure[..., None]], -1)
    part = cost.argmin(-1)
    at = body.of_part(positions, part)
    apart = ((positions - at[..., None, :]) ** 2).sum(-1) / (_NEAR * height) ** 2
    share = jax.nn.softmax(-_SHARPNESS * cost - 0.5 * apart)
    at = _einsum("bhwp,bhwpk->bhwk", share, positions)
    total, weight = paint.take(maps_BxHxWxC, labels, parsing_BxHxWxR, at)
    shown = jnp.take_along_axis(distances, part[..., None], 3) < body.FAR
    wide = (_einsum("bhwp,bp->bhw", share, width_BxP) - _TOO_NARROW) / (_WIDE_ENOUGH - _TOO_NARROW)
    return total / jnp.maximum(weight, 1e-6), jnp.sqrt(weight) * shown * jnp.clip(wide, 0, 1)[..., None]


def part_map(source_pose_Bx18x2, target_pose_Bx18x2, height: int, width: int):
    """As `body.part_map`, with another torso, and the part of a skirt behind; then all of them mirrored.

    Returns:
      positions (B, H, W, 2 (PARTS + 1), 2) and distances (B, H, W, 2 (PARTS + 1)), and the width of each part in the
      source as a share of that in the target, bodies being of one size: (B, 2 (PARTS + 1)); of limbs it is their
      length.
    """
    own = _part_map(source_pose_Bx18x2, target_pose_Bx18x2, height, width)
    at, far, least = _part_map(_mirrored(source_pose_Bx18x2, width), target_pose_Bx18x2, height, width)
    mirrored = at * jnp.array([1.0, -1.0]) + jnp.array([0.0, width - 1.0]), far, least
    return tuple(jnp.concatenate(both, axis) for *both, axis in zip(own, mirrored, (3, 3, 1), strict=True))


def _part_map(source_pose_Bx18x2, target_pose_Bx18x2, height: int, width: int):
    """`part_map` without what is mirrored."""
    positions, distances = body.part_map(source_pose_Bx18x2, target_pose_Bx18x2, height, width)
    bodies = _bodies(source_pose_Bx18x2, target_pose_Bx18x2, height)
    grid = jnp.stack(jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij"), -1).astype(jnp.float32)
    torso, torso_far, torso_width = _torso_map(bodies, grid)
    skirt, skirt_far, skirt_width = _skirt_map(bodies, grid)
    return (
        jnp.concatenate([torso[:, :, :, None], positions[:, :, :, 1:], skirt[:, :, :, None]], 3),
        jnp.concatenate([torso_far[..., None], distances[..., 1:], skirt_far[..., None]], 3),
        jnp.concatenate([torso_width[:, None], _limb_lengths(bodies), skirt_width[:, None]], 1),
    )


def _mirrored(pose_Bx18x2, width: int):
    """The joints of the mirrored picture: right ones are the left ones of before."""
    pose = pose_Bx18x2[:, joints.MIRROR].astype(jnp.float32)
    flipped = pose * jnp.array([1.0, -1.0]) + jnp.array([0.0, width - 1.0])
    return jnp.where(joints.present(pose)[..., None], flipped, joints.MISSING)


class _Bodies(NamedTuple):
    """The joints of source and target, with the head's point as the last, and how their bodies compare.

    there_Bx19: the joints that both show. scale_B: the source's body as a share of the target's. like_Bx2: how many
    times as far apart the source's points are, down and across; less than zero across where the torso's other side is
    seen. size_B: of the target's body in pixels.
    """

    source_Bx19x2: jax.Array
    target_Bx19x2: jax.Array
    there_Bx19: jax.Array
    scale_B: jax.Array
    like_Bx2: jax.Array
    size_B: jax.Array


def _bodies(source_pose_Bx18x2, target_pose_Bx18x2, height: int) -> _Bodies:
    """The bodies of two poses: their scale is that of the trunk, or else of the shoulders."""
    (source, in_source), (target, in_target) = body.with_head(source_pose_Bx18x2), body.with_head(target_pose_Bx18x2)
    there = in_source & in_target
    has_shoulders, has_trunk = _has_shoulders(there), _has_trunk(there)
    across_s, across_t = _across(source), _across(target)
    hip_s, hip_t = (_middle(pose, there, _HIPS) for pose in (source, target))
    trunk = _length(hip_s - source[:, _NECK]) / _length(hip_t - target[:, _NECK])
    scale = jnp.where(has_trunk, trunk, jnp.where(has_shoulders, _length(across_s) / _length(across_t), 1.0))
    scale = jnp.clip(scale, 1 / body.STRETCH, body.STRETCH)
    other_side = has_shoulders & (across_s[:, 1] * across_t[:, 1] < 0)
    like = scale[:, None] * jnp.stack([jnp.ones_like(scale), jnp.where(other_side, -1.0, 1.0)], -1)
    return _Bodies(source, target, there, scale, like, body.size_of(target, in_target, height))


def _torso_map(bodies: _Bodies, grid_HxWx2):
    """The torso's part of `part_map`: positions (B, H, W, 2), distances (B, H, W) and width (B,).

    Without hips the trunk hangs at right angles from the shoulders, twice as long as they are wide.
    """
    neck, there, across = bodies.target_Bx19x2[:, _NECK], bodies.there_Bx19, _across(bodies.target_Bx19x2)
    has_shoulders, has_trunk = _has_shoulders(there), _has_trunk(there)
    side = jnp.sign(across[:, 1])[:, None]
    hanging = jnp.where(has_shoulders[:, None], 2 * side * across[:, ::-1] * jnp.array([1, -1]), jnp.array([1, 0]))
    end = jnp.where(has_trunk[:, None], _middle(bodies.target_Bx19x2, there, _HIPS), neck + hanging)
    half = jnp.maximum(jnp.where(has_shoulders, _length(across) / 2, 0), 0.6 * body.TORSO_WIDTH * bodies.size_B)
    at, least = _nearest_map(bodies, body.TORSO, _TORSO_STIFFNESS, grid_HxWx2)
    is_shown = has_trunk | (there[:, _NECK] & has_shoulders)
    far = jnp.where(is_shown[:, None, None], _beside(grid_HxWx2, neck, end, half), body.FAR)
    return at, far, least / bodies.scale_B


def _skirt_map(bodies: _Bodies, grid_HxWx2):
    """The skirt's part of `part_map`, from the hips to the knees, as `_torso_map` has it."""
    target, there = bodies.target_Bx19x2, bodies.there_Bx19
    hip, knee = (_middle(target, there, points) for points in (_HIPS, _KNEES))
    hips = jnp.where(there[:, _HIPS].all(1), _length(target[:, _HIPS[0]] - target[:, _HIPS[1]]), 0)
    at, least = _nearest_map(bodies, (*_HIPS, *_KNEES), _SKIRT_STIFFNESS, grid_HxWx2)
    is_shown = _has_trunk(there) & there[:, _KNEES].any(1)
    far = _beside(grid_HxWx2, hip, knee, jnp.maximum(hips, 0.2 * bodies.size_B))
    return at, jnp.where(is_shown[:, None, None], far, body.FAR), least / bodies.scale_B


def _limb_lengths(bodies: _Bodies):
    """The length of each limb in the source as a share of that in the target, bodies being of one size: (B, LIMBS)."""
    inner, outer = (jnp.array([limb[end] for limb in body.LIMBS]) for end in (0, 1))
    along_s, along_t = (
        _length(pose[:, outer] - pose[:, inner]) for pose in (bodies.source_Bx19x2, bodies.target_Bx19x2)
    )
    return along_s / along_t / bodies.scale_B[:, None]


def _nearest_map(bodies: _Bodies, points, stiffness: float, grid_HxWx2):
    """The affine map that takes the target's points to the source's, and is near to what the bodies are like.

    By least squares, with the latter as a scatter of `stiffness` frame heights. Returns positions (B, H, W, 2) in the
    source and the map's smaller singular value (B,).
    """
    like_Bx2 = bodies.like_Bx2
    weight = bodies.there_Bx19[:, points, None].astype(jnp.float32)
    count = jnp.maximum(weight.sum(1), 1)
    target, source = (pose[:, points, :] for pose in (bodies.target_Bx19x2, bodies.source_Bx19x2))
    middle_t, middle_s = ((weight * pose).sum(1) / count for pose in (target, source))
    from_t, from_s = (weight * (pose - middle[:, None]) for pose, middle in ((target, middle_t), (source, middle_s)))
    moments = _einsum("bji,bjk->bik", from_t, from_t) + (stiffness * len(grid_HxWx2)) ** 2 * jnp.eye(2)
    right = _einsum("bji,bjk->bik", from_t, from_s - from_t * like_Bx2[:, None])
    matrix = body.solve_2x2(moments, right) + like_Bx2[:, :, None] * jnp.eye(2)
    (a, b), (c, d) = ((matrix[:, i, 0], matrix[:, i, 1]) for i in (0, 1))
    least = jnp.abs(jnp.hypot(a + d, b - c) - jnp.hypot(a - d, b + c)) / 2
    return middle_s[:, None, None] + _einsum("bhwi,bik->bhwk", grid_HxWx2 - middle_t[:, None, None], matrix), least


def _is_closed(masks_BxHxWxR, pose_Bx18x2):
    """Whether somebody's pants show no gap between the thighs, as skirts do, and trousers on legs that are close."""
    hips, knees = (pose_Bx18x2[:, points, :] for points in (_HIPS, _KNEES))
    shown = joints.present(pose_Bx18x2)[:, (*_HIPS, *_KNEES)].all(1)
    right, left = jnp.moveaxis(hips + _THIGH * (knees - hips), 1, 0)
    along = right[:, None] + jnp.linspace(0, 1, _ACROSS)[:, None] * (left - right)[:, None]
    nearest = jnp.round(along).astype(jnp.int32)
    return shown & (body.gather(masks_BxHxWxR[..., _PANTS, None], nearest[..., 0], nearest[..., 1]) > 0.5).all((1, 2))


def _has_shoulders(there_Bx19):
    return there_Bx19[:, _RIGHT_SHOULDER] & there_Bx19[:, _LEFT_SHOULDER]


def _has_trunk(there_Bx19):
    return there_Bx19[:, _NECK] & there_Bx19[:, _HIPS].any(1)


def _across(pose_Bx19x2):
    """From the right shoulder to the left, (B, 2)."""
    return pose_Bx19x2[:, _LEFT_SHOULDER] - pose_Bx19x2[:, _RIGHT_SHOULDER]


def _middle(pose_Bx19x2, there_Bx19, points):
    """The mean of those points that are there (B, 2); zeros where none is."""
    there = there_Bx19[:, points, None]
    return jnp.where(there, pose_Bx19x2[:, points, :], 0).sum(1) / jnp.maximum(there.sum(1), 1)


def _length(vectors):
    return jnp.sqrt((vectors**2).sum(-1) + 1e-6)


def _beside(grid_HxWx2, start_Bx2, end_Bx2, half_B):
    """Distances (B, H, W) of pixels from a line, in half widths."""
    along, start, half = (end_Bx2 - start_Bx2)[:, None, None], start_Bx2[:, None, None], half_B[:, None, None]
    share = jnp.clip(((grid_HxWx2 - start) * along).sum(-1) / jnp.maximum((along**2).sum(-1), 1), 0, 1)
    return jnp.sqrt(((grid_HxWx2 - start - share[..., None] * along) ** 2).sum(-1)) / half
