"""A training step in PyTorch: the networks, Adam and the averaged weights of any model; and SCRN's Eq. 4 to 10."""

from collections.abc import Mapping

import numpy as np
import torch
from torch.nn import functional

from benchmarks import torch_refine, torch_weights
from scrn_jax.training.muon import FEWEST_OUTPUTS


def face_error(image, target, box):
    """Eq. 10: mean absolute error in each face box (y0, x0, y1, x1), averaged over the samples that have one."""
    rows = torch.arange(image.shape[2], device=image.device)[:, None]
    columns = torch.arange(image.shape[3], device=image.device)
    y0, x0, y1, x1 = box.T[..., None, None]
    inside = (rows >= y0) & (rows < y1) & (columns >= x0) & (columns < x1)
    pixels = inside.sum((1, 2))
    errors = ((image - target).abs().mean(1) * inside).sum((1, 2)) / pixels.clamp(min=1)
    return errors.sum() / (pixels > 0).sum().clamp(min=1)


def parsing_error(outputs, labels, form: str):
    """Eq. 9 as mean absolute error, or as cross-entropy; labels (B, H, W)."""
    if form == "cross_entropy":
        return functional.cross_entropy(outputs["parsing_logits"], labels)
    parsing = outputs["parsing"]
    return (parsing - functional.one_hot(labels, parsing.shape[1]).permute(0, 3, 1, 2)).abs().mean()


# Of `settings.Model`: what the generator is built from.
GENERATOR = ("width", "blocks", "refine_area", "parsing_multiples", "style_multiples", "upsampling", "parsing_detail",
             "parsing_hints", "parsing_alone", "paint", "background", "style_norm", "style_bounded")  # fmt: skip


class Training:
    """Two networks, their optimisers and the averaged generator of a config in PyTorch, on one device.

    A subclass has `outputs` and `losses`. `frozen` networks are moved and get no gradient; `form` is the memory format
    of the networks and pictures. Updates that are not finite are not left out, which would wait for the device.
    """

    def __init__(self, settings, generator, discriminator, device="cpu", frozen=(), form=torch.contiguous_format):
        self.settings, self.device, self.form = settings, torch.device(device), form
        for network in (generator, discriminator, *frozen):
            network.to(self.device, memory_format=form)
        for network in frozen:
            network.requires_grad_(False)
        self.generator, self.discriminator = generator, discriminator
        self.average = [parameter.detach().clone() for parameter in self.learned()]
        optim = settings.optim
        rate, betas = optim.learning_rate, (optim.b1, optim.b2)
        self.generator_adam = torch.optim.Adam(self.learned(), rate, betas)
        self.discriminator_adam = torch.optim.Adam(discriminator.parameters(), rate * optim.discriminator_ratio, betas)
        self.muon_views: dict[torch.nn.Parameter, torch.nn.Parameter] = {}
        if optim.muon_learning_rate:
            self._share_with_muon(optim)

    def learned(self) -> list[torch.nn.Parameter]:
        """The generator's parameters that get a gradient."""
        return [parameter for parameter in self.generator.parameters() if parameter.requires_grad]

    def _share_with_muon(self, optim) -> None:
        """Give PyTorch's Muon, which works in bfloat16, the inner kernels as matrices.

        For timing: a gated layer's two kernels are one matrix in ours and two here.
        """
        for parameter in self.learned():
            if parameter.ndim == 4 and parameter.shape[0] > FEWEST_OUTPUTS:
                self.muon_views[parameter] = torch.nn.Parameter(parameter.detach().reshape(len(parameter), -1).clone())
        others = [parameter for parameter in self.learned() if parameter not in self.muon_views]
        self.generator_adam = torch.optim.NAdam(others, optim.learning_rate, (optim.b1, optim.b2), momentum_decay=0)
        self.muon = torch.optim.Muon(list(self.muon_views.values()), optim.muon_learning_rate, weight_decay=0)

    def put(self, batch: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
        """A batch as the input pipeline gives it, on the device."""
        return {name: torch.from_numpy(np.ascontiguousarray(x)).to(self.device) for name, x in batch.items()}

    def image(self, image_uint8):
        """uint8 NHWC to float NCHW in [-1, 1]."""
        return (image_uint8.permute(0, 3, 1, 2).float() / 127.5 - 1).contiguous(memory_format=self.form)

    def outputs(self, batch):
        """The generator's outputs for a batch on the device."""
        raise NotImplementedError

    def losses(self, batch):
        """(the generator's weighted loss, the discriminator's, raw terms by name, the generator's outputs)."""
        raise NotImplementedError

    def weighted(self, terms: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The sum of the terms, each times its weight in the config."""
        return sum(getattr(self.settings.loss, name) * term for name, term in terms.items())

    def gradients(self, batch):
        """(generator's, discriminator's gradients in the order of their parameters, raw terms), from one pass.

        The discriminator sees the generated images once, in a graph that serves both gradients.
        """
        generator_loss, discriminator_loss, terms, _ = self.losses(batch)
        terms = {**terms, "generator": generator_loss, "discriminator": discriminator_loss}
        generator = torch.autograd.grad(generator_loss, self.learned(), retain_graph=True)
        return generator, torch.autograd.grad(discriminator_loss, list(self.discriminator.parameters())), terms

    def step(self, batch) -> dict[str, torch.Tensor]:
        """Update both networks and the average; the terms before the update."""
        generator, discriminator, terms = self.gradients(batch)
        for parameters, adam, gradients in (
            (self.learned(), self.generator_adam, generator),
            (self.discriminator.parameters(), self.discriminator_adam, discriminator),
        ):
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient
            adam.step()
        if self.muon_views:
            for parameter, matrix in self.muon_views.items():
                matrix.grad = parameter.grad.reshape(matrix.shape)
            self.muon.step()
            for parameter, matrix in self.muon_views.items():
                parameter.data.copy_(matrix.data.reshape(parameter.shape))
        parameters = [parameter.detach() for parameter in self.learned()]
        torch._foreach_lerp_(self.average, parameters, 1 - self.settings.optim.ema_decay)
        return {name: term.detach() for name, term in terms.items()}


class Mirror(Training):
    """SCRN's step with the weights of a `TrainState`.

    Only `adversarial = "non_saturating"` is here, the configs' form. `amp` computes in bfloat16 by autocast;
    `channels_last` and `compiled` are PyTorch's own ways to be fast on a GPU.
    """

    def __init__(self, settings, state, frozen, device="cpu", amp=False, channels_last=False, compiled=False):
        if settings.adversarial != "non_saturating":
            raise ValueError("the mirror knows the non-saturating form of Eq. 7 only")
        model, self.amp = settings.model, amp
        if model.parsing_sleeves or model.parsing_bared:
            raise ValueError(
                "the mirror knows no config.model.parsing_sleeves and parsing_bared; set them to 0 and False"
            )
        generator = torch_refine.SCRN(**{name: getattr(model, name) for name in GENERATOR})
        discriminator = torch_refine.Discriminator(model.discriminator_width)
        torch_weights.load(discriminator, state.discriminator)
        torch_weights.load_singular_vectors(discriminator, state.spectral)
        networks = [torch_weights.load(generator, state.generator), discriminator]
        networks += [torch_weights.load_some(torch_refine.VGG(), frozen["vgg"])]
        networks += [torch_weights.load(torch_refine.AlexNet(), frozen["alexnet"])]
        form = torch.channels_last if channels_last else torch.contiguous_format
        super().__init__(settings, generator, discriminator, device, networks[2:], form)
        calls = [torch.compile(network) if compiled else network for network in networks]
        self.generate, self.discriminate, self.vgg, self.alexnet = calls

    def outputs(self, batch):
        """The generator's outputs for a batch on the device."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.amp):
            return self.generate(
                self.image(batch["source_image"]), batch["source_pose"], batch["target_pose"], batch["source_parsing"]
            )

    def perceive(self, image):
        """AlexNet's stages of pictures, enlarged as the config says."""
        if (scale := self.settings.features.perceptual_scale) > 1:
            image = functional.interpolate(image, scale_factor=scale, mode="bilinear")
        return self.alexnet(image)

    def losses(self, batch):
        """As `Training.losses`: the discriminator sees real and generated images in one call."""
        outputs, target = self.outputs(batch), self.image(batch["target_image"])
        image, coarse = outputs["image"], outputs["coarse_image"]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.amp):
            logits = self.discriminate(torch.cat([target, image, coarse]))
            with torch.no_grad():
                vgg, alexnet = self.vgg(target), self.perceive(target)
            looks = self.perceive(image)
        real, *fakes = logits.chunk(3)
        terms = {
            "cor": (outputs["features"] - vgg).square().mean(),
            "l1": (image - target).abs().mean() + (coarse - target).abs().mean(),
            "adv": sum(functional.softplus(-fake).mean() for fake in fakes),
            "per": sum((a - b).abs().mean() for a, b in zip(looks, alexnet, strict=True)),
            "par": parsing_error(outputs, batch["target_parsing"].long(), self.settings.parsing),
            "face": face_error(image, target, batch["face_box"]),
        }
        discriminator = functional.softplus(-real).mean() + sum(functional.softplus(fake).mean() for fake in fakes)
        return self.weighted(terms), discriminator, terms, outputs
