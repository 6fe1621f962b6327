"""SCRN's generator on one screen: parsing block, coarse stage, refine stage."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from scrn_jax.models import base, layers, upsampling
from scrn_jax.models.scrn.coarse import CoarseGenerator, DetailedParsingBlock, ParsingBlock
from scrn_jax.models.scrn.refine import InjectStyle, PaintingDecoder, RefineArea, StyleEncoder
from scrn_jax.models.scrn.settings import Model
from scrn_jax.person import arms, body, heatmaps, paint

GRID = 4  # pixels a cell of the feature grid


class SCRN(nn.Module):
    """Paints the person of a source photo in a target pose.

    Attributes:
      model: its size and variants, see `settings.Model`; features on the grid have 4 `width` channels.
      regions: classes of the parsing maps.
      feature_channels: channels of the features that Eq. 5 compares with VGG's conv3_1. Where features have another
        number, a 1x1 convolution maps F_g to them; it only serves the loss.
    """

    model: Model = Model()
    regions: int = 8
    feature_channels: int = 256

    @nn.compact
    def __call__(self, source_image, source_pose, target_pose, source_parsing, style=None):
        """Generate.

        Args:
          source_image: I_r (B, H, W, 3) float in [-1, 1]; H and W multiples of 4.
          source_pose, target_pose: P_r, P_t (B, J, 2) as (y, x) pixels, missing (-1, -1).
          source_parsing: S_r (B, H, W) integer labels.
          style: None, or a mapping that dresses regions as another person's are: `image`, `pose` and `parsing` of that
            person as the three of the source, and `share` (B, regions) in [0, 1], how far each region is taken from
            there: its code and its paint. Shapes stay those of the source.

        Returns:
          A dict: `image` I_g and `coarse_image` I_crs (B, H, W, 3) in [-1, 1]; `parsing` S_g (B, H, W, regions), a
          distribution per pixel, and `parsing_logits`, its logarithm but for a constant per pixel and
          for sleeves; `features` F_g for Eq. 5 (B, H/4, W/4, feature_channels); all float32.

        Raises:
          ValueError: a side is not a multiple of 4.
        """
        model, compute = self.model, base.compute(self.model)
        height, width = source_image.shape[1:3]
        if height % GRID or width % GRID:
            raise ValueError(f"image sides must be multiples of {GRID}, got {height}x{width}")
        profiles = partial(heatmaps.profiles, height=height, width=width)
        target_rows, target_columns = profiles(target_pose)
        rows, columns = profiles(jnp.concatenate([source_pose, target_pose], axis=1))
        source_parsing = jax.nn.one_hot(source_parsing, self.regions)

        hints = []
        if model.parsing_hints or model.paint != "none":
            parts = body.part_map(source_pose, target_pose, height, width)
            carry = partial(arms.carry_labels, pose_Bx18x2=source_pose) if model.parsing_bared else paint.carry_labels
            hints = [carry(source_parsing, positions=parts[0], distances=parts[1]), body.nearness(parts[1])]
        parsing_maps = jnp.concatenate([source_parsing, *(hints if model.parsing_hints else [])], axis=-1)
        parsing_logits = self._parsing_block()((rows, columns, parsing_maps))
        given = nn.softmax(parsing_logits)
        if model.parsing_sleeves:
            given = arms.worn(given, source_parsing, source_pose, target_pose, model.parsing_sleeves)
        parsing = jax.lax.stop_gradient(given) if model.parsing_alone else given

        seen, painted = source_image, None
        other = None if style is None else jax.nn.one_hot(style["parsing"], self.regions)
        if model.paint != "none":
            paint_of = partial(paint.Paint.of, **model.paint_options)
            painted = paint_of(source_image, source_parsing, parts, parsing)
            if style is not None:
                their_parts = body.part_map(style["pose"], target_pose, height, width)
                theirs = paint_of(style["image"], other, their_parts, parsing)
                painted = painted.towards(theirs, style["share"], parsing)
            seen = jnp.concatenate([source_image, painted.picture, painted.weight], axis=-1)
        maps = jnp.concatenate([source_parsing, parsing], axis=-1)
        coarse = CoarseGenerator(
            model.width, model.blocks, model.upsampling, model.remat, compute, name="coarse_generator"
        )
        coarse_features, coarse_image = coarse(seen, (rows, columns, maps))
        refined = coarse_features
        if model.refine_area:
            refined = RefineArea(model.width, compute, name="refine_area_block")(
                coarse_features, (target_rows, target_columns, parsing)
            )
        style_encoder = StyleEncoder(
            model.width, model.style_multiples, model.upsampling, model.style_bounded, compute, name="style_encoder"
        )
        style_codes = style_encoder(source_image, source_parsing)
        if style is not None:
            share = style["share"][..., None]
            style_codes = (1 - share) * style_codes + share * style_encoder(style["image"], other)
        features = InjectStyle(model.style_norm, compute, name="inject_style_block")(
            refined, style_codes, layers.mean_pool(parsing, GRID)
        )
        if painted is None:
            image = upsampling.Decoder(model.width, model.upsampling, compute, name="decoder")(features)
        else:
            guide = jnp.concatenate([parsing, painted.picture, painted.flat, painted.weight, *hints], axis=-1)
            flat = [painted.flat] if model.paint == "blended" else []
            image = PaintingDecoder(model.width, compute, name="decoder")(features, guide, painted.picture, *flat)
        if features.shape[-1] != self.feature_channels:
            features = layers.conv1(self.feature_channels, compute=compute, name="to_correspondence")(features)
        return {
            "image": image,
            "coarse_image": coarse_image,
            "parsing": given,
            "parsing_logits": parsing_logits,
            "features": features.astype(jnp.float32),
        }

    def _parsing_block(self) -> nn.Module:
        model, compute = self.model, base.compute(self.model)
        sizes = (model.width, self.regions, model.parsing_multiples)
        if model.parsing_detail:
            return DetailedParsingBlock(*sizes, compute, name="parsing_block")
        return ParsingBlock(*sizes, model.upsampling, compute, name="parsing_block")
