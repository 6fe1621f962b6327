"""PATN once more, in PyTorch: written from docs/methods/patn.md in the plain way, as a check and as a baseline.

Features are NCHW. Sub-modules carry the names that Flax gives ours, so that parameters travel by path
(`torch_weights`).
"""

import torch
from torch import nn
from torch.nn import functional

from benchmarks import torch_refine, torch_training, torch_weights
from benchmarks.torch_mirror import heat_maps
from scrn_jax.models.pretrained.vgg import CONVS_PER_STAGE, WIDTHS, conv_names

POSES = 2 * 18  # channels of two poses' heat maps


def padded(x, conv: nn.Conv2d, pixels: int):
    """A convolution of a frame that is mirrored at its edges."""
    return conv(functional.pad(x, (pixels,) * 4, mode="reflect"))


class Encoder(nn.Module):
    """To a quarter of the sides: 7x7 of a mirrored frame, two 3x3 of stride 2, each with a norm and a ReLU."""

    def __init__(self, before: int, width: int):
        super().__init__()
        self.Conv_0 = nn.Conv2d(before, width, 7)
        self.Conv_1 = nn.Conv2d(width, 2 * width, 3, 2, 1)
        self.Conv_2 = nn.Conv2d(2 * width, 4 * width, 3, 2, 1)

    def forward(self, x):
        x = torch.relu(functional.instance_norm(padded(x, self.Conv_0, 3)))
        for conv in (self.Conv_1, self.Conv_2):
            x = torch.relu(functional.instance_norm(conv(x)))
        return x


class ReflectPair(nn.Module):
    """3x3, norm, ReLU, dropout, 3x3, and a norm when `norm_last`; mirrored at the edges."""

    def __init__(self, before: int, after: int, dropout: float, norm_last: bool = True):
        super().__init__()
        self.Conv_0, self.Conv_1 = nn.Conv2d(before, before, 3), nn.Conv2d(before, after, 3)
        self.dropout, self.norm_last = dropout, norm_last

    def forward(self, x):
        x = torch.relu(functional.instance_norm(padded(x, self.Conv_0, 1)))
        x = functional.dropout(x, self.dropout, self.training)
        x = padded(x, self.Conv_1, 1)
        return functional.instance_norm(x) if self.norm_last else x


class TransferBlock(nn.Module):
    """The image code moves where the pose code lets it; both go on."""

    def __init__(self, channels: int, first: bool, dropout: float):
        super().__init__()
        self.image_path = ReflectPair(channels, channels, dropout)
        self.pose_path = ReflectPair(channels if first else 2 * channels, channels, dropout, norm_last=False)

    def forward(self, image, pose):
        pose = self.pose_path(pose)
        image = image + self.image_path(image) * torch.sigmoid(pose)
        return image, torch.cat([pose, image], dim=1)


class PatnDecoder(nn.Module):
    """Two transposed convolutions with norms, 7x7 of a mirrored frame, tanh."""

    def __init__(self, width: int):
        super().__init__()
        self.UpConv_0 = nn.ConvTranspose2d(4 * width, 2 * width, 3, 2, 1, output_padding=1)
        self.UpConv_1 = nn.ConvTranspose2d(2 * width, width, 3, 2, 1, output_padding=1)
        self.Conv_0 = nn.Conv2d(width, 3, 7)

    def forward(self, x):
        for conv in (self.UpConv_0, self.UpConv_1):
            x = torch.relu(functional.instance_norm(conv(x)))
        return torch.tanh(padded(x, self.Conv_0, 3))


class PATN(nn.Module):
    """A picture and both poses' heat maps (B, 36, H, W) to a picture in [-1, 1]."""

    def __init__(self, width: int, blocks: int, dropout: float):
        super().__init__()
        self.image_encoder, self.pose_encoder = Encoder(3, width), Encoder(POSES, width)
        self.names = [f"block_{t + 1}" for t in range(blocks)]
        for t, name in enumerate(self.names):
            self.add_module(name, self.block(4 * width, t == 0, dropout))
        self.decoder = PatnDecoder(width)

    @staticmethod
    def block(channels: int, first: bool, dropout: float) -> nn.Module:
        """What moves (image code, pose code) a step."""
        return TransferBlock(channels, first, dropout)

    def forward(self, image, poses):
        image, pose = self.image_encoder(image), self.pose_encoder(poses)
        for name in self.names:
            image, pose = getattr(self, name)(image, pose)
        return self.decoder(image)


class ResidualDiscriminator(Encoder):
    """The encoder and residual blocks behind it; what comes out is judged as it is."""

    def __init__(self, before: int, width: int, blocks: int, dropout: float):
        super().__init__(before, width)
        self.names = [f"ReflectPair_{i}" for i in range(blocks)]
        for name in self.names:
            self.add_module(name, ReflectPair(4 * width, 4 * width, dropout))

    def forward(self, x):
        x = super().forward(x)
        for name in self.names:
            x = x + getattr(self, name)(x)
        return x


class VGG(nn.Module):
    """The ReLUs of VGG16 or VGG19 by name, as far as `last`; pictures as they are, or `normalised` to ImageNet's."""

    def __init__(self, depth: int, last: str, normalised: bool):
        super().__init__()
        self.normalise = torch_refine.Normalise() if normalised else nn.Identity()
        names, counts = conv_names(depth), CONVS_PER_STAGE[depth]
        stages = [width for width, count in zip(WIDTHS, counts, strict=True) for _ in range(count)]
        self.names, before = names[: names.index(last.replace("relu", "conv")) + 1], 3
        for name, width in zip(self.names, stages, strict=False):
            self.add_module(name, nn.Conv2d(before, width, 3, padding=1))
            before = width

    def forward(self, image, last: str = "") -> dict[str, torch.Tensor]:
        """No deeper than another `last`, if one is given."""
        x, found = self.normalise(image), {}
        for name in self.names:
            if name.endswith("_1") and name != "conv1_1":
                x = functional.max_pool2d(x, 2)
            x = found[name.replace("conv", "relu")] = torch.relu(getattr(self, name)(x))
            if last in found:
                break
        return found


def lsgan(maps, truth: float):
    return (maps - truth).square().mean()


def depth_of(settings) -> int:
    return 19 if settings.features.perceptual == "vgg19" else 16


class Patn(torch_training.Training):
    """PATN's step; the discriminators are one module, its parts named as ours."""

    generator_type, discriminator_type = PATN, ResidualDiscriminator

    def __init__(self, settings, state, frozen, device="cpu"):
        model = settings.model
        generator = self.generator_of(model)
        size = model.discriminator_width, model.discriminator_blocks, model.dropout
        channels = {"appearance": 3 + 3, "shape": 3 + POSES // 2}
        judges = nn.ModuleDict({name: self.discriminator_type(count, *size) for name, count in channels.items()})
        self.vgg = torch_weights.load_some(VGG(depth_of(settings), "relu1_2", normalised=True), frozen["vgg"])
        torch_weights.load(generator, state.generator)
        torch_weights.load(judges, state.discriminator)
        super().__init__(settings, generator, judges, device, [self.vgg])

    @classmethod
    def generator_of(cls, model) -> nn.Module:
        """The generator of a config's section."""
        return cls.generator_type(model.width, model.blocks, model.dropout)

    def outputs(self, batch):
        """As `Mirror.outputs`."""
        poses = [heat_maps(batch[f"{side}_pose"], *self.settings.size) for side in ("source", "target")]
        return {"image": self.generator(self.image(batch["source_image"]), torch.cat(poses, 1))}

    def terms(self, batch, outputs) -> dict[str, torch.Tensor]:
        """Those that a method has besides."""
        return {}

    def losses(self, batch):
        """As `Mirror.losses`; the discriminators see the generated pictures once for both sides."""
        outputs, target = self.outputs(batch), self.image(batch["target_image"])
        source, pose = self.image(batch["source_image"]), heat_maps(batch["target_pose"], *self.settings.size)
        on_real, on_fake = (
            [self.discriminator[name](torch.cat([picture, beside], 1))
             for name, beside in (("appearance", source), ("shape", pose))]
            for picture in (target, outputs["image"])
        )  # fmt: skip
        with torch.no_grad():
            wanted = self.vgg(target)["relu1_2"]
        terms = {
            "adv": sum(lsgan(maps, 1) for maps in on_fake) / 2,
            "l1": functional.l1_loss(outputs["image"], target),
            "per": functional.l1_loss(self.vgg(outputs["image"])["relu1_2"], wanted),
            **self.terms(batch, outputs),
        }
        judged = sum(lsgan(real, 1) + lsgan(fake, 0) for real, fake in zip(on_real, on_fake, strict=True)) / 2
        return self.weighted(terms), judged, terms, outputs
