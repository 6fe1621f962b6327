"""ADGAN's generator: the pose's features are given the style of each region of the source by adaptive norms."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from scrn_jax.models import base, layers, upsampling
from scrn_jax.models.adgan.settings import Model
from scrn_jax.models.ops.convolutions import Compute
from scrn_jax.models.pretrained.vgg import VGG
from scrn_jax.person import heatmaps, regions

INIT = nn.initializers.normal(0.02)
VGG_TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")


class TextureEncoder(nn.Module):
    """What a region looks like: pictures with nothing but it (N, H, W, 3) to codes (N, size).

    7x7 and three 4x4 of stride 2 without norms, each joined by VGG's features of its scale; the mean over the frame;
    1x1.
    """

    width: int
    size: int
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, picture, seen: dict[str, jax.Array]):
        """`seen`: VGG's `VGG_TAPS` of the pictures."""
        x, options = picture, {"kernel_init": INIT, "compute": self.compute}
        for i, tap in enumerate(VGG_TAPS):
            window = {"taps": 4, "stride": 2, "padding": 1} if i else {"taps": 7}
            x = nn.relu(layers.reflect_conv(x, self.width << i, **window, **options))
            x = jnp.concatenate([x, seen[tap].astype(x.dtype)], axis=-1)
        dense = nn.Dense(self.size, kernel_init=INIT, dtype=self.compute.dtype, name="to_code")
        return dense(x.mean((1, 2)))


class PoseEncoder(nn.Module):
    """Heat maps (B, H, W, 18) to features (B, H/4, W/4, 4 width): 7x7, two 4x4 of stride 2, residual blocks."""

    width: int
    blocks: int
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x):
        for i in range(3):
            window = {"taps": 4, "stride": 2, "padding": 1} if i else {"taps": 7}
            x = layers.reflect_conv(x, self.width << i, kernel_init=INIT, compute=self.compute, **window)
            x = nn.relu(layers.plain_instance_norm(dtype=self.compute.dtype)(x))
        for _ in range(self.blocks):
            x = x + layers.ReflectPair(x.shape[-1], kernel_init=INIT, compute=self.compute)(x)
        return x


def adaptive_norm(x_BxhxwxC, shift_BxC, scale_BxC):
    """Instance norm whose scale and shift are given, for each picture its own."""
    x = x_BxhxwxC.astype(jnp.float32)
    mean, variance = x.mean((1, 2), keepdims=True), x.var((1, 2), keepdims=True)
    normed = (x - mean) / jnp.sqrt(variance + 1e-5)
    return (normed * scale_BxC[:, None, None] + shift_BxC[:, None, None]).astype(x_BxhxwxC.dtype)


class FrameNorm(nn.Module):
    """Norm over all channels and places, with a scale and a shift a channel; over the unbiased deviation, plus 1e-5."""

    @nn.compact
    def __call__(self, x):
        scale = self.param("scale", nn.initializers.uniform(1.0), x.shape[-1:])
        bias = self.param("bias", nn.initializers.zeros, x.shape[-1:])
        y = x.astype(jnp.float32)
        centred = y - y.mean((1, 2, 3), keepdims=True)
        deviation = jnp.sqrt((centred**2).sum((1, 2, 3), keepdims=True) / (y[0].size - 1))
        return (centred / (deviation + 1e-5) * scale + bias).astype(x.dtype)


class Decoder(nn.Module):
    """Features and the numbers of the adaptive norms to pictures (B, H, W, 3) in [-1, 1].

    Residual blocks with two adaptive norms each; twice nearest pixels, 5x5, a norm; 7x7, tanh.
    """

    width: int
    blocks: int
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x, norms_BxNx2xC):
        """`norms_BxNx2xC`: (shift, scale) of N = 2 blocks norms, in their order."""
        options = {"kernel_init": INIT, "compute": self.compute}
        for i in range(self.blocks):
            y = layers.reflect_conv(x, x.shape[-1], **options)
            y = nn.relu(adaptive_norm(y, *norms_BxNx2xC[:, 2 * i].swapaxes(0, 1)))
            y = layers.reflect_conv(y, x.shape[-1], **options)
            x = x + adaptive_norm(y, *norms_BxNx2xC[:, 2 * i + 1].swapaxes(0, 1))
        for multiple in (2, 1):
            x = layers.reflect_conv(upsampling.nearest_double(x), multiple * self.width, taps=5, **options)
            x = nn.relu(FrameNorm()(x))
        return jnp.tanh(layers.reflect_conv(x, 3, taps=7, **options).astype(jnp.float32))


class ADGAN(nn.Module):
    """Target pose, source image and source parsing to the person in the target pose.

    Attributes:
      model: its size, see `settings.Model`.
      vgg: depth of the frozen network, 19 or 16, that the texture encoder looks through. Its weights are a part of the
        parameters, under `vgg`, and get no gradient.
    """

    model: Model = Model()
    vgg: int = 19

    @nn.compact
    def __call__(self, source_image, target_pose, source_parsing):
        """Images (B, H, W, 3) in [-1, 1], joints (B, 18, 2), labels (B, H, W) -> images (B, H, W, 3) in [-1, 1]."""
        model, compute = self.model, base.compute(self.model)
        height, width = source_image.shape[1:3]
        maps = (heatmaps.pixels if model.published else heatmaps.heat_maps)(target_pose, height, width)
        x = PoseEncoder(model.width, model.blocks, compute, name="pose_encoder")(maps)
        style = self._style(source_image, source_parsing)

        def dense(features, name):
            return nn.Dense(features, kernel_init=INIT, dtype=compute.dtype, name=name)

        for features, name in ((model.style, "fuse"), (model.hidden, "norms_1"), (model.hidden, "norms_2")):
            style = nn.relu(dense(features, name)(style))
        norms = dense(2 * model.blocks * 2 * x.shape[-1], "norms_3")(style).astype(jnp.float32)
        norms = norms.reshape(len(x), 2 * model.blocks, 2, x.shape[-1])
        return Decoder(model.width, model.blocks, compute, name="decoder")(x, norms)

    def _style(self, source_image, source_parsing):
        """The regions' codes one after the other (B, style); every region is a picture of its own, 0 elsewhere."""
        model, compute = self.model, base.compute(self.model)
        batch, *frame = source_image.shape
        if model.published:
            source_parsing = jnp.asarray(regions.ADGAN_CLASSES)[source_parsing]
        masks = jax.nn.one_hot(source_parsing, regions.NUM_REGIONS, axis=1)[..., None]
        pictures = (source_image[:, None] * masks).reshape(batch * regions.NUM_REGIONS, *frame)
        seen = VGG(self.vgg, VGG_TAPS, compute, normalised=False, name="vgg")(pictures)
        encoder = TextureEncoder(model.width, model.style // regions.NUM_REGIONS, compute, name="texture_encoder")
        return encoder(pictures, jax.lax.stop_gradient(seen)).reshape(batch, model.style)
