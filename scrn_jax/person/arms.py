"""The source's arms: how long their sleeves are, and S_g's arms made to fit; what bare ones hide of the body.

Nothing here is learned. A point of an arm has a place from 0 at the shoulder to 2 at the wrist, and both arms wear the
same sleeve: one place, up to which they are cloth and beyond which they are skin. All arrays are float32; joints are
(y, x) in pixels with pixel centres at integers, missing ones (-1, -1).
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from scrn_jax.person import body, paint, regions

_UPPER_ARMS, _FOREARMS = ((2, 3), (5, 6)), ((3, 4), (6, 7))
_HALF_WIDTHS = np.array([limb[2] for pair in (*_UPPER_ARMS, *_FOREARMS) for limb in body.LIMBS if limb[:2] == pair])
_CLOTH = np.array([regions.NAMES.index(name) for name in ("upper clothes", "dress")])
_SKIN = regions.NAMES.index("upper skin")
BINS = 20  # an arm's length is read in so many pieces
_CORE = 0.6  # half widths from an arm's axis within which the source's pixels are the arm's for sure
_ARM, _EDGE = 1.0, 0.5  # half widths within which the target's pixels are, and over which that ends
_SMOOTH = 0.1  # places over which cloth becomes skin
_FEW = 5.0  # pixels that count half in a piece
_DOUBT = 0.5  # the share of the arm that contradicts a sleeve altogether
_SMALL = 1e-4
_HAND, _WIDE = 1.45, 2.2  # a forearm with its hand is so much longer, and at most so many half widths from its axis
_TRUNK, _THIGHS = (2, 5, 11, 8), (8, 11, 12, 9)
_ON_ARM = np.array([0, *(limb[:2] in (*_UPPER_ARMS, *_FOREARMS) for limb in body.LIMBS)], bool)
_REACHES, _ENOUGH = (1 / 8, 1 / 32, 1 / 128), 0.3  # of means, in frame heights; the share of one that has to be known
_COVERS = np.array([name not in ("background", "hair", "face") for name in regions.NAMES], np.float32)
_einsum = partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)


def along_arms(pose_Bx18x2, height: int, width: int):
    """Places of a frame's pixels along the nearest arm, in [0, 2], and distances from its axis in half widths.

    Both (B, H, W); the distance is `body.FAR` where no arm is shown.
    """
    limbs = np.array([*_UPPER_ARMS, *_FOREARMS])
    share, far = _along(pose_Bx18x2, limbs, height, width)
    nearest = far.argmin(-1)[..., None]
    place = share + (np.arange(len(limbs)) >= len(_UPPER_ARMS))
    return jnp.take_along_axis(place, nearest, 3)[..., 0], far.min(-1)


def sleeve(masks_BxHxWxR, pose_Bx18x2):
    """Where sleeves end: between `low` and `high` (B,), places in [0, 2], and how sure that is (B,), in [0, 1].

    The places are those that contradict as little of what the arms show as any do; where an arm shows nothing, they
    lie apart.
    """
    place, far = along_arms(pose_Bx18x2, *masks_BxHxWxR.shape[1:3])
    core = (far < _CORE)[..., None]
    pieces = jax.nn.one_hot(jnp.clip((place * BINS / 2).astype(jnp.int32), 0, BINS - 1), BINS) * core
    skin = _einsum("bhwn,bhw->bn", pieces, masks_BxHxWxR[..., _SKIN])
    cloth = _einsum("bhwn,bhw->bn", pieces, masks_BxHxWxR[..., _CLOTH].sum(-1))
    weight = (skin + cloth) / (skin + cloth + _FEW)
    share = skin / jnp.maximum(skin + cloth, 1e-6)
    before = jnp.tri(BINS + 1, BINS, -1)  # [e, n]: piece n lies before the end e
    wrong = _einsum("bn,en->be", weight * share, before) + _einsum("bn,en->be", weight * (1 - share), 1 - before)
    least, total = wrong.min(1, keepdims=True), weight.sum(1)
    best, ends = wrong <= least + _SMALL, jnp.arange(BINS + 1) * (2 / BINS)
    low = jnp.where(best, ends, 2.0).min(1)
    high = jnp.where(best, ends, 0.0).max(1)
    sure = 1 - least[:, 0] / jnp.maximum(_DOUBT * total, _SMALL)
    return low, high, jnp.clip(sure, 0, 1) * jnp.minimum(total, 1)


def worn(parsing_BxHxWxR, masks_BxHxWxR, source_pose_Bx18x2, target_pose_Bx18x2, strength: float):
    """The target's regions with arms in the source's sleeves, a distribution (B, H, W, R).

    On an arm, what is cloth or upper skin stays so much of a pixel; which of them it is moves by up to `strength`, in
    logits. The cloth is that of S_g, and where it has none the source's.
    """
    place, far = along_arms(target_pose_Bx18x2, *parsing_BxHxWxR.shape[1:3])
    low, high, sure = (value[:, None, None] for value in sleeve(masks_BxHxWxR, source_pose_Bx18x2))
    beyond = jnp.clip((place - high) / _SMOOTH, 0, 1) - jnp.clip((low - place) / _SMOOTH, 0, 1)
    push = strength * sure * jnp.clip((_ARM + _EDGE - far) / _EDGE, 0, 1) * beyond
    cloth, skin = parsing_BxHxWxR[..., _CLOTH], parsing_BxHxWxR[..., _SKIN]
    both = cloth.sum(-1) + skin
    odds = jnp.log(skin + 1e-6) - jnp.log(cloth.sum(-1) + 1e-6)
    share = jax.nn.sigmoid(odds + push)
    area = masks_BxHxWxR[..., _CLOTH].sum((1, 2)) + _SMALL
    kinds = cloth + _SMALL * (area / area.sum(-1, keepdims=True))[:, None, None]
    kinds = (both * (1 - share))[..., None] * kinds / kinds.sum(-1, keepdims=True)
    changed = parsing_BxHxWxR.at[..., _CLOTH].set(kinds).at[..., _SKIN].set(both * share)
    return jnp.where((push == 0)[..., None], parsing_BxHxWxR, changed)


def carry_labels(masks_BxHxWxR, pose_Bx18x2, positions, distances):
    """`paint.carry_labels` of `body.part_map`'s parts, of which all but the arms show what is under bare forearms."""
    own, under = (
        paint.carry_labels(m, positions, distances) for m in (masks_BxHxWxR, bared(masks_BxHxWxR, pose_Bx18x2))
    )
    return jnp.where(jnp.asarray(_ON_ARM)[distances.argmin(-1)][..., None], own, under)


def bared(masks_BxHxWxR, pose_Bx18x2):
    """The source's regions with what is beside bare forearms and hands in their place, before trunk and thighs.

    Arms that are folded over a waist do not make it a bare one.
    """
    height, width = masks_BxHxWxR.shape[1:3]
    pose, there = body.with_head(pose_Bx18x2)
    _, far = _along(pose_Bx18x2, np.array(_FOREARMS), height, width, _HAND)
    grid = _grid(height, width)
    before = _inside(pose, there, _TRUNK, grid) | _inside(pose, there, _THIGHS, grid)
    near = far.min(-1) < _WIDE
    hidden = (near & before & (masks_BxHxWxR.argmax(-1) == _SKIN))[..., None]
    known = jnp.where(hidden, 0, masks_BxHxWxR * _COVERS)
    total, filled = known.sum(-1, keepdims=True), 0.0
    for reach in _REACHES:
        around, share = (_around(maps, reach * height) for maps in (known, total))
        sure = jnp.clip(share / _ENOUGH, 0, 1)
        filled = sure * around / jnp.maximum(share, _SMALL) + (1 - sure) * filled
    return jnp.where(hidden, filled, masks_BxHxWxR)


def _grid(height: int, width: int):
    """A frame's pixels, (H, W, 2)."""
    return jnp.stack(jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij"), -1).astype(jnp.float32)


def _along(pose_Bx18x2, limbs, height: int, width: int, longer: float = 1.0):
    """Of limbs (inner, outer joint) of arms, `longer` times as long: how far along them a frame's pixels lie, in
    [0, 1], and distances from their axes in half widths, `body.FAR` of a limb that is not shown; both (B, H, W, L)."""
    pose, there = body.with_head(pose_Bx18x2)
    start, way = pose[:, limbs[:, 0]], longer * (pose[:, limbs[:, 1]] - pose[:, limbs[:, 0]])
    from_start = _grid(height, width)[None, :, :, None] - start[:, None, None]
    share = _einsum("bhwlc,blc->bhwl", from_start, way) / jnp.maximum((way**2).sum(-1), 1)[:, None, None]
    share = jnp.clip(share, 0, 1)
    apart = jnp.sqrt(((from_start - share[..., None] * way[:, None, None]) ** 2).sum(-1) + 1e-6)
    # The half widths are those of upper arms and forearms in turn; what is asked for are the last of them, or all.
    half = _HALF_WIDTHS[-len(limbs) :] * body.size_of(pose, there, height)[:, None]
    return share, jnp.where(there[:, limbs].all(-1)[:, None, None], apart / half[:, None, None], body.FAR)


def _inside(pose_Bx19x2, there_Bx19, corners, grid_HxWx2):
    """Which pixels lie within four joints, taken in turn around them: (B, H, W); none where one of them is missing."""
    sides = []
    for joint, after in zip(corners, corners[1:] + corners[:1], strict=True):
        start, way = pose_Bx19x2[:, None, None, joint], (pose_Bx19x2[:, after] - pose_Bx19x2[:, joint])[:, None, None]
        apart = grid_HxWx2 - start
        sides.append(apart[..., 1] * way[..., 0] - apart[..., 0] * way[..., 1])
    sides = jnp.stack(sides, -1)
    shown = there_Bx19[:, np.array(corners)].all(-1)[:, None, None]
    return ((sides >= 0).all(-1) | (sides <= 0).all(-1)) & shown


def _around(maps_BxHxWxC, reach: float):
    """Means under a Gaussian of `reach` pixels; what is outside the frame counts as 0."""

    def along(maps, axis: int):
        """The same along one axis; as a product of two matrices a picture, which every export format has."""
        maps = jnp.moveaxis(maps, axis, 1)
        shape, count = maps.shape, maps.shape[1]
        shares = np.exp(-0.5 * ((np.arange(count)[:, None] - np.arange(count)) / reach) ** 2, dtype=np.float32)
        shares = jnp.broadcast_to(shares / (reach * np.sqrt(2 * np.pi)), (shape[0], count, count))
        found = _einsum("bij,bjk->bik", shares, maps.reshape(*shape[:2], -1))
        return jnp.moveaxis(found.reshape(shape), 1, axis)

    return along(along(maps_BxHxWxC, 1), 2)
