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
from scrn_jax.person import heatmaps, regions

STRIDE = 16  # of the deepest encoder; a frame is filled up to a multiple of it
VGG_TAP, VGG_CHANNELS = "relu3_1", 256


class ParsingGenerator(nn.Module):
    """S_r and both poses (B, H, W, R + 36) to a map (B, H, W, R) in [0, 1], a sigmoid by another name a region.

    Four halvings, two gated convolutions, four doublings.
    """

    width: int
    regions: int
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x):
        options = {"spectral": False, "affine": False, "slope": 0.2, "compute": self.compute}
        c = self.width
        for features, hidden in ((2 * c, c), (4 * c, 4 * c), (8 * c, 8 * c), (16 * c, 16 * c)):
            x = blocks.DownBlock(features, hidden, **options)(x)
        for _ in range(2):
            x = blocks.GatedConv(16 * c, self.compute)(x)
        for features, hidden in ((8 * c, 8 * c), (4 * c, 4 * c), (2 * c, 2 * c), (c, c)):
            x = blocks.UpBlock(features, hidden, **options)(x)
        return (blocks.Output(self.regions, **options)(x) + 1) / 2


class Encoder(nn.Module):
    """To the feature grid (B, H/4, W/4, 4 width): four halvings, two gated convolutions if `gated`, two doublings."""

    width: int
    gated: bool
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x):
        c = self.width
        for features in (2 * c, 4 * c, 4 * c, 4 * c):
            x = blocks.DownBlock(features, compute=self.compute)(x)
        if self.gated:
            for _ in range(2):
                x = blocks.GatedConv(4 * c, self.compute)(x)
        for _ in range(2):
            x = blocks.UpBlock(4 * c, compute=self.compute)(x)
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
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x):
        c = self.width
        for features in (2 * c, c):
            x = blocks.UpBlock(features, compute=self.compute)(x)
            x = blocks.ResBlock(features, compute=self.compute)(x)
        return blocks.Output(3, compute=self.compute)(x)


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
        channels, compute = 4 * self.model.width, base.compute(self.model)
        height, width = source_image.shape[1:3]
        fill = partial(layers.pad_to_multiple, multiple=STRIDE)
        image = fill(source_image, mode="edge")
        labels = fill(source_parsing[..., None], mode="edge")[..., 0]
        poses = [fill(heatmaps.heat_maps(pose, height, width)) for pose in (source_pose, target_pose)]
        source_map = jax.nn.one_hot(labels, regions.NUM_REGIONS)

        given = jnp.concatenate([source_map, *poses], axis=-1)
        target_map = ParsingGenerator(self.model.parsing_width, regions.NUM_REGIONS, compute, name="parsing")(given)
        codes = self._codes(image, source_map)
        shape = jnp.concatenate([source_map, target_map, poses[1], image], axis=-1)
        x = Encoder(self.model.width, gated=True, compute=compute, name="shape_encoder")(shape)
        likeliest = jax.nn.one_hot(target_map[:, ::4, ::4].argmax(-1), regions.NUM_REGIONS)
        x = RegionNorm(compute, name="region_norm")(x, codes, likeliest)
        features = blocks.ResBlock(channels, spectral=False, compute=compute, name="after_regions")(x)

        seen = VGG(self.vgg, (VGG_TAP,), compute, normalised=False, name="vgg")(image)[VGG_TAP]
        x = SpatialNorm(channels, compute, name="spatial_norm")(features, jax.lax.stop_gradient(seen))
        x = blocks.ResBlock(channels, spectral=False, compute=compute, name="after_places")(x)
        picture = Decoder(self.model.width, compute, name="decoder")(x)
        if features.shape[-1] != VGG_CHANNELS:
            features = layers.conv1(VGG_CHANNELS, compute=compute, name="for_correspondence")(features)
        target_map = target_map[:, :height, :width]
        return {
            "image": picture[:, :height, :width],
            "map": target_map,
            "parsing": target_map / jnp.maximum(target_map.sum(-1, keepdims=True), 1e-6),
            "features": features.astype(jnp.float32),
        }

    def _codes(self, image, source_map):
        """The source's style, a code (4 width,) in [-1, 1] for every region."""
        width, compute = self.model.width, base.compute(self.model)
        x = Encoder(width, gated=False, compute=compute, name="style_encoder")(image)
        x = spectral.Conv(
            4 * width, taps=1, padding=0, spectral=False, kernel_init=blocks.PLAIN_INIT, compute=compute,
            name="to_style",
        )(x)  # fmt: skip
        return style_codes(jnp.tanh(x), source_map[:, ::4, ::4])
