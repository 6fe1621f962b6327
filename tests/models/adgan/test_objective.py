"""ADGAN's losses beside PyTorch's, and what a training step does with the frozen network that the generator holds."""

import jax
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from scrn_jax import settings as settings_lib
from scrn_jax.errors import UserError
from scrn_jax.models import base
from scrn_jax.models.adgan import objective
from scrn_jax.training import checkpoints

SIZE, KEY = (32, 36), jax.random.key(0)


def _settings(**changes):
    small = {"width": 4, "blocks": 1, "style": 16, "hidden": 8, "discriminator_width": 2, "discriminator_blocks": 1}
    config = {
        "data": {"name": "none"},
        "size": SIZE,
        "adversarial": "lsgan",
        "model": {"name": "adgan", **small},
        "features": {"perceptual": "vgg16", "perceptual_source": "random"},
        "train": {"steps": 4, "batch_size": 4},
    }
    return settings_lib.from_config(config | changes)


def _contextual(image, target):
    """Pair by pair, place by place, of features (B, C, H, W)."""
    centre, found = target.mean((0, 2, 3)), []
    for ours, theirs in zip(image, target, strict=True):
        ours, theirs = (F.normalize(each.flatten(1) - centre[:, None], dim=0) for each in (ours, theirs))
        distance = (1 - theirs.T @ ours) / 2  # the target's places x the picture's
        relative = distance / (distance.amin(0, keepdim=True) + 1e-5)
        weight = torch.exp((1 - relative) / 0.5)
        similarity = weight / weight.sum(0, keepdim=True)
        found.append(-torch.log(similarity.amax(1).mean()))
    return torch.stack(found).mean()


def test_the_contextual_loss_and_its_gradient_equal_pytorchs(nchw, nhwc, run):
    rng = np.random.default_rng(0)
    ours, theirs = rng.standard_normal((2, 2, 4, 3, 16)).astype(np.float32)
    leaf = nchw(ours)
    expected = _contextual(leaf, nchw(theirs).detach())
    expected.backward()
    value, gradient = run(jax.value_and_grad(objective.contextual))(ours, theirs)
    np.testing.assert_allclose(value, expected.detach(), rtol=1e-4)
    np.testing.assert_allclose(gradient, nhwc(leaf.grad), atol=1e-4 * float(leaf.grad.abs().max()), rtol=1e-2)


def test_the_contextual_loss_does_not_mind_where_features_are(run):
    """Its places may be in any order: nothing but which features there are counts."""
    rng = np.random.default_rng(1)
    ours, theirs = rng.standard_normal((2, 1, 4, 3, 16)).astype(np.float32)
    shuffled = rng.permutation(ours.reshape(12, 16)).reshape(ours.shape)
    loss = run(objective.contextual)
    np.testing.assert_allclose(loss(shuffled, theirs), loss(ours, theirs), rtol=1e-5)
    assert loss(theirs, theirs) < loss(ours, theirs)


def _vgg16(image, params, oihw):
    mean, std = (torch.tensor(each).reshape(1, 3, 1, 1) for each in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    x, found = ((image + 1) / 2 - mean) / std, {}
    for name in ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3", "conv4_1", "conv4_2"):
        x = F.max_pool2d(x, 2) if name in ("conv2_1", "conv3_1", "conv4_1") else x
        bias = torch.tensor(np.array(params[name]["bias"]))
        x = found[name] = F.relu(F.conv2d(x, oihw(params[name]["kernel"]), bias, padding=1))
    return found


def test_the_terms_equal_pytorchs(frozen, person_batch, nchw, oihw, run):
    model, batch = base.make(_settings()), person_batch(*SIZE)
    image = np.random.default_rng(2).uniform(-1, 1, (2, *SIZE, 3)).astype(np.float32)
    judges = run(model.init)(KEY)[1]

    @run
    def terms(judges, batch, image):
        return objective.generator_terms(model.pair, model.vgg, judges, frozen, batch, image, model.weights, KEY)

    found = terms(judges, batch, image)
    ours, target = nchw(image), nchw(base.to_float(batch["target_image"]))
    seen, wanted = (_vgg16(each, frozen["vgg"], oihw) for each in (ours, target))
    expected = {
        "l1": F.l1_loss(ours, target),
        "per": F.l1_loss(seen["conv1_2"], wanted["conv1_2"]),
        "cx": sum(_contextual(seen[name], wanted[name]) for name in ("conv3_2", "conv4_2")),
    }
    assert set(found) == {*expected, "adv"}
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value.detach(), rtol=1e-4, err_msg=name)
    np.testing.assert_allclose(found["adv"], run(model.pair.generator_term)(judges, batch, image, KEY), rtol=1e-5)


@pytest.mark.slow
def test_the_frozen_network_is_filled_in_and_stays(tmp_path, trainer_of, make_batch, frozen):
    settings = _settings()
    trainer = trainer_of(settings)
    with checkpoints.open_checkpoints(settings, tmp_path) as kept:
        fresh = jax.device_get(checkpoints.newest_or_fresh(settings, trainer.mesh, kept))
        after, metrics = trainer.step(trainer.put(fresh), make_batch(0))
        assert np.isfinite(metrics["loss/generator"])
        kept.save(1, after)
        kept.wait()
        restored = checkpoints.newest_or_fresh(settings, trainer.mesh, kept)
    for tree in (fresh.generator, fresh.ema, jax.device_get(restored.generator), jax.device_get(restored.ema)):
        assert sorted(tree["vgg"])[-1] == "conv4_1"
        for name, leaves in tree["vgg"].items():
            np.testing.assert_allclose(leaves["kernel"], frozen["vgg"][name]["kernel"], rtol=1e-6)
    moved = jax.device_get(restored.generator)
    assert np.any(fresh.generator["fuse"]["kernel"] != moved["fuse"]["kernel"])


def test_a_style_that_regions_cannot_share_is_refused():
    with pytest.raises(UserError, match=r"config\.model\.style must be a multiple of the 8 regions, got 12"):
        _settings(model={"name": "adgan", "style": 12})


def test_parsing_steps_are_refused():
    with pytest.raises(UserError, match=r"parsing block, and ADGAN has none"):
        _settings(train={"parsing_steps": 3})
