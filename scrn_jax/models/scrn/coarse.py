"""The first stage: predict the target's parsing map, then move the person step by step into the target pose."""

from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from scrn_jax.models import layers, upsampling
from scrn_jax.models.layers import PoseConv
from scrn_jax.models.ops.convolutions import Compute
from scrn_jax.models.scrn.attention import CrissCrossAttention


def _in_whole_cells(poses_and_maps, cell: int):
    """Profiles and maps, filled up with zeros until their sides are multiples of a cell's."""
    *profiles, maps = poses_and_maps
    padded = [jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, -x.shape[-1] % cell)]) for x in profiles]
    return *padded, layers.pad_to_multiple(maps, cell)


def _logits(x, regions: int, like_BxHxWxM, compute: Compute):
    """Norm, LeakyReLU, 3x3: logits of the frame of `like`. Its layers are of the module that calls it."""
    x = layers.leaky_relu(layers.instance_norm(dtype=compute.dtype)(x))
    logits = layers.conv3(regions, compute=compute, name="logits")(x)
    height, width = like_BxHxWxM.shape[1:3]
    return logits[:, :height, :width].astype(jnp.float32)


class ParsingBlock(nn.Module):
    """Poses and source parsing to the target's logits of S_g (B, H, W, regions), float32.

    A stride-2 convolution per entry of `multiples` (the paper: four; their widths as multiples of `width`), two
    residual blocks, as many up-sampling residual blocks. Frames whose sides are not multiples of the stride are padded
    for it and the result is cut back. `maps`: the source's regions, and whatever else is known of every target pixel.
    """

    width: int
    regions: int
    multiples: tuple[int, ...]
    upsampling: str
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, poses_and_maps):
        """(rows, columns) profiles of P_r and P_t and maps (B, H, W, M) -> logits (B, H, W, regions)."""
        x = _in_whole_cells(poses_and_maps, 2 ** len(self.multiples))
        conv = partial(PoseConv, taps=4, stride=2, padding=1)
        for multiple in self.multiples:
            x = layers.ConvNormAct(multiple * self.width, conv=conv, compute=self.compute)(x)
            conv = layers.down_conv
        for _ in range(2):
            x = layers.ResBlock(compute=self.compute)(x)
        for multiple in (*self.multiples[-2::-1], 1):
            x = upsampling.UpResBlock(multiple * self.width, self.upsampling, self.compute)(x)
        return _logits(x, self.regions, poses_and_maps[-1], self.compute)


class DetailedParsingBlock(nn.Module):
    """`ParsingBlock` that keeps detail: it also works on the full frame, and every scale joins its own on the way up.

    In and out as `ParsingBlock`. A 3x3 layer at full size, as wide as the next one, a stride-2 layer per entry of
    `multiples`, two residual blocks; then for each scale up: 1x1, every pixel four times, plus the scale's features
    from the way down, and a residual block.
    """

    width: int
    regions: int
    multiples: tuple[int, ...]
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, poses_and_maps):
        x = _in_whole_cells(poses_and_maps, 2 ** len(self.multiples))
        first = self.multiples[0] * self.width
        x = layers.ConvNormAct(first, conv=partial(PoseConv, taps=3, padding=1), compute=self.compute)(x)
        scales = [x]
        for multiple in self.multiples:
            x = layers.ConvNormAct(multiple * self.width, conv=layers.down_conv, compute=self.compute)(x)
            scales.append(x)
        for _ in range(2):
            x = layers.ResBlock(compute=self.compute)(x)
        for finer in scales[-2::-1]:
            x = finer + upsampling.nearest_double(layers.conv1(finer.shape[-1], compute=self.compute)(x))
            x = layers.ResBlock(compute=self.compute)(x)
        return _logits(x, self.regions, poses_and_maps[-1], self.compute)


class Encoder(nn.Module):
    """To the feature grid: 7x7 convolution of c channels, then two stride-2 ones: (B, H/4, W/4, 4c).

    `layer` is ConvNormAct or GatedConv; `first_conv` is conv7 for images and PoseConv for poses with maps.
    """

    width: int
    layer: Any = layers.ConvNormAct
    first_conv: Any = layers.conv7
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x):
        x = self.layer(self.width, conv=self.first_conv, compute=self.compute)(x)
        for multiple in (2, 4):
            x = self.layer(multiple * self.width, conv=layers.down_conv, compute=self.compute)(x)
        return x


class DilatedPair(nn.Module):
    """3x3 dilated convolution, norm, ReLU, 3x3 dilated convolution, and a norm after it when `norm_last`."""

    features: int
    norm_last: bool = False
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x):
        x = layers.dilated_conv3(self.features, compute=self.compute)(x)
        x = nn.relu(layers.instance_norm(dtype=self.compute.dtype)(x))
        x = layers.dilated_conv3(self.features, compute=self.compute)(x)
        return layers.instance_norm(dtype=self.compute.dtype)(x) if self.norm_last else x


class CoarseBlock(nn.Module):
    """One step of the pose: the pose code says where the image code may change (Eq. 1 and 2).

    A = CCA(Conv_p(F_p)), M = sigmoid(A), F_i' = M * Conv_crs(F_i) + F_i, F_p' = cat(A, F_i').
    """

    compute: Compute = Compute()

    @nn.compact
    def __call__(self, pose_code, image_code_BxHxWxC):
        channels = image_code_BxHxWxC.shape[-1]
        attended = DilatedPair(channels, compute=self.compute, name="pose_path")(pose_code)
        attended = CrissCrossAttention(compute=self.compute)(attended)
        change = DilatedPair(channels, norm_last=True, compute=self.compute, name="image_path")(image_code_BxHxWxC)
        image_code_BxHxWxC = nn.sigmoid(attended) * change + image_code_BxHxWxC
        return jnp.concatenate([attended, image_code_BxHxWxC], axis=-1), image_code_BxHxWxC


class CoarseGenerator(nn.Module):
    """Source image, poses and parsing maps to F_crs (B, H/4, W/4, 4c) and I_crs (B, H, W, 3) in [-1, 1].

    `source_image` may have more channels than the picture's three, for what else is known of the target's pixels.
    """

    width: int
    blocks: int
    upsampling: str
    remat: bool  # compute a block's insides again on the way back rather than keep them
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, source_image, poses_and_parsings):
        """`poses_and_parsings`: (rows, columns) profiles of P_r and P_t, and the maps cat(S_r, S_g)."""
        pose_encoder = Encoder(self.width, first_conv=PoseConv, compute=self.compute, name="pose_encoder")
        pose_code = pose_encoder(poses_and_parsings)
        image_code = Encoder(self.width, compute=self.compute, name="image_encoder")(source_image)
        block = nn.remat(CoarseBlock) if self.remat else CoarseBlock
        for t in range(self.blocks):
            pose_code, image_code = block(compute=self.compute, name=f"block_{t + 1}")(pose_code, image_code)
        return image_code, upsampling.Decoder(self.width, self.upsampling, self.compute, name="decoder")(image_code)
