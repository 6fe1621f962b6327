"""One training step: what it updates, from what, by how much, and what it leaves alone."""

import re
import warnings
from functools import partial

import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from scrn_jax.models import base
from scrn_jax.training import step as step_lib

TRAINED = ("generator", "discriminator", "spectral", "generator_optimizer", "discriminator_optimizer", "ema")


@pytest.fixture(scope="module")
def one_step(trainer, first_state, make_batch):
    """(state after the first step, its metrics), in host memory."""
    state, metrics = trainer.step(trainer.put(first_state), make_batch(0))
    return jax.device_get(state), jax.device_get(metrics)


@pytest.fixture(scope="module")
def own_step(double_trainer, first_state, make_batch):
    """The state after the first step in float64, by the convolutions that a CPU computes by."""
    return jax.device_get(double_trainer.step(double_trainer.put(first_state), make_batch(0))[0])


@pytest.fixture(scope="module")
def plain_step(trainer_of, tiny_settings, first_state, make_batch):
    """The same by XLA's own convolutions."""
    trainer = trainer_of(tiny_settings(model={"convolutions": "plain"}), double=True)
    return jax.device_get(trainer.step(trainer.put(first_state), make_batch(0))[0])


def _largest_difference(a, b):
    return max(jax.tree.leaves(jax.tree.map(lambda x, y: float(np.max(np.abs(x - y))), a, b)))


def _equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(a), jax.device_get(b))


def test_the_first_step_moves_both_networks_and_their_statistics(first_state, one_step):
    for name in TRAINED:
        assert _largest_difference(getattr(first_state, name), getattr(one_step[0], name)) > 0, name


def test_every_blocks_gamma_is_a_metric(one_step):
    state, metrics = one_step
    gamma = state.generator["coarse_generator"]["block_1"]["CrissCrossAttention_0"]["gamma"]
    assert [name for name in metrics if name.startswith("attention_gamma")] == ["attention_gamma/block_1"]
    assert metrics["attention_gamma/block_1"] == gamma != 0


def test_every_parameter_of_both_networks_gets_a_gradient(one_step, adam_of):
    """Biases before an instance norm have none but rounding; a kernel without one would be a part that is cut off."""
    state, _ = one_step
    for optimizer_state in (state.generator_optimizer, state.discriminator_optimizer):
        kernels = {k: v for k, v in flatten_dict(adam_of(optimizer_state).mu).items() if "kernel" in k[-1]}
        silent = [path for path, mean in kernels.items() if not np.any(mean)]
        # Criss-cross attention starts as the identity: nothing reaches its query, key and value before gamma moves.
        assert not [path for path in silent if path[-2] not in ("query", "key", "value")]


@pytest.mark.parametrize(("network", "ratio"), [("generator", 1.0), ("discriminator", 0.1)])
def test_the_update_is_adams_times_the_networks_learning_rate(network, ratio, first_state, one_step, adam_of):
    state, _ = one_step
    adam = adam_of(getattr(state, f"{network}_optimizer"))

    def expected(before, mean, square):
        before, mean, square = (np.asarray(x, np.float64) for x in (before, mean, square))
        return before - ratio * 1e-3 * (mean / (1 - 0.9)) / (np.sqrt(square / (1 - 0.999)) + 1e-8)

    moved = jax.tree.map(expected, getattr(first_state, network), adam.mu, adam.nu)
    # A thousandth of a full step, since float32's bias correction costs digits, and the parameter's own rounding.
    close = partial(np.testing.assert_allclose, rtol=2**-23, atol=1e-3 * ratio * 1e-3)
    jax.tree.map(close, getattr(state, network), moved)


def test_the_average_forgets_the_start_quickly_at_first(trainer, first_state, one_step, make_batch):
    """Decay is the smaller of (1 + step) / (10 + step) and the config's: 1/10, then 2/11."""
    first = one_step[0]
    by_hand = jax.tree.map(lambda start, new: 0.1 * start + 0.9 * new, first_state.generator, first.generator)
    assert _largest_difference(by_hand, first.ema) < 1e-6
    second = jax.device_get(trainer.step(trainer.put(first), make_batch(1))[0])
    by_hand = jax.tree.map(lambda old, new: 2 / 11 * old + 9 / 11 * new, first.ema, second.generator)
    assert _largest_difference(by_hand, second.ema) < 1e-6


def test_the_average_is_the_configs_later(trainer, one_step, make_batch):
    late = one_step[0].replace(step=np.int32(1000))
    moved = jax.device_get(trainer.step(trainer.put(late), make_batch(1))[0])
    by_hand = jax.tree.map(lambda old, new: 0.9 * old + 0.1 * new, late.ema, moved.generator)
    assert _largest_difference(by_hand, moved.ema) < 1e-6


def test_the_learning_rate_falls_linearly(trainer, first_state, make_batch):
    _, metrics = trainer.run(trainer.put(first_state), [make_batch(i) for i in range(8)])
    rates = [step_metrics["learning_rate"] for step_metrics in metrics]
    np.testing.assert_allclose(rates, 1e-3 * (1 - np.arange(8) / 8), rtol=1e-5)


def test_nothing_moves_at_the_end_of_the_schedule(trainer, one_step, make_batch):
    last = one_step[0].replace(step=np.int32(8))
    state, metrics = trainer.step(trainer.put(last), make_batch(1))
    assert metrics["learning_rate"] == 0
    _equal(state.generator, last.generator)
    _equal(state.discriminator, last.discriminator)


def test_the_loss_is_the_weighted_sum_of_its_terms(one_step, tiny_settings):
    metrics, weights = one_step[1], tiny_settings().loss
    terms = ("cor", "l1", "adv", "per", "par", "face")
    by_hand = {name: getattr(weights, name) * metrics[f"loss/{name}"] for name in terms}
    for name in terms:
        np.testing.assert_allclose(metrics[f"weighted/{name}"], by_hand[name], rtol=1e-6)
    np.testing.assert_allclose(metrics["loss/generator"], sum(by_hand.values()), rtol=1e-5)


def test_the_terms_are_those_of_the_generators_outputs(one_step, first_state, make_batch, tiny_settings, quick_compile):
    batch = make_batch(0)
    run = jax.jit(base.make(tiny_settings()).generate, compiler_options=quick_compile)
    outputs = jax.device_get(run(first_state.generator, batch))
    target = batch["target_image"] / 127.5 - 1
    l1 = np.abs(outputs["image"] - target).mean() + np.abs(outputs["coarse_image"] - target).mean()
    parsing = np.abs(outputs["parsing"] - np.eye(8)[batch["target_parsing"]]).mean()
    boxes = batch["face_box"].astype(int)[[0, 2, 3]]
    crops = [np.abs(outputs["image"] - target)[i, y0:y1, x0:x1].mean()
             for i, (y0, x0, y1, x1) in zip((0, 2, 3), boxes, strict=True)]  # fmt: skip
    found = [one_step[1][f"loss/{name}"] for name in ("l1", "par", "face")]
    np.testing.assert_allclose(found, [l1, parsing, np.mean(crops)], rtol=1e-4)


def _broken(batch):
    """The batch with one joint's coordinate not a number, as a damaged record could have."""
    pose = batch["target_pose"].copy()
    pose[1, 4] = [3.0, np.nan]
    return {**batch, "target_pose": pose}


@pytest.fixture(scope="module")
def skipped(trainer, one_step, make_batch):
    """(state after a step on a broken batch, its metrics)."""
    return trainer.step(trainer.put(one_step[0]), _broken(make_batch(1)))


@pytest.mark.parametrize("name", TRAINED)
def test_a_step_that_is_not_finite_leaves_everything_trained_alone(name, skipped, one_step):
    _equal(getattr(skipped[0], name), getattr(one_step[0], name))


def test_a_skipped_step_is_counted_and_the_next_batch_comes(skipped):
    state, metrics = skipped
    assert (int(state.step), int(state.skipped), int(state.skipped_in_row)) == (2, 1, 1)
    assert (metrics["skipped"], metrics["skipped_in_row"]) == (1, 1)


def test_a_good_step_ends_the_row_of_skipped_ones(trainer, one_step, make_batch):
    batches = [_broken(make_batch(1)), _broken(make_batch(2)), make_batch(3), _broken(make_batch(4))]
    state, metrics = trainer.run(trainer.put(one_step[0]), batches)
    assert [int(step_metrics["skipped_in_row"]) for step_metrics in metrics] == [1, 2, 0, 1]
    assert int(state.skipped) == 3


def test_training_goes_on_after_a_skipped_step(trainer, skipped, make_batch):
    state, metrics = trainer.step(trainer.put(jax.device_get(skipped[0])), make_batch(2))
    assert np.isfinite(metrics["loss/generator"])
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(jax.device_get(state)))


def test_the_frozen_networks_stay(trainer, frozen, first_state, make_batch):
    trainer.step(trainer.put(first_state), make_batch(0))
    _equal(trainer.frozen, frozen)


def test_the_state_is_donated_whole(trainer, first_state, make_batch):
    given = trainer.put(first_state)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trainer.step(given, make_batch(0))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(given))


def test_many_steps_compile_once(trainer, first_state, make_batch):
    trainer.run(trainer.put(first_state), [make_batch(i) for i in range(3)])
    assert trainer.jitted._cache_size() == 1


@pytest.fixture(scope="module")
def traced(trainer, first_state, frozen, make_batch):
    """The step, traced only."""
    return trainer.jitted.trace(first_state, frozen, make_batch(0))


def _count(jaxpr, primitive: str) -> int:
    inner = (jax.extend.core.jaxprs_in_params(equation.params) for equation in jaxpr.eqns)
    own = sum(equation.primitive.name == primitive for equation in jaxpr.eqns)
    return own + sum(_count(each, primitive) for jaxprs in inner for each in jaxprs)


def test_a_step_passes_the_generator_forward_once(traced, first_state, make_batch, tiny_settings):
    """Only the generator has tanh (both images, the style codes), and its gradient is made of tanh's result."""
    forward = jax.make_jaxpr(base.make(tiny_settings()).generate)(first_state.generator, make_batch(0))
    assert _count(forward.jaxpr, "tanh") == _count(traced.jaxpr.jaxpr, "tanh") == 3


def test_no_weights_are_baked_into_the_program(traced):
    """VGG's and AlexNet's parameters as constants would be megabytes of hexadecimal digits."""
    literals = re.findall(r"dense<(.*?)>", traced.lower().as_text())
    assert len(literals) > 100 and max(len(literal) for literal in literals) < 1e4
    assert max((np.size(constant) for constant in traced.jaxpr.consts), default=0) < 1e4


def test_the_average_starts_as_the_generator(first_state):
    _equal(first_state.ema, first_state.generator)


def test_in_bfloat16_the_whole_new_state_and_all_metrics_stay_float32(tiny_settings, first_state, frozen, make_batch):
    step = step_lib.make_train_step(tiny_settings(model={"dtype": "bfloat16"}))
    state, metrics = jax.eval_shape(step, first_state, frozen, make_batch(0))
    assert jax.tree.map(lambda leaf: leaf.dtype, state) == jax.tree.map(lambda leaf: leaf.dtype, first_state)
    assert {leaf.dtype for leaf in jax.tree.leaves(metrics)} == {jnp.dtype("float32")}


@pytest.mark.slow
@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_a_step_by_xlas_convolutions_has_the_gradient_of_one_by_ours(network, plain_step, own_step, gradient_of):
    """GPUs compute by XLA's, which the tests, on a CPU, would else never do."""
    plain, own = (gradient_of(state, network) for state in (plain_step, own_step))
    assert plain.dtype == np.float64
    assert np.linalg.norm(plain - own) < 1e-9 * np.linalg.norm(own)
