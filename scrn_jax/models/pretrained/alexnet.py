"""AlexNet in torchvision's layout (Krizhevsky, 2014, "One weird trick") as a frozen feature network with named taps."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from scrn_jax.models.ops.convolutions import Compute
from scrn_jax.models.pretrained import layers

# Output channels, kernel, stride, padding, and whether a 3x3 max pool of stride 2 comes before.
CONVS = (
    (64, 11, 4, 2, False),
    (192, 5, 1, 2, True),
    (384, 3, 1, 1, True),
    (256, 3, 1, 1, False),
    (256, 3, 1, 1, False),
)
RELU_TAPS = tuple(f"relu{i}" for i in range(1, 6))
TAPS = tuple(f"{kind}{i}" for i in range(1, 6) for kind in ("conv", "relu"))


class AlexNet(nn.Module):
    """The convolutional part of torchvision's AlexNet, computed only as deep as the deepest tap.

    Attributes:
      taps: among conv1, relu1, ..., conv5, relu5 (before and after the ReLU).
      compute: how the convolutions are computed; parameters and outputs are float32.
      precision: of the convolutions, as in jax.lax (for GPUs that would round float32 to TF32).
    """

    taps: tuple[str, ...] = RELU_TAPS
    compute: Compute = Compute()
    precision: Any = None

    @nn.compact
    def __call__(self, images_BxHxWx3: jax.Array) -> dict[str, jax.Array]:
        """Returns a float32 (B, h, w, C) per tap; relu1 has a grid of about H/4, relu3 and deeper of about H/16.

        Images are in [-1, 1]; the ImageNet normalisation happens inside. Raises ValueError for an unknown tap and for
        images too small for the deepest one (relu5 needs 31 pixels on each side).
        """
        layers.check_taps(self.taps, TAPS, "AlexNet")
        found: dict[str, jax.Array] = {}
        x = layers.normalise(images_BxHxWx3)
        for i, (features, kernel, stride, padding, pool) in enumerate(CONVS, 1):
            if pool:
                x = layers.max_pool(x, 3, 2)
            how = {"compute": self.compute, "precision": self.precision}
            x = layers.conv(f"conv{i}", features, kernel, stride, padding, **how)(x)
            found[f"conv{i}"] = x
            x = nn.relu(x)
            found[f"relu{i}"] = x
            if all(tap in found for tap in self.taps):
                break
        return {tap: found[tap].astype(jnp.float32) for tap in self.taps}
