"""PISE's published generator: a PyTorch network with its names becomes a folder that paints the same."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from scrn_jax import convert
from scrn_jax.inference import PoseTransfer
from scrn_jax.models import base
from scrn_jax.models.pise import generator
from scrn_jax.person import heatmaps
from scrn_jax.settings import from_config

HEIGHT, WIDTH, BAR, CHANNELS, PARSING = 48, 32, 8, 4, 2
# Which class of the released maps each of our regions is: background, hair, upper clothes twice, lower part, face, skin
# twice.
CLASSES = np.array([0, 2, 3, 3, 5, 7, 6, 6])


def _vgg() -> nn.Sequential:
    """With one convolution more than anything looks at."""
    layers, before = [], 3
    for width in (64, 64, 0, 128, 128, 0, 256, 256):
        layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()] if width else [nn.MaxPool2d(2)]
        before = width or before
    return nn.Sequential(*layers)


class _Block(nn.Module):
    """Norm, LeakyReLU, convolution, twice; `kind`: down, up or same."""

    def __init__(self, kind: str, before: int, hidden: int, after: int, spectral=True, slope=0.1):
        super().__init__()
        wrap = nn.utils.spectral_norm if spectral else (lambda layer: layer)

        def norm_act(channels):
            return nn.InstanceNorm2d(channels, affine=spectral or kind == "same"), nn.LeakyReLU(slope)

        def double(before):
            return nn.ConvTranspose2d(before, after, 3, 2, 1, output_padding=1)

        first = nn.Conv2d(before, hidden, 4, 2, 1) if kind == "down" else nn.Conv2d(before, hidden, 3, padding=1)
        last = double(hidden) if kind == "up" else nn.Conv2d(hidden, after, 3, padding=1)
        self.model = nn.Sequential(*norm_act(before), wrap(first), *norm_act(hidden), wrap(last))
        self.shortcut = nn.Sequential(wrap(double(before))) if kind == "up" else None
        self.adds = kind == "same"

    def forward(self, x):
        y = self.model(x)
        if self.adds:
            return x + y
        return y if self.shortcut is None else y + self.shortcut(x)


class _Gated(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.gated_conv, self.mask_conv = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))

    def forward(self, x):
        return F.instance_norm(F.leaky_relu(self.gated_conv(x), 0.2) * torch.sigmoid(self.mask_conv(x)))


def _out(before: int, after: int, spectral: bool, slope: float) -> nn.Module:
    """A Sequential called `model`, whose convolution has a second name."""
    holder, layer = nn.Module(), nn.Conv2d(before, after, 3)
    holder.conv1 = nn.utils.spectral_norm(layer) if spectral else layer
    norm = nn.InstanceNorm2d(before, affine=spectral)
    holder.model = nn.Sequential(norm, nn.LeakyReLU(slope), nn.ReflectionPad2d(1), holder.conv1, nn.Tanh())
    return holder


class Published(nn.Module):
    """The parts by their published names; `forward` puts them together."""

    def __init__(self):
        super().__init__()
        c, p = CHANNELS, PARSING
        self.parnet, self.Zencoder, self.parenc, self.dec = (nn.Module() for _ in range(4))
        widths = [44, 2 * p, 4 * p, 8 * p, 16 * p]
        for i, hidden in enumerate((p, 4 * p, 8 * p, 16 * p)):
            setattr(self.parnet, f"conv{i + 1}", _Block("down", widths[i], hidden, widths[i + 1], False, 0.2))
        for i, after in enumerate((8 * p, 4 * p, 2 * p, p)):
            setattr(self.parnet, f"up{i + 1}", _Block("up", 2 * after, after, after, False, 0.2))
        self.parnet.deform3, self.parnet.deform4 = _Gated(16 * p), _Gated(16 * p)
        self.parnet.parout, self.parnet.makout = _out(p, 8, False, 0.2), _out(p, 1, False, 0.2)
        for encoder, channels in ((self.Zencoder, 3), (self.parenc, 37)):
            widths = [channels, 2 * c, 4 * c, 4 * c, 4 * c]
            for i in range(4):
                setattr(encoder, f"block{i}", _Block("down", widths[i], widths[i + 1], widths[i + 1]))
            encoder.block4, encoder.block5 = (_Block("up", 4 * c, 4 * c, 4 * c) for _ in range(2))
        self.parenc.deform3, self.parenc.deform4 = _Gated(4 * c), _Gated(4 * c)
        self.Zencoder.get_code = nn.Sequential(nn.Conv2d(4 * c, 4 * c, 1), nn.Tanh())
        self.efb = nn.Module()
        self.efb.norm = nn.BatchNorm2d(4 * c)
        self.efb.blending_gamma, self.efb.blending_beta = (nn.Parameter(torch.zeros(1)) for _ in range(2))
        for region in range(8):
            setattr(self.efb, f"fc_mu{region}", nn.Linear(4 * c, 4 * c))
        self.efb.conv_gamma, self.efb.conv_beta = (nn.Conv2d(4 * c, 4 * c, 3, padding=1) for _ in range(2))
        self.res, self.res1 = (_Block("same", 4 * c, 4 * c, 4 * c, False) for _ in range(2))
        self.imgenc, self.getMatrix = nn.Module(), nn.Module()
        self.imgenc.vgg = _vgg()
        self.getMatrix.get_gamma, self.getMatrix.get_beta = (nn.Conv2d(256, 1, 1, bias=False) for _ in range(2))
        self.theta, self.phi = nn.Conv2d(4 * c + 3, 4 * c, 1), nn.Conv2d(256 + 3, 4 * c, 1)
        self.dec.block0, self.dec.block2 = _Block("up", 4 * c, 4 * c, 2 * c), _Block("up", 2 * c, 2 * c, c)
        self.dec.block1, self.dec.block3 = _Block("same", 2 * c, 2 * c, 2 * c), _Block("same", c, c, c)
        self.dec.out = _out(c, 3, True, 0.1)

    @staticmethod
    def _through(module, names, x):
        for name in names.split():
            x = getattr(module, name)(x)
        return x

    def _place_by_place(self, x, codes, source_map, target_map):
        """Batch norm; the last region that is not 0 at a place gives its scale and shift."""
        style = torch.zeros_like(x)
        for region in range(8):
            inside = source_map[0, region] > 0
            code = (codes[0][:, inside] if inside.any() else codes[0].flatten(1)).mean(1)
            there = target_map[0, region] != 0
            style[0][:, there] = torch.relu(getattr(self.efb, f"fc_mu{region}")(code))[:, None]
        return self.efb.norm(x) * (1 + self.efb.conv_gamma(style)) + self.efb.conv_beta(style)

    def _corresponding(self, x, source):
        size = x.shape[2:]

        def windows(layer, features):
            rows, columns = torch.meshgrid(*(torch.linspace(-1, 1, side) for side in size), indexing="ij")
            places = torch.stack([columns, rows, torch.hypot(rows, columns)])[None]
            unfolded = F.unfold(layer(torch.cat([F.normalize(features, dim=1), places], 1)), 3, padding=1)
            return F.normalize(unfolded - unfolded.mean(1, keepdim=True), dim=1)

        similarity = windows(self.theta, x).transpose(1, 2) @ windows(self.phi, source)
        share = torch.softmax(similarity.transpose(1, 2) / 0.01, dim=-1)
        gamma, beta = (
            (layer(source).flatten(2) @ share).unflatten(2, size)
            for layer in (self.getMatrix.get_gamma, self.getMatrix.get_beta)
        )
        return x * (1 + gamma) + beta

    @torch.no_grad()
    def forward(self, image, source_map, source_pose, target_pose):
        x = torch.cat([source_map, source_pose, target_pose], 1)
        x = self._through(self.parnet, "conv1 conv2 conv3 conv4 deform3 deform4 up1 up2 up3 up4", x)
        target_map = (self.parnet.parout.model(x) + 1) / 2
        down, up = "block0 block1 block2 block3", "block4 block5"
        codes = self.Zencoder.get_code(self._through(self.Zencoder, f"{down} {up}", image))
        x = torch.cat([source_map, target_map, target_pose, image], 1)
        x = self._through(self.parenc, f"{down} deform3 deform4 {up}", x)
        x = self._place_by_place(x, codes, source_map[..., ::4, ::4], target_map[..., ::4, ::4])
        x = self._corresponding(self.res(x), self.imgenc.vgg[:12](image))
        x = self._through(self.dec, "block0 block1 block2 block3", self.res1(x))
        return self.dec.out.model(x), target_map


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = Published()
    for _ in range(3):  # of the vectors of the spectral norms, which then stay
        for module in network.modules():
            for hook in module._forward_pre_hooks.values():
                hook(module, None)
    with torch.no_grad():
        network.efb.norm.running_mean.normal_()
        network.efb.norm.running_var.uniform_(0.5, 2)
        for parameter in network.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return network.eval()


@pytest.fixture(scope="module")
def folder(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("pise")
    torch.save(network.state_dict(), path / "latest_net_G.pth")
    model = {"name": "pise", "width": CHANNELS, "parsing_width": PARSING, "published": True}
    settings = from_config({"data": {"name": "none"}, "size": (HEIGHT, WIDTH), "model": model})
    convert.generator(settings, path / "latest_net_G.pth", path / "model")
    return path / "model"


def test_the_folder_paints_what_the_published_network_paints(network, folder, person_batch, nchw, nhwc):
    """Between white bars that make the frame a square; to 1 of 255."""
    batch = {key: array[:1] for key, array in person_batch(HEIGHT, WIDTH).items()}
    labels = batch["source_parsing"] = (batch["source_parsing"] // 2).repeat(4, 1)[:, ::4]  # some of the regions
    poses = [batch[f"{side}_pose"] for side in ("source", "target")]
    poses[0][0, 3] = -1
    bars = (0, 0), (0, 0), (BAR, BAR)
    image = np.pad(base.to_float(batch["source_image"]), (*bars, (0, 0)), constant_values=1)
    source_map = np.eye(8, dtype=np.float32)[np.pad(CLASSES[labels], bars)]
    moved = [np.where(pose < 0, -1, pose + (0, BAR)) for pose in poses]
    maps = [heatmaps.heat_maps(pose, HEIGHT, WIDTH + 2 * BAR) for pose in moved]
    picture, _ = network(*map(nchw, (image, source_map, *maps)))
    expected = base.to_uint8(nhwc(picture))[:, :, BAR:-BAR]
    assert expected.std() > 10
    found = PoseTransfer.load(folder)(batch["source_image"], labels, *poses)
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_the_last_region_that_is_not_0_has_the_place():
    places = np.array([[0.9, 0.0, 0.1], [0.2, 0.0, 0.0], [0.0, 0.0, 0.0]], np.float32)
    np.testing.assert_array_equal(generator.last_there(places), [[0, 0, 1], [1, 0, 0], [0, 0, 0]])


def test_classes_that_are_one_region_here_count_as_the_likelier():
    """Hat and hair are hair, both lower parts are pants; nothing there is a dress or a leg."""
    classes = np.arange(1, 9, dtype=np.float32) / 10
    np.testing.assert_allclose(generator._ours(classes), [0.1, 0.3, 0.4, 0, 0.6, 0.8, 0.7, 0], atol=1e-6)
