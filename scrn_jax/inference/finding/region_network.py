"""The region network: mask and 8 regions of a person from the photo, a first mask and joints.

A U-Net over a frame of 128x88, most of it at half that size, trained on rendered people (tools/train_regions.py). What
it leans to is decided for the whole person, and with colours in view, by `garments`. Where the person is it says after
a second look, with the mask that it found at first.
"""

import functools
import math
from importlib import resources

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from scrn_jax.errors import UserError
from scrn_jax.inference import packing
from scrn_jax.inference.finding import framing, garments
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
# A smaller share of a person's pixels is no skin of neck, arms or legs, but a mistake at an outline, whose colour all
# of them would take in another pose: without it they take that of the skin there is. An ear may be all of a face.
CRUMB = 0.004
BOLD = 0.05  # a pixel is the person's from half and a little more: outlines lie on the person's side of an edge


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
        """dress: the rule of `garments.worn`; None: each pixel by itself."""
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
            logits = garments.worn(image, logits, joints, self._dress)
        colours = garments.by_colours(image, logits)
        logits = garments.with_hands(logits + colours, colours, joints)
        return paint_back(logits, window, person, photo_HxWx3)

    def cues(self, photo_HxWx3: np.ndarray, joints_Jx2: np.ndarray, mask_HxW: np.ndarray) -> np.ndarray | None:
        """The `garments.dress_cues` of what a call is given, by which the rule is fitted."""
        return garments.dress_cues(*self._look(photo_HxWx3, joints_Jx2, mask_HxW)[1])

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


def _person_of(logits_hxwx8, window: framing.Window, size: tuple[int, int]):
    """How far each pixel of a photo of `size` is the person's by logits of a window; 0 outside."""
    return window.paste(1 - garments.softmax(logits_hxwx8)[..., 0], size)


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
    shares = np.moveaxis(garments.softmax(logits), -1, 0)
    maps = np.stack([person, *(window.paste(share, person.shape) for share in shares[1:])], axis=-1)
    maps = _along_edges(maps, window, photo)
    # The likeliest region of a person's pixel is decided apart from whether it is a person's.
    mask, shares = (maps[..., 0] - BOLD).clip(0, 1), maps[..., 1:]
    likeliest = 1 + shares.argmax(-1)
    area = np.bincount(likeliest[mask > 0.5], minlength=regions.NUM_REGIONS)
    for region in regions.LIMBS_SKIN:
        if area[region] < CRUMB * area.sum():
            shares[..., region - 1] = 0
    return mask, np.where(mask > 0.5, 1 + shares.argmax(-1), 0).astype(np.uint8)


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
