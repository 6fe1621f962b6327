"""What somebody wears, by the region network's logits and the colours of cloth, skin and hair; nothing of it is learned
but three numbers.

The network by itself may call one half of a dress a top and the other a skirt. So whether somebody wears a dress is
decided once for the whole person: by what the network leans to, and by whether the cloth above the hips is that below
them. Colours have a say in what is cloth, skin and hair, by those of the pixels that the network is sure of. Of arms
that lie before clothes, the rim counts as theirs; fingers beside a head are no part of it.
"""

from collections.abc import Mapping

import numpy as np
from scipy import ndimage

from scrn_jax.inference.poses import body_size
from scrn_jax.person import joints as joints_lib
from scrn_jax.person import regions
from scrn_jax.person.face import face_box_from_joints

HAIR, UPPER, DRESS, PANTS, FACE, SKIN, LEG = range(1, regions.NUM_REGIONS)
_CLOTHES = [UPPER, DRESS, PANTS]
# Regions that have one model of colour, and which of them it is taken from: of skin a face is the surest; legs may wear
# tights.
_ALIKE = (
    ([HAIR], [HAIR]), ([UPPER, DRESS], [UPPER, DRESS]), ([PANTS], [PANTS]), ([FACE, SKIN], [FACE]), ([LEG], [LEG]),
)  # fmt: skip
_SURE, _LEAST_SURE = 0.8, 30.0  # from which share on the network is sure of a pixel; how many of them make a model
_SAY, _MOST, _FLOOR = 0.5, 5.0, 1e-4  # of colours in logits, how far one may pull, and of the most frequent colour
# Where cloth is looked at, in trunk lengths: above the hips, from the neck and from the hips; and below them.
_ABOVE, _BELOW = (0.25, 0.15), (0.3, 1.2)
_HEM = (0.1, 0.5)  # where a dress ends at the earliest, in trunk lengths below the hips
_NOSE, _NECK, _HIPS = 0, 1, (8, 11)
_LEAST_PIXELS = 20.0  # of cloth in either place; with less, cloth tells nothing
# Histograms of colours: brightness, and red and blue beside it, of logarithms above that of _DARK.
_DARK, _BINS, _SPAN, _SMOOTH = 0.15, (8, 20, 20), np.array([(-1.9, -0.6, -0.6), (0.14, 0.6, 0.6)]), 0.8
_LEAST_LIKENESS = 1e-3
# Of bare arms before clothes: the rim's width in frame heights, how much longer a forearm is with its hand, how far its
# skin lies from the axis in trunk lengths, and from which share of cloth around it on an arm lies before clothes.
_RIM, _TO_FINGERS, _WIDE, _BEFORE = 3 / 256, 1.6, 0.16, 0.6
# How far fingers reach from the wrist, in trunk lengths, and a face from the middle of its box, in halves of that:
# along the way from the neck to the nose, and across.
_HAND, _FACE_LENGTH, _FACE_WIDTH = 0.4, 1.5, 1.15
_RULED_OUT = 50.0  # taken from the logits of what somebody does not wear


def worn(
    image_HxWx3: np.ndarray, logits_HxWx8: np.ndarray, joints_Jx2: np.ndarray, rule: Mapping[str, np.ndarray]
) -> np.ndarray:
    """The logits without what somebody does not wear: a dress, or a top and pants; float32 (H, W, 8).

    `rule`: `kernel` (2,) and `bias` () of the logistic rule over `dress_cues`; without cues the network's leaning does.
    """
    cues, logits = dress_cues(image_HxWx3, logits_HxWx8, joints_Jx2), logits_HxWx8.copy()
    leaning = _leaning(softmax(logits)) if cues is None else cues @ rule["kernel"] + rule["bias"]
    if leaning > 0:
        into = LEG if wears_leggings(logits, joints_Jx2) else DRESS
        logits[..., into] = np.logaddexp(logits[..., into], logits[..., PANTS])
    logits[..., [UPPER, PANTS] if leaning > 0 else DRESS] -= _RULED_OUT
    return logits


def dress_cues(image_HxWx3: np.ndarray, logits_HxWx8: np.ndarray, joints_Jx2: np.ndarray) -> np.ndarray | None:
    """What tells a dress from a top and a skirt or trousers, float32 (2,), of a frame with a picture in [-1, 1].

    The logarithm of how much of the frame is dress by the network over how much is the others; and the Bhattacharyya
    distance of the colours of the cloth above the hips from those below them, 0 for one cloth, whatever its print. None
    where the joints do not say where that is, or where there is little cloth: the network's leaning has to do then.
    """
    found = _trunk_of(joints_Jx2, len(image_HxWx3))
    if found is None:
        return None
    neck, hip, trunk = found
    shares = softmax(logits_HxWx8)
    row, cloth = np.arange(len(image_HxWx3))[:, None], shares[..., _CLOTHES].sum(-1)
    above = cloth * ((row > neck + _ABOVE[0] * trunk) & (row < hip - _ABOVE[1] * trunk))
    below = cloth * ((row > hip + _BELOW[0] * trunk) & (row < hip + _BELOW[1] * trunk))
    if min(above.sum(), below.sum()) < _LEAST_PIXELS:
        return None
    tones = _tones(image_HxWx3)
    likeness = np.sqrt(_histogram(tones, above) * _histogram(tones, below)).sum()
    return np.float32([_leaning(shares), -np.log(likeness + _LEAST_LIKENESS)])


def wears_leggings(logits_HxWx8: np.ndarray, joints_Jx2: np.ndarray) -> bool:
    """Whether what the network calls pants of somebody in a dress is worn below it, and is no part of the dress.

    It is, if less than half of the cloth right below the hips is pants by the network.
    """
    found = _trunk_of(joints_Jx2, len(logits_HxWx8))
    if found is None:
        return False
    _, hip, trunk = found
    start, end = (round(float(hip + share * trunk)) for share in _HEM)
    cloth = softmax(logits_HxWx8)[max(0, start) : max(0, end), :, _CLOTHES].sum((0, 1))
    return bool(cloth[_CLOTHES.index(PANTS)] < cloth.sum() / 2)


def _trunk_of(joints_Jx2: np.ndarray, height: int) -> tuple[float, float, float] | None:
    """The rows of neck and hips in a frame, and the trunk's length; None where the joints do not say."""
    there = joints_lib.present(joints_Jx2)
    hips = [joints_Jx2[joint, 0] for joint in _HIPS if there[joint]]
    if not there[_NECK] or not hips:
        return None
    neck, hip = joints_Jx2[_NECK, 0], np.mean(hips)
    return neck, hip, max(hip - neck, height / 16)


def by_colours(image_HxWx3: np.ndarray, logits_HxWx8: np.ndarray) -> np.ndarray:
    """What is to be added to logits for the colours of a picture in [-1, 1], float32 (H, W, 8).

    A histogram of the pixels that the network is sure of says how likely each pixel's colour is for hair, clothes,
    pants and skin of this person, as colour models do in GrabCut (Rother et al., 2004). A region gets so much of the
    logarithm as is above the mean over those that the person shows; a region without a model, and the background, none.
    """
    shares = softmax(logits_HxWx8)
    sure, tones = shares * (shares > _SURE), _tones(image_HxWx3)
    low, high = _SPAN
    place = tuple(np.moveaxis(((tones - low) / (high - low) * _BINS).astype(int).clip(0, np.subtract(_BINS, 1)), -1, 0))
    likely = {}
    for number, (_, models) in enumerate(_ALIKE):
        weights = sure[..., models].sum(-1)
        if weights.sum() >= _LEAST_SURE:
            histogram = _histogram(tones, weights)
            likely[number] = np.log(histogram + _FLOOR * histogram.max())[place]
    added = np.zeros_like(logits_HxWx8, dtype=np.float32)
    if likely:
        mean = sum(likely.values()) / len(likely)
        for number, logarithm in likely.items():
            added[..., _ALIKE[number][0]] = _SAY * (logarithm - mean).clip(-_MOST, _MOST)[..., None]
    return added


def with_hands(logits_HxWx8: np.ndarray, colours_HxWx8: np.ndarray, joints_Jx2: np.ndarray) -> np.ndarray:
    """The logits with fingers beside a head counted as skin, not as its face or hair, with which they would move.

    `colours_HxWx8`: as `by_colours` gives it; hair stays hair where its colour is. Within the face nothing changes: a
    hand before it has the same colour.
    """
    logits, size, there = logits_HxWx8.copy(), logits_HxWx8.shape[:2], joints_lib.present(joints_Jx2)
    box, up = face_box_from_joints(joints_Jx2, *size), joints_Jx2[_NOSE] - joints_Jx2[_NECK]
    if not there[[_NOSE, _NECK]].all() or not box.any() or not up.any():
        return logits
    y, x = np.mgrid[: size[0], : size[1]]
    middle, half, up = (box[:2] + box[2:] - 1) / 2, (box[2] - box[0]) / 2, up / np.hypot(*up)
    down, across = y - middle[0], x - middle[1]
    along, across = down * up[0] + across * up[1], down * up[1] - across * up[0]
    beside = np.hypot(along / _FACE_LENGTH, across / _FACE_WIDTH) > half
    is_skin = colours_HxWx8[..., SKIN] > colours_HxWx8[..., HAIR]
    for elbow, wrist in ((3, 4), (6, 7)):
        if there[[elbow, wrist]].all():
            down, across = y - joints_Jx2[wrist, 0], x - joints_Jx2[wrist, 1]
            forearm = joints_Jx2[wrist] - joints_Jx2[elbow]
            hand = (np.hypot(down, across) < _HAND * body_size(joints_Jx2)) & (
                down * forearm[0] + across * forearm[1] > 0
            )
            for region, part in ((FACE, hand & beside), (HAIR, hand & beside & is_skin)):
                logits[part, SKIN] = np.logaddexp(logits[part, SKIN], logits[part, region])
                logits[part, region] -= _RULED_OUT
    return logits


def _tones(image_HxWx3):
    """Brightness, and red and blue beside it, of a picture in [-1, 1]: light and shade move the first alone."""
    tone = np.log((image_HxWx3 + 1) / 2 + _DARK)
    brightness = tone.mean(-1)
    return np.stack([brightness, tone[..., 0] - brightness, tone[..., 2] - brightness], -1).clip(*_SPAN)


def _histogram(tones_HxWx3, weights_HxW):
    """Of `_tones`, smoothed, of sum 1."""
    edges = list(_SPAN.T)
    counts, _ = np.histogramdd(tones_HxWx3.reshape(-1, 3), _BINS, edges, weights=weights_HxW.ravel())
    smooth = ndimage.gaussian_filter(counts, _SMOOTH)
    return smooth / smooth.sum()


def _leaning(shares_HxWx8):
    """The logarithm of how many pixels are dress over how many are another garment."""
    return np.log((shares_HxWx8[..., DRESS].sum() + 1) / (shares_HxWx8[..., [UPPER, PANTS]].sum() + 1))


def softmax(logits):
    """Shares along the last axis."""
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True)


def with_rims_of_arms(regions_HxW: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """The regions with a rim of cloth around bare forearms and hands counted as theirs, where they lie before clothes.

    Its pixels show both; taken for cloth, they leave the outline of a hand where the hand was. joints: (18, 2).
    """
    found, there = regions_HxW.copy(), joints_lib.present(joints)
    rim = max(1, round(_RIM * len(regions_HxW)))
    for elbow, wrist in ((3, 4), (6, 7)):
        if not there[[elbow, wrist]].all():
            continue
        fingers = joints[elbow] + _TO_FINGERS * (joints[wrist] - joints[elbow])
        along, away = joints_lib.along(joints[elbow], fingers, regions_HxW.shape)
        near = away < _WIDE * body_size(joints)
        is_hand = along * _TO_FINGERS > 1
        for part in (is_hand, ~is_hand):
            bare = near & part & (regions_HxW == SKIN)
            around = ndimage.binary_dilation(bare, iterations=rim) & (regions_HxW != SKIN)
            cloth = around & np.isin(regions_HxW, _CLOTHES)
            if cloth.sum() > _BEFORE * around.sum():
                found[cloth] = SKIN
    return found
