"""The second stage, the whole generator, the discriminator and the frozen networks of the PyTorch mirror."""

import torch
from torch import nn
from torch.nn import functional

from benchmarks import torch_mirror as mirror
from benchmarks import torch_paint


class RefineArea(nn.Module):
    """Eq. 3: sigmoid(Fus(cat(F_crs, F_sp))) * F_crs."""

    def __init__(self, width: int, regions: int):
        super().__init__()
        self.shape_encoder = mirror.encoder(mirror.JOINTS + regions, width, mirror.GatedConv)
        self.fuse_gated = mirror.GatedConv(8 * width, 4 * width)
        self.fuse_out = mirror.conv3(4 * width, 4 * width)

    def forward(self, coarse_features, pose_and_parsing):
        fused = torch.cat([coarse_features, self.shape_encoder(pose_and_parsing)], dim=1)
        return torch.sigmoid(self.fuse_out(self.fuse_gated(fused))) * coarse_features


class StyleEncoder(nn.Module):
    """I_r under S_r to a style code per region (B, R, 4c)."""

    def __init__(self, width: int, multiples, upsampling: str, bounded: bool):
        super().__init__()
        self.bounded = bounded
        widths = [3, *(width * multiple for multiple in multiples)]
        self.downs = [f"Conv_{i}" for i in range(len(multiples))]
        for name, before, after in zip(self.downs, widths, widths[1:], strict=False):
            self.add_module(name, mirror.down_conv(before, after))
        self.UpResBlock_0 = mirror.UpResBlock(widths[-1], 4 * width, upsampling)
        self.UpResBlock_1 = mirror.UpResBlock(4 * width, 4 * width, upsampling)
        self.to_style = nn.Conv2d(4 * width, 4 * width, 1)

    def forward(self, source_image, parsing):
        stride = 2 ** len(self.downs)
        x = mirror.pad_to_multiple(source_image, stride, mode="replicate")
        for name in self.downs:
            x = mirror.leaky_relu(self._modules[name](x))
        style = self.to_style(self.UpResBlock_1(self.UpResBlock_0(x)))
        style = torch.tanh(style).float() if self.bounded else style.float()
        # The last map is 1 inside the frame: its mean is the whole image's, for the regions that are absent.
        maps = torch.cat([parsing, torch.ones_like(parsing[:, :1])], dim=1)
        shares = functional.avg_pool2d(mirror.pad_to_multiple(maps, stride), stride // 4).flatten(2)
        area = shares.sum(dim=2, keepdim=True)
        means = shares @ style.flatten(2).transpose(1, 2) / area.clamp(min=1e-6)
        return torch.where(area[:, :-1] > 0, means[:, :-1], means[:, -1:])


def region_norm(features, weights):
    """Less each region's mean, over its standard deviation; regions under soft weights (B, R, h, w)."""
    features, weights = features.float(), weights.float()
    shares = weights / weights.sum((2, 3), keepdim=True).clamp(min=1e-3)

    def of_regions(x):
        """Every cell's mixture of its regions' means, (B, C, h, w)."""
        return torch.einsum("brhw,brc->bchw", weights, torch.einsum("brhw,bchw->brc", shares, x))

    with torch.autocast(features.device.type, enabled=False):
        centred = features - of_regions(features)
        return centred * torch.rsqrt(of_regions(centred.square()) + 1e-2)


class InjectStyle(nn.Module):
    """norm(F'_crs) * (1 + gamma) + beta, then a residual block; the norm over the frame or by region."""

    def __init__(self, channels: int, regions: int, by_region: bool):
        super().__init__()
        self.by_region = by_region
        self.region_kernel = nn.Parameter(torch.zeros(regions, channels, channels))
        self.region_bias = nn.Parameter(torch.zeros(regions, channels))
        self.gamma, self.beta = mirror.conv3(channels, channels), mirror.conv3(channels, channels)
        self.ResBlock_0 = mirror.ResBlock(channels)

    def forward(self, features, codes, parsing_on_grid):
        codes = torch.relu((codes[:, :, None] @ self.region_kernel)[:, :, 0] + self.region_bias)
        style = torch.einsum("brc,brhw->bchw", codes, parsing_on_grid)
        normed = region_norm(features, parsing_on_grid) if self.by_region else functional.instance_norm(features)
        return self.ResBlock_0(normed * (1 + self.gamma(style)) + self.beta(style))


class PaintingDecoder(nn.Module):
    """F_g on the grid, a guide of full size and paint to an image: what F_g and the guide say is added to the paint."""

    def __init__(self, width: int, guide: int, blended: bool = False):
        super().__init__()
        c, before, after = width, [guide, width, 2 * width, 8 * width], [width, 2 * width, 4 * width, 4 * width]
        for i, conv in enumerate((mirror.conv3, mirror.down_conv, mirror.down_conv, mirror.conv3)):
            self.add_module(f"Conv_{i}", conv(before[i], after[i]))
        self.Conv_4, self.to_image = mirror.conv3(c, 2 * c), mirror.conv3(2 * c, 4 if blended else 3)
        for i, channels in enumerate([*after, c, 2 * c]):
            self.add_module(f"GroupNorm_{i}", nn.GroupNorm(1, channels))
        self.ResBlock_0 = mirror.ResBlock(4 * c)
        self.UpResBlock_0 = mirror.UpResBlock(4 * c, 2 * c, "nearest")
        self.UpResBlock_1 = mirror.UpResBlock(2 * c, c, "nearest")

    def forward(self, features, guide, painted, flat=None):
        full = mirror.leaky_relu(self.GroupNorm_0(self.Conv_0(guide)))
        half = mirror.leaky_relu(self.GroupNorm_1(self.Conv_1(full)))
        grid = mirror.leaky_relu(self.GroupNorm_2(self.Conv_2(half)))
        x = mirror.leaky_relu(self.GroupNorm_3(self.Conv_3(torch.cat([features, grid], dim=1))))
        x = half + self.UpResBlock_0(self.ResBlock_0(x))
        x = full + self.UpResBlock_1(x)
        x = mirror.leaky_relu(self.GroupNorm_5(self.Conv_4(mirror.leaky_relu(self.GroupNorm_4(x)))))
        change = self.to_image(x).float()
        if flat is not None:
            painted = torch.lerp(flat, painted, torch.sigmoid(2 + 10 * change[:, 3:]))
        return torch.tanh(change[:, :3] + torch.atanh(painted.clamp(-0.97, 0.97)))


class SCRN(nn.Module):
    """The generator; fields as in `scrn_jax.models.scrn.settings.Model`."""

    def __init__(
        self, width=64, blocks=6, refine_area=True, parsing_multiples=(1, 2, 4, 8), style_multiples=(1, 2, 4, 4, 4),
        upsampling="transposed", parsing_detail=False, parsing_hints=False, parsing_alone=False, paint="none",
        background="flat", style_norm="frame", style_bounded=True, regions=8, feature_channels=256,
    ):  # fmt: skip
        super().__init__()
        self.regions, self.parsing_hints, self.parsing_alone, self.paint = regions, parsing_hints, parsing_alone, paint
        self.background = background
        hints = regions + torch_paint.PARTS
        sizes = 2 * mirror.JOINTS + regions + (hints if parsing_hints else 0), width, regions, parsing_multiples
        detailed, plain = mirror.DetailedParsingBlock, mirror.ParsingBlock
        self.parsing_block = detailed(*sizes) if parsing_detail else plain(*sizes, upsampling)
        seen = 3 if paint == "none" else 3 + 3 + 1
        self.coarse_generator = mirror.CoarseGenerator(seen, width, blocks, regions, upsampling)
        self.refine_area_block = RefineArea(width, regions) if refine_area else None
        self.style_encoder = StyleEncoder(width, style_multiples, upsampling, style_bounded)
        self.inject_style_block = InjectStyle(4 * width, regions, style_norm == "region")
        guide = regions + 3 + 3 + 1 + hints
        if paint == "none":
            self.decoder = mirror.Decoder(width, upsampling)
        else:
            self.decoder = PaintingDecoder(width, guide, paint == "blended")
        projects = 4 * width != feature_channels
        self.to_correspondence = nn.Conv2d(4 * width, feature_channels, 1) if projects else nn.Identity()

    def forward(self, source_image, source_pose, target_pose, source_parsing):
        """I_r (B, 3, H, W), P_r and P_t (B, J, 2), S_r (B, H, W) labels to a dict as ours, NCHW."""
        size = source_image.shape[2:]
        source_maps, target_maps = (mirror.heat_maps(pose, *size) for pose in (source_pose, target_pose))
        labels = source_parsing.long()
        source_parsing = functional.one_hot(labels, self.regions).permute(0, 3, 1, 2).float()
        hints = []
        if self.parsing_hints or self.paint != "none":
            parts = torch_paint.part_map(source_pose, target_pose, *size)
            hints = [torch_paint.carry_labels(source_parsing, parts), torch_paint.nearness(parts)]
        maps = [source_maps, target_maps, source_parsing]
        logits = self.parsing_block(torch.cat([*maps, *(hints if self.parsing_hints else [])], dim=1))
        distribution = torch.softmax(logits, dim=1)
        parsing = distribution.detach() if self.parsing_alone else distribution
        seen = source_image
        if self.paint != "none":
            picture, weight, flat = torch_paint.paint(
                source_image, labels, source_parsing, parts, parsing.detach(), self.paint in ("carried", "blended"),
                self.background == "kept",
            )  # fmt: skip
            seen = torch.cat([source_image, picture, weight], dim=1)
        coarse_features, coarse_image = self.coarse_generator(seen, torch.cat([*maps, parsing], dim=1))
        refined = coarse_features
        if self.refine_area_block:
            refined = self.refine_area_block(coarse_features, torch.cat([target_maps, parsing], dim=1))
        codes = self.style_encoder(source_image, source_parsing)
        features = self.inject_style_block(refined, codes, functional.avg_pool2d(parsing, 4))
        if self.paint == "none":
            image = self.decoder(features)
        else:
            guide = torch.cat([parsing, picture, flat, weight, *hints], dim=1)
            image = self.decoder(features, guide, picture, flat if self.paint == "blended" else None)
        outputs = {"image": image, "coarse_image": coarse_image, "parsing": distribution, "parsing_logits": logits}
        return {name: x.float() for name, x in {**outputs, "features": self.to_correspondence(features)}.items()}


class DownBlock(nn.Module):
    """The discriminator's block: 3x3, LeakyReLU, 4x4 of stride 2, plus the pooled shortcut; LeakyReLU."""

    def __init__(self, before: int, features: int):
        super().__init__()
        spectral = nn.utils.spectral_norm
        self.Conv_0 = spectral(mirror.conv3(before, features))
        self.Conv_1 = spectral(mirror.down_conv(features, features))
        self.Conv_2 = spectral(nn.Conv2d(before, features, 1))

    def forward(self, x):
        y = self.Conv_1(mirror.leaky_relu(self.Conv_0(x)))
        return mirror.leaky_relu(y + self.Conv_2(functional.avg_pool2d(x, 2)))


class Discriminator(nn.Module):
    """Images (N, 3, H, W) to logits (N, H/16, W/16)."""

    def __init__(self, base_width: int = 32):
        super().__init__()
        widths = [3, *(base_width * multiple for multiple in (1, 2, 4, 4))]
        for i, (before, features) in enumerate(zip(widths, widths[1:], strict=False)):
            self.add_module(f"DownBlock_{i}", DownBlock(before, features))
        self.Conv_0 = nn.utils.spectral_norm(nn.Conv2d(widths[-1], 1, 1))

    def forward(self, image):
        x = self.DownBlock_3(self.DownBlock_2(self.DownBlock_1(self.DownBlock_0(image))))
        return self.Conv_0(x)[:, 0].float()


class Normalise(nn.Module):
    """Images in [-1, 1] to ImageNet's normalisation."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406])[:, None, None])
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225])[:, None, None])

    def forward(self, image):
        return ((image + 1) / 2 - self.mean) / self.std


class VGG(nn.Module):
    """VGG16 or VGG19 as far as conv3_1, before its ReLU."""

    def __init__(self):
        super().__init__()
        self.normalise = Normalise()
        for name, before, after in [
            ("conv1_1", 3, 64), ("conv1_2", 64, 64), ("conv2_1", 64, 128), ("conv2_2", 128, 128), ("conv3_1", 128, 256),
        ]:  # fmt: skip
            self.add_module(name, mirror.conv3(before, after))

    def forward(self, image):
        x = torch.relu(self.conv1_2(torch.relu(self.conv1_1(self.normalise(image)))))
        x = torch.relu(self.conv2_2(torch.relu(self.conv2_1(functional.max_pool2d(x, 2)))))
        return self.conv3_1(functional.max_pool2d(x, 2)).float()


class AlexNet(nn.Module):
    """torchvision's AlexNet: the list of its five ReLU stages."""

    def __init__(self):
        super().__init__()
        self.normalise = Normalise()
        self.conv1, self.conv2 = nn.Conv2d(3, 64, 11, 4, 2), nn.Conv2d(64, 192, 5, padding=2)
        self.conv3, self.conv4, self.conv5 = (mirror.conv3(a, b) for a, b in ((192, 384), (384, 256), (256, 256)))

    def forward(self, image):
        stages = [torch.relu(self.conv1(self.normalise(image)))]
        stages.append(torch.relu(self.conv2(functional.max_pool2d(stages[-1], 3, 2))))
        stages.append(torch.relu(self.conv3(functional.max_pool2d(stages[-1], 3, 2))))
        stages.append(torch.relu(self.conv4(stages[-1])))
        stages.append(torch.relu(self.conv5(stages[-1])))
        return [stage.float() for stage in stages]
