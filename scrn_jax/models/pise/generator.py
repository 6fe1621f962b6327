"""PISE's generator: predict the target's parsing map, encode shape and style apart, put the style back by region and by
place."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from scrn_jax.models import base, layers, spectral
from scrn_jax.models.ops.convolutions import Compute
from scrn_jax.models.pise import blocks
from scrn_jax.models.pise.normalisation import RegionNorm, SpatialNorm
from scrn_jax.models.pise.settings import Model
from scrn_jax.models.pretrained.vgg import VGG
from scrn_jax.person import heatmaps, joints, regions

STRIDE = 16  # of the deepest encoder; a frame is filled up to a multiple of it
VGG_TAP, VGG_CHANNELS = "relu3_1", 256


class ParsingGenerator(nn.Module):
    """S_r and both poses (B, H, W, R + 36) to a map (B, H, W, R) in [0, 1], a sigmoid by another name a region.

    Halvings, two gated convolutions, as many doublings; widths double with every halving.
    """

    width: int
    regions: int
    halvings: int = 4
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x):
        options = {"spectral": False, "affine": False, "slope": 0.2, "compute": self.compute}
        c = self.width
        widths = [c * 2**level for level in range(self.halvings + 1)]
        for level, features in enumerate(widths[1:]):
            x = blocks.DownBlock(features, features if level else c, **options)(x)
        for _ in range(2):
            x = blocks.GatedConv(widths[-1], self.compute)(x)
        for features in widths[-2::-1]:
            x = blocks.UpBlock(features, features, **options)(x)
        return (blocks.Output(self.regions, **options)(x) + 1) / 2


class Encoder(nn.Module):
    """To the feature grid (B, H/4, W/4, 4 width): four halvings, two gated convolutions if `gated`, two doublings."""

    width: int
    gated: bool
    spectral: bool = True
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x):
        c, options = self.width, {"spectral": self.spectral, "compute": self.compute}
        for features in (2 * c, 4 * c, 4 * c, 4 * c):
            x = blocks.DownBlock(features, **options)(x)
        if self.gated:
            for _ in range(2):
                x = blocks.GatedConv(4 * c, self.compute)(x)
        for _ in range(2):
            x = blocks.UpBlock(4 * c, **options)(x)
        return x


def style_codes(features_BxhxwxC, masks_BxhxwxR):
    """Mean feature of every region (B, R, C), the whole frame's mean for a region that is not there; float32."""
    features, masks = features_BxhxwxC.astype(jnp.float32), masks_BxhxwxR.astype(jnp.float32)
    area_BxRx1 = masks.sum((1, 2))[..., None]
    means = jnp.einsum("bhwr,bhwc->brc", masks, features) / jnp.maximum(area_BxRx1, 1)
    return jnp.where(area_BxRx1 > 0, means, features.mean((1, 2))[:, None])


class Decoder(nn.Module):
    """Features (B, H/4, W/4, 4 width) to pictures (B, H, W, 3) in [-1, 1]."""

    width: int
    spectral: bool = True
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x):
        c, options = self.width, {"spectral": self.spectral, "compute": self.compute}
        for features in (2 * c, c):
            x = blocks.UpBlock(features, **options)(x)
            x = blocks.ResBlock(features, **options)(x)
        return blocks.Output(3, **options)(x)


def likeliest(map_BxHxWxR):
    """The one region that each place belongs to, one-hot."""
    return jax.nn.one_hot(map_BxHxWxR.argmax(-1), map_BxHxWxR.shape[-1])


def last_there(map_BxHxWxR):
    """As `likeliest`, but the last region whose number is not 0, and none where all are: the authors' code's rule."""
    there = map_BxHxWxR > 0
    later = jnp.cumsum(there[..., ::-1], axis=-1)[..., ::-1]
    return (there & (later == 1)).astype(map_BxHxWxR.dtype)


def _ours(map_BxHxWxR):
    """A map of the classes of PISE's released maps as one of our regions: of those that are one here, the likelier."""
    found = [
        [i for i, (_, ours) in enumerate(regions.PISE_8) if ours == region] for region in range(map_BxHxWxR.shape[-1])
    ]
    return jnp.stack(
        [map_BxHxWxR[..., classes].max(-1) if classes else jnp.zeros(map_BxHxWxR.shape[:-1]) for classes in found], -1
    )  # fmt: skip


class PISE(nn.Module):
    """Source image, both poses and source parsing to the person in the target pose.

    A frame whose sides are no multiples of 16 is filled up at the bottom and the right, and the results are cut back.

    Attributes:
      model: its size, see `settings.Model`.
      vgg: depth of the frozen network, 19 or 16, whose relu3_1 of the source the spatially-aware norm looks at. Its
        weights are a part of the parameters, under `vgg`, and get no gradient.
    """

    model: Model = Model()
    vgg: int = 19

    @nn.compact
    def __call__(self, source_image, source_pose, target_pose, source_parsing) -> dict[str, jax.Array]:
        """Images (B, H, W, 3) in [-1, 1], joints (B, 18, 2) in pixels, labels (B, H, W).

        Returns:
          `image` (B, H, W, 3) in [-1, 1]; `map` (B, H, W, 8), each region by itself in [0, 1]; `parsing`, the same as
          shares of 1; `features` (B, h, w, 256), before the spatially-aware norm, h and w a quarter of the frame that
          was filled up; of a width other than 64 by a 1x1 convolution.
        """
        model, compute = self.model, base.compute(self.model)
        channels, options = 4 * model.width, {"spectral": not model.published, "compute": compute}
        height, width = source_image.shape[1:3]
        image, source_map, *poses = self._given(source_image, source_parsing, source_pose, target_pose)

        given = jnp.concatenate([source_map, *poses], axis=-1)
        target_map = ParsingGenerator(
            model.parsing_width, regions.NUM_REGIONS, model.parsing_halvings, compute, name="parsing"
        )(given)
        codes = self._codes(image, source_map)
        shape = jnp.concatenate([source_map, target_map, poses[1], image], axis=-1)
        x = Encoder(model.width, gated=True, name="shape_encoder", **options)(shape)
        places = (last_there if model.published else likeliest)(target_map[:, ::4, ::4])
        x = RegionNorm(model.published, compute, name="region_norm")(x, codes, places)
        features = blocks.ResBlock(channels, spectral=False, compute=compute, name="after_regions")(x)

        seen = VGG(self.vgg, (VGG_TAP,), compute, normalised=False, name="vgg")(image)[VGG_TAP]
        x = SpatialNorm(channels, compute, name="spatial_norm")(features, jax.lax.stop_gradient(seen))
        x = blocks.ResBlock(channels, spectral=False, compute=compute, name="after_places")(x)
        picture = Decoder(model.width, name="decoder", **options)(x)
        if features.shape[-1] != VGG_CHANNELS and not model.published:
            features = layers.conv1(VGG_CHANNELS, compute=compute, name="for_correspondence")(features)
        left = self._bar(height, width)
        picture, target_map = (each[:, :height, left : left + width] for each in (picture, target_map))
        if model.published:
            target_map = _ours(target_map)
        return {
            "image": picture,
            "map": target_map,
            "parsing": target_map / jnp.maximum(target_map.sum(-1, keepdims=True), 1e-6),
            "features": features.astype(jnp.float32),
        }

    def _bar(self, height: int, width: int) -> int:
        """Columns to put before a frame: half of what `published` weights want it to be wider."""
        return max(0, (height - width) // 2) if self.model.published else 0

    def _given(self, source_image, source_parsing, *poses):
        """The picture, its regions one-hot, and the poses' heat maps, of a frame that the encoders can halve."""
        height, width = source_image.shape[1:3]
        fill = partial(layers.pad_to_multiple, multiple=STRIDE)
        if self.model.published:
            left = self._bar(height, width)
            columns = (0, 0), (0, 0), (left, max(0, height - width) - left)
            source_image = jnp.pad(source_image, (*columns, (0, 0)), constant_values=1.0)
            source_parsing = jnp.pad(jnp.asarray(regions.PISE_CLASSES)[source_parsing], columns)
            moved = [pose + jnp.asarray([0, left], jnp.float32) for pose in poses]
            poses = [
                jnp.where(joints.present(pose)[..., None], to, joints.MISSING)
                for pose, to in zip(poses, moved, strict=True)
            ]
            width = source_image.shape[2]
        labels = fill(source_parsing[..., None], mode="edge")[..., 0]
        source_map = jax.nn.one_hot(labels, regions.NUM_REGIONS)
        maps = [fill(heatmaps.heat_maps(pose, height, width)) for pose in poses]
        return fill(source_image, mode="edge"), source_map, *maps

    def _codes(self, image, source_map):
        """The source's style, a code (4 width,) in [-1, 1] for every region."""
        width, compute = self.model.width, base.compute(self.model)
        x = Encoder(width, gated=False, spectral=not self.model.published, compute=compute, name="style_encoder")(image)
        x = spectral.Conv(
            4 * width, taps=1, padding=0, spectral=False, kernel_init=blocks.PLAIN_INIT, compute=compute,
            name="to_style",
        )(x)  # fmt: skip
        return style_codes(jnp.tanh(x), source_map[:, ::4, ::4])
