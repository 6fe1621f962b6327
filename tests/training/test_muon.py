"""Muon for the generator's kernels: which parameters it moves, where to, and what goes with it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax.contrib
import pytest

from scrn_jax import settings as settings_lib
from scrn_jax.errors import UserError
from scrn_jax.settings import Optim
from scrn_jax.training import checkpoints, muon, stages, state

OPTIM = Optim(learning_rate=1e-3, muon_learning_rate=0.02)


@pytest.fixture(scope="module")
def params():
    """A kernel between layers, one that gives pictures, and a bias."""
    rng = np.random.default_rng(0)
    shapes = {"inner": (3, 3, 16, 12), "to_image": (7, 7, 16, 3), "bias": (12,)}
    return {name: jnp.asarray(rng.normal(size=shape), jnp.float32) for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def directions(params):
    """(G's first direction, D's) for a gradient as large as the parameters."""
    return [optimizer.update(params, optimizer.init(params), params)[0] for optimizer in state.make_optimizers(OPTIM)]


def test_a_kernel_moves_along_the_singular_vectors_of_its_gradient_by_about_equal_lengths(params, directions):
    left, _, right = np.linalg.svd(np.asarray(params["inner"]).reshape(144, 12), full_matrices=False)
    moved = np.asarray(directions[0]["inner"]).reshape(144, 12) * OPTIM.learning_rate / OPTIM.muon_learning_rate
    along = left.T @ moved @ right.T
    # Newton and Schulz's five steps leave the singular values somewhere around 1.
    np.testing.assert_allclose(np.diag(along), 1, atol=0.4)
    np.testing.assert_allclose(along - np.diag(np.diag(along)), 0, atol=1e-3)
    assert np.linalg.norm(moved) == pytest.approx(np.linalg.norm(along), rel=1e-3)


def test_directions_and_state_are_those_of_optax():
    """Kernels of equal shapes are worked on together, long ones by their Gram matrices; one has no gradient at all."""
    rng = np.random.default_rng(1)
    shapes = {
        "long": (3, 3, 16, 12), "likewise": (3, 3, 16, 12), "wide": (1, 1, 16, 40), "square": (1, 1, 16, 20),
        "dead": (3, 3, 9, 9), "to_image": (7, 7, 16, 3), "bias": (12,),
    }  # fmt: skip
    with jax.enable_x64(True):
        params = {name: jnp.asarray(rng.normal(size=shape)) for name, shape in shapes.items()}
        theirs = optax.contrib.muon(
            OPTIM.muon_learning_rate / OPTIM.learning_rate, adam_learning_rate=1.0, adam_b1=OPTIM.b1, adam_b2=OPTIM.b2,
            muon_weight_dimension_numbers=muon.kernels,
        )  # fmt: skip
        theirs = optax.chain(optax.identity(), theirs, optax.scale(-1.0))
        ours, _ = state.make_optimizers(OPTIM)
        states = [each.init(params) for each in (ours, theirs)]
        for _ in range(2):
            gradient = {name: jnp.asarray(rng.normal(size=shape)) for name, shape in shapes.items()}
            gradient["dead"] = jnp.zeros(shapes["dead"])
            (found, states[0]), (expected, states[1]) = (
                each.update(gradient, state, params) for each, state in zip((ours, theirs), states, strict=True)
            )
            for name in shapes:
                np.testing.assert_allclose(found[name], expected[name], rtol=1e-9, atol=1e-11, err_msg=name)
        jax.tree.map(np.testing.assert_array_equal, *states)


@pytest.mark.parametrize("rank", [3, 32])
def test_single_precision_is_enough_for_gram_matrices(rank):
    """Of a matrix with singular values of 1 down to 1e-6 or 0, whose squares single precision cannot tell from 0."""
    left, _, right = np.linalg.svd(np.random.default_rng(2).normal(size=(32, 288)), full_matrices=False)
    values = np.where(np.arange(32) < rank, np.logspace(0, -6, 32), 0) / 2
    with jax.enable_x64(True):
        exact = muon.orthogonal(jnp.asarray(left * values @ right)[None])
    found = muon.orthogonal(jnp.asarray(left * values @ right, jnp.float32)[None])
    np.testing.assert_allclose(found, exact, atol=1e-3)


@pytest.mark.parametrize("name", ["to_image", "bias"])
def test_what_is_no_inner_kernel_takes_the_first_step_of_adam_with_nesterovs_correction(name, params, directions):
    length = 1 + 0.9 * (1 - 0.9) / (1 - 0.9**2)
    np.testing.assert_allclose(directions[0][name], length * np.sign(params[name]), rtol=1e-3)


def test_the_discriminator_keeps_adam(params, directions):
    for name, gradient in params.items():
        np.testing.assert_allclose(directions[1][name], np.sign(gradient), rtol=1e-3)


def test_without_a_rate_there_is_no_muon(params):
    generator, discriminator = state.make_optimizers(Optim())
    assert jax.tree.structure(generator.init(params)) == jax.tree.structure(discriminator.init(params))


def test_in_a_first_stage_the_counts_move_and_what_rests_keeps_its_means(params):
    optimizer = state.make_optimizers(Optim(muon_learning_rate=0.02))[0]
    networks = {"parsing_block": params, "decoder": params}
    before = optimizer.init(networks)
    own = stages.state_of("parsing_block", optimizer, before, networks)
    _, own = optimizer.update({"parsing_block": params}, own, {"parsing_block": params})
    for path, leaf in jax.tree_util.tree_leaves_with_path(stages.put_back(own, before)):
        where = jax.tree_util.keystr(path)
        if "count" in where:
            assert leaf == 1
        elif "ns_coeffs" not in where:
            assert bool(jnp.any(leaf != 0)) == ("parsing_block" in where)


def test_a_checkpoint_of_another_optimizer_is_said(tmp_path):
    def open_with(rate: float):
        optim = {"muon_learning_rate": rate}
        return checkpoints.open_checkpoints(settings_lib.from_config({"data": {}, "optim": optim}), tmp_path)

    with open_with(0.0) as saved:
        saved.save(1, {"x": jnp.zeros(3)})
    with open_with(0.02) as other, pytest.raises(UserError, match="muon is False there and True in the config"):
        other.restore({"x": jax.ShapeDtypeStruct((3,), jnp.float32)})
