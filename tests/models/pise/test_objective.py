"""What PISE's losses look at, and what a training step does with the frozen network it holds.

Their values beside PyTorch's, and the discriminator's: tests/benchmarks/test_torch_methods.py.
"""

import jax
import numpy as np
import pytest

from scrn_jax import settings as settings_lib
from scrn_jax.errors import UserError
from scrn_jax.models import base
from scrn_jax.models.ops.convolutions import Compute
from scrn_jax.models.pise import objective
from scrn_jax.models.pise.discriminator import Discriminator
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
