"""The region network: mask and 8 regions of a person from the photo, a first mask and joints.

A U-Net over a frame of 128x88, most of it at half that size, trained on rendered people (tools/train_regions.py).
"""

import functools
from importlib import resources

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from scrn_jax.errors import UserError
from scrn_jax.inference import framing, packing
from scrn_jax.person import heatmaps, regions
from scrn_jax.person import joints as joints_lib

FRAME = (128, 88)
WEIGHTS = "regions.npz"
# Joints whose heat maps the network sees; left and right share one.
_SPOTS = ((0,), (1,), (2, 5), (3, 6), (4, 7), (8, 11), (9, 12), (10, 13), (14, 15), (16, 17))
# Body parts as lines between joints, left and right in one map: trunk, hip, upper arm, forearm, thigh, shin, head.
_PARTS = (
    ((2, 8), (5, 11), (1, 8), (1, 11)), ((8, 11),), ((2, 3), (5, 6)), ((3, 4), (6, 7)), ((8, 9), (11, 12)),
    ((9, 10), (12, 13)), ((1, 0), (0, 16), (0, 17)),
)  # fmt: skip
CHANNELS = 4 + len(_SPOTS) + len(_PARTS)
_SMALL = 1e-6


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

    def __init__(self, params):
        self._params = params

    @classmethod
    def load(cls) -> "RegionNetwork":
        """The network that comes with the package. Raises UserError when its file is missing or damaged."""
        file = resources.files("scrn_jax.inference") / "assets" / WEIGHTS
        try:
            return cls(packing.unpack(file.read_bytes()))
        except (OSError, ValueError) as error:
            raise UserError(f"scrn_jax/inference/assets/{WEIGHTS}: {error}; install scrn_jax anew") from error

    def __call__(
        self, photo_HxWx3: np.ndarray, joints_Jx2: np.ndarray, mask_HxW: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mask float32 (H, W) in [0, 1] and regions uint8 (H, W) of the person with these joints and first mask."""
        size = photo_HxWx3.shape[:2]
        window = framing.window_around(framing.body_box(joints_Jx2, mask_HxW), size, FRAME[1] / FRAME[0])
        image = window.cut(photo_HxWx3, FRAME).astype(np.float32) / 127.5 - 1
        mask = window.cut(mask_HxW.astype(np.float32), FRAME)
        joints = window.joints_into(joints_Jx2, FRAME)
        logits = np.asarray(_logits(self._params, image[None], mask[None], joints[None])[0])
        return paint_back(logits, window, mask_HxW)


def paint_back(logits: np.ndarray, window: framing.Window, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mask and regions in a photo from logits (h, w, 8) of a window and the first mask (H, W).

    The mask is the mean of both: the first has the finer edge, the network knows better what belongs to the person.
    """
    size = first.shape
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    best, labels = np.zeros(size, np.float32), np.zeros(size, np.uint8)
    mask = (window.paste(1 - shares[..., 0], size) + first) / 2
    # The likeliest region of a person's pixel is decided apart from whether it is a person's.
    for region in range(1, regions.NUM_REGIONS):
        share = window.paste(shares[..., region], size)
        better = share > best
        labels[better], best[better] = region, share[better]
    return mask, np.where(mask > 0.5, labels, 0).astype(np.uint8)


@functools.partial(jax.jit)
def _logits(params, image, mask, joints):
    return RegionUNet().apply({"params": params}, inputs(image, mask, joints))


def shapes():
    """The shapes of the network's parameters."""
    example = jnp.zeros((1, *FRAME, CHANNELS))
    return jax.eval_shape(lambda: RegionUNet().init(jax.random.key(0), example)["params"])


def unpack(data: bytes):
    """The network's parameters from the bytes of `packing.pack`. Raises ValueError when they are of another network."""
    return packing.unpack(data, shapes())
