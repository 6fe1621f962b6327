"""Gradient accumulation and rematerialisation save memory and change nothing else."""

import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np
import pytest

from scrn_jax.errors import UserError
from scrn_jax.models import base
from scrn_jax.models.scrn.coarse import CoarseGenerator
from scrn_jax.training import step
from scrn_jax.training.checkpoints import QUICK_COMPILE

KEY = jax.random.key(0)
EQUAL = 1e-9  # relative, in float64: see test_sharding.py


@pytest.fixture(scope="module")
def both(trainer_of, tiny_settings, double_trainer, first_state, make_batch):
    """(state, metrics) after one step in float64 on a batch of 4: at once, and as 2 parts of 2."""
    # The face loss averages over the samples that have a face: parts with as many of them weigh alike.
    batch = {**make_batch(0), "face_box": np.tile(np.float32([4, 4, 12, 12]), (4, 1))}
    in_parts = trainer_of(tiny_settings(train={"accumulate": 2}), double=True)
    return [jax.device_get(each.step(each.put(first_state), batch)) for each in (double_trainer, in_parts)]


@pytest.mark.slow
@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_two_parts_give_the_whole_batchs_gradient(network, both, gradient_of):
    """There are no batch statistics."""
    whole, parts = (gradient_of(state, network) for state, _ in both)
    assert parts.dtype == np.float64
    assert np.linalg.norm(parts - whole) < EQUAL * np.linalg.norm(whole)


@pytest.mark.slow
def test_two_parts_give_the_whole_batchs_losses(both):
    (_, whole), (_, parts) = both
    assert set(parts) == set(whole)
    for name in whole:
        np.testing.assert_allclose(parts[name], whole[name], rtol=EQUAL, err_msg=name)


@pytest.mark.slow
def test_two_parts_move_the_spectral_statistics_once(both):
    (whole, _), (parts, _) = both
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=EQUAL), whole.spectral, parts.spectral)


def test_parts_are_dealt_so_that_every_device_has_its_share():
    """Rows 0 to 3 of 8 lie on the first of two devices: each of 4 parts takes one of them."""
    seen = []

    def record(state, frozen, batch, key):
        seen.append(batch["x"].shape)
        return jnp.zeros(()), {"mean": batch["x"].mean()}

    def parts_of(x):
        return step.mean_over_parts(record, 4, None, None, {"x": x}, KEY)[1]["mean"]

    rows = jnp.arange(8.0)
    assert parts_of(rows) == 3.5 and set(seen) == {(2,)}
    gradient = jax.grad(lambda x: step.mean_over_parts(
        lambda _, __, batch, key: (jnp.zeros(()), {"mean": batch["x"].prod()}), 4, None, None, {"x": x}, KEY
    )[1]["mean"])(rows)  # fmt: skip
    # A part's product differentiated by one of its rows is the other one: 0 goes with 4, 1 with 5, and so on.
    np.testing.assert_array_equal(4 * gradient, [4, 5, 6, 7, 0, 1, 2, 3])


def test_every_part_draws_from_a_key_of_its_own():
    def draw(state, frozen, batch, key):
        return jnp.zeros(()), {"first": batch["first"].sum() * jax.random.uniform(key)}

    one, both = ({"first": jnp.array(rows)} for rows in ([1.0, 0.0], [1.0, 1.0]))
    means = [float(step.mean_over_parts(draw, 2, None, None, batch, KEY)[1]["first"]) for batch in (one, both)]
    assert means[0] > 0 and abs(means[1] - 2 * means[0]) > 1e-3


def test_a_batch_that_parts_cannot_share_is_refused(tiny_settings):
    with pytest.raises(UserError, match=r"batch_size is 4, which does not divide into config\.train\.accumulate = 3"):
        tiny_settings(train={"accumulate": 3})


def _coarse(remat: bool):
    """(loss of the coarse generator's parameters, a function that makes these)."""
    keys = jax.random.split(jax.random.key(0), 4)
    image = jax.random.uniform(keys[0], (2, 16, 24, 3))
    rows, columns = jax.random.uniform(keys[1], (2, 36, 16)), jax.random.uniform(keys[2], (2, 36, 24))
    code = rows, columns, jax.random.uniform(keys[3], (2, 16, 24, 16))
    model = CoarseGenerator(width=4, blocks=2, upsampling="transposed", remat=remat)

    def loss(params):
        return jnp.mean(model.apply({"params": params}, image, code)[1] ** 2)

    return loss, lambda: model.init(jax.random.key(1), image, code)["params"]


@pytest.mark.slow
def test_rematerialised_blocks_have_the_same_parameters_and_gradient():
    (plain, params), (remat, same) = (
        (loss, jax.jit(init, compiler_options=QUICK_COMPILE)()) for loss, init in map(_coarse, (False, True))
    )
    jax.tree.map(np.testing.assert_array_equal, params, same)
    found, expected = (jax.jit(jax.grad(loss), compiler_options=QUICK_COMPILE)(params) for loss in (remat, plain))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-8), found, expected)


def test_rematerialised_blocks_keep_less_for_the_way_back():
    def kept(remat: bool) -> int:
        loss, init = _coarse(remat)
        backward = jax.eval_shape(lambda params: jax.vjp(loss, params)[1], jax.eval_shape(init))
        return sum(leaf.size for leaf in jax.tree.leaves(backward))

    assert kept(remat=True) < 0.9 * kept(remat=False)


def test_the_config_key_reaches_the_blocks(tiny_settings):
    def traced(remat: bool) -> str:
        model = base.make(tiny_settings(model={"remat": remat}))
        return str(jax.make_jaxpr(model.generate)(model.generator_shapes(), base.example_inputs(model.size)))

    rematerialises = jax.make_jaxpr(jax.checkpoint(jnp.sin))(1.0).eqns[0].primitive.name + "["
    assert rematerialises in traced(True) and rematerialises not in traced(False)
