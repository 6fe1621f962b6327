"""The gradient of every weighted term by itself: they add up to the step's, and a norm is what it says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scrn_jax.models.scrn.model import Scrn
from scrn_jax.training import state
from scrn_jax.training import step as step_lib

TERMS = ("cor", "l1", "adv", "per", "par", "face")


@pytest.fixture(scope="module")
def gradients(tiny_settings, double_trainer, first_state, make_batch, quick_compile):
    """{term: flat gradient of the weighted term}, worked on by themselves, in float64."""
    state, flat = double_trainer.put(first_state), {}
    with double_trainer.precision():
        run = jax.jit(step_lib.make_term_gradient(tiny_settings()), compiler_options=quick_compile)
        for name, shares in zip(TERMS, np.eye(6), strict=True):
            tree = jax.device_get(run(shares, state, double_trainer.frozen, make_batch(0)))
            flat[name] = jax.tree.map(np.ravel, tree)
    return flat


def _vector(tree):
    return np.concatenate(jax.tree.leaves(tree))


@pytest.mark.slow
def test_the_terms_gradients_add_up_to_the_steps(gradients, double_trainer, first_state, make_batch, gradient_of):
    step = gradient_of(double_trainer.step(double_trainer.put(first_state), make_batch(0))[0], "generator")
    total = sum(_vector(tree) for tree in gradients.values())
    assert total.dtype == np.float64
    assert np.linalg.norm(total - step) < 1e-9 * np.linalg.norm(step)


@pytest.mark.slow
def test_the_parsing_terms_gradient_reaches_the_parsing_block_alone(gradients):
    reached = {name for name, part in gradients["par"].items() if np.any(_vector(part))}
    assert reached == {"parsing_block"}


@pytest.fixture
def replace_terms(monkeypatch):
    """Lets a function stand for SCRN's terms."""
    return lambda terms: monkeypatch.setattr(Scrn, "generator_terms", staticmethod(terms))


def test_a_norm_worked_out_by_hand(tiny_settings, replace_terms):
    """A generator of two numbers whose l1 term is 3 a + 4 b: with weight 5 the norm is 5 * 5."""
    settings = tiny_settings(loss={"cor": 0.0, "adv": 0.0, "per": 0.0, "par": 2.0, "face": 0.0})

    def terms(params, judges, frozen, batch, key):
        a, b = params["a"], params["b"]
        return {"l1": 3 * a + 4 * b, "par": batch["ones"].mean() * a}, {}

    replace_terms(terms)
    batch = {"ones": np.ones((2, 3), np.float32)}
    blank = jax.tree.map(lambda _: None, jax.eval_shape(lambda: state.init_state(settings)))
    two = blank.replace(step=0, generator={"a": jnp.float32(0.3), "b": jnp.float32(-2.0)})
    norms = step_lib.make_term_norms(settings)(two, {}, batch)
    assert {name: float(norm) for name, norm in norms.items()} == {
        "gradient_norm/terms/l1": 25.0, "gradient_norm/terms/par": 2.0}  # fmt: skip


def test_parts_of_a_batch_give_the_gradient_of_their_mean(tiny_settings, replace_terms):
    """Two parts whose gradients are 2 and -2 cancel out; a mean of the parts' norms would be 2."""
    loss = {"cor": 0.0, "adv": 0.0, "per": 0.0, "par": 0.0, "face": 0.0, "l1": 1.0}
    settings = tiny_settings(loss=loss, train={"accumulate": 2})
    replace_terms(lambda params, judges, frozen, batch, key: ({"l1": params["a"] * batch["slope"].sum()}, {}))
    batch = {"slope": np.array([1.0, -1.0, 1.0, -1.0], np.float32)}
    blank = jax.tree.map(lambda _: None, jax.eval_shape(lambda: state.init_state(settings)))
    norms = step_lib.make_term_norms(settings)(blank.replace(step=0, generator={"a": jnp.float32(1)}), {}, batch)
    assert float(norms["gradient_norm/terms/l1"]) == 0
