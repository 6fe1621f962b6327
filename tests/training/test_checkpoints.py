"""Checkpoints come back bit for bit, only into their own model, and a resumed run equals an uninterrupted one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scrn_jax.errors import UserError
from scrn_jax.runtime import devices
from scrn_jax.training import checkpoints as checkpoints_lib
from scrn_jax.training.checkpoints import Checkpoints

IDENTITY = {"model": {"width": 4, "blocks": 1}, "size": [32, 32]}


def _state():
    """Values that a lossy way through text or another dtype would change."""
    return {"a": jnp.array([1 / 3, -0.0, np.inf, 1e-42], jnp.float32), "b": {"step": jnp.int32(7)},
            "c": jnp.array([1.5], jnp.bfloat16)}  # fmt: skip


def _like(state):
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), state)


def _bytes(tree):
    return [(leaf.dtype, np.asarray(leaf).tobytes()) for leaf in jax.tree.leaves(tree)]


def test_a_state_comes_back_bit_for_bit(tmp_path):
    state = _state()
    with Checkpoints(tmp_path, IDENTITY) as checkpoints:
        checkpoints.save(7, state)
    with Checkpoints(tmp_path, IDENTITY) as checkpoints:
        assert _bytes(checkpoints.restore(_like(state))) == _bytes(state)


def test_the_newest_step_is_restored_and_older_ones_go(tmp_path):
    with Checkpoints(tmp_path, IDENTITY, keep=2) as checkpoints:
        for step in (1, 2, 3):
            checkpoints.save(step, {"x": jnp.float32(step)})
    with Checkpoints(tmp_path, IDENTITY, keep=2) as checkpoints:
        assert checkpoints.latest_step == 3
        assert checkpoints.restore(_like({"x": jnp.float32(0)}))["x"] == 3
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir() if path.name.isdigit()) == ["2", "3"]


def test_milestones_are_kept_for_good(tmp_path):
    with Checkpoints(tmp_path, IDENTITY, keep=1, keep_every=2) as checkpoints:
        for step in (1, 2, 3, 4, 5):
            checkpoints.save(step, {"x": jnp.float32(step)})
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir() if path.name.isdigit()) == ["2", "4", "5"]


def test_saving_a_step_twice_keeps_the_first(tmp_path):
    with Checkpoints(tmp_path, IDENTITY) as checkpoints:
        checkpoints.save(1, {"x": jnp.float32(1)})
        checkpoints.save(1, {"x": jnp.float32(2)})
    with Checkpoints(tmp_path, IDENTITY) as checkpoints:
        assert checkpoints.restore(_like({"x": jnp.float32(0)}))["x"] == 1


def test_a_state_saved_is_the_one_at_the_call_although_it_is_donated_next(tmp_path):
    """The write goes on in the background while the next step reuses the memory."""
    add = jax.jit(lambda x: x + 1, donate_argnums=0)
    state = {"x": jnp.arange(1 << 20, dtype=jnp.float32)}
    expected = np.array(state["x"])
    with Checkpoints(tmp_path, IDENTITY) as checkpoints:
        checkpoints.save(1, state)
        state = jax.tree.map(add, state)
    with Checkpoints(tmp_path, IDENTITY) as checkpoints:
        np.testing.assert_array_equal(checkpoints.restore(_like(state))["x"], expected)


def test_no_checkpoint_says_where_it_looked(tmp_path):
    with (
        Checkpoints(tmp_path, IDENTITY) as checkpoints,
        pytest.raises(UserError, match=rf"no checkpoint in {tmp_path}.*train first.*--workdir"),
    ):
        checkpoints.restore(_like(_state()))


def test_a_checkpoint_of_another_model_names_the_difference(tmp_path):
    with Checkpoints(tmp_path, IDENTITY) as checkpoints:
        checkpoints.save(1, _state())
    with (
        Checkpoints(tmp_path, {**IDENTITY, "size": [64, 44]}) as checkpoints,
        pytest.raises(UserError, match=r"another model: size is \[32, 32\] there and \[64, 44\] in the config"),
    ):
        checkpoints.restore(_like(_state()))


def test_tuples_in_the_identity_survive_json(tmp_path):
    """A workdir whose config has a tuple could otherwise never be resumed."""
    identity = {"model": {"multiples": (1, 2)}, "size": (64, 44)}
    with Checkpoints(tmp_path, identity) as checkpoints:
        checkpoints.save(1, {"x": jnp.float32(1)})
    with Checkpoints(tmp_path, identity) as checkpoints:
        assert checkpoints.restore(_like({"x": jnp.float32(0)}))["x"] == 1


def test_another_width_is_refused_through_the_settings(tmp_path, tiny_settings):
    with checkpoints_lib.open_checkpoints(tiny_settings(), tmp_path) as checkpoints:
        checkpoints.save(1, _state())
    other, mesh = tiny_settings(model={"width": 8}), devices.make_mesh(jax.devices()[:1])
    with (
        checkpoints_lib.open_checkpoints(other, tmp_path) as checkpoints,
        pytest.raises(UserError, match=r"another model: model\.width is 4 there and 8 in the config\. Use"),
    ):
        checkpoints_lib.newest_or_fresh(other, mesh, checkpoints)


def test_an_interrupted_run_ends_as_an_uninterrupted_one_bit_for_bit(
    tmp_path, trainer, first_state, make_batch, tiny_settings
):
    straight, _ = trainer.run(trainer.put(first_state), [make_batch(i) for i in range(4)])
    settings = tiny_settings()
    with checkpoints_lib.open_checkpoints(settings, tmp_path) as checkpoints:
        first_half, _ = trainer.run(trainer.put(first_state), [make_batch(i) for i in range(2)])
        checkpoints.save(2, first_half)
    with checkpoints_lib.open_checkpoints(settings, tmp_path) as checkpoints:
        resumed = checkpoints_lib.newest_or_fresh(settings, trainer.mesh, checkpoints)
    assert int(resumed.step) == 2
    resumed, _ = trainer.run(resumed, [make_batch(i) for i in range(int(resumed.step), 4)])
    assert _bytes(resumed) == _bytes(straight)


def test_a_key_that_an_older_checkpoint_lacks_means_what_it_did_before(tmp_path):
    newer = {"model": {**IDENTITY["model"], "paint": "none"}, "size": [32, 32]}
    with Checkpoints(tmp_path, IDENTITY) as checkpoints:
        checkpoints.save(1, {"x": jnp.float32(1)})
    with Checkpoints(tmp_path, newer, unsaid={"model": {"paint": "none"}}) as checkpoints:
        assert checkpoints.restore(_like({"x": jnp.float32(0)}))["x"] == 1
    newer["model"]["paint"] = "flat"
    with (
        Checkpoints(tmp_path, newer, unsaid={"model": {"paint": "none"}}) as checkpoints,
        pytest.raises(UserError, match=r"another model: model\.paint is none there and flat in the config"),
    ):
        checkpoints.restore(_like({"x": jnp.float32(0)}))
