"""The names of PISE's generator as its authors published it (latest_net_G.pth), whose VGG19 is in the file."""

import numpy as np

from scrn_jax.models.pise.settings import Model
from scrn_jax.models.published import Recipe, Table, conv, hwio, norm, transposed_hwio, up_conv, vgg19
from scrn_jax.person.regions import NUM_REGIONS

# The rest of VGG19, the mask's output, two scalars that no layer takes, a counter, and the second names of two layers.
UNUSED = (
    "imgenc.vgg.*", "parnet.makout.*", "efb.blending_gamma", "efb.blending_beta", "*.num_batches_tracked",
    "parnet.parout.conv1.*", "dec.out.conv1.*",
)  # fmt: skip
EPSILON = 1e-5  # of the batch norm

_ENCODERS = {"style_encoder": "Zencoder", "shape_encoder": "parenc"}


def table(model: Model) -> Table:
    """See `models.published`."""
    found = vgg19("imgenc.vgg", "conv3_1")
    for i in range(4):
        found |= _plain(f"parsing/DownBlock_{i}", f"parnet.conv{i + 1}")
        found |= _plain(f"parsing/UpBlock_{i}", f"parnet.up{i + 1}", up=True)
    found |= conv("parsing/Output_0/Conv_0", "parnet.parout.model.3")
    for ours, theirs in _ENCODERS.items():
        for i in range(4):
            found |= _block(f"{ours}/DownBlock_{i}", f"{theirs}.block{i}")
        for i in range(2):
            found |= _block(f"{ours}/UpBlock_{i}", f"{theirs}.block{i + 4}", up=True)
    for ours, theirs in (("parsing", "parnet"), ("shape_encoder", "parenc")):
        for i in range(2):
            found |= _gated(f"{ours}/GatedConv_{i}/Conv_0", f"{theirs}.deform{i + 3}")
    found |= conv("to_style", "Zencoder.get_code.0")
    found |= _region_norm("region_norm", "efb")
    for ours, theirs in (("after_regions", "res"), ("after_places", "res1")):
        found |= _plain(ours, theirs) | _norms(ours, theirs)
    for name in ("theta", "phi"):
        found |= conv(f"spatial_norm/{name}", name)
    for name in ("gamma", "beta"):
        found |= conv(f"spatial_norm/{name}", f"getMatrix.get_{name}", bias=False)
    for i in range(2):
        found |= _block(f"decoder/UpBlock_{i}", f"dec.block{2 * i}", up=True)
        found |= _block(f"decoder/ResBlock_{i}", f"dec.block{2 * i + 1}")
    return (
        found
        | norm("decoder/Output_0/InstanceNorm_0", "dec.out.model.0")
        | _spectral("decoder/Output_0/Conv_0", "dec.out.model.3")
    )


def _plain(ours: str, theirs: str, up: bool = False) -> Table:
    """A block of two convolutions without spectral norms; one that doubles the grid has a third beside them."""
    found = conv(f"{ours}/Conv_0", f"{theirs}.model.2")
    if not up:
        return found | conv(f"{ours}/Conv_1", f"{theirs}.model.5")
    return (
        found | up_conv(f"{ours}/UpConv_0", f"{theirs}.model.5") | up_conv(f"{ours}/shortcut", f"{theirs}.shortcut.0")
    )


def _block(ours: str, theirs: str, up: bool = False) -> Table:
    """The same with spectral norms, and instance norms with parameters."""
    found = _norms(ours, theirs) | _spectral(f"{ours}/Conv_0", f"{theirs}.model.2")
    if not up:
        return found | _spectral(f"{ours}/Conv_1", f"{theirs}.model.5")
    found |= _spectral(f"{ours}/UpConv_0", f"{theirs}.model.5", up=True)
    return found | _spectral(f"{ours}/shortcut", f"{theirs}.shortcut.0", up=True)


def _norms(ours: str, theirs: str) -> Table:
    return norm(f"{ours}/InstanceNorm_0", f"{theirs}.model.0") | norm(f"{ours}/InstanceNorm_1", f"{theirs}.model.3")


def _spectral(ours: str, theirs: str, up: bool = False) -> Table:
    """A kernel over the estimate u W v of its largest singular value, whose vectors are in the file."""

    def normalised(kernel, left, right):
        matrix = (kernel.swapaxes(0, 1) if up else kernel).reshape(len(left), len(right))
        return (transposed_hwio if up else hwio)(kernel / (left @ matrix @ right))

    tensors = tuple(f"{theirs}.weight_{part}" for part in ("orig", "u", "v"))
    return {**conv(ours, theirs), f"{ours}/kernel": Recipe(tensors, normalised)}


def _gated(ours: str, theirs: str) -> Table:
    """Features and gate, two convolutions there and one here."""
    both = f"{theirs}.gated_conv", f"{theirs}.mask_conv"
    return {
        f"{ours}/kernel": Recipe(tuple(f"{name}.weight" for name in both), lambda *each: hwio(np.concatenate(each))),
        f"{ours}/bias": Recipe(tuple(f"{name}.bias" for name in both), lambda *each: np.concatenate(each)),
    }


def _region_norm(ours: str, theirs: str) -> Table:
    """A layer for every region, two convolutions, and a batch norm, which in use is a scale and a shift."""
    layers = [f"{theirs}.fc_mu{region}" for region in range(NUM_REGIONS)]
    scale = tuple(f"{theirs}.norm.{name}" for name in ("weight", "running_var"))
    shift = tuple(f"{theirs}.norm.{name}" for name in ("bias", "running_mean"))
    return {
        f"{ours}/kernel": Recipe(
            tuple(f"{name}.weight" for name in layers), lambda *each: np.stack(each).swapaxes(1, 2)
        ),
        f"{ours}/bias": Recipe(tuple(f"{name}.bias" for name in layers), lambda *each: np.stack(each)),
        f"{ours}/norm/scale": Recipe(scale, _scale),
        f"{ours}/norm/bias": Recipe((*shift, *scale), lambda bias, mean, *of: bias - mean * _scale(*of)),
        **conv(f"{ours}/gamma", f"{theirs}.conv_gamma"),
        **conv(f"{ours}/beta", f"{theirs}.conv_beta"),
    }


def _scale(weight, variance):
    return weight / np.sqrt(variance + EPSILON)
