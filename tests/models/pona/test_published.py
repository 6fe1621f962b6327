"""PoNA's published generator: a PyTorch network with its names becomes a folder that paints the same."""

import numpy as np
import torch
from torch import nn

from scrn_jax import convert
from scrn_jax.inference import PoseTransfer
from scrn_jax.models import base
from scrn_jax.person import heatmaps
from scrn_jax.settings import from_config

HEIGHT, WIDTH, BLOCKS, CHANNELS = 32, 36, 2, 4


def _down(channels: int) -> nn.Sequential:
    c = CHANNELS
    return nn.Sequential(
        nn.ReflectionPad2d(3), nn.Conv2d(channels, c, 7), nn.InstanceNorm2d(c), nn.ReLU(),
        nn.Conv2d(c, 2 * c, 3, 2, 1), nn.InstanceNorm2d(2 * c), nn.ReLU(),
        nn.Conv2d(2 * c, 4 * c, 3, 2, 1), nn.InstanceNorm2d(4 * c), nn.ReLU(),
    )  # fmt: skip


class _Pair(nn.Module):
    def __init__(self, before: int, after: int):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(before, before, 3, padding=1), nn.InstanceNorm2d(before), nn.ReLU(), nn.Dropout(0.5),
            nn.Conv2d(before, after, 3, padding=1), nn.InstanceNorm2d(after), nn.ReLU(),
        )  # fmt: skip

    def forward(self, x):
        return self.conv(x)


class _Attends(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.query_conv, self.key_conv = nn.Conv2d(channels, channels // 8, 1), nn.Conv2d(channels, channels // 8, 1)
        self.value_conv = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.full((1,), 0.7))

    def attended(self, guide, x):
        """Place by place of the guide."""
        query, key, values = (conv(y).flatten(2) for conv, y in (
            (self.query_conv, guide), (self.key_conv, guide), (self.value_conv, x)))  # fmt: skip
        places = [
            (values * torch.softmax((query[..., i, None] * key).sum(1), -1)[:, None]).sum(-1)
            for i in range(query.shape[-1])
        ]
        return torch.stack(places, -1).reshape(x.shape)


class _Self(_Attends):
    def __init__(self, channels: int):
        super().__init__(channels)
        self.beta = nn.Parameter(torch.full((1,), -0.3))


class _Block(_Attends):
    def __init__(self, c: int):
        super().__init__(c)
        self.att2, self.conv, self.conv2 = _Self(2 * c), _Pair(c, c), _Pair(c, c)
        self.dconv, self.dconv2 = _Pair(2 * c, 2 * c), _Pair(2 * c, c)

    def forward(self, image, pose):
        both = torch.cat([image, pose], 1)
        both = self.att2.gamma * self.att2.attended(both, both) + self.att2.beta * both + both
        pose = self.dconv2(both + self.dconv(both))
        image = image + self.conv(image)
        image = image + self.conv2(image)
        return self.gamma * self.attended(pose, image) + image, pose


class Published(nn.Module):
    """Two streams down, blocks, one stream up, under the name `model`."""

    def __init__(self):
        super().__init__()
        c = CHANNELS
        self.model = nn.Module()
        self.model.stream1_down, self.model.stream2_down = _down(3), _down(36)
        self.model.att = nn.ModuleList(_Block(4 * c) for _ in range(BLOCKS))
        self.model.stream1_up = nn.Sequential(
            nn.ConvTranspose2d(4 * c, 2 * c, 3, 2, 1, output_padding=1), nn.InstanceNorm2d(2 * c), nn.ReLU(),
            nn.ConvTranspose2d(2 * c, c, 3, 2, 1, output_padding=1), nn.InstanceNorm2d(c), nn.ReLU(),
            nn.ReflectionPad2d(3), nn.Conv2d(c, 3, 7), nn.Tanh(),
        )  # fmt: skip

    def forward(self, image, poses):
        image, pose = self.model.stream1_down(image), self.model.stream2_down(poses)
        for block in self.model.att:
            image, pose = block(image, pose)
        return self.model.stream1_up(image)


def test_the_folder_paints_what_the_published_network_paints(tmp_path, person_batch, nchw, nhwc):
    """To 1 of 255, as numbers near a half may be rounded to either side."""
    torch.manual_seed(0)
    network = Published().eval()
    torch.save(network.state_dict(), tmp_path / "test1_net_netG.pth")
    settings = from_config({
        "data": {"name": "none"}, "size": (HEIGHT, WIDTH),
        "model": {"name": "pona", "width": CHANNELS, "blocks": BLOCKS, "published": True},
    })  # fmt: skip
    convert.generator(settings, tmp_path / "test1_net_netG.pth", tmp_path / "model")
    batch = person_batch(HEIGHT, WIDTH)
    poses = [batch[f"{side}_pose"].round() for side in ("source", "target")]
    maps = np.concatenate([heatmaps.pixels(pose, HEIGHT, WIDTH) for pose in poses], -1)
    with torch.no_grad():
        expected = base.to_uint8(nhwc(network(nchw(base.to_float(batch["source_image"])), nchw(maps))))
    assert expected.std() > 10
    found = PoseTransfer.load(tmp_path / "model")(batch["source_image"], batch["source_parsing"], *poses)
    assert np.abs(found.astype(int) - expected).max() <= 1
