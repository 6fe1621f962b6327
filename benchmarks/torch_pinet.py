"""PINet once more, in PyTorch: written from docs/methods/pinet.md in the plain way, as a check and as a baseline.

As `torch_patn`; the discriminators are PoNA's.
"""

import torch
from torch import nn
from torch.nn import functional

from benchmarks.torch_mirror import heat_maps
from benchmarks.torch_patn import POSES, Patn
from benchmarks.torch_pona import Attention, ResidualDiscriminator

REGIONS = 8


class Gated(nn.Module):
    """A convolution with a LeakyReLU times the sigmoid of another, and a batch norm; the last one has no LeakyReLU."""

    def __init__(self, before: int, after: int, taps: int = 3, stride: int = 1, dilation: int = 1, last: bool = False):
        super().__init__()
        self.edge, padding = (nn.ReflectionPad2d(3), 0) if taps == 7 else (nn.Identity(), dilation)
        self.conv = nn.ModuleDict({
            half: nn.Conv2d(before, after, taps, stride, padding, dilation) for half in ("features", "gate")
        })  # fmt: skip
        self.last, self.norm = last, nn.BatchNorm2d(after)

    def forward(self, x):
        x = self.edge(x)
        features, share = self.conv["features"](x), torch.sigmoid(self.conv["gate"](x))
        return self.norm((features if self.last else functional.leaky_relu(features, 0.2)) * share)


class GatedNetwork(nn.Module):
    """Gated layers to a grid of quarter sides, attention, gated layers back. `down`: (channels, stride) each."""

    def __init__(self, before: int, width: int, down: list[tuple[int, int]], after: int):
        super().__init__()
        w = width
        plan = [(before, w, {"taps": 7})]
        for channels, stride in down:
            plan.append((plan[-1][1], channels, {"stride": stride}))
        plan += [(4 * w, 4 * w, {"dilation": dilation}) for dilation in (2, 4)]
        self.turn = len(plan)  # where the attention is
        plan += [(4 * w, 4 * w, {}), (4 * w, 4 * w, {}), (4 * w, 2 * w, {}), (2 * w, 2 * w, {}), (2 * w, w, {})]
        plan += [(w, w // 2, {}), (w // 2, after, {"last": True})]
        self.doubled = {self.turn + 2, self.turn + 4}  # layers with nearest pixels, twice as many a side, before them
        self.names = [f"Gated_{i}" for i in range(len(plan))]
        for name, (inputs, outputs, options) in zip(self.names, plan, strict=True):
            self.add_module(name, Gated(inputs, outputs, **options))
        self.attention, self.gamma = Attention(4 * w), nn.Parameter(torch.zeros(1))

    def forward(self, x):
        for i, name in enumerate(self.names):
            if i == self.turn:
                x = x + self.gamma * self.attention(x, x)
            if i in self.doubled:
                x = functional.interpolate(x, scale_factor=2, mode="nearest")
            x = getattr(self, name)(x)
        return x


class PINet(nn.Module):
    """A picture, its map one-hot and both poses' heat maps to a picture in [-1, 1] and the logits of a map."""

    def __init__(self, width: int, parsing_width: int):
        super().__init__()
        p, w, seen = parsing_width, width, 3 + REGIONS
        to_map = [(2 * p, 2), (2 * p, 1), (4 * p, 2), (4 * p, 1), (4 * p, 1), (4 * p, 1)]
        to_picture = [(w, 2), (2 * w, 1), (2 * w, 2), (4 * w, 1), (4 * w, 1), (4 * w, 1)]
        self.parsing_network = GatedNetwork(seen + POSES, p, to_map, REGIONS)
        self.painting_network = GatedNetwork(seen + REGIONS + POSES // 2, w, to_picture, 3)

    def forward(self, image, parsing, source_pose, target_pose):
        seen = torch.cat([image, parsing], 1)
        logits = self.parsing_network(torch.cat([seen, source_pose, target_pose], 1))
        image = self.painting_network(torch.cat([seen, logits.detach(), target_pose], 1))
        return image.clamp(-1, 1), logits


class Pinet(Patn):
    """PINet's step: PATN's, with a map that has a loss of its own."""

    discriminator_type = ResidualDiscriminator

    @staticmethod
    def generator_of(model) -> nn.Module:
        """The generator of a config's section."""
        return PINet(model.width, model.parsing_width)

    def outputs(self, batch):
        """As `Mirror.outputs`."""
        poses = [heat_maps(batch[f"{side}_pose"], *self.settings.size) for side in ("source", "target")]
        image = self.image(batch["source_image"])
        parsing = functional.one_hot(batch["source_parsing"].long(), REGIONS).permute(0, 3, 1, 2).to(image.dtype)
        image, logits = self.generator(image, parsing, *poses)
        return {"image": image, "parsing_logits": logits}

    def terms(self, batch, outputs):
        """With the cross-entropy of the map."""
        return {"par": functional.cross_entropy(outputs["parsing_logits"], batch["target_parsing"].long())}
