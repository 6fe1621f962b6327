"""The parts of a body, and where each of them takes the pixels of a picture in another pose from.

Nothing here is learned. A pixel of the target follows one part of the body (torso, head, upper and lower arms and
legs), whose joints in both poses give an affine map from target to source; the idea of moving parts rigidly is that of
Deformable GANs (Siarohin et al., 2018), the paper's reference [22].

All arrays are float32; positions and joints are (y, x) in pixels with pixel centres at integers, missing joints
(-1, -1).
"""

from functools import partial

import jax
import jax.numpy as jnp

from scrn_jax.person import joints

_HEAD = (0, 14, 15, 16, 17)
TORSO = (1, 2, 5, 8, 11)
# The inner and outer joint of a limb, and its half width as a share of the body's size.
_HEAD_POINT = joints.NUM_JOINTS  # the middle of the head's joints, put behind them
LIMBS = (
    (1, _HEAD_POINT, 0.11),
    (2, 3, 0.05), (3, 4, 0.045), (5, 6, 0.05), (6, 7, 0.045),
    (8, 9, 0.08), (9, 10, 0.06), (11, 12, 0.08), (12, 13, 0.06),
)  # fmt: skip
PARTS = 1 + len(LIMBS)  # the torso comes first
TORSO_WIDTH = 0.13  # half of it, as a share of the body's size; about half the shoulders' width, seen from the front
STRETCH = 3.0  # of a limb along itself, at most, either way
FAR = 1e6
TRUNKS = 1.35  # the body's size, of which half widths are shares, in lengths of the trunk
# A GPU would round positions to ten bits otherwise.
_einsum = partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)


def with_head(pose_Bx18x2):
    """The joints and, as the 19th, the mean of those of the head; and which are there, (B, 19)."""
    pose_Bx18x2 = pose_Bx18x2.astype(jnp.float32)
    there = joints.present(pose_Bx18x2)
    head = there[:, _HEAD, None]
    total = jnp.where(head, pose_Bx18x2[:, _HEAD, :], 0).sum(1) / jnp.maximum(head.sum(1), 1)
    return jnp.concatenate([pose_Bx18x2, total[:, None]], 1), jnp.concatenate([there, head.any(1)], 1)


def part_map(source_pose_Bx18x2, target_pose_Bx18x2, height: int, width: int):
    """Where each part of the body would take each target pixel from.

    A limb's map turns it into the source's limb and stretches it along itself by the ratio of lengths, and across by
    the ratio of the whole bodies; the torso's is the affine map nearest to a shift that fits neck, shoulders and hips.

    Returns:
      positions (B, H, W, PARTS, 2) in the source, and distances (B, H, W, PARTS) of the target's pixels from the parts'
      axes in half widths of the part; 1e6 for a part that a pose does not show.
    """
    (source, in_source), (target, in_target) = with_head(source_pose_Bx18x2), with_head(target_pose_Bx18x2)
    there_BxJ = in_source & in_target
    grid_HxWx2 = jnp.stack(jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij"), -1).astype(jnp.float32)
    inner, outer = (jnp.array([limb[end] for limb in LIMBS]) for end in (0, 1))
    shown_BxL = there_BxJ[:, inner] & there_BxJ[:, outer]
    (from_t, along_t), (from_s, along_s) = (
        (pose[:, inner], pose[:, outer] - pose[:, inner]) for pose in (target, source)
    )
    length_t, length_s = (jnp.sqrt((along**2).sum(-1) + 1e-6) for along in (along_t, along_s))
    # The body's size in the target, by what both poses show; foreshortening of single limbs averages out.
    size_s, size_t = ((length * shown_BxL).sum(-1) for length in (length_s, length_t))
    across_B = jnp.clip((size_s + 1e-3) / (size_t + 1e-3), 1 / STRETCH, STRETCH)
    body_B = size_of(target, in_target, height)

    unit_t, unit_s = along_t / length_t[..., None], along_s / length_s[..., None]
    stretch_BxL = jnp.clip(length_s / length_t, across_B[:, None] / STRETCH, across_B[:, None] * STRETCH)
    from_joint = grid_HxWx2[None, :, :, None] - from_t[:, None, None]
    u = _einsum("bhwlc,blc->bhwl", from_joint, unit_t)
    v = from_joint[..., 0] * unit_t[:, None, None, :, 1] - from_joint[..., 1] * unit_t[:, None, None, :, 0]
    beyond = u - jnp.clip(u, 0, length_t[:, None, None])
    half_width = jnp.array([limb[2] for limb in LIMBS]) * body_B[:, None]
    limb_far = jnp.sqrt(v**2 + beyond**2) / half_width[:, None, None]
    # Beyond its joints (hands, feet, hair) a limb is not stretched.
    u = jnp.clip(u, 0, length_t[:, None, None]) * stretch_BxL[:, None, None] + beyond * across_B[:, None, None, None]
    v = v * across_B[:, None, None, None]
    normal_s = jnp.stack([unit_s[..., 1], -unit_s[..., 0]], -1)
    limb_at = from_s[:, None, None] + u[..., None] * unit_s[:, None, None] + v[..., None] * normal_s[:, None, None]
    limb_far = jnp.where(shown_BxL[:, None, None], limb_far, FAR)

    torso_at, torso_far = _torso_map(source, target, there_BxJ, grid_HxWx2, body_B, height)
    return (
        jnp.concatenate([torso_at[:, :, :, None], limb_at], 3),
        jnp.concatenate([torso_far[..., None], limb_far], 3),
    )


def size_of(pose_Bx19x2, there_Bx19, height: int):
    """From head to hip in pixels, or what of it there is: (B,), the frame's height over 3 where nothing tells."""
    hips = there_Bx19[:, (8, 11), None]
    hip = jnp.where(hips, pose_Bx19x2[:, (8, 11)], 0).sum(1) / jnp.maximum(hips.sum(1), 1)
    trunk = jnp.sqrt(((hip - pose_Bx19x2[:, 1]) ** 2).sum(-1) + 1e-6)
    head = jnp.sqrt(((pose_Bx19x2[:, _HEAD_POINT] - pose_Bx19x2[:, 1]) ** 2).sum(-1) + 1e-6)
    has_trunk, has_head = there_Bx19[:, 1] & hips.any((1, 2)), there_Bx19[:, 1] & there_Bx19[:, _HEAD_POINT]
    size = jnp.where(has_trunk, TRUNKS * trunk, jnp.where(has_head, 4 * head, height / 3))
    return jnp.maximum(size, height / 16)


def _torso_map(source, target, there_BxJ, grid_HxWx2, body_B, height: int):
    """The torso's part of `part_map`: positions (B, H, W, 2) and distances (B, H, W)."""
    weight = there_BxJ[:, TORSO, None].astype(jnp.float32)
    count = weight.sum((1, 2))
    points_t, points_s = target[:, TORSO, :], source[:, TORSO, :]
    middle = (weight * points_t).sum(1) / jnp.maximum(count, 1)[:, None]
    basis = jnp.concatenate([points_t - middle[:, None], jnp.ones_like(weight)], -1) * weight
    # Towards a plain shift, by as much as a scatter of a thirteenth of the frame: a torso seen from the side is a line.
    ridge = jnp.diag(jnp.array([(height / 13.0) ** 2, (height / 13.0) ** 2, 1e-3]))
    moments = _einsum("bji,bjk->bik", basis, basis) + ridge
    shift = _solve_centred(moments, _einsum("bji,bjk->bik", basis, (points_s - points_t) * weight))
    from_middle = grid_HxWx2 - middle[:, None, None]
    seen = jnp.concatenate([from_middle, jnp.ones_like(from_middle[..., :1])], -1)
    at = grid_HxWx2 + _einsum("bhwi,bik->bhwk", seen, shift)

    hips = there_BxJ[:, (8, 11), None]
    hip = jnp.where(hips, target[:, (8, 11)], 0).sum(1) / jnp.maximum(hips.sum(1), 1)
    along, from_neck = (hip - target[:, 1])[:, None, None], grid_HxWx2 - target[:, 1][:, None, None]
    t = jnp.clip((from_neck * along).sum(-1) / jnp.maximum((along**2).sum(-1), 1), 0, 1)
    shoulders = jnp.sqrt(((target[:, 2] - target[:, 5]) ** 2).sum(-1) + 1e-6) / 2
    both = there_BxJ[:, 2] & there_BxJ[:, 5]
    half = jnp.maximum(jnp.where(both, shoulders, 0), 0.6 * TORSO_WIDTH * body_B)
    far = jnp.sqrt(((from_neck - t[..., None] * along) ** 2).sum(-1)) / half[:, None, None]
    shown = there_BxJ[:, 1] & hips.any((1, 2)) & (count >= 3)
    return at, jnp.where(shown[:, None, None], far, FAR)


def _solve_centred(moments_Bx3x3, right_Bx3xK):
    """The solution of the torso's equations (B, 3, K).

    Taken from their mean, the points' (y, x) sum to zero, so that the third equation stands apart from the other two.
    """
    two = solve_2x2(moments_Bx3x3[:, :2, :2], right_Bx3xK[:, :2])
    return jnp.concatenate([two, right_Bx3xK[:, 2:] / moments_Bx3x3[:, 2:, 2:]], 1)


def solve_2x2(symmetric_Bx2x2, right_Bx2xK):
    """The solution (B, 2, K) of two equations, written out: formats without linear algebra have it, too."""
    a, b, d = symmetric_Bx2x2[:, 0, 0], symmetric_Bx2x2[:, 0, 1], symmetric_Bx2x2[:, 1, 1]
    adjugate = jnp.stack([jnp.stack([d, -b], -1), jnp.stack([-b, a], -1)], -2)
    return _einsum("bij,bjk->bik", adjugate / (a * d - b * b)[:, None, None], right_Bx2xK)


def nearness(distances_BxHxWxP):
    """`part_map`'s distances as maps in [0, 1]: a Gaussian of one half width around every part's axis."""
    return jnp.exp(-0.5 * distances_BxHxWxP**2)


def inside(positions, height: int, width: int):
    """Which positions (..., 2) lie in the frame."""
    return ((positions >= -0.5) & (positions <= jnp.array([height - 0.5, width - 0.5]))).all(-1)


def gather(maps_BxHxWxC, y, x):
    """maps[b, y, x] for whole positions of any shape (B, ...), clipped to the frame: (B, ..., C)."""
    b, h, w, c = maps_BxHxWxC.shape
    index = jnp.clip(y, 0, h - 1) * w + jnp.clip(x, 0, w - 1)
    taken = jnp.take_along_axis(maps_BxHxWxC.reshape(b, h * w, c), index.reshape(b, -1, 1), 1)
    return taken.reshape(*index.shape, c)


def corners(positions_BxHxWx2):
    """The four pixels around each position: (y, x, share) each (B, H, W); the shares are bilinear and add up to 1."""
    low = jnp.floor(positions_BxHxWx2)
    fraction = positions_BxHxWx2 - low
    y, x = low[..., 0].astype(jnp.int32), low[..., 1].astype(jnp.int32)
    for down in (0, 1):
        for right in (0, 1):
            rows, columns = jnp.abs(1 - down - fraction[..., 0]), jnp.abs(1 - right - fraction[..., 1])
            yield y + down, x + right, rows * columns


def sample(maps_BxHxWxC, positions_BxHxWx2):
    """Bilinear values of maps at positions, (B, H', W', C); beyond the frame its edge goes on."""
    return sum(share[..., None] * gather(maps_BxHxWxC, y, x) for y, x, share in corners(positions_BxHxWx2))


def of_part(positions, part):
    """Of positions (B, H, W, PARTS, 2) those of each pixel's part (B, H, W)."""
    return jnp.take_along_axis(positions, part[..., None, None], 3)[..., 0, :]
