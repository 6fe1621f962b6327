"""The region network: mask and 8 regions of a person from the photo, a first mask and joints.

A U-Net over a frame of 128x88, most of it at half that size, trained on rendered people (tools/train_regions.py). By
itself it may call one half of a dress a top and the other a skirt. So whether somebody wears a dress is decided once
for the whole person: by what the network leans to, and by whether the cloth above the hips is that below them. Colours
have a say in what is cloth, skin and hair, by those of the pixels that it is sure of. Where the person is it says after
a second look, with the mask that it found at first.
"""

import functools
import math
from importlib import resources

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from scrn_jax.errors import UserError
from scrn_jax.inference import framing, packing
from scrn_jax.person import heatmaps, regions
from scrn_jax.person import joints as joints_lib
from scrn_jax.person.guided import along_edges

FRAME = (128, 88)
WEIGHTS = "regions.npz"
RULE = "dress"  # what the rule's numbers are called there, beside those of the layers
# Joints whose heat maps the network sees; left and right share one.
_SPOTS = ((0,), (1,), (2, 5), (3, 6), (4, 7), (8, 11), (9, 12), (10, 13), (14, 15), (16, 17))
# Body parts as lines between joints, left and right in one map: trunk, hip, upper arm, forearm, thigh, shin, head.
_PARTS = (
    ((2, 8), (5, 11), (1, 8), (1, 11)), ((8, 11),), ((2, 3), (5, 6)), ((3, 4), (6, 7)), ((8, 9), (11, 12)),
    ((9, 10), (12, 13)), ((1, 0), (0, 16), (0, 17)),
)  # fmt: skip
CHANNELS = 4 + len(_SPOTS) + len(_PARTS)
_SMALL = 1e-6
TRUST = 0.85  # in the network's mask after its first look, the rest in the one it was given
BOLD = 0.05  # a pixel is the person's from half and a little more: outlines lie on the person's side of an edge
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
_NECK, _HIPS = 1, (8, 11)
_LEAST_PIXELS = 20.0  # of cloth in either place; with less, cloth tells nothing
# Histograms of colours: brightness, and red and blue beside it, of logarithms above that of _DARK.
_DARK, _BINS, _SPAN, _SMOOTH = 0.15, (8, 20, 20), np.array([(-1.9, -0.6, -0.6), (0.14, 0.6, 0.6)]), 0.8
_LEAST_LIKENESS = 1e-3
_RULED_OUT = 50.0  # taken from the logits of what somebody does not wear


def inputs(image_BxHxWx3, mask_BxHxW, joints_BxJx2):
    """What the network sees, float32 (B, H, W, CHANNELS), of pictures in [-1, 1], masks in [0, 1] and joints."""
    height, width = image_BxHxWx3.shape[1:3]
    heat = heatmaps.heat_maps(joints_BxJx2, height, width)
    spots = [heat[..., list(spot)].max(-1) for spot in _SPOTS]
    there = joints_lib.present(joints_BxJx2)
    parts = [jnp.stack([_line(joints_BxJx2, there, a, b, height, width) for a, b in lines]).max(0) for lines in _PARTS]
    return jnp.concatenate([image_BxHxWx3, mask_BxHxW[..., None], jnp.stack([*spots, *parts], -1)], -1)


def _line(joints, there, first: int, second: int, height: int, width: int):
    """exp(-d^2 / 2s^2) (B, H, W) of the distance d to the line between two joints, 0 when one is missing."""
    a, b = joints[:, first], joints[:, second]
    y, x = jnp.arange(height, dtype=jnp.float32)[:, None], jnp.arange(width, dtype=jnp.float32)[None]
    down, across = y - a[:, :1, None], x - a[:, 1:, None]
    way = b - a
    along = (down * way[:, :1, None] + across * way[:, 1:, None]) / ((way**2).sum(-1)[:, None, None] + _SMALL)
    along = jnp.clip(along, 0, 1)
    squared = (down - along * way[:, :1, None]) ** 2 + (across - along * way[:, 1:, None]) ** 2
    nearness = jnp.exp(-squared / (2 * heatmaps.sigma_for(height) ** 2))
    return jnp.where((there[:, first] & there[:, second])[:, None, None], nearness, 0.0)


class Block(nn.Module):
    """A 3x3 convolution, group norm, ReLU; added to its input where that has as many channels."""

    width: int
    stride: int = 1

    @nn.compact
    def __call__(self, x):
        """(B, H, W, C) -> (B, H / stride, W / stride, width)."""
        y = nn.Conv(self.width, (3, 3), self.stride, padding=1, use_bias=False)(x)
        y = nn.relu(nn.GroupNorm(num_groups=4)(y))
        return x + y if x.shape == y.shape else y


class RegionUNet(nn.Module):
    """Logits (B, H, W, 8) from `inputs`; H and W are multiples of 4.

    Attributes: width of the finest stage of the body, and of the full-size stages at both ends.
    """

    widths: tuple[int, ...] = (32, 48, 96, 128)
    fine: int = 8

    @nn.compact
    def __call__(self, x_BxHxWxC):
        """See the class."""
        fine, x, skips = Block(self.fine)(x_BxHxWxC), x_BxHxWxC, []
        for level, width in enumerate(self.widths):
            x = Block(width, stride=2)(x)
            for _ in range(1 if level == 0 else 2):
                x = Block(width)(x)
            skips.append(x)
        skips.pop()
        for skip in reversed(skips):
            x = _grown(nn.Conv(skip.shape[-1], (1, 1))(x), skip)
            x = Block(skip.shape[-1])(jnp.concatenate([x, skip], -1))
        x = _grown(nn.Conv(self.fine, (1, 1))(x), fine)
        x = Block(2 * self.fine)(jnp.concatenate([x, fine], -1))
        return nn.Conv(regions.NUM_REGIONS, (1, 1))(x)


def _grown(x, like):
    """Twice as large bilinearly, cut to the size of `like`."""
    batch, height, width, channels = x.shape
    return jax.image.resize(x, (batch, 2 * height, 2 * width, channels), "bilinear")[
        :, : like.shape[1], : like.shape[2]
    ]


class RegionNetwork:
    """A trained network as a function: `RegionNetwork.load()(photo, joints, mask)` gives mask and regions."""

    def __init__(self, params, dress=None):
        """dress: `kernel` (2,) and `bias` () of the logistic rule over `dress_cues`; None: each pixel by itself."""
        self._params, self._dress = params, dress

    @classmethod
    def load(cls) -> "RegionNetwork":
        """The network that comes with the package. Raises UserError when its file is missing or damaged."""
        file = resources.files("scrn_jax.inference") / "assets" / WEIGHTS
        try:
            params = packing.unpack(file.read_bytes())
            return cls(params, params.pop(RULE, None))
        except (OSError, ValueError) as error:
            raise UserError(f"scrn_jax/inference/assets/{WEIGHTS}: {error}; install scrn_jax anew") from error

    def __call__(
        self, photo_HxWx3: np.ndarray, joints_Jx2: np.ndarray, mask_HxW: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mask float32 (H, W) in [0, 1] and regions uint8 (H, W) of the person with these joints and first mask."""
        window, (image, logits, joints) = self._look(photo_HxWx3, joints_Jx2, mask_HxW)
        person = self._person(photo_HxWx3, joints_Jx2, mask_HxW, window, logits)
        if self._dress is not None:
            cues = dress_cues(image, logits, joints)
            leaning = _leaning(_softmax(logits)) if cues is None else cues @ self._dress["kernel"] + self._dress["bias"]
            if leaning > 0:
                into = LEG if wears_leggings(logits, joints) else DRESS
                logits[..., into] = np.logaddexp(logits[..., into], logits[..., PANTS])
            logits[..., [UPPER, PANTS] if leaning > 0 else DRESS] -= _RULED_OUT
        logits += by_colours(image, logits)
        return paint_back(logits, window, person, photo_HxWx3)

    def cues(self, photo_HxWx3: np.ndarray, joints_Jx2: np.ndarray, mask_HxW: np.ndarray) -> np.ndarray | None:
        """The `dress_cues` of what a call is given, by which the rule is fitted."""
        return dress_cues(*self._look(photo_HxWx3, joints_Jx2, mask_HxW)[1])

    def _person(self, photo, joints, first, window, logits):
        """The person's share of each pixel (H, W), of the first mask and what the network saw with it in a window.

        It sees more when it looks again with the mask that both make. The mean of the two has the finer edge.
        """
        seen = _person_of(logits, window, first.shape)
        mask = _along_edges((TRUST * seen + (1 - TRUST) * first)[..., None], window, photo)[..., 0].clip(0, 1)
        window, (_, logits, _) = self._look(photo, joints, mask)
        return (_person_of(logits, window, mask.shape) + mask) / 2

    def _look(self, photo, joints, mask):
        """The window of the network's frame, and the picture, logits and joints in it."""
        window = framing.window_around(framing.body_box(joints, mask), photo.shape[:2], FRAME[1] / FRAME[0])
        image = window.cut(photo, FRAME).astype(np.float32) / 127.5 - 1
        mask, joints = window.cut(mask.astype(np.float32), FRAME), window.joints_into(joints, FRAME)
        return window, (image, np.array(_logits(self._params, image[None], mask[None], joints[None])[0]), joints)


def dress_cues(image_HxWx3: np.ndarray, logits_HxWx8: np.ndarray, joints_Jx2: np.ndarray) -> np.ndarray | None:
    """What tells a dress from a top and a skirt or trousers, float32 (2,), of a frame with a picture in [-1, 1].

    The logarithm of how much of the frame is dress by the network over how much is the others; and the Bhattacharyya
    distance of the colours of the cloth above the hips from those below them, 0 for one cloth, whatever its print. None
    where the joints do not say where that is, or where there is little cloth: the network's leaning has to do then.
    """
    there = joints_lib.present(joints_Jx2)
    hips = [joints_Jx2[joint, 0] for joint in _HIPS if there[joint]]
    if not there[_NECK] or not hips:
        return None
    neck, hip = joints_Jx2[_NECK, 0], np.mean(hips)
    trunk = max(hip - neck, len(image_HxWx3) / 16)
    shares = _softmax(logits_HxWx8)
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
    there = joints_lib.present(joints_Jx2)
    hips = [joints_Jx2[joint, 0] for joint in _HIPS if there[joint]]
    if not there[_NECK] or not hips:
        return False
    hip = np.mean(hips)
    trunk = max(hip - joints_Jx2[_NECK, 0], len(logits_HxWx8) / 16)
    start, end = (round(float(hip + share * trunk)) for share in _HEM)
    cloth = _softmax(logits_HxWx8)[max(0, start) : max(0, end), :, _CLOTHES].sum((0, 1))
    return bool(cloth[_CLOTHES.index(PANTS)] < cloth.sum() / 2)


def by_colours(image_HxWx3: np.ndarray, logits_HxWx8: np.ndarray) -> np.ndarray:
    """What is to be added to logits for the colours of a picture in [-1, 1], float32 (H, W, 8).

    A histogram of the pixels that the network is sure of says how likely each pixel's colour is for hair, clothes,
    pants and skin of this person, as colour models do in GrabCut (Rother et al., 2004). A region gets so much of the
    logarithm as is above the mean over those that the person shows; a region without a model, and the background, none.
    """
    shares = _softmax(logits_HxWx8)
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


def _softmax(logits):
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True)


def _person_of(logits_hxwx8, window: framing.Window, size: tuple[int, int]):
    """How far each pixel of a photo of `size` is the person's by logits of a window; 0 outside."""
    return window.paste(1 - _softmax(logits_hxwx8)[..., 0], size)


def _along_edges(maps_HxWxC, window: framing.Window, photo_HxWx3):
    """The same array, changed inside the window by `guided.along_edges`: of a large photo there is no room for two."""
    rows = slice(max(0, int(window.top)), max(1, math.ceil(window.top + window.height)))
    columns = slice(max(0, int(window.left)), max(1, math.ceil(window.left + window.width)))
    maps_HxWxC[rows, columns] = along_edges(maps_HxWxC[rows, columns], photo_HxWx3[rows, columns])
    return maps_HxWxC


def paint_back(
    logits: np.ndarray, window: framing.Window, person: np.ndarray, photo: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mask and regions in a photo (H, W, 3) from logits (h, w, 8) of a window and the person's share of each pixel.

    The outline and those between regions are drawn along the photo's edges.
    """
    shares = np.moveaxis(_softmax(logits), -1, 0)
    maps = np.stack([person, *(window.paste(share, person.shape) for share in shares[1:])], axis=-1)
    maps = _along_edges(maps, window, photo)
    # The likeliest region of a person's pixel is decided apart from whether it is a person's.
    mask, labels = (maps[..., 0] - BOLD).clip(0, 1), 1 + maps[..., 1:].argmax(-1)
    return mask, np.where(mask > 0.5, labels, 0).astype(np.uint8)


@functools.partial(jax.jit)
def _logits(params, image, mask, joints):
    return RegionUNet().apply({"params": params}, inputs(image, mask, joints))


def shapes():
    """The shapes of the network's parameters."""
    example = jnp.zeros((1, *FRAME, CHANNELS))
    return jax.eval_shape(lambda: RegionUNet().init(jax.random.key(0), example)["params"])


def unpack(data: bytes):
    """The layers' parameters in the bytes of a file of weights. Raises ValueError when they are of another network."""
    return packing.unpack(data, shapes(), besides=(RULE,))
