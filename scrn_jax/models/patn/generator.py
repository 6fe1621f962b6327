"""PATN's generator: an image code is moved into the target pose block by block, a pose code saying where."""

import flax.linen as nn
import jax.numpy as jnp

from scrn_jax.models import base, layers, upsampling
from scrn_jax.models.ops.convolutions import Compute
from scrn_jax.models.patn.settings import Model
from scrn_jax.person import heatmaps

INIT = nn.initializers.normal(0.02)


class Encoder(nn.Module):
    """To the feature grid: 7x7 of `width` channels, two stride-2 3x3, instance norms: (B, H/4, W/4, 4 width)."""

    width: int
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x):
        return layers.reflect_encode(x, self.width, kernel_init=INIT, compute=self.compute)


class Decoder(nn.Module):
    """Features (B, H/4, W/4, 4 width) to pictures (B, H, W, 3) in [-1, 1]: two transposed convolutions, 7x7, tanh."""

    width: int
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x):
        for multiple in (2, 1):
            x = upsampling.UpConv(multiple * self.width, kernel_init=INIT, compute=self.compute)(x)
            x = nn.relu(layers.plain_instance_norm(dtype=self.compute.dtype)(x))
        x = layers.reflect_conv(x, 3, taps=7, kernel_init=INIT, compute=self.compute)
        return jnp.tanh(x.astype(jnp.float32))


class TransferBlock(nn.Module):
    """A pose-attentional transfer block: F_p' = Conv_p(F_p), F_i' = sigmoid(F_p') * Conv_i(F_i) + F_i.

    What the next block is given as its pose code is cat(F_p', F_i'), of twice the channels.
    """

    dropout: float
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, image_code_BxHxWxC, pose_code, deterministic: bool = True):
        options = {"dropout": self.dropout, "kernel_init": INIT, "compute": self.compute}
        channels = image_code_BxHxWxC.shape[-1]
        change = layers.ReflectPair(channels, name="image_path", **options)(image_code_BxHxWxC, deterministic)
        attended = layers.ReflectPair(channels, norm_last=False, name="pose_path", **options)(pose_code, deterministic)
        image_code_BxHxWxC = image_code_BxHxWxC + nn.sigmoid(attended) * change
        return image_code_BxHxWxC, jnp.concatenate([attended, image_code_BxHxWxC], axis=-1)


class PATN(nn.Module):
    """Source image and both poses to the person in the target pose.

    `model`: its size, see `settings.Model`.
    """

    model: Model = Model()

    @nn.compact
    def __call__(self, source_image, source_pose, target_pose, deterministic: bool = True):
        """Images (B, H, W, 3) in [-1, 1], joints (B, 18, 2) in pixels -> images (B, H, W, 3) in [-1, 1].

        H and W are multiples of 4. Unless `deterministic`, dropout draws from the stream `dropout`.
        """
        model, compute = self.model, base.compute(self.model)
        height, width = source_image.shape[1:3]
        heat_maps = heatmaps.pixels if model.published else heatmaps.heat_maps
        poses = [heat_maps(pose, height, width) for pose in (source_pose, target_pose)]
        image_code = Encoder(model.width, compute, name="image_encoder")(source_image)
        pose_code = Encoder(model.width, compute, name="pose_encoder")(jnp.concatenate(poses, axis=-1))
        for t in range(model.blocks):
            image_code, pose_code = self._block(f"block_{t + 1}")(image_code, pose_code, deterministic)
        return Decoder(model.width, compute, name="decoder")(image_code)

    def _block(self, name: str) -> nn.Module:
        """What moves (image code, pose code) a step."""
        return TransferBlock(self.model.dropout, base.compute(self.model), name=name)
