"""ADGAN's published generator: a PyTorch network with its names becomes a folder that paints the same."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from scrn_jax import convert
from scrn_jax.inference import PoseTransfer
from scrn_jax.models import base
from scrn_jax.person import heatmaps
from scrn_jax.settings import from_config

HEIGHT, WIDTH, CHANNELS, BLOCKS, STYLE, HIDDEN = 32, 36, 4, 2, 16, 8
# Which class of the released maps each of our regions is: background, hair, upper clothes twice, pants, face, arm, leg.
CLASSES = np.array([0, 2, 5, 5, 1, 4, 6, 7])


def _vgg() -> nn.Sequential:
    """With one convolution more than anything looks at."""
    layers, before = [], 3
    for width in (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512):
        layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()] if width else [nn.MaxPool2d(2)]
        before = width or before
    return nn.Sequential(*layers)


class _Conv(nn.Module):
    """A convolution of a mirrored frame under the name `conv`, and whatever norm under `norm`."""

    def __init__(self, before: int, after: int, taps: int, stride=1, norm: nn.Module | None = None):
        super().__init__()
        self.pad, self.conv = (taps - 1) // 2, nn.Conv2d(before, after, taps, stride)
        self.norm = norm

    def forward(self, x):
        x = self.conv(F.pad(x, (self.pad,) * 4, mode="reflect"))
        return x if self.norm is None else self.norm(x)


class _Adaptive(nn.Module):
    """Instance norm with the `numbers` that it is given, shifts first; it keeps statistics without a use for them."""

    def __init__(self, channels: int):
        super().__init__()
        self.register_buffer("running_mean", torch.full((channels,), 7.0))
        self.register_buffer("running_var", torch.full((channels,), 7.0))

    def forward(self, x):
        shift, scale = (each[..., None, None] for each in self.numbers.chunk(2, dim=1))
        return F.instance_norm(x) * scale + shift


class _Frame(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.gamma, self.beta = (nn.Parameter(torch.rand(channels)) for _ in range(2))

    def forward(self, x):
        x = (x - x.mean((1, 2, 3), keepdim=True)) / (x.std((1, 2, 3), keepdim=True) + 1e-5)
        return x * self.gamma[:, None, None] + self.beta[:, None, None]


def _named(**children) -> nn.Module:
    holder = nn.Module()
    for name, child in children.items():
        holder.add_module(name, child)
    return holder


def _blocks(norm) -> nn.Module:
    def pair():
        return nn.ModuleList(_Conv(4 * CHANNELS, 4 * CHANNELS, 3, norm=norm(4 * CHANNELS)) for _ in range(2))

    return _named(model=nn.ModuleList(_named(model=pair()) for _ in range(BLOCKS)))


def _residual(blocks: nn.Module, x):
    for block in blocks.model:
        first, second = block.model
        x = x + second(torch.relu(first(x)))
    return x


class Published(nn.Module):
    def __init__(self):
        super().__init__()
        c, plain = CHANNELS, nn.InstanceNorm2d
        seen = [0, c + 64, 2 * c + 128, 4 * c + 256, 8 * c + 512]
        convs = {f"conv{i + 1}": _Conv(seen[i], c << i, 4, 2) if i else _Conv(3, c, 7) for i in range(4)}
        self.enc_style = _named(
            vgg=_vgg(), **convs, model=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(seen[4], STYLE // 8, 1))
        )
        self.enc_content = _named(model=nn.ModuleList([
            _Conv(18, c, 7, norm=plain(c)), _Conv(c, 2 * c, 4, 2, plain(2 * c)),
            _Conv(2 * c, 4 * c, 4, 2, plain(4 * c)), _blocks(plain),
        ]))  # fmt: skip
        self.dec = _named(model=nn.ModuleList([
            _blocks(_Adaptive), nn.Upsample(scale_factor=2), _Conv(4 * c, 2 * c, 5, norm=_Frame(2 * c)),
            nn.Upsample(scale_factor=2), _Conv(2 * c, c, 5, norm=_Frame(c)), _Conv(c, 3, 7),
        ]))  # fmt: skip
        self.fc = _named(fc=nn.Linear(STYLE, STYLE))
        widths = (STYLE, HIDDEN, HIDDEN, 2 * BLOCKS * 2 * 4 * c)
        self.mlp = _named(model=nn.ModuleList(_named(fc=nn.Linear(*widths[i : i + 2])) for i in range(3)))

    def _code(self, picture):
        x, features, seen = picture, picture, []
        for place, layer in enumerate(self.enc_style.vgg[:21]):
            features = layer(features)
            seen += [features] if place in (1, 6, 11, 20) else []
        for i in range(4):
            x = torch.cat([torch.relu(getattr(self.enc_style, f"conv{i + 1}")(x)), seen[i]], 1)
        return self.enc_style.model(x).flatten(1)

    @torch.no_grad()
    def forward(self, pose, image, masks):
        style = torch.cat([self._code(image * masks[:, region, None]) for region in range(8)], 1)
        first, second, third = (layer.fc for layer in self.mlp.model)
        numbers = third(torch.relu(second(torch.relu(first(torch.relu(self.fc.fc(style)))))))
        norms = [module for module in self.dec.modules() if isinstance(module, _Adaptive)]
        for norm, own in zip(norms, numbers.chunk(len(norms), dim=1), strict=True):
            norm.numbers = own
        x = pose
        for layer in self.enc_content.model[:3]:
            x = torch.relu(layer(x))
        blocks, double, wide, _, narrow, last = self.dec.model
        x = _residual(blocks, _residual(self.enc_content.model[3], x))
        x = torch.relu(narrow(double(torch.relu(wide(double(x))))))
        return torch.tanh(last(x))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = Published().eval()
    with torch.no_grad():
        for layer in network.mlp.model:
            layer.fc.weight.mul_(3)
    return network


@pytest.fixture(scope="module")
def folder(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("adgan")
    torch.save(network.state_dict(), path / "800_net_netG.pth")
    model = {
        "name": "adgan", "width": CHANNELS, "blocks": BLOCKS, "style": STYLE, "hidden": HIDDEN, "published": True
    }  # fmt: skip
    settings = from_config({"data": {"name": "none"}, "size": (HEIGHT, WIDTH), "model": model})
    convert.generator(settings, path / "800_net_netG.pth", path / "model")
    return path / "model"


def test_the_folder_paints_what_the_published_network_paints(network, folder, person_batch, nchw, nhwc):
    """To 1 of 255, as numbers near a half may be rounded to either side."""
    batch = person_batch(HEIGHT, WIDTH)
    pose, labels = batch["target_pose"].round(), batch["source_parsing"]
    masks = np.eye(8, dtype=np.float32)[CLASSES[labels]]
    inputs = heatmaps.pixels(pose, HEIGHT, WIDTH), base.to_float(batch["source_image"]), masks
    expected = base.to_uint8(nhwc(network(*map(nchw, inputs))))
    assert expected.std() > 10
    found = PoseTransfer.load(folder)(batch["source_image"], labels, pose, pose)
    assert np.abs(found.astype(int) - expected).max() <= 1
