"""The two discriminators that see a picture beside a condition: the network, what each is shown, the losses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch import nn

from scrn_jax.models import base, conditioned
from scrn_jax.person import heatmaps

HEIGHT, WIDTH, CHANNELS, BLOCKS = 32, 20, 4, 2
KEY = jax.random.key(0)


class Residual(nn.Module):
    """x + f(x)."""

    def __init__(self, c: int):
        super().__init__()
        self.inside = nn.Sequential(
            nn.ReflectionPad2d(1), nn.Conv2d(c, c, 3), nn.InstanceNorm2d(c), nn.ReLU(),
            nn.ReflectionPad2d(1), nn.Conv2d(c, c, 3), nn.InstanceNorm2d(c),
        )  # fmt: skip

    def forward(self, x):
        return x + self.inside(x)


def _reference(channels: int) -> nn.Sequential:
    c = CHANNELS
    return nn.Sequential(
        nn.ReflectionPad2d(3), nn.Conv2d(channels, c, 7), nn.InstanceNorm2d(c), nn.ReLU(),
        nn.Conv2d(c, 2 * c, 3, stride=2, padding=1), nn.InstanceNorm2d(2 * c), nn.ReLU(),
        nn.Conv2d(2 * c, 4 * c, 3, stride=2, padding=1), nn.InstanceNorm2d(4 * c), nn.ReLU(),
        *(Residual(4 * c) for _ in range(BLOCKS)),
    )  # fmt: skip


def _fill(reference: nn.Sequential, params, fill) -> None:
    own = [params[f"Conv_{i}"] for i in range(3)]
    blocks = [params[f"ReflectPair_{i}"][f"Conv_{j}"] for i in range(BLOCKS) for j in range(2)]
    convolutions = [layer for layer in reference.modules() if isinstance(layer, nn.Conv2d)]
    for layer, leaves in zip(convolutions, own + blocks, strict=True):
        fill(layer, leaves)


@pytest.fixture(scope="module")
def batch(person_batch):
    return person_batch(HEIGHT, WIDTH)


@pytest.fixture(scope="module")
def both(run, fill, batch):
    """(our pair without dropout, its parameters, PyTorch's two networks, generated pictures)."""
    pair = conditioned.Pair(conditioned.ResidualDiscriminator(CHANNELS, BLOCKS, 0.0), (HEIGHT, WIDTH))
    params = run(pair.init)(KEY)
    references = {"appearance": _reference(6), "shape": _reference(21)}
    for name, reference in references.items():
        _fill(reference, params[name], fill)
    image = np.random.default_rng(1).uniform(-1, 1, (2, HEIGHT, WIDTH, 3)).astype(np.float32)
    return pair, params, references, image


def _shown(batch, image) -> dict[str, np.ndarray]:
    maps = heatmaps.heat_maps(batch["target_pose"], HEIGHT, WIDTH)
    source = base.to_float(batch["source_image"])
    return {"appearance": np.concatenate([image, source], -1), "shape": np.concatenate([image, maps], -1)}


def test_each_sees_its_condition_as_pytorch_does(both, batch, nchw, nhwc, run):
    pair, params, references, image = both
    found = run(pair.look)(params, batch, image, KEY)
    for name, shown in _shown(batch, image).items():
        expected = nhwc(references[name](nchw(shown)))
        assert expected.std() > 0.1
        np.testing.assert_allclose(found[name], expected, atol=1e-4)


def _expected(both, batch, nchw):
    """(the generator's term, the discriminators' loss, the gradient of it by a kernel), of PyTorch."""
    _, _, references, image = both
    mse, generator, loss = nn.MSELoss(), 0.0, 0.0
    target = base.to_float(batch["target_image"])
    for name, fake in _shown(batch, image).items():
        network = references[name]
        network.zero_grad()
        on_fake, on_real = network(nchw(fake)), network(nchw(_shown(batch, target)[name]))
        generator = generator + mse(on_fake, torch.ones_like(on_fake)) / 2
        loss = loss + (mse(on_real, torch.ones_like(on_real)) + mse(on_fake, torch.zeros_like(on_fake))) / 2
    loss.backward()
    return generator, loss, references["shape"][1].weight.grad


def test_both_sides_of_the_loss_and_its_gradient_equal_pytorchs(both, batch, nchw, hwio, run):
    pair, params, _, image = both
    generator, loss, gradient = _expected(both, batch, nchw)
    found = run(pair.generator_term)(params, batch, image, KEY)
    np.testing.assert_allclose(found, generator.detach(), rtol=1e-4)
    (value, _), ours = run(jax.value_and_grad(pair.loss, has_aux=True))(params, batch, image, KEY)
    np.testing.assert_allclose(value, loss.detach(), rtol=1e-4)
    np.testing.assert_allclose(ours["shape"]["Conv_0"]["kernel"], hwio(gradient), atol=1e-4)


def test_dropout_is_the_same_where_the_generator_and_the_discriminators_look(batch, run):
    """Their passes over the generated pictures are one: the term is the distance to 1 of the maps from its key."""
    pair = conditioned.Pair(conditioned.ResidualDiscriminator(CHANNELS, 1, 0.5), (HEIGHT, WIDTH))
    params, image = run(pair.init)(KEY), base.to_float(batch["target_image"])
    term = run(pair.generator_term)(params, batch, image, KEY)
    maps = run(pair.look)(params, batch, image, jax.random.split(KEY)[0])
    np.testing.assert_allclose(term, sum(jnp.mean((each - 1) ** 2) for each in maps.values()) / 2, rtol=1e-5)
    other = run(pair.look)(params, batch, image, jax.random.split(KEY)[1])
    assert all(np.abs(maps[name] - other[name]).max() > 1e-2 for name in maps)
