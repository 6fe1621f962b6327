"""PISE once more, in PyTorch: written from docs/methods/pise.md in the plain way, as a check and as a baseline.

As `torch_patn`. Spectral norms are PyTorch's own: one step of the power iteration a call.
"""

import torch
from torch import nn
from torch.nn import functional

from benchmarks import torch_training, torch_weights
from benchmarks.torch_mirror import heat_maps, norm, pad_to_multiple
from benchmarks.torch_patn import POSES, VGG, depth_of, lsgan, padded
from scrn_jax.models.pise.objective import CONTENT, STYLE
from scrn_jax.person.regions import NUM_REGIONS


def _spectral(layer: nn.Module, wanted: bool = True) -> nn.Module:
    return nn.utils.spectral_norm(layer) if wanted else layer


def _up(before: int, after: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(before, after, 3, 2, 1, output_padding=1)


class Block(nn.Module):
    """What PISE's blocks have in common: whether kernels are spectrally normalised, norms affine, and the slope."""

    def __init__(self, spectral: bool = True, affine: bool = True, slope: float = 0.1):
        super().__init__()
        self.spectral, self.affine, self.slope = spectral, affine, slope

    def norms(self, *channels: int) -> None:
        """Makes the instance norms that have parameters."""
        for i, count in enumerate(channels if self.affine else ()):
            self.add_module(f"InstanceNorm_{i}", norm(count))

    def norm_act(self, i: int, x):
        """The i-th norm and the LeakyReLU."""
        x = getattr(self, f"InstanceNorm_{i}")(x) if self.affine else functional.instance_norm(x)
        return functional.leaky_relu(x, self.slope)


class DownBlock(Block):
    """4x4 of stride 2, then 3x3."""

    def __init__(self, before: int, after: int, hidden: int = 0, **options):
        super().__init__(**options)
        hidden = hidden or after
        self.norms(before, hidden)
        self.Conv_0 = _spectral(nn.Conv2d(before, hidden, 4, 2, 1), self.spectral)
        self.Conv_1 = _spectral(nn.Conv2d(hidden, after, 3, padding=1), self.spectral)

    def forward(self, x):
        return self.Conv_1(self.norm_act(1, self.Conv_0(self.norm_act(0, x))))


class UpBlock(Block):
    """3x3, a transposed 3x3, and another of what came in."""

    def __init__(self, before: int, after: int, hidden: int = 0, **options):
        super().__init__(**options)
        hidden = hidden or before
        self.norms(before, hidden)
        self.Conv_0 = _spectral(nn.Conv2d(before, hidden, 3, padding=1), self.spectral)
        self.UpConv_0 = _spectral(_up(hidden, after), self.spectral)
        self.shortcut = _spectral(_up(before, after), self.spectral)

    def forward(self, x):
        return self.UpConv_0(self.norm_act(1, self.Conv_0(self.norm_act(0, x)))) + self.shortcut(x)


class ResBlock(Block):
    """Two 3x3, and what came in."""

    def __init__(self, channels: int, **options):
        super().__init__(**options)
        self.norms(channels, channels)
        for i in range(2):
            self.add_module(f"Conv_{i}", _spectral(nn.Conv2d(channels, channels, 3, padding=1), self.spectral))

    def forward(self, x):
        return x + self.Conv_1(self.norm_act(1, self.Conv_0(self.norm_act(0, x))))


class Output(Block):
    """Norm, LeakyReLU, 3x3 of a mirrored frame, tanh."""

    def __init__(self, before: int, after: int, **options):
        super().__init__(**options)
        self.norms(before)
        self.Conv_0 = _spectral(nn.Conv2d(before, after, 3), self.spectral)

    def forward(self, x):
        return torch.tanh(padded(self.norm_act(0, x), self.Conv_0, 1))


class GatedConv(nn.Module):
    """LeakyReLU(0.2) of one half of a 3x3's channels times the sigmoid of the other, then a norm."""

    def __init__(self, channels: int):
        super().__init__()
        self.Conv_0 = nn.Conv2d(channels, 2 * channels, 3, padding=1)

    def forward(self, x):
        features, gate = self.Conv_0(x).chunk(2, dim=1)
        return functional.instance_norm(functional.leaky_relu(features, 0.2) * torch.sigmoid(gate))


class Ladder(nn.Module):
    """Halvings, two gated convolutions if `gated`, doublings, and an output layer if one is given."""

    def __init__(self, downs, ups, gated: int = 0, output: nn.Module | None = None):
        super().__init__()
        self.order = []
        gates = [GatedConv(gated) for _ in range(2)] if gated else []
        for kind, layers in (("DownBlock", downs), ("GatedConv", gates), ("UpBlock", ups)):
            for i, layer in enumerate(layers):
                self.order.append(f"{kind}_{i}")
                self.add_module(self.order[-1], layer)
        if output is not None:
            self.order.append("Output_0")
            self.Output_0 = output

    def forward(self, x):
        for name in self.order:
            x = getattr(self, name)(x)
        return x


def parsing_generator(width: int, halvings: int) -> Ladder:
    """S_r and both poses to a map in [-1, 1]."""
    options = {"spectral": False, "affine": False, "slope": 0.2}
    widths = [width * 2**level for level in range(halvings + 1)]
    before = [NUM_REGIONS + POSES, *widths[1:]]
    downs = [
        DownBlock(a, b, 0 if level else width, **options)
        for level, (a, b) in enumerate(zip(before, widths[1:], strict=False))
    ]
    falling = widths[:0:-1]
    ups = [UpBlock(a, b, b, **options) for a, b in zip(falling, [*falling[1:], width], strict=True)]
    return Ladder(downs, ups, widths[-1], Output(width, NUM_REGIONS, **options))


def pise_encoder(before: int, width: int, gated: bool) -> Ladder:
    """To a quarter of the sides and 4 width channels, by way of a sixteenth."""
    c = width
    widths = [before, 2 * c, 4 * c, 4 * c, 4 * c]
    downs = [DownBlock(a, b) for a, b in zip(widths, widths[1:], strict=False)]
    return Ladder(downs, [UpBlock(4 * c, 4 * c) for _ in range(2)], 4 * c if gated else 0)


class RegionNorm(nn.Module):
    """A norm whose scale and shift are convolutions of every place's region's code."""

    def __init__(self, channels: int):
        super().__init__()
        self.kernel = nn.Parameter(torch.empty(NUM_REGIONS, channels, channels))
        self.bias = nn.Parameter(torch.empty(NUM_REGIONS, channels))
        self.gamma, self.beta = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.InstanceNorm_0 = norm(channels)

    def forward(self, x, codes_BxRxC, places_BxRxhxw):
        codes = torch.relu(torch.einsum("brs,rsc->brc", codes_BxRxC, self.kernel) + self.bias)
        style = torch.einsum("brhw,brc->bchw", places_BxRxhxw, codes)
        return self.InstanceNorm_0(x) * (1 + self.gamma(style)) + self.beta(style)


class SpatialNorm(nn.Module):
    """A scale and a shift a place, shared out by how alike 3x3 windows of both features are."""

    def __init__(self, channels: int, seen: int):
        super().__init__()
        self.theta, self.phi = nn.Conv2d(channels + 3, channels, 1), nn.Conv2d(seen + 3, channels, 1)
        self.gamma, self.beta = (nn.Conv2d(seen, 1, 1, bias=False) for _ in range(2))

    @staticmethod
    def windows(conv: nn.Conv2d, x):
        """(B, 9 C, h w), each window without its mean and of length 1."""
        height, width = x.shape[2:]
        rows = torch.linspace(-1, 1, height)[:, None].expand(height, width)
        columns = torch.linspace(-1, 1, width).expand(height, width)
        places = torch.stack([columns, rows, torch.hypot(rows, columns)]).to(x)
        x = torch.cat([functional.normalize(x, dim=1), places.expand(len(x), 3, height, width)], 1)
        unfolded = functional.unfold(conv(x), 3, padding=1)
        return functional.normalize(unfolded - unfolded.mean(1, keepdim=True), dim=1)

    def forward(self, x, source):
        height, width = x.shape[2:]
        similarity = self.windows(self.phi, source).transpose(1, 2) @ self.windows(self.theta, x)
        share = torch.softmax(similarity / 0.01, dim=-1)  # of each of the source's places, over the target's
        gamma, beta = (
            (conv(source).flatten(2) @ share).reshape(-1, 1, height, width) for conv in (self.gamma, self.beta)
        )
        return x * (1 + gamma) + beta


class PiseDecoder(nn.Module):
    """Two doublings with a residual block each, and the picture."""

    def __init__(self, width: int):
        super().__init__()
        self.UpBlock_0, self.ResBlock_0 = UpBlock(4 * width, 2 * width), ResBlock(2 * width)
        self.UpBlock_1, self.ResBlock_1 = UpBlock(2 * width, width), ResBlock(width)
        self.Output_0 = Output(width, 3)

    def forward(self, x):
        return self.Output_0(self.ResBlock_1(self.UpBlock_1(self.ResBlock_0(self.UpBlock_0(x)))))


class PISE(nn.Module):
    """Picture, one-hot S_r and both poses' heat maps, in a frame of multiples of 16, to pictures, maps and features."""

    def __init__(self, width: int, parsing_width: int, halvings: int, depth: int):
        super().__init__()
        c = 4 * width
        self.parsing = parsing_generator(parsing_width, halvings)
        self.style_encoder = pise_encoder(3, width, gated=False)
        self.shape_encoder = pise_encoder(2 * NUM_REGIONS + POSES // 2 + 3, width, gated=True)
        self.to_style, self.region_norm = nn.Conv2d(c, c, 1), RegionNorm(c)
        self.after_regions, self.after_places = (ResBlock(c, spectral=False) for _ in range(2))
        self.vgg = VGG(depth, "relu3_1", normalised=False).requires_grad_(False)
        self.spatial_norm, self.decoder = SpatialNorm(c, 256), PiseDecoder(width)
        self.for_correspondence = nn.Identity() if c == 256 else nn.Conv2d(c, 256, 1)

    def forward(self, image, source_map, source_pose, target_pose):
        target_map = (self.parsing(torch.cat([source_map, source_pose, target_pose], 1)) + 1) / 2
        codes = torch.tanh(self.to_style(self.style_encoder(image)))
        x = self.shape_encoder(torch.cat([source_map, target_map, target_pose, image], 1))
        masks, places = source_map[:, :, ::4, ::4], target_map[:, :, ::4, ::4].argmax(1)
        area = masks.sum((2, 3))[..., None]
        means = torch.einsum("brhw,bchw->brc", masks, codes) / area.clamp(min=1)
        codes = torch.where(area > 0, means, codes.mean((2, 3))[:, None])
        x = self.region_norm(x, codes, functional.one_hot(places, NUM_REGIONS).permute(0, 3, 1, 2).to(x))
        features = self.after_regions(x)
        with torch.no_grad():
            seen = self.vgg(image)["relu3_1"]
        picture = self.decoder(self.after_places(self.spatial_norm(features, seen)))
        return {"image": picture, "map": target_map, "features": self.for_correspondence(features)}


class PatchBlock(nn.Module):
    """LeakyReLU, 3x3, LeakyReLU, 4x4 of stride 2, and a 1x1 of what came in, pooled."""

    def __init__(self, before: int, hidden: int, after: int):
        super().__init__()
        self.Conv_0 = _spectral(nn.Conv2d(before, hidden, 3, padding=1))
        self.Conv_1 = _spectral(nn.Conv2d(hidden, after, 4, 2, 1))
        self.Conv_2 = _spectral(nn.Conv2d(before, after, 1))

    def forward(self, x):
        y = self.Conv_1(functional.leaky_relu(self.Conv_0(functional.leaky_relu(x, 0.1)), 0.1))
        return y + self.Conv_2(functional.avg_pool2d(x, 2))


class PatchDiscriminator(nn.Module):
    """PISE's: four blocks and a number a patch."""

    def __init__(self, width: int):
        super().__init__()
        c = width
        for i, widths in enumerate([(3, c, c), (c, c, 2 * c), (2 * c, 2 * c, 4 * c), (4 * c, 4 * c, 4 * c)]):
            self.add_module(f"Block_{i}", PatchBlock(*widths))
        self.Conv_0 = _spectral(nn.Conv2d(4 * c, 1, 1))

    def forward(self, x):
        x = self.Block_3(self.Block_2(self.Block_1(self.Block_0(x))))
        return self.Conv_0(functional.leaky_relu(x, 0.1))[:, 0]


def gram(x):
    """Products of channels over places and channels."""
    x = x.flatten(2)
    return x @ x.transpose(1, 2) / (x.shape[1] * x.shape[2])


class Pise(torch_training.Training):
    """PISE's step."""

    def __init__(self, settings, state, frozen, device="cpu"):
        model, depth = settings.model, depth_of(settings)
        generator = PISE(model.width, model.parsing_width, model.parsing_halvings, depth)
        discriminator = PatchDiscriminator(model.discriminator_width)
        self.style = STYLE[depth]
        self.vgg = torch_weights.load_some(VGG(depth, "relu5_2", normalised=False), frozen["vgg"])
        torch_weights.load(generator, state.generator)
        torch_weights.load(discriminator, state.discriminator)
        torch_weights.load_singular_vectors(discriminator, state.spectral)
        super().__init__(settings, generator, discriminator, device, [self.vgg])

    def outputs(self, batch):
        """As `Mirror.outputs`: the frame is filled up to multiples of 16, and the results are cut back."""
        height, width = self.settings.size
        image = pad_to_multiple(self.image(batch["source_image"]), 16, "replicate")
        labels = pad_to_multiple(batch["source_parsing"][:, None].float(), 16, "replicate")[:, 0].long()
        source_map = functional.one_hot(labels, NUM_REGIONS).permute(0, 3, 1, 2).to(image)
        poses = [pad_to_multiple(heat_maps(batch[f"{side}_pose"], height, width), 16) for side in ("source", "target")]
        outputs = self.generator(image, source_map, *poses)
        return {name: x if name == "features" else x[..., :height, :width] for name, x in outputs.items()}

    def losses(self, batch):
        """As `Mirror.losses`."""
        outputs, target = self.outputs(batch), self.image(batch["target_image"])
        on_real, on_fake = self.discriminator(torch.cat([target, outputs["image"]])).chunk(2)
        with torch.no_grad():
            wanted = self.vgg(target)
            corresponding = self.vgg(pad_to_multiple(target, 16, "replicate"), "relu3_1")["relu3_1"]
        seen, labels = self.vgg(outputs["image"]), batch["target_parsing"].long()
        regions = functional.one_hot(labels, NUM_REGIONS).permute(0, 3, 1, 2).to(target)
        terms = {
            "l1": functional.l1_loss(outputs["image"], target),
            "adv": lsgan(on_fake, 1),
            "style": sum(functional.l1_loss(gram(seen[tap]), gram(wanted[tap])) for tap in self.style),
            "content": sum(functional.l1_loss(seen[tap], wanted[tap]) for tap in CONTENT),
            "cor": functional.mse_loss(outputs["features"], corresponding),
            "par": functional.cross_entropy(outputs["map"], labels),
            "map": functional.l1_loss(outputs["map"], regions),
        }
        return self.weighted(terms), (lsgan(on_real, 1) + lsgan(on_fake, 0)) / 2, terms, outputs
