"""PyPI's own metrics as references: they import torchvision, whose networks (without weights) are given here."""

import sys
import types

import numpy as np
import pytest
import torch
from torch import nn


def _features(stages: tuple[int, ...]) -> nn.Sequential:
    layers, before = [], 3
    for count, width in zip(stages, (64, 128, 256, 512, 512), strict=True):
        for _ in range(count):
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
            before = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


def _vgg16(pretrained: bool) -> types.SimpleNamespace:
    assert not pretrained
    return types.SimpleNamespace(features=_features((2, 2, 3, 3, 3)))


def _alexnet(pretrained: bool) -> types.SimpleNamespace:
    assert not pretrained
    return types.SimpleNamespace(
        features=nn.Sequential(
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
    )


class BasicConv2d(nn.Sequential):
    """torchvision's convolution, batch norm and ReLU, with its parameter names."""

    def __init__(self, before: int, after: int, kernel, **options) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, kernel, bias=False, **options)
        self.bn = nn.BatchNorm2d(after, eps=0.001)
        self.relu = nn.ReLU()


class InceptionA(nn.Module):
    """35x35 grids; pytorch-fid brings the forward pass of this block, of C and of E."""

    def __init__(self, before: int, pool_features: int) -> None:
        super().__init__()
        self.branch1x1 = BasicConv2d(before, 64, 1)
        self.branch5x5_1 = BasicConv2d(before, 48, 1)
        self.branch5x5_2 = BasicConv2d(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = BasicConv2d(before, 64, 1)
        self.branch3x3dbl_2 = BasicConv2d(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = BasicConv2d(96, 96, 3, padding=1)
        self.branch_pool = BasicConv2d(before, pool_features, 1)


class InceptionB(nn.Module):
    """35x35 to 17x17."""

    def __init__(self) -> None:
        super().__init__()
        self.branch3x3 = BasicConv2d(288, 384, 3, stride=2)
        self.branch3x3dbl_1 = BasicConv2d(288, 64, 1)
        self.branch3x3dbl_2 = BasicConv2d(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = BasicConv2d(96, 96, 3, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, nn.functional.max_pool2d(x, 3, 2)], 1)


class InceptionC(nn.Module):
    """17x17 grids."""

    def __init__(self, before: int, channels_7x7: int) -> None:
        super().__init__()
        inner, row, column = channels_7x7, {"padding": (0, 3)}, {"padding": (3, 0)}
        self.branch1x1 = BasicConv2d(before, 192, 1)
        self.branch7x7_1 = BasicConv2d(before, inner, 1)
        self.branch7x7_2 = BasicConv2d(inner, inner, (1, 7), **row)
        self.branch7x7_3 = BasicConv2d(inner, 192, (7, 1), **column)
        self.branch7x7dbl_1 = BasicConv2d(before, inner, 1)
        self.branch7x7dbl_2 = BasicConv2d(inner, inner, (7, 1), **column)
        self.branch7x7dbl_3 = BasicConv2d(inner, inner, (1, 7), **row)
        self.branch7x7dbl_4 = BasicConv2d(inner, inner, (7, 1), **column)
        self.branch7x7dbl_5 = BasicConv2d(inner, 192, (1, 7), **row)
        self.branch_pool = BasicConv2d(before, 192, 1)


class InceptionD(nn.Module):
    """17x17 to 8x8."""

    def __init__(self) -> None:
        super().__init__()
        self.branch3x3_1 = BasicConv2d(768, 192, 1)
        self.branch3x3_2 = BasicConv2d(192, 320, 3, stride=2)
        self.branch7x7x3_1 = BasicConv2d(768, 192, 1)
        self.branch7x7x3_2 = BasicConv2d(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = BasicConv2d(192, 192, (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = BasicConv2d(192, 192, 3, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        small = self.branch3x3_2(self.branch3x3_1(x))
        large = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([small, large, nn.functional.max_pool2d(x, 3, 2)], 1)


class InceptionE(nn.Module):
    """8x8 grids."""

    def __init__(self, before: int) -> None:
        super().__init__()
        self.branch1x1 = BasicConv2d(before, 320, 1)
        self.branch3x3_1 = BasicConv2d(before, 384, 1)
        self.branch3x3_2a = BasicConv2d(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3_2b = BasicConv2d(384, 384, (3, 1), padding=(1, 0))
        self.branch3x3dbl_1 = BasicConv2d(before, 448, 1)
        self.branch3x3dbl_2 = BasicConv2d(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = BasicConv2d(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3dbl_3b = BasicConv2d(384, 384, (3, 1), padding=(1, 0))
        self.branch_pool = BasicConv2d(before, 192, 1)


class Inception3(nn.Module):
    """torchvision's Inception-v3 but for the blocks that pytorch-fid replaces; it is never run as a whole."""

    def __init__(self, **options) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = BasicConv2d(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = BasicConv2d(32, 32, 3)
        self.Conv2d_2b_3x3 = BasicConv2d(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = BasicConv2d(64, 80, 1)
        self.Conv2d_4a_3x3 = BasicConv2d(80, 192, 3)
        self.Mixed_6a, self.Mixed_7a = InceptionB(), InceptionD()


@pytest.fixture
def pypi_lpips(monkeypatch):
    """The package lpips, over a torchvision that has the two networks only, without weights."""
    torchvision, models = types.ModuleType("torchvision"), types.ModuleType("torchvision.models")
    models.alexnet, models.vgg16 = _alexnet, _vgg16
    torchvision.models = models
    monkeypatch.setitem(sys.modules, "torchvision", torchvision)
    monkeypatch.setitem(sys.modules, "torchvision.models", models)
    import lpips

    return lpips


@pytest.fixture
def lpips_reference(pypi_lpips):
    """Makes PyPI's LPIPS with its own v0.1 heads and the trunk of our parameters."""

    def make(net: str, params: dict) -> nn.Module:
        reference = pypi_lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
        convolutions = [layer for layer in reference.net.modules() if isinstance(layer, nn.Conv2d)]
        for layer, leaves in zip(convolutions, params["trunk"].values(), strict=True):
            layer.weight.data = torch.tensor(leaves["kernel"].transpose(3, 2, 0, 1))
            layer.bias.data = torch.tensor(leaves["bias"])
        return reference

    return make


@pytest.fixture
def pypi_fid(monkeypatch):
    """The packages pytorch_fid.inception and pytorch_fid.fid_score, over torchvision's Inception blocks."""
    modules = {
        name: types.ModuleType(name)
        for name in ("torchvision", "torchvision.models", "torchvision.models.inception", "torchvision.transforms")
    }
    torchvision = modules["torchvision"]
    torchvision.__version__ = "0.28"
    torchvision.models, torchvision.transforms = modules["torchvision.models"], modules["torchvision.transforms"]
    torchvision.models.inception = modules["torchvision.models.inception"]
    for block in (InceptionA, InceptionC, InceptionE):
        setattr(torchvision.models.inception, block.__name__, block)
    torchvision.models.inception_v3 = Inception3
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    from pytorch_fid import fid_score, inception

    return types.SimpleNamespace(inception=inception, score=fid_score)


@pytest.fixture(scope="session")
def pictures() -> tuple[np.ndarray, np.ndarray]:
    """Two batches (3, 64, 44, 3) of 8-bit pictures in [0, 1]: blobs on white, and the same ones moved and noisy."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :44]
    first, second = np.ones((3, 64, 44, 3)), np.ones((3, 64, 44, 3))
    for i in range(3):
        for _ in range(6):
            centre, size, colour = rng.uniform((5, 5), (59, 39)), rng.uniform(4, 12), rng.uniform(0, 1, 3)
            first[i][np.hypot(y - centre[0], x - centre[1]) < size] = colour
            second[i][np.hypot(y - centre[0] - 3, x - centre[1] + 2) < size] = colour
    second[1:] += rng.normal(0, 0.1, (2, 64, 44, 3)) * (second[1:] < 1)
    return np.round(first * 255) / 255, np.round(second.clip(0, 1) * 255) / 255


@pytest.fixture(scope="session")
def as_torch():
    """NHWC arrays as PyTorch's NCHW float tensors."""
    return lambda images: torch.tensor(np.asarray(images).transpose(0, 3, 1, 2), dtype=torch.float32)
