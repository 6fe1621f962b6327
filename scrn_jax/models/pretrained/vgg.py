"""VGG16 and VGG19 (Simonyan and Zisserman, 2014) as frozen feature networks with named taps."""

from collections.abc import Collection, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from scrn_jax.models.ops.convolutions import Compute
from scrn_jax.models.pretrained import layers

WIDTHS = (64, 128, 256, 512, 512)
DEPTHS = {"vgg16": 16, "vgg19": 19}
CONVS_PER_STAGE = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


def conv_names(depth: int) -> list[str]:
    """The names of the convolutions in order: conv1_1, conv1_2, conv2_1, ..."""
    counts = CONVS_PER_STAGE[depth]
    return [f"conv{stage}_{i}" for stage, count in enumerate(counts, 1) for i in range(1, count + 1)]


def tap_names(depth: int) -> list[str]:
    """Every tap in order: conv1_1 (before the ReLU), relu1_1 (after it), conv1_2, ..."""
    return [tap for name in conv_names(depth) for tap in (name, name.replace("conv", "relu"))]


def as_deep_as(params: Mapping[str, Any], depth: int, taps: Collection[str]) -> dict[str, Any]:
    """The parameters of the convolutions that `VGG(depth, taps)` computes: 2 of VGG19's 80 MB for conv3_1."""
    names = conv_names(depth)
    deepest = max(names.index(tap.replace("relu", "conv")) for tap in taps)
    return {name: params[name] for name in names[: deepest + 1]}


class VGG(nn.Module):
    """The convolutional part of torchvision's VGG, computed only as deep as the deepest tap.

    Attributes:
      depth: 16 or 19.
      taps: names as `tap_names` gives them; conv3_1 is before the ReLU, relu3_1 after it.
      compute: how the convolutions are computed; parameters and outputs are float32.
      precision: of the convolutions, as in jax.lax (for GPUs that would round float32 to TF32).
      normalised: whether images are brought to ImageNet's mean and deviation first. Some methods leave that out.
    """

    depth: int = 19
    taps: tuple[str, ...] = ("conv3_1",)
    compute: Compute = Compute()
    precision: Any = None
    normalised: bool = True

    @nn.compact
    def __call__(self, images_BxHxWx3: jax.Array) -> dict[str, jax.Array]:
        """Returns a float32 (B, H/2^(s-1), W/2^(s-1), C) per tap of stage s.

        Images are in [-1, 1]; if `normalised`, the ImageNet normalisation happens inside. Raises ValueError for an
        unknown depth or tap, and for images too small for the deepest tap.
        """
        if self.depth not in CONVS_PER_STAGE:
            raise ValueError(f"VGG has no depth {self.depth}: choose 16 or 19")
        layers.check_taps(self.taps, tap_names(self.depth), f"VGG{self.depth}")
        found: dict[str, jax.Array] = {}
        x = layers.normalise(images_BxHxWx3) if self.normalised else images_BxHxWx3
        for name in conv_names(self.depth):
            stage, index = (int(number) for number in name.removeprefix("conv").split("_"))
            if stage > 1 and index == 1:
                x = layers.max_pool(x, 2, 2)
            x = layers.conv(name, WIDTHS[stage - 1], 3, padding=1, compute=self.compute, precision=self.precision)(x)
            found[name] = x
            x = nn.relu(x)
            found[name.replace("conv", "relu")] = x
            if all(tap in found for tap in self.taps):
                break
        return {tap: found[tap].astype(jnp.float32) for tap in self.taps}
