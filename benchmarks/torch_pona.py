"""PoNA once more, in PyTorch: written from docs/methods/pona.md in the plain way, as a check and as a baseline.

As `torch_patn`. Spectral norms are PyTorch's own: one step of the power iteration a call.
"""

import torch
from torch import nn
from torch.nn import functional

from benchmarks.torch_patn import PATN, Patn, padded


class ConvPair(nn.Module):
    """3x3, norm, ReLU, dropout, 3x3, norm, ReLU."""

    def __init__(self, before: int, after: int, dropout: float):
        super().__init__()
        self.Conv_0, self.Conv_1 = nn.Conv2d(before, before, 3, padding=1), nn.Conv2d(before, after, 3, padding=1)
        self.dropout = dropout

    def forward(self, x):
        x = torch.relu(functional.instance_norm(self.Conv_0(x)))
        x = functional.dropout(x, self.dropout, self.training)
        return torch.relu(functional.instance_norm(self.Conv_1(x)))


class Attention(nn.Module):
    """What the guide makes of x, every place of every other."""

    def __init__(self, channels: int):
        super().__init__()
        few = max(1, channels // 8)
        self.query, self.key = nn.Conv2d(channels, few, 1), nn.Conv2d(channels, few, 1)
        self.value = nn.Conv2d(channels, channels, 1)

    def forward(self, guide, x):
        energy = self.query(guide).flatten(2).transpose(1, 2) @ self.key(guide).flatten(2)
        share = torch.softmax(energy, dim=-1)
        return (self.value(x).flatten(2) @ share.transpose(1, 2)).reshape(x.shape)


class Block(nn.Module):
    """The pose code sees the image code and itself; the image code sees itself as the pose code says."""

    def __init__(self, channels: int, dropout: float):
        super().__init__()
        self.pose_attention, self.image_attention = Attention(2 * channels), Attention(channels)
        self.pose_pair = ConvPair(2 * channels, 2 * channels, dropout)
        self.pose_narrow = ConvPair(2 * channels, channels, dropout)
        self.image_pair_1, self.image_pair_2 = (ConvPair(channels, channels, dropout) for _ in range(2))
        self.pose_gamma, self.pose_beta, self.image_gamma = (nn.Parameter(torch.zeros(1)) for _ in range(3))

    def forward(self, image, pose):
        both = torch.cat([image, pose], 1)
        both = self.pose_gamma * self.pose_attention(both, both) + self.pose_beta * both + both
        pose = self.pose_narrow(both + self.pose_pair(both))
        image = image + self.image_pair_1(image)
        image = image + self.image_pair_2(image)
        return self.image_gamma * self.image_attention(pose, image) + image, pose


class PoNA(PATN):
    """PATN with PoNA's blocks."""

    @staticmethod
    def block(channels: int, first: bool, dropout: float) -> nn.Module:
        """As PATN's; the first is as the others."""
        return Block(channels, dropout)


class ResidualDiscriminator(nn.Module):
    """PATN's, every kernel spectrally normalised; layers are counted through, as Flax names them."""

    def __init__(self, before: int, width: int, blocks: int, dropout: float):
        super().__init__()
        convs = [nn.Conv2d(before, width, 7), nn.Conv2d(width, 2 * width, 3, 2, 1)]
        convs += [nn.Conv2d(2 * width, 4 * width, 3, 2, 1)]
        convs += [nn.Conv2d(4 * width, 4 * width, 3) for _ in range(2 * blocks)]
        for i, conv in enumerate(convs):
            self.add_module(f"Conv_{i}", nn.utils.spectral_norm(conv))
        self.blocks, self.dropout = blocks, dropout

    def forward(self, x):
        x = torch.relu(functional.instance_norm(padded(x, self.Conv_0, 3)))
        for conv in (self.Conv_1, self.Conv_2):
            x = torch.relu(functional.instance_norm(conv(x)))
        for i in range(self.blocks):
            first, second = (getattr(self, f"Conv_{3 + 2 * i + j}") for j in range(2))
            y = torch.relu(functional.instance_norm(padded(x, first, 1)))
            y = functional.dropout(y, self.dropout, self.training)
            x = x + functional.instance_norm(padded(y, second, 1))
        return x


class Pona(Patn):
    """PoNA's step, which is PATN's around other networks."""

    generator_type, discriminator_type = PoNA, ResidualDiscriminator
