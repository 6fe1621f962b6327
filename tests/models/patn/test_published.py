"""PATN's published generator: a PyTorch network with its names becomes a folder that paints the same."""

import numpy as np
import pytest
import torch
from torch import nn

from scrn_jax import convert
from scrn_jax.inference import PoseTransfer
from scrn_jax.models import base
from scrn_jax.person import heatmaps
from scrn_jax.settings import from_config

HEIGHT, WIDTH, BLOCKS, CHANNELS = 32, 36, 2, 4


def _norm(channels: int) -> nn.Module:
    """With the statistics that PyTorch 0.3 kept and did not use."""
    norm = nn.InstanceNorm2d(channels)
    norm.register_buffer("running_mean", torch.full((channels,), 7.0))
    norm.register_buffer("running_var", torch.full((channels,), 7.0))
    return norm


def _down(channels: int) -> nn.Sequential:
    c = CHANNELS
    return nn.Sequential(
        nn.ReflectionPad2d(3), nn.Conv2d(channels, c, 7), _norm(c), nn.ReLU(),
        nn.Conv2d(c, 2 * c, 3, stride=2, padding=1), _norm(2 * c), nn.ReLU(),
        nn.Conv2d(2 * c, 4 * c, 3, stride=2, padding=1), _norm(4 * c), nn.ReLU(),
    )  # fmt: skip


class _Block(nn.Module):
    def __init__(self, image: int, pose: int):
        super().__init__()

        def path(before, last):
            return nn.Sequential(
                nn.ReflectionPad2d(1), nn.Conv2d(before, before, 3), _norm(before), nn.ReLU(), nn.Dropout(0.5),
                nn.ReflectionPad2d(1), nn.Conv2d(before, image, 3), *last,
            )  # fmt: skip

        self.conv_block_stream1, self.conv_block_stream2 = path(image, [_norm(image)]), path(pose, [])

    def forward(self, image, pose):
        pose = self.conv_block_stream2(pose)
        image = image + self.conv_block_stream1(image) * torch.sigmoid(pose)
        return image, torch.cat([pose, image], 1)


class Published(nn.Module):
    """Two streams down, blocks, one stream up, under the name `model`."""

    def __init__(self):
        super().__init__()
        c = CHANNELS
        self.model = nn.Module()
        self.model.stream1_down, self.model.stream2_down = _down(3), _down(36)
        self.model.att = nn.ModuleList(_Block(4 * c, 8 * c if t else 4 * c) for t in range(BLOCKS))
        self.model.stream1_up = nn.Sequential(
            nn.ConvTranspose2d(4 * c, 2 * c, 3, 2, 1, output_padding=1), _norm(2 * c), nn.ReLU(),
            nn.ConvTranspose2d(2 * c, c, 3, 2, 1, output_padding=1), _norm(c), nn.ReLU(),
            nn.ReflectionPad2d(3), nn.Conv2d(c, 3, 7), nn.Tanh(),
        )  # fmt: skip

    def forward(self, image, poses):
        image, pose = self.model.stream1_down(image), self.model.stream2_down(poses)
        for block in self.model.att:
            image, pose = block(image, pose)
        return self.model.stream1_up(image)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return Published().eval()


@pytest.fixture(scope="module")
def folder(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("patn")
    torch.save(network.state_dict(), path / "latest_net_netG.pth")
    settings = from_config({
        "data": {"name": "none"}, "size": (HEIGHT, WIDTH),
        "model": {"name": "patn", "width": CHANNELS, "blocks": BLOCKS, "published": True},
    })  # fmt: skip
    convert.generator(settings, path / "latest_net_netG.pth", path / "model")
    return path / "model"


def test_the_folder_paints_what_the_published_network_paints(network, folder, person_batch, nchw, nhwc):
    """To 1 of 255, as numbers near a half may be rounded to either side."""
    batch = person_batch(HEIGHT, WIDTH)
    poses = [batch[f"{side}_pose"].round() for side in ("source", "target")]
    maps = np.concatenate([heatmaps.pixels(pose, HEIGHT, WIDTH) for pose in poses], -1)
    expected = base.to_uint8(nhwc(network(nchw(base.to_float(batch["source_image"])), nchw(maps))))
    assert expected.std() > 10
    found = PoseTransfer.load(folder)(batch["source_image"], batch["source_parsing"], *poses)
    assert np.abs(found.astype(int) - expected).max() <= 1
