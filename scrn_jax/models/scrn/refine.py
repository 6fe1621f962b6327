"""The second stage: decide where the coarse result needs style, and put the source's style back region by region."""

from functools import partial

import flax.linen as nn
import jax.numpy as jnp

from scrn_jax.models import layers, upsampling
from scrn_jax.models.layers import PoseConv
from scrn_jax.models.ops.convolutions import Compute
from scrn_jax.models.scrn.coarse import Encoder

DOUBLINGS = 2  # of the style encoder's grid, by its residual blocks
# The gate of `PaintingDecoder` is sigmoid(CARRIED + GATE_SLOPE x), x near 0 at first: carried pixels count 0.88 then.
CARRIED, GATE_SLOPE = 2.0, 10.0


class RefineArea(nn.Module):
    """Keeps of F_crs what fits the target: F'_crs = sigmoid(Fus(cat(F_crs, F_sp))) * F_crs (Eq. 3).

    F_sp encodes cat(P_t, S_g) with gated convolutions; Fus is a gated convolution and a 3x3 one.
    """

    width: int
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, coarse_features_BxHxWxC, target_pose_and_parsing):
        shape_features = Encoder(
            self.width, layer=layers.GatedConv, first_conv=PoseConv, compute=self.compute, name="shape_encoder"
        )(target_pose_and_parsing)
        channels = coarse_features_BxHxWxC.shape[-1]
        fused = jnp.concatenate([coarse_features_BxHxWxC, shape_features], axis=-1)
        fused = layers.GatedConv(channels, compute=self.compute, name="fuse_gated")(fused)
        fused = layers.conv3(channels, compute=self.compute, name="fuse_out")(fused)
        return nn.sigmoid(fused) * coarse_features_BxHxWxC


def region_means(features_BxHxWxC, masks_BxHxWxR, valid_BxHxWx1):
    """Mean feature of every region under soft masks; an absent region takes the mean of the whole image.

    Args:
      features_BxHxWxC: features of the source.
      masks_BxHxWxR: share of each cell that a region covers, in [0, 1].
      valid_BxHxWx1: share of each cell that lies inside the image.

    Returns:
      Codes (B, R, C) in float32.
    """
    masks_BxHxWxR = jnp.concatenate([masks_BxHxWxR, valid_BxHxWx1], axis=-1).astype(jnp.float32)
    area_BxS = masks_BxHxWxR.sum((1, 2))
    sums_BxSxC = jnp.einsum("bhwr,bhwc->brc", masks_BxHxWxR, features_BxHxWxC.astype(jnp.float32))
    means_BxSxC = sums_BxSxC / jnp.maximum(area_BxS, 1e-6)[..., None]
    whole_Bx1xC = means_BxSxC[:, -1:]
    absent_BxRx1 = area_BxS[:, :-1, None] <= 0
    return jnp.where(absent_BxRx1, whole_Bx1xC, means_BxSxC[:, :-1])


class StyleEncoder(nn.Module):
    """Source image and one-hot parsing to one style code per region: F_s (B, regions, 4c).

    A stride-2 convolution per entry of `multiples` (the paper: five; their widths as multiples of `width`), two
    up-sampling residual blocks, 1x1, tanh if `bounded`, then means under the regions.
    """

    width: int
    multiples: tuple[int, ...]
    upsampling: str
    bounded: bool
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, source_image_BxHxWx3, source_parsing_BxHxWxR):
        stride = 2 ** len(self.multiples)
        x = layers.pad_to_multiple(source_image_BxHxWx3, stride, mode="edge")
        # No norms on the way down: an instance norm takes away each channel's mean, which is where colour lives. So
        # that the image still arrives with its contrast, the weights make up for what the activation takes.
        conv = partial(layers.down_conv, kernel_init=nn.initializers.he_normal(), compute=self.compute)
        for multiple in self.multiples:
            x = layers.leaky_relu(conv(multiple * self.width)(x))
        for _ in range(DOUBLINGS):
            x = upsampling.UpResBlock(4 * self.width, self.upsampling, self.compute)(x)
        x = layers.conv1(4 * self.width, compute=self.compute, name="to_style")(x)
        x = jnp.tanh(x) if self.bounded else x
        inside = jnp.ones_like(source_parsing_BxHxWxR[..., :1])
        masks = jnp.concatenate([source_parsing_BxHxWxR, inside], axis=-1)
        masks = layers.mean_pool(layers.pad_to_multiple(masks, stride), stride >> DOUBLINGS)
        return region_means(x, masks[..., :-1], masks[..., -1:])


def region_norm(features_BxHxWxC, weights_BxHxWxR, epsilon: float = 1e-2):
    """Features less their region's mean, over its standard deviation, the regions given by soft weights; float32.

    A region's own level is what its style has to bring; an instance norm over the frame keeps it. `epsilon` is added to
    the variances, so that a region of a few equal cells is not blown up.
    """
    features, weights = features_BxHxWxC.astype(jnp.float32), weights_BxHxWxR.astype(jnp.float32)
    area_BxRx1 = jnp.maximum(weights.sum((1, 2)), 1e-3)[..., None]

    def mean(x):
        return jnp.einsum("bhwr,bhwc->brc", weights, x) / area_BxRx1

    def spread(x):
        return jnp.einsum("bhwr,brc->bhwc", weights, x)

    centred = features - spread(mean(features))
    return centred / jnp.sqrt(spread(mean(centred**2)) + epsilon)


class InjectStyle(nn.Module):
    """Source style onto F'_crs: norm(F'_crs) * (1 + gamma) + beta with gamma and beta from style codes spread by S_g.

    Each region's code passes its own linear layer and ReLU; S_g (resized by area to the grid) mixes the codes softly at
    each position; two 3x3 convolutions read gamma and beta off the mixture; a residual block follows. `norm`: over the
    `frame`, or each `region` by itself (`region_norm`).
    """

    norm: str
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, features_BxHxWxC, codes_BxRxS, weights_BxHxWxR):
        regions, size = codes_BxRxS.shape[1:]
        channels = features_BxHxWxC.shape[-1]
        kernel = self.param("region_kernel", nn.initializers.lecun_normal(batch_axis=(0,)), (regions, size, channels))
        bias = self.param("region_bias", nn.initializers.zeros, (regions, channels))
        codes_BxRxC = nn.relu(jnp.einsum("brs,rsc->brc", codes_BxRxS, kernel) + bias)
        style = jnp.einsum("bhwr,brc->bhwc", weights_BxHxWxR, codes_BxRxC).astype(self.compute.dtype)
        gamma = layers.conv3(channels, compute=self.compute, name="gamma")(style)
        beta = layers.conv3(channels, compute=self.compute, name="beta")(style)
        if self.norm == "region":
            normed = region_norm(features_BxHxWxC, weights_BxHxWxR).astype(self.compute.dtype)
        else:
            normed = layers.instance_norm(use_scale=False, use_bias=False, dtype=self.compute.dtype)(features_BxHxWxC)
        return layers.ResBlock(compute=self.compute)(normed * (1 + gamma) + beta)


class PaintingDecoder(nn.Module):
    """Features F_g and paint to an image: what is known of every pixel joins at every scale, and the rest is added.

    The guide goes down by a 3x3 layer and two stride-2 ones (c, 2c, 4c) and joins F_g and both up-sampling residual
    blocks. The last convolution starts near 0; the image is tanh(what it gives + arctanh(paint)). With `flat` paint
    beside it the convolution also gives a gate: where carried pixels lie in the wrong place, flat paint is nearer.
    """

    width: int
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, features_BxhxwxC, guide_BxHxWxG, paint_BxHxWx3, flat_BxHxWx3=None):
        """F_g (B, H/4, W/4, C), guide (B, H, W, G), paint (B, H, W, 3) in [-1, 1] -> image (B, H, W, 3) in [-1, 1]."""
        c = self.width

        def layer(features, x, conv=layers.conv3):
            # Over all channels, as in `upsampling.Decoder`: paint has to keep its level.
            x = conv(features, compute=self.compute)(x)
            return layers.leaky_relu(layers.layer_norm(dtype=self.compute.dtype)(x))

        full = layer(c, guide_BxHxWxG.astype(self.compute.dtype))
        half = layer(2 * c, full, layers.down_conv)
        x = jnp.concatenate([features_BxhxwxC, layer(4 * c, half, layers.down_conv)], axis=-1)
        x = layers.ResBlock(compute=self.compute)(layer(4 * c, x))
        x = half + upsampling.UpResBlock(2 * c, "nearest", self.compute)(x)
        x = full + upsampling.UpResBlock(c, "nearest", self.compute)(x)
        x = layer(2 * c, layers.leaky_relu(layers.layer_norm(dtype=self.compute.dtype)(x)))
        small = nn.initializers.variance_scaling(0.01, "fan_in", "normal")
        outputs = 3 if flat_BxHxWx3 is None else 4
        change = layers.conv3(outputs, kernel_init=small, compute=self.compute, name="to_image")(x).astype(jnp.float32)
        if flat_BxHxWx3 is not None:
            carried = nn.sigmoid(CARRIED + GATE_SLOPE * change[..., 3:])
            change, paint_BxHxWx3 = change[..., :3], carried * paint_BxHxWx3 + (1 - carried) * flat_BxHxWx3
        painted = jnp.clip(paint_BxHxWx3, -0.97, 0.97)
        # arctanh, written out: TFLite's converter knows no such operation.
        return jnp.tanh(change + 0.5 * jnp.log((1 + painted) / (1 - painted)))
