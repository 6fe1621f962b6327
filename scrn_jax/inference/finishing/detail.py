"""The photo's own pattern in a larger copy of what the model paints.

A model of 256x176 paints faces, prints and folds blurred, or makes prints up; the photo has them sharp. Its pattern,
what its pixels differ by from the mean around them, is taken along by the body (`person.moving`) and takes the place of
the model's own, if the source shows there what the model paints. Colours and light at large stay the model's. Means are
taken region by region, in the photo and in the picture: where two parts or regions meet whose colours differ, no edge
comes along. Skin of arms and legs has none: it would mostly be what hems, hair and walls leave at its rim. A head that
looks the same way in both poses is moved as a whole, hair and all.
"""

import contextlib
import dataclasses

import jax
import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from scrn_jax.inference import poses
from scrn_jax.inference.finishing import pattern
from scrn_jax.person import body, face, joints, moving, paint, regions
from scrn_jax.person.guided import along_edges
from scrn_jax.person.resizing import resize_maps

_ROWS, _MOST_TIMES = 512, 4  # of pictures by default; and how many times as large as the model's frame they are at most
_SOFTNESS, _REACH = 0.7, 3  # pixels of the model's frame: outlines of its regions are rounded by such a Gaussian
_SEEN, _CERTAINTY = 256, 4  # rows of the source by which its outlines are drawn; a power of the shares found
_SURE = 0.9  # how sure a pixel's region has to be for its detail: at outlines, others' pixels would come along
_SOFT = 1 / 256  # of the frame's height: so softly a pattern begins
# Grey levels between the mean colours of the model and of the moved pixels at which half of the pattern is left out:
# there the model says that something else is to be seen.
_TRUST = 60.0
_FACE, _NECK, _EYES_AND_NOSE, _SHOULDERS = (0, 14, 15, 16, 17), 1, (0, 14, 15), (2, 5)
_HAIR, _HEAD = (1,), (1, 5)  # the latter is hair and face
# How far the face's joints may lie from where the source's head would have them, as a share of the way from neck to
# face: beyond it the head is turned.
_TURNED = 0.15
_CHEEKS = 0.7  # of half the side of its box, a face reaches so far from the box's middle for sure
_SCALE = 1.1  # at most, how much larger or smaller a head is than the body says
# Elbows and knees, at which limbs go on; beyond a wrist or an ankle skin counts as the limb's for a tenth of its
# length, where that ends over so much of it.
_MIDDLES, _END, _ENDING = (3, 6, 9, 12), 1.1, 0.15
_BUT_FACE = np.array([name != "face" for name in regions.NAMES], np.float32)
# So it is if the shoulders are as narrow as this, of the source's: a profile's few joints can look like a head that
# leans.
_PROFILE = 0.6
# The model's own head stays below this share of the way from the neck to the nose; on the way itself, which is as wide
# as the chin, up to another: chin and neck must not come apart.
_NOSE, _CHIN, _FADE = 0.6, 0.85, 0.2
_RIM, _FLAT = 2, 0.6  # pixels of a head's upper edge; how wide it is there, of its width, where the photo cuts it off
_WIDE, _NARROW = 0.4, 0.2  # half the width of the way, as shares of its length: outside the first it has ended


@dataclasses.dataclass(frozen=True)
class Source:
    """The frame in a larger size, whose detail is to be had.

    large: uint8 (kH, kW, 3), k whole. regions: its regions (H, W). joints: (18, 2) in pixels of (H, W).
    masks: the regions in the larger size with outlines along the picture's edges: float32 (kH, kW, 8), shares of 1.
    sure: the same where they are sure of one region, 0 elsewhere: there nothing is to be had.
    layers: the picture and its pattern, 0 where its region is not sure, in grey levels: float32 (kH, kW, 6).
    reaches: of the mean around a pixel, by region, in pixels of (H, W).
    """

    large: np.ndarray
    regions: np.ndarray
    joints: np.ndarray
    masks: np.ndarray = dataclasses.field(init=False)
    sure: np.ndarray = dataclasses.field(init=False)
    layers: np.ndarray = dataclasses.field(init=False)
    reaches: np.ndarray = dataclasses.field(init=False)

    def __post_init__(self):
        soft = _soft_regions(self.regions, self.large.shape[:2])
        # To a power, because prints make the filter unsure inside a region.
        masks = _shares(along_edges(soft, self.large, _SEEN).clip(0) ** _CERTAINTY)
        small, reaches = self.regions.shape, pattern.reaches_of(self.joints, len(self.regions))
        sure = masks * (masks.max(-1) > _SURE)[..., None]
        large = pattern.with_own_colours(self.large, masks, small)
        layers = np.concatenate([large, pattern.pattern_of(large, sure, reaches, small)], -1, dtype=np.float32)
        for name, value in (("masks", masks), ("sure", sure), ("layers", layers), ("reaches", reaches)):
            object.__setattr__(self, name, value)


def times_of(height: int) -> int:
    """How many times as large as a model's frame of so many rows pictures are by default: a whole number up to 4."""
    return min(_MOST_TIMES, max(1, _ROWS // height))


def enlarge(
    source: Source,
    picture: np.ndarray,
    labels: np.ndarray,
    target_joints: np.ndarray,
    share: np.ndarray | None = None,
    other: Source | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """A picture of the model with the source's detail, and how far each pixel is the person's.

    Args:
      picture, labels: what the model paints, uint8 (H, W, 3), and its regions (H, W).
      target_joints: (18, 2) in pixels of (H, W).
      share: (8,) in [0, 1], how far regions are dressed as another person's; other: that person, whose pattern those
        have, as far as they are. Without `other` it stays the model's.

    Returns:
      float32 (kH, kW, 3) from 0 to 255 but for rounding, and float32 (kH, kW) in [0, 1].
    """
    large = source.large.shape[:2]
    times = large[0] // source.regions.shape[0]
    here, there = source.masks, _soft_regions(labels, large)
    own_pose, target_pose = (joints.move(np.asarray(pose), 2 * (times,)) for pose in (source.joints, target_joints))
    share = np.zeros(regions.NUM_REGIONS, np.float32) if share is None else share
    enlarged = resize_maps(picture, large) + _change(source, picture, labels, there, 1 - share, own_pose, target_pose)
    if other is not None and share.any():
        their_pose = joints.move(np.asarray(other.joints), (times, times))
        enlarged += _change(other, picture, labels, there, share, their_pose, target_pose)
    person = np.clip(2 * (1 - there[..., 0]) - 0.5, 0, 1)
    similarity = None if share[list(_HEAD)].any() else _similarity(own_pose, target_pose)
    if similarity is None:
        return enlarged, person
    head = _head_of(here, own_pose), here[..., 0]
    head_picture, head_share, above, wall = _head(source.large, *head, similarity, target_pose)
    # The model's head makes room for the source's, and all its hair for the wall that is seen beside the source's neck.
    heads, hair = (np.clip(4 * there[..., part].sum(-1), 0, 1) for part in (_HEAD, _HAIR))
    enlarged = head_share[..., None] * head_picture + (1 - head_share[..., None]) * enlarged
    return enlarged, np.maximum(person * (1 - np.maximum(above * heads, wall * hair)), head_share)


def _change(source: Source, picture, labels, there, own, source_pose, target_pose) -> np.ndarray:
    """What the source's pattern changes of the enlarged picture: float32 (kH, kW, 3) in grey levels.

    Args:
      there: the target's regions (kH, kW, 8), shares. own: (8,) in [0, 1], how far each region is the source's.
      source_pose, target_pose: (18, 2) in pixels of (kH, kW).
    """
    small, large = labels.shape, there.shape[:2]
    if _similarity(source_pose, target_pose) is None:
        own = own * _BUT_FACE  # seen from another side, the features of a face are elsewhere
    found = _move(source.layers[None], source.sure[None], source_pose[None], target_pose[None], there[None])
    moved, weight = (np.asarray(part)[0] for part in found)
    limbs = _on_limbs(joints.pose_at_size(target_pose, large, small), small)
    limbs = resize_maps(limbs, large, Image.Resampling.BILINEAR)
    bare = list(regions.LIMBS_SKIN)
    weight = weight * ((there[..., 1:] @ own[1:])[..., None] - limbs * (there[..., bare] @ own[bare])[..., None])
    masks = np.eye(regions.NUM_REGIONS, dtype=np.float32)[labels]
    known, total = (resize_maps(part, small, Image.Resampling.BOX) for part in (weight, moved[..., :3] * weight))
    apart = pattern.level_of(total - known * picture, known, masks, source.reaches)
    trusted = (labels > 0)[..., None] / (1 + (np.abs(apart).mean(-1, keepdims=True) / _TRUST) ** 4)
    taken = resize_maps(trusted, large) * ndimage.gaussian_filter(weight, (_SOFT * large[0], _SOFT * large[0], 0))
    return taken * (moved[..., 3:] - resize_maps(pattern.pattern_of(picture, masks, source.reaches, small), large))


def _on_limbs(pose: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """How far pixels are those of arms and legs, hands and feet aside: float32 (H, W, 1) in [0, 1].

    What skin there differs by from the mean around it is mostly what is not skin: the wall at its rim, a hem, a cuff.
    """
    nearest, found = np.full(size, np.inf, np.float32), np.zeros(size, np.float32)
    there, size_of_body = joints.present(pose), body.TRUNKS * poses.body_size(pose)
    for inner, outer, half_width in body.LIMBS[1:]:  # the first is the head's
        if there[[inner, outer]].all():
            share, away = joints.along(pose[inner], pose[outer], size)
            away = away / (half_width * size_of_body)
            on_it = np.clip(2 - away, 0, 1)
            if outer not in _MIDDLES:
                on_it *= np.clip((_END - share) / _ENDING, 0, 1)
            found, nearest = np.where(away < nearest, on_it, found), np.minimum(away, nearest)
    return found[..., None]


def _similarity(source_pose: np.ndarray, target_pose: np.ndarray) -> tuple[complex, complex] | None:
    """Where a head that looks the same way in both poses (18, 2) comes from: factor and shift of the target's x + iy.

    The similarity that fits the joints of face and neck best (least squares), but for its scale, which is about that
    of the bodies: shoulders that are raised do not make a head smaller. None where not both eyes and the nose are shown
    twice, or where it fits badly or the shoulders have become narrow: the head is turned.
    """
    both = joints.present(source_pose) & joints.present(target_pose)
    points = [joint for joint in _FACE if both[joint]]
    axis = target_pose[_FACE[0]] - target_pose[_NECK]
    if not both[[*_EYES_AND_NOSE, _NECK]].all() or axis @ axis < 1:
        return None
    if _shoulders(target_pose) < _PROFILE * _shoulders(source_pose):
        return None
    ours, theirs = (pose[[*points, _NECK], 1] + 1j * pose[[*points, _NECK], 0] for pose in (target_pose, source_pose))
    centred = ours - ours.mean()
    turn = (centred.conj() * theirs).sum() / max((abs(centred) ** 2).sum(), 1e-6)
    shift = theirs.mean() - turn * ours.mean()
    apart = abs(turn * ours + shift - theirs).mean()
    if not apart < _TURNED * abs(theirs[:-1].mean() - theirs[-1]):
        return None
    bodies = poses.body_size(source_pose, both) / poses.body_size(target_pose, both)
    scaled = turn * np.clip(abs(turn), bodies / _SCALE, bodies * _SCALE) / max(abs(turn), 1e-6)
    return scaled, shift + (turn - scaled) * ours[:-1].mean()


def _head(source, head, wall, similarity, target_pose) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The source's head moved by a `_similarity`: picture, share, what lies above the nose, 0 to 1, and the wall around
    it; all (kH, kW).

    head, wall: the source's shares of each pixel, (kH, kW); target_pose: (18, 2) in its pixels.
    """
    turn, shift = similarity
    axis = target_pose[_FACE[0]] - target_pose[_NECK]
    shift += (0.5 + 0.5j) * (1 - turn)  # Pillow counts from the corner of the first pixel, not from its centre
    matrix = (turn.real, -turn.imag, shift.real, turn.imag, turn.real, shift.imag)
    size = source.shape[1::-1]

    def moved(channel):
        image = Image.fromarray(np.ascontiguousarray(channel, np.float32))
        return np.asarray(image.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC))

    share = np.clip(2 * moved(head) - 0.5, 0, 1)
    picture = np.stack([moved(source[..., channel]) for channel in range(3)], axis=-1).clip(0, 255)
    y, x = np.mgrid[: size[1], : size[0]]
    down, across = y - target_pose[_NECK, 0], x - target_pose[_NECK, 1]
    along, beside = (
        (down * axis[0] + across * axis[1]) / (axis @ axis),
        abs(down * axis[1] - across * axis[0]) / (axis @ axis),
    )
    on_the_way = np.clip((_WIDE - beside) / (_WIDE - _NARROW), 0, 1)
    start = _NOSE + (_CHIN - _NOSE) * on_the_way
    # What a hand or a sleeve hides of the head is the model's.
    hidden = np.clip(4 * moved(_hull(head) * (1 - head - wall)), 0, 1)
    above = np.clip((along - start) / _FADE, 0, 1) * (1 - hidden)
    cut = _cut_at(head)
    if cut is not None:  # what the photo does not show of the head is the model's, under a rim that fades
        places = turn * (x + 1j * y) + similarity[1]
        top, left, right = cut
        below = (places.imag - top) / _RIM - 1
        share = share * np.clip(below, 0, 1)
        beside = np.maximum(left - places.real, places.real - right) / _RIM
        above *= np.clip(np.maximum(below - 2, beside), 0, 1)
    return picture, share, above.astype(np.float32), np.clip(2 * moved(wall) - 0.5, 0, 1)


def _head_of(masks: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """How far pixels are a head's by its regions (kH, kW, 8): hair, face, and skin so near the face's middle that it is
    the face's as well."""
    box = face.face_box_from_joints(pose, *masks.shape[:2])
    y, x = np.ogrid[: masks.shape[0], : masks.shape[1]]
    away = np.hypot(y - (box[0] + box[2] - 1) / 2, x - (box[1] + box[3] - 1) / 2)
    skin = masks[..., regions.NAMES.index("upper skin")] * (away < _CHEEKS * (box[2] - box[0]) / 2)
    return masks[..., _HEAD].sum(-1) + skin


def _hull(head: np.ndarray) -> np.ndarray:
    """What lies between parts of a head (kH, kW), bool: its pixels' convex hull."""
    places, image = np.argwhere(head > 0.5), Image.new("1", head.shape[::-1])
    with contextlib.suppress(ValueError, QhullError):  # nothing, or all of it in one line
        corners = places[ConvexHull(places).vertices, ::-1]
        ImageDraw.Draw(image).polygon([tuple(corner) for corner in corners.tolist()], fill=1)
    return np.asarray(image)


def _cut_at(head: np.ndarray) -> tuple[int, int, int] | None:
    """Where the photo cuts a head (kH, kW) off: its first row, if it is nearly as wide there as anywhere, and the
    columns in which that begins and ends; None if it is not."""
    inside = head > 0.5
    widths = inside.sum(1)
    if not widths.any():
        return None
    top = int(np.flatnonzero(widths)[0])
    if not widths[top + _RIM : top + 2 * _RIM].sum() > _RIM * _FLAT * widths.max():
        return None
    columns = np.flatnonzero(inside[top + _RIM])
    return top, columns[0], columns[-1]


def _shoulders(pose: np.ndarray) -> float:
    """Their width in lengths from the neck to the nose; NaN where one of the four is missing."""
    if not joints.present(pose)[[_FACE[0], _NECK, *_SHOULDERS]].all():
        return np.nan
    width, length = (np.hypot(*(pose[one] - pose[other])) for one, other in (_SHOULDERS, (_FACE[0], _NECK)))
    return width / max(length, 1e-6)


@jax.jit
def _move(layers, masks, source_pose, target_pose, parsing):
    return moving.move(layers, masks, source_pose, target_pose, paint.sharpen(parsing))


def _soft_regions(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A map's regions in another size with rounded outlines: float32 (kH, kW, 8), a distribution per pixel."""
    masks = np.eye(regions.NUM_REGIONS, dtype=np.float32)[labels]
    reach = np.arange(-_REACH, _REACH + 1)
    shares = np.exp(-0.5 * (reach / _SOFTNESS) ** 2)
    for axis in (0, 1):
        padded = np.pad(masks, [(_REACH, _REACH) if axis == at else (0, 0) for at in range(3)], "edge")
        count = labels.shape[axis]
        masks = sum(
            np.float32(share) * padded.take(range(at, at + count), axis)
            for at, share in enumerate(shares / shares.sum())
        )
    return _shares(resize_maps(masks, size))


def _shares(masks: np.ndarray) -> np.ndarray:
    masks = masks.clip(1e-6)
    return masks / masks.sum(-1, keepdims=True)
