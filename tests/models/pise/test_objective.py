"""PISE's discriminator and losses beside PyTorch's, and what a training step does with the frozen network it holds."""

import jax
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from scrn_jax import settings as settings_lib
from scrn_jax.errors import UserError
from scrn_jax.models import base
from scrn_jax.models.ops.convolutions import Compute
from scrn_jax.models.pise import objective
from scrn_jax.models.pise.discriminator import Discriminator
from scrn_jax.models.pretrained.vgg import conv_names
from scrn_jax.training import checkpoints

SIZE, KEY = (32, 36), jax.random.key(0)


def _settings(**changes):
    config = {
        "data": {"name": "none"},
        "size": SIZE,
        "adversarial": "lsgan",
        "model": {"name": "pise", "width": 4, "parsing_width": 2, "discriminator_width": 2},
        "features": {"perceptual": "vgg16", "perceptual_source": "random"},
        "train": {"steps": 4, "batch_size": 4},
    }
    return settings_lib.from_config(config | changes)


@pytest.fixture(scope="module")
def model():
    return base.make(_settings())


class Block(nn.Module):
    """A residual block of the discriminator, spectrally normalised by PyTorch."""

    def __init__(self, before: int, hidden: int, after: int, bring):
        super().__init__()
        self.first, self.second = bring(nn.Conv2d(before, hidden, 3, padding=1)), nn.Conv2d(hidden, after, 4, 2, 1)
        self.second, self.shortcut = bring(self.second), bring(nn.Conv2d(before, after, 1))

    def forward(self, x):
        y = self.second(F.leaky_relu(self.first(F.leaky_relu(x, 0.1)), 0.1))
        return y + self.shortcut(F.avg_pool2d(x, 2))


def test_the_discriminator_equals_pytorchs(random_variables, fill, nchw, run):
    """Ours starts from the same singular vectors and makes the one step that PyTorch's layer makes."""
    images = np.random.default_rng(0).uniform(-1, 1, (2, 32, 20, 3)).astype(np.float32)
    module, c = Discriminator(width=4), 4
    variables = random_variables(module, images)
    params, spectral = variables["params"], variables["spectral"]

    def bring(layer: nn.Conv2d, *path: str):
        leaves, vector = params, spectral
        for name in path:
            leaves, vector = leaves[name.replace("SpectralConv", "Conv")], vector[name]
        fill(layer, leaves)
        layer = nn.utils.spectral_norm(layer)
        layer.weight_u = F.normalize(torch.tensor(np.array(_leaf(vector, "u"))).flatten(), dim=0)
        return layer

    def _leaf(tree, ending):
        flat = jax.tree_util.tree_flatten_with_path(tree)[0]
        return next(leaf for path, leaf in flat if str(path[-1].key).endswith(ending))

    # Only directions count: the random vectors are brought to a length of 1 on both sides.
    spectral = jax.tree.map(lambda x: x / np.linalg.norm(x) if x.ndim else np.ones_like(x), spectral)
    blocks = []
    for i, (before, hidden, after) in enumerate([(3, c, c), (c, c, 2 * c), (2 * c, 2 * c, 4 * c), (4 * c,) * 3]):
        names = iter((f"Block_{i}", f"SpectralConv_{j}") for j in range(3))
        blocks.append(Block(before, hidden, after, lambda layer, names=names: bring(layer, *next(names))))
    last = bring(nn.Conv2d(4 * c, 1, 1), "SpectralConv_0")
    reference = nn.Sequential(*blocks, nn.LeakyReLU(0.1), last)
    apply = run(lambda images: module.apply({"params": params, "spectral": spectral}, images, mutable=["spectral"])[0])
    expected = reference(nchw(images)).detach().numpy()[:, 0]
    np.testing.assert_allclose(apply(images), expected, atol=1e-4)


def _vgg16(image, params, oihw) -> dict[str, torch.Tensor]:
    """Every ReLU of VGG16, of a picture as it is."""
    found = {}
    for name in conv_names(16):
        if name.endswith("_1") and name != "conv1_1":
            image = F.max_pool2d(image, 2)
        bias = torch.tensor(np.array(params[name]["bias"]))
        image = F.relu(F.conv2d(image, oihw(params[name]["kernel"]), bias, padding=1))
        found[name.replace("conv", "relu")] = image
    return found


def _gram(x):
    x = x.flatten(2)
    return x @ x.transpose(1, 2) / (x.shape[1] * x.shape[2])


def test_the_terms_equal_pytorchs(model, frozen, person_batch, nchw, oihw, run):
    """The frame is filled up for the correspondence, as in the generator: 36 columns to 48."""
    rng, batch = np.random.default_rng(1), person_batch(*SIZE)
    outputs = {
        "image": rng.uniform(-1, 1, (2, *SIZE, 3)).astype(np.float32),
        "map": rng.uniform(0, 1, (2, *SIZE, 8)).astype(np.float32),
        "features": rng.standard_normal((2, 8, 12, 256)).astype(np.float32),
    }
    logits = rng.standard_normal((2, 2, 2)).astype(np.float32)

    @run
    def terms(outputs, logits, batch):
        return objective.generator_terms(model.judges, frozen, batch, outputs, logits, model.weights)

    found = terms(outputs, logits, batch)
    image, regions, target = nchw(outputs["image"]), nchw(outputs["map"]), base.to_float(batch["target_image"])
    ours, theirs = (_vgg16(each, frozen["vgg"], oihw) for each in (image, nchw(target)))
    filled = nchw(np.pad(np.asarray(target), [(0, 0), (0, 0), (0, 12), (0, 0)], mode="edge"))
    labels = torch.tensor(batch["target_parsing"].astype(np.int64))
    expected = {
        "l1": F.l1_loss(image, nchw(target)),
        "adv": F.mse_loss(torch.tensor(logits), torch.ones(2, 2, 2)),
        "content": sum(F.l1_loss(ours[f"relu{i}_1"], theirs[f"relu{i}_1"]) for i in range(1, 6)),
        "style": sum(F.l1_loss(_gram(ours[tap]), _gram(theirs[tap]))
                     for tap in ("relu2_2", "relu3_3", "relu4_3", "relu5_2")),
        "cor": F.mse_loss(nchw(outputs["features"]), _vgg16(filled, frozen["vgg"], oihw)["relu3_1"]),
        "par": F.cross_entropy(regions, labels),
        "map": F.l1_loss(regions, F.one_hot(labels, 8).permute(0, 3, 1, 2).float()),
    }  # fmt: skip
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value.detach(), rtol=1e-4, err_msg=name)


def test_vgg19_is_looked_at_where_the_authors_look():
    judges = objective.Judges.of(Discriminator(2), 19, "lsgan", Compute())
    assert set(judges.vgg.taps) == {
        "relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1", "relu2_2", "relu3_4", "relu4_4", "relu5_2"
    }  # fmt: skip
    assert not judges.vgg.normalised


@pytest.mark.slow
def test_the_frozen_network_is_filled_in_and_stays(tmp_path, trainer_of, make_batch, frozen):
    """Its weights are VGG's in a fresh state, in the averaged generator too, and after a step."""
    settings = _settings()
    trainer = trainer_of(settings)
    with checkpoints.open_checkpoints(settings, tmp_path) as kept:
        fresh = checkpoints.newest_or_fresh(settings, trainer.mesh, kept)
    fresh = jax.device_get(fresh)
    after, metrics = trainer.step(trainer.put(fresh), make_batch(0))
    assert np.isfinite(metrics["loss/generator"])
    for current in (fresh, jax.device_get(after)):
        for tree in (current.generator, current.ema):
            assert sorted(tree["vgg"]) == ["conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"]
            for name, leaves in tree["vgg"].items():
                # The average of equal numbers is that number but for rounding.
                np.testing.assert_allclose(leaves["kernel"], frozen["vgg"][name]["kernel"], rtol=1e-6)
    assert np.any(fresh.generator["to_style"]["kernel"] != jax.device_get(after).generator["to_style"]["kernel"])


@pytest.mark.parametrize("terms", [("content", "style", "cor")])
def test_without_its_terms_the_losses_need_no_frozen_network(terms, person_batch):
    model = base.make(_settings(loss=dict.fromkeys(terms, 0.0)))
    assert model.pretrained() == {}
    generator, discriminator, statistics = jax.eval_shape(lambda: model.init(KEY))
    judges, batch = (discriminator, statistics), person_batch(*SIZE)
    found, _ = jax.eval_shape(model.generator_terms, generator, judges, {}, batch, KEY)
    assert set(found) == {"l1", "adv", "par", "map"}


def test_parsing_steps_are_refused():
    with pytest.raises(UserError, match=r"parsing_steps is SCRN's"):
        _settings(train={"parsing_steps": 3})
