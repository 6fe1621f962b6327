"""PATN as training sees it: its terms, what a step draws, what it moves. Their values: test_torch_methods.py."""

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from scrn_jax import settings as settings_lib
from scrn_jax.errors import UserError
from scrn_jax.models import base

SIZE, KEY = (32, 36), jax.random.key(0)


def _settings(**changes):
    config = {
        "data": {"name": "none"},
        "size": SIZE,
        "adversarial": "lsgan",
        "model": {"name": "patn", "width": 4, "blocks": 2, "discriminator_width": 4, "discriminator_blocks": 1},
        "features": {"perceptual": "vgg16", "perceptual_source": "random"},
        "optim": {"discriminator_ratio": 1.0, "b1": 0.5, "constant_steps": 2},
        "train": {"steps": 4, "batch_size": 4},
    }
    return settings_lib.from_config(config | changes)


@pytest.fixture(scope="module")
def model():
    return base.make(_settings())


@pytest.fixture(scope="module")
def first(model, run):
    """Fresh parameters: the generator's and the discriminators'."""
    generator, discriminators, _ = run(model.init)(KEY)
    return generator, discriminators


@pytest.mark.parametrize("term", ["adv", "l1", "per"])
def test_a_term_of_weight_0_is_left_out(term, frozen, first, person_batch):
    """Its frozen network is not needed then, either."""
    model = base.make(_settings(loss={term: 0.0}))
    needed = {} if term == "per" else frozen
    terms, _ = jax.eval_shape(model.generator_terms, first[0], (first[1], {}), needed, person_batch(*SIZE), KEY)
    assert set(terms) == set(model.weights) == {"adv", "l1", "per"} - {term}


@pytest.fixture(scope="module")
def trainer(trainer_of):
    return trainer_of(_settings())


@pytest.fixture(scope="module")
def start(quick_compile):
    """The state before the first step, in host memory."""
    from scrn_jax.training import state

    return jax.device_get(jax.jit(lambda: state.init_state(_settings()), compiler_options=quick_compile)())


def _vector(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def test_a_step_draws_dropout_from_its_number_and_the_seed(trainer, start, make_batch):
    """The same step again is the same to the bit; the same state and batch at another step are not."""
    steps = [start, start, start.replace(step=np.int32(1))]
    losses = [trainer.step(trainer.put(state), make_batch(0))[1]["loss/l1"] for state in steps]
    assert losses[0] == losses[1] and abs(losses[0] - losses[2]) > 1e-5


def test_the_learning_rate_stays_for_the_constant_steps_and_then_falls_to_0(trainer, start, make_batch):
    _, metrics = trainer.run(trainer.put(start), [make_batch(0)] * 5)
    np.testing.assert_allclose([each["learning_rate"] for each in metrics], [1e-3, 1e-3, 1e-3, 5e-4, 0], rtol=1e-6)


def test_every_kernel_of_the_three_networks_gets_a_gradient(trainer, start, make_batch, adam_of):
    state, _ = trainer.step(trainer.put(start), make_batch(0))
    for optimizer_state in (state.generator_optimizer, state.discriminator_optimizer):
        kernels = {k: v for k, v in flatten_dict(jax.device_get(adam_of(optimizer_state).mu)).items() if "kernel" in k}
        assert kernels and not [path for path, mean in kernels.items() if not np.any(mean)]


def test_parsing_steps_are_refused():
    with pytest.raises(UserError, match=r"parsing_steps is for models with a parsing block, and PATN has none"):
        _settings(train={"parsing_steps": 3})


def test_a_share_that_cannot_be_dropped_is_refused():
    with pytest.raises(UserError, match=r"config\.model\.dropout must be in \[0, 1\), got 1\.0"):
        _settings(model={"name": "patn", "dropout": 1.0})
