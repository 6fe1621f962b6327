"""PINet's generator: one gated network predicts the target's parsing map, another paints the picture from it."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from scrn_jax.models import base, layers, upsampling
from scrn_jax.models.ops.convolutions import Compute
from scrn_jax.models.pinet.settings import Model
from scrn_jax.models.pona.generator import Attention
from scrn_jax.person import heatmaps, regions

INIT = nn.initializers.he_normal()
DILATIONS = (2, 4)
# Widths, in multiples of the first, and strides of the layers from full size to the grid of quarter sides.
PARSING_LAYERS = ((2, 2), (2, 1), (4, 2), (4, 1), (4, 1), (4, 1))
PAINTING_LAYERS = ((1, 2), (2, 1), (2, 2), (4, 1), (4, 1), (4, 1))
# And back: multiples, and whether the sides are doubled before.
BACK = ((4, False), (4, False), (2, True), (2, False), (1, True))


class Gated(nn.Module):
    """LeakyReLU(0.2)(convolution) times sigmoid(convolution), then a batch norm; the `last` layer has no LeakyReLU.

    Norms take the mean and variance of the batch in `training`, when they put them into `base.STATISTICS`, and those of
    there otherwise. Both convolutions see the same, so they run as one of twice the width, the gate second. Beyond
    the edges are zeros, but for the frame mirrored where `taps` are 7.
    """

    features: int
    taps: int = 3
    stride: int = 1
    dilation: int = 1
    last: bool = False
    training: bool = False
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x):
        options = {"strides": (self.stride,) * 2, "kernel_dilation": self.dilation, "kernel_init": INIT}
        x, padding = (layers.reflect_pad(x, 3), 0) if self.taps == 7 else (x, self.dilation)
        both = layers.Conv(
            2 * self.features, (self.taps,) * 2, padding=padding, compute=self.compute, **options, name="conv"
        )(x)
        features, gate = jnp.split(both, 2, axis=-1)
        features = features if self.last else nn.leaky_relu(features, 0.2)
        norm = nn.BatchNorm(not self.training, momentum=0.0, dtype=self.compute.dtype, name="norm")
        return norm(features * nn.sigmoid(gate))


class GatedNetwork(nn.Module):
    """Maps (B, H, W, C) to maps (B, H, W, outputs), over a grid of quarter sides that attends to itself.

    Attributes:
      width: of the first layer. down: the layers to the grid, (multiple of the width, stride) each.
    """

    width: int
    down: tuple[tuple[int, int], ...]
    outputs: int
    training: bool = False
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x):
        given = {"training": self.training, "compute": self.compute}

        def gated(multiple, **options):
            return Gated(multiple * self.width, **given, **options)

        x = gated(1, taps=7)(x)
        for multiple, stride in self.down:
            x = gated(multiple, stride=stride)(x)
        for dilation in DILATIONS:
            x = gated(4, dilation=dilation)(x)
        gamma = self.param("gamma", nn.initializers.zeros, (1,)).astype(x.dtype)
        x = x + gamma * Attention(self.compute, name="attention")(x, x)
        for multiple, doubled in BACK:
            x = gated(multiple)(upsampling.nearest_double(x) if doubled else x)
        x = Gated(self.width // 2, **given)(x)
        return Gated(self.outputs, last=True, **given)(x).astype(jnp.float32)


class PINet(nn.Module):
    """Source image, both poses and the source's parsing map to the person in the target pose, and their parsing map.

    `model`: its size, see `settings.Model`.
    """

    model: Model = Model()

    @nn.compact
    def __call__(self, source_image, source_pose, target_pose, source_parsing, training: bool = False):
        """Images (B, H, W, 3) in [-1, 1], joints (B, 18, 2), labels (B, H, W) -> a dict of float32.

        `image` (B, H, W, 3) in [-1, 1]; `parsing` (B, H, W, regions), a distribution per pixel, and `parsing_logits`,
        its logarithm but for a constant per pixel. H and W are multiples of 4.
        """
        model, compute = self.model, base.compute(self.model)
        height, width = source_image.shape[1:3]
        source, target = (heatmaps.heat_maps(pose, height, width) for pose in (source_pose, target_pose))
        parsing = jax.nn.one_hot(source_parsing, regions.NUM_REGIONS)
        seen = jnp.concatenate([source_image, parsing], axis=-1)
        logits = GatedNetwork(
            model.parsing_width, PARSING_LAYERS, regions.NUM_REGIONS, training, compute, name="parsing_network"
        )(jnp.concatenate([seen, source, target], axis=-1))
        # The map learns from its own loss alone.
        given = jnp.concatenate([seen, jax.lax.stop_gradient(logits), target], axis=-1)
        image = GatedNetwork(model.width, PAINTING_LAYERS, 3, training, compute, name="painting_network")(given)
        return {"image": jnp.clip(image, -1, 1), "parsing": nn.softmax(logits), "parsing_logits": logits}
