"""PyTorch's own networks, as references for ours."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

_VGG_STAGES = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}


def _vgg(stages: tuple[int, ...]) -> nn.Sequential:
    layers, before = [], 3
    for count, width in zip(stages, (64, 128, 256, 512, 512), strict=True):
        for _ in range(count):
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
            before = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


def _alexnet() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
    )


@pytest.fixture(scope="session")
def torch_network() -> Callable[[str], nn.Sequential]:
    """Makes the `features` of torchvision's network of that name, with random weights and biases."""

    def make(name: str) -> nn.Sequential:
        torch.manual_seed(0)
        network = _alexnet() if name == "alexnet" else _vgg(_VGG_STAGES[name])
        for layer in network:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.normal_(layer.bias, std=0.1)
        return network.eval()

    return make


@pytest.fixture(scope="session")
def torch_taps() -> Callable[[nn.Sequential, np.ndarray], list[np.ndarray]]:
    """Every convolution's and ReLU's output (NHWC), in order, for NHWC images in [-1, 1]."""

    def run(network: nn.Sequential, images: np.ndarray) -> list[np.ndarray]:
        mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
        x = torch.tensor((((images + 1) / 2 - mean) / std).transpose(0, 3, 1, 2), dtype=torch.float32)
        taps = []
        with torch.no_grad():
            for layer in network[:-1]:  # the last pool has no tap after it
                x = layer(x)
                if not isinstance(layer, nn.MaxPool2d):
                    taps.append(x.numpy().transpose(0, 2, 3, 1))
        return taps

    return run


@pytest.fixture(scope="session")
def tree_of() -> Callable[[nn.Sequential, list[str]], dict]:
    """Our parameter tree from a PyTorch network's convolutions, which get the given names in order."""

    def convert(network: nn.Sequential, names: list[str]) -> dict:
        convolutions = [layer for layer in network if isinstance(layer, nn.Conv2d)]
        return {
            name: {"kernel": layer.weight.detach().permute(2, 3, 1, 0).numpy(), "bias": layer.bias.detach().numpy()}
            for name, layer in zip(names, convolutions, strict=True)
        }

    return convert


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """An empty cache folder in the place of the user's."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("SCRN_JAX_CACHE", str(folder))
    return folder
