"""The names of ADGAN's generator as its authors published it (800_net_netG.pth), whose VGG19 is in the file."""

import numpy as np

from scrn_jax.models.adgan.settings import Model
from scrn_jax.models.published import Recipe, Table, conv, dense, norm, vgg19

# The rest of VGG19, and what the adaptive norms keep without a use for it.
UNUSED = ("enc_style.vgg.*", "*.running_mean", "*.running_var", "*.num_batches_tracked")


def table(model: Model) -> Table:
    """See `models.published`."""
    found = vgg19("enc_style.vgg", "conv4_1")
    for i in range(4):
        found |= conv(f"texture_encoder/Conv_{i}", f"enc_style.conv{i + 1}.conv")
    found |= _pointwise("texture_encoder/to_code", "enc_style.model.1")
    for i in range(3):
        found |= conv(f"pose_encoder/Conv_{i}", f"enc_content.model.{i}.conv")
    for i in range(model.blocks):
        for layer in range(2):
            inside = f"model.{i}.model.{layer}.conv"
            found |= conv(f"pose_encoder/ReflectPair_{i}/Conv_{layer}", f"enc_content.model.3.{inside}")
            found |= conv(f"decoder/Conv_{2 * i + layer}", f"dec.model.0.{inside}")
    for i, place in enumerate((2, 4)):  # after a doubling each
        found |= conv(f"decoder/Conv_{2 * model.blocks + i}", f"dec.model.{place}.conv")
        found |= norm(f"decoder/FrameNorm_{i}", f"dec.model.{place}.norm", "gamma", "beta")
    found |= conv(f"decoder/Conv_{2 * model.blocks + 2}", "dec.model.5.conv")
    found |= dense("fuse", "fc.fc")
    for i in range(3):
        found |= dense(f"norms_{i + 1}", f"mlp.model.{i}.fc")
    return found


def _pointwise(ours: str, theirs: str) -> Table:
    """A 1x1 convolution of a 1x1 frame, which is a fully connected layer here."""
    kernel = Recipe((f"{theirs}.weight",), lambda weight: np.squeeze(weight, (2, 3)).T)
    return {**conv(ours, theirs), f"{ours}/kernel": kernel}
