"""SCRN's networks once more, in PyTorch: written from docs/paper.md in the plain way, as a check and as a baseline.

Plain means: convolutions over real heat maps, `ConvTranspose2d`, a convolution each for features and gate. Features are
NCHW. Sub-modules carry the names that Flax gives ours, so that parameters travel by path (`torch_weights`).
"""

from collections import OrderedDict
from functools import partial
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

JOINTS = 18
leaky_relu = partial(functional.leaky_relu, negative_slope=0.1)
norm = partial(nn.InstanceNorm2d, affine=True)
conv3 = partial(nn.Conv2d, kernel_size=3, padding=1)
down_conv = partial(nn.Conv2d, kernel_size=4, stride=2, padding=1)
up_conv = partial(nn.ConvTranspose2d, kernel_size=3, stride=2, padding=1, output_padding=1)


def heat_maps(joints_BxJx2, height: int, width: int):
    """Gaussians with a peak of 1 and sigma = 6 px at 256 rows (B, J, H, W); zeros for a missing joint."""
    y = torch.arange(height, device=joints_BxJx2.device)[:, None]
    x = torch.arange(width, device=joints_BxJx2.device)[None, :]
    row, column = joints_BxJx2[..., 0, None, None], joints_BxJx2[..., 1, None, None]
    sigma = 6.0 * height / 256.0
    maps = torch.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * sigma**2))
    return maps * ((row >= 0) & (column >= 0))


def pad_to_multiple(x, multiple: int, mode: str = "constant"):
    """Pad at the bottom and right."""
    height, width = x.shape[2:]
    return functional.pad(x, (0, -width % multiple, 0, -height % multiple), mode=mode)


def numbered(layers) -> nn.Sequential:
    """A sequence named as Flax names unnamed sub-modules: by class, counted from 0."""
    counts, named = {}, OrderedDict()
    for layer in layers:
        kind = {"Conv2d": "Conv"}.get(type(layer).__name__, type(layer).__name__)
        counts[kind] = counts.get(kind, -1) + 1
        named[f"{kind}_{counts[kind]}"] = layer
    return nn.Sequential(named)


class ConvNormAct(nn.Module):
    """Convolution, instance norm, LeakyReLU; built from a convolution's arguments."""

    def __init__(self, before: int, features: int, conv):
        super().__init__()
        self.Conv_0 = conv(before, features)
        self.InstanceNorm_0 = norm(features)

    def forward(self, x):
        return leaky_relu(self.InstanceNorm_0(self.Conv_0(x)))


class GatedConv(nn.Module):
    """norm(LeakyReLU(0.2)(conv(x)) * sigmoid(conv'(x)))."""

    def __init__(self, before: int, features: int, conv=conv3):
        super().__init__()
        self.Conv_0 = nn.ModuleDict({"features": conv(before, features), "gate": conv(before, features)})
        self.InstanceNorm_0 = norm(features)

    def forward(self, x):
        features = functional.leaky_relu(self.Conv_0["features"](x), 0.2)
        return self.InstanceNorm_0(features * torch.sigmoid(self.Conv_0["gate"](x)))


class ResBlock(nn.Module):
    """x + conv(act(norm(conv(act(norm(x))))))."""

    def __init__(self, features: int):
        super().__init__()
        self.InstanceNorm_0, self.Conv_0 = norm(features), conv3(features, features)
        self.InstanceNorm_1, self.Conv_1 = norm(features), conv3(features, features)

    def forward(self, x):
        y = self.Conv_0(leaky_relu(self.InstanceNorm_0(x)))
        return x + self.Conv_1(leaky_relu(self.InstanceNorm_1(y)))


double = partial(functional.interpolate, scale_factor=2, mode="nearest")


class UpResBlock(nn.Module):
    """A residual block to twice the sides: by transposed convolutions of stride 2, or by `nearest` and plain ones."""

    def __init__(self, before: int, features: int, upsampling: str):
        super().__init__()
        self.nearest = upsampling == "nearest"
        self.InstanceNorm_0, self.Conv_0 = norm(before), conv3(before, before)
        self.InstanceNorm_1 = norm(before)
        if self.nearest:
            self.UpConv_0, self.shortcut = conv3(before, features), nn.Conv2d(before, features, 1, bias=False)
        else:
            self.UpConv_0, self.shortcut = up_conv(before, features), up_conv(before, features)

    def forward(self, x):
        y = leaky_relu(self.InstanceNorm_1(self.Conv_0(leaky_relu(self.InstanceNorm_0(x)))))
        if self.nearest:
            return self.UpConv_0(double(y)) + double(self.shortcut(x))
        return self.UpConv_0(y) + self.shortcut(x)


class Decoder(nn.Module):
    """Features of 4c channels on the grid to an image."""

    def __init__(self, width: int, upsampling: str):
        super().__init__()
        self.UpResBlock_0 = UpResBlock(4 * width, 2 * width, upsampling)
        self.UpResBlock_1 = UpResBlock(2 * width, width, upsampling)
        self.GroupNorm_0, self.Conv_0 = nn.GroupNorm(1, width), nn.Conv2d(width, 3, 7, padding=3)

    def forward(self, x):
        return torch.tanh(self.Conv_0(leaky_relu(self.GroupNorm_0(self.UpResBlock_1(self.UpResBlock_0(x))))))


def encoder(before: int, width: int, layer=ConvNormAct) -> nn.Sequential:
    """7x7 to c, then two 4x4 of stride 2 to 2c and 4c."""
    return numbered([
        layer(before, width, partial(nn.Conv2d, kernel_size=7, padding=3)),
        layer(width, 2 * width, down_conv),
        layer(2 * width, 4 * width, down_conv),
    ])  # fmt: skip


class ParsingHead(nn.Module):
    """What both parsing blocks share: layers by Flax's names, frames padded to the stride, logits of the result."""

    def __init__(self, layers, stride: int, width: int, regions: int):
        super().__init__()
        for name, layer in numbered(layers).named_children():
            self.add_module(name, layer)
        self.layers, self.stride = list(self._modules), stride
        self.InstanceNorm_0, self.logits = norm(width), conv3(width, regions)

    def forward(self, x):
        height, width = x.shape[2:]
        features = self.features(pad_to_multiple(x, self.stride))
        return self.logits(leaky_relu(self.InstanceNorm_0(features)))[:, :, :height, :width].float()


class ParsingBlock(ParsingHead):
    """Both poses' heat maps, S_r and hints, together (B, `before`, H, W), to S_g's logits."""

    def __init__(self, before: int, width: int, regions: int, multiples, upsampling: str):
        down = [before, *(width * multiple for multiple in multiples)]
        up = [*down[:0:-1], width]
        layers = [ConvNormAct(before, after, down_conv) for before, after in pairwise(down)]
        layers += [ResBlock(down[-1]), ResBlock(down[-1])]
        layers += [UpResBlock(before, after, upsampling) for before, after in pairwise(up)]
        super().__init__(layers, 2 ** len(multiples), width, regions)

    def features(self, x):
        """(B, before, H, W) to (B, width, H, W), one layer after the other."""
        for name in self.layers:
            x = self._modules[name](x)
        return x


class DetailedParsingBlock(ParsingHead):
    """The same as a U-Net with sums: from the full frame down, and at every scale up what was there on the way down."""

    def __init__(self, before: int, width: int, regions: int, multiples):
        widths = [width * multiple for multiple in (multiples[0], *multiples)]
        layers = [ConvNormAct(before, widths[0], conv3)]
        layers += [ConvNormAct(finer, coarser, down_conv) for finer, coarser in pairwise(widths)]
        layers += [ResBlock(channels) for channels in (widths[-1], *widths[::-1])]
        layers += [nn.Conv2d(coarser, finer, 1) for coarser, finer in pairwise(widths[::-1])]
        super().__init__(layers, 2 ** len(multiples), widths[0], regions)

    def features(self, x):
        """(B, before, H, W) to (B, first width, H, W)."""
        skips = []
        for name in self.layers:
            if name.startswith("ConvNormAct"):
                x = self._modules[name](x)
                skips.append(x)
        x = self.ResBlock_1(self.ResBlock_0(x))
        for i, skip in enumerate(skips[-2::-1]):
            x = self._modules[f"ResBlock_{i + 2}"](skip + double(self._modules[f"Conv_{i}"](x)))
        return x


class CrissCrossAttention(nn.Module):
    """CCNet's attention over a pixel's row and column, times gamma, plus x."""

    def __init__(self, channels: int):
        super().__init__()
        self.query = nn.Conv2d(channels, max(channels // 8, 1), 1)
        self.key = nn.Conv2d(channels, max(channels // 8, 1), 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return x + self.gamma * criss_cross(self.query(x), self.key(x), self.value(x))


def criss_cross(query, key, value):
    """(B, K, H, W), (B, K, H, W), (B, C, H, W) to (B, C, H, W): one softmax over column and row, the pixel once."""
    height = query.shape[2]
    down = query.permute(0, 3, 2, 1) @ key.permute(0, 3, 1, 2)  # B, W, H, H
    across = query.permute(0, 2, 3, 1) @ key.permute(0, 2, 1, 3)  # B, H, W, W
    itself = torch.eye(height, dtype=torch.bool, device=query.device)
    down = down.masked_fill(itself, float("-inf")).transpose(1, 2)  # B, H, W, H
    weights = torch.softmax(torch.cat([down, across], dim=-1).float(), dim=-1).to(value.dtype)
    from_column = weights[..., :height].transpose(1, 2) @ value.permute(0, 3, 2, 1)  # B, W, H, C
    from_row = weights[..., height:] @ value.permute(0, 2, 3, 1)  # B, H, W, C
    return from_column.permute(0, 3, 2, 1) + from_row.permute(0, 3, 1, 2)


class DilatedPair(nn.Module):
    """Two 3x3 convolutions of dilation 2 with norm and ReLU between, and a norm at the end if asked for."""

    def __init__(self, before: int, features: int, norm_last: bool):
        super().__init__()
        self.Conv_0 = nn.Conv2d(before, features, 3, padding=2, dilation=2)
        self.InstanceNorm_0 = norm(features)
        self.Conv_1 = nn.Conv2d(features, features, 3, padding=2, dilation=2)
        self.InstanceNorm_1 = norm(features) if norm_last else nn.Identity()

    def forward(self, x):
        return self.InstanceNorm_1(self.Conv_1(torch.relu(self.InstanceNorm_0(self.Conv_0(x)))))


class CoarseBlock(nn.Module):
    """Eq. 1 and 2."""

    def __init__(self, pose_channels: int, channels: int):
        super().__init__()
        self.pose_path = DilatedPair(pose_channels, channels, norm_last=False)
        self.CrissCrossAttention_0 = CrissCrossAttention(channels)
        self.image_path = DilatedPair(channels, channels, norm_last=True)

    def forward(self, pose_code, image_code):
        attended = self.CrissCrossAttention_0(self.pose_path(pose_code))
        image_code = torch.sigmoid(attended) * self.image_path(image_code) + image_code
        return torch.cat([attended, image_code], dim=1), image_code


class CoarseGenerator(nn.Module):
    """I_r (and paint, where there is any), poses, S_r and S_g to F_crs and I_crs."""

    def __init__(self, seen: int, width: int, blocks: int, regions: int, upsampling: str):
        super().__init__()
        self.pose_encoder = encoder(2 * JOINTS + 2 * regions, width)
        self.image_encoder = encoder(seen, width)
        self.blocks = [f"block_{t + 1}" for t in range(blocks)]
        for t, name in enumerate(self.blocks):
            self.add_module(name, CoarseBlock((8 if t else 4) * width, 4 * width))
        self.decoder = Decoder(width, upsampling)

    def forward(self, source_image, poses_and_parsings):
        pose_code, image_code = self.pose_encoder(poses_and_parsings), self.image_encoder(source_image)
        for name in self.blocks:
            pose_code, image_code = self._modules[name](pose_code, image_code)
        return image_code, self.decoder(image_code)
