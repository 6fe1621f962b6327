"""PyTorch's names and axis orders of each network's weights, turned into our parameters."""

from collections.abc import Mapping

import numpy as np

from scrn_jax.errors import UserError
from scrn_jax.features import inception, vgg

_INCEPTION_EPSILON = 1e-3  # of its batch norms


def _vgg_names(depth: int) -> dict[str, str]:
    """Our convolution -> its place in torchvision's `features`, where ReLUs and pools are counted too."""
    names, place = {}, 0
    for name in vgg.conv_names(depth):
        if name.endswith("_1") and name != "conv1_1":
            place += 1
        names[name] = f"features.{place}"
        place += 2
    return names


CONV_NAMES: dict[str, dict[str, str]] = {
    "vgg16": _vgg_names(16),
    "vgg19": _vgg_names(19),
    "alexnet": {f"conv{i}": f"features.{place}" for i, place in enumerate((0, 3, 6, 8, 10), 1)},
    "inception": {"/".join(path): ".".join(path) for path in inception.conv_paths()},
}
HEAD_NAMES: dict[str, str] = {f"lin{i}": f"lin{i}.model.1.weight" for i in range(5)}


def from_torch(network: str, tensors: Mapping[str, np.ndarray], origin: str) -> dict[str, np.ndarray]:
    """The parameters of `network` by path (conv1_1/kernel) from PyTorch's state dict, in float32.

    Convolutions go from OIHW to HWIO; Inception's batch norms, which are constants, are folded into them.

    Raises:
      UserError: a tensor is missing; the message names `origin` and the tensor.
    """

    def take(name: str) -> np.ndarray:
        if name not in tensors:
            raise UserError(f"{origin}: holds no tensor {name}, so it is not a {network}; give a file of that network")
        return np.asarray(tensors[name], np.float64)

    if network.startswith("lpips_"):
        return {f"{ours}/weight": take(theirs).reshape(-1).astype(np.float32) for ours, theirs in HEAD_NAMES.items()}
    params = {}
    for ours, theirs in CONV_NAMES[network].items():
        if network == "inception":
            scale = take(f"{theirs}.bn.weight") / np.sqrt(take(f"{theirs}.bn.running_var") + _INCEPTION_EPSILON)
            bias = take(f"{theirs}.bn.bias") - take(f"{theirs}.bn.running_mean") * scale
            kernel = take(f"{theirs}.conv.weight") * scale[:, None, None, None]
        else:
            kernel, bias = take(f"{theirs}.weight"), take(f"{theirs}.bias")
        params[f"{ours}/kernel"] = np.ascontiguousarray(kernel.transpose(2, 3, 1, 0), np.float32)
        params[f"{ours}/bias"] = bias.astype(np.float32)
    return params
