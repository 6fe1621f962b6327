"""PATN's generator beside PyTorch's layers put together from the paper's and the code's description."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch import nn

from scrn_jax.models import base
from scrn_jax.models.patn.generator import PATN
from scrn_jax.models.patn.settings import Model
from scrn_jax.person import heatmaps

HEIGHT, WIDTH, BLOCKS, CHANNELS = 32, 20, 3, 4
INPUTS = ("source_image", "source_pose", "target_pose")


def _encoder(channels: int) -> nn.Sequential:
    c = CHANNELS
    return nn.Sequential(
        nn.ReflectionPad2d(3), nn.Conv2d(channels, c, 7), nn.InstanceNorm2d(c), nn.ReLU(),
        nn.Conv2d(c, 2 * c, 3, stride=2, padding=1), nn.InstanceNorm2d(2 * c), nn.ReLU(),
        nn.Conv2d(2 * c, 4 * c, 3, stride=2, padding=1), nn.InstanceNorm2d(4 * c), nn.ReLU(),
    )  # fmt: skip


def _path(before: int, after: int, norm: bool) -> nn.Sequential:
    last = [nn.InstanceNorm2d(after)] if norm else []
    return nn.Sequential(
        nn.ReflectionPad2d(1), nn.Conv2d(before, before, 3), nn.InstanceNorm2d(before), nn.ReLU(),
        nn.ReflectionPad2d(1), nn.Conv2d(before, after, 3), *last,
    )  # fmt: skip


class Reference(nn.Module):
    """Two encoders, blocks of two paths each, a decoder."""

    def __init__(self):
        super().__init__()
        c = CHANNELS
        self.image_encoder, self.pose_encoder = _encoder(3), _encoder(36)
        self.image_paths = nn.ModuleList(_path(4 * c, 4 * c, True) for _ in range(BLOCKS))
        self.pose_paths = nn.ModuleList(_path(4 * c * (2 if t else 1), 4 * c, False) for t in range(BLOCKS))
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(4 * c, 2 * c, 3, 2, 1, output_padding=1), nn.InstanceNorm2d(2 * c), nn.ReLU(),
            nn.ConvTranspose2d(2 * c, c, 3, 2, 1, output_padding=1), nn.InstanceNorm2d(c), nn.ReLU(),
            nn.ReflectionPad2d(3), nn.Conv2d(c, 3, 7), nn.Tanh(),
        )  # fmt: skip

    def forward(self, image, poses):
        image, pose = self.image_encoder(image), self.pose_encoder(poses)
        for image_path, pose_path in zip(self.image_paths, self.pose_paths, strict=True):
            pose = pose_path(pose)
            image = image + image_path(image) * torch.sigmoid(pose)
            pose = torch.cat([pose, image], dim=1)
        return self.decoder(image)


def _load(module: nn.Module, params, fill) -> None:
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]
    names = sorted(params, key=lambda name: (not name.startswith("UpConv"), name))  # the decoder's last is a Conv
    for layer, name in zip(layers, names, strict=True):
        fill(layer, params[name])


@pytest.fixture(scope="module")
def both(random_variables, fill, person_batch, run):
    """(our module, its variables, our inputs, PyTorch's module, its inputs)."""
    batch = person_batch(HEIGHT, WIDTH)
    inputs = [base.to_float(batch["source_image"]), batch["source_pose"], batch["target_pose"]]
    module = PATN(Model(width=CHANNELS, blocks=BLOCKS))
    variables = random_variables(module, *inputs)
    params, reference = variables["params"], Reference()
    for name in ("image_encoder", "pose_encoder", "decoder"):
        _load(getattr(reference, name), params[name], fill)
    for path in ("image_path", "pose_path"):
        for t in range(BLOCKS):
            _load(getattr(reference, f"{path}s")[t], params[f"block_{t + 1}"][path], fill)
    poses = jnp.concatenate([heatmaps.heat_maps(pose, HEIGHT, WIDTH) for pose in inputs[1:]], -1)
    return module, variables, inputs, reference, (inputs[0], poses)


def test_the_picture_equals_pytorchs(both, nchw, nhwc, run):
    module, variables, inputs, reference, theirs = both
    expected = nhwc(reference(*map(nchw, theirs)))
    assert expected.std() > 0.1
    np.testing.assert_allclose(run(module.apply)(variables, *inputs), expected, atol=1e-4)


def test_the_gradient_equals_pytorchs(both, nchw, hwio, run):
    """Of the mean square of the picture, by the first and the last kernel that it depends on."""
    module, variables, inputs, reference, theirs = both
    reference.zero_grad()
    reference(*map(nchw, theirs)).square().mean().backward()
    gradient = run(jax.grad(lambda variables: jnp.mean(module.apply(variables, *inputs) ** 2)))(variables)["params"]
    first, last = gradient["pose_encoder"]["Conv_0"]["kernel"], gradient["decoder"]["Conv_0"]["kernel"]
    np.testing.assert_allclose(first, hwio(reference.pose_encoder[1].weight.grad), atol=1e-4)
    np.testing.assert_allclose(last, hwio(reference.decoder[7].weight.grad), atol=1e-4)


def test_it_has_as_many_parameters_as_were_published():
    """41.36 M, in the paper's table of model sizes."""
    inputs = base.example_inputs((256, 176))
    shapes = jax.eval_shape(lambda: PATN().init(jax.random.key(0), *(inputs[name] for name in INPUTS)))
    count = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    assert count == 41_358_019 and round(count / 1e6, 2) == 41.36


def test_dropout_is_drawn_from_its_key_alone(both, run):
    module, variables, inputs, *_ = both

    @run
    def paint(seed):
        key = jax.random.key(seed)
        return module.apply(variables, *inputs, deterministic=False, rngs={"dropout": key})

    first, again, other = paint(0), paint(0), paint(1)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-2
