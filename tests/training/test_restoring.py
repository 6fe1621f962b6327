"""Which checkpoint a run goes on from: the same in every process, none for want of memory, none of other arrays."""

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
import pytest

from scrn_jax.errors import UserError
from scrn_jax.runtime import devices
from scrn_jax.training import mismatch
from scrn_jax.training.checkpoints import UNREADABLE, Checkpoints


def _like(*names, shape=()):
    place = devices.replicated(devices.make_mesh(jax.devices()[:1]))
    return {name: jax.ShapeDtypeStruct(shape, jnp.float32, sharding=place) for name in names}


@pytest.fixture
def run(tmp_path):
    """The folder of a run with checkpoints of the steps 1 and 2, in which x is the step."""
    with Checkpoints(tmp_path, {}) as checkpoints:
        for step in (1, 2):
            checkpoints.save(step, {"x": jnp.float32(step)})
    return tmp_path


def _restore(run, like=None):
    """The step that is gone on from."""
    with Checkpoints(run, {}) as checkpoints:
        found = checkpoints.restore(_like("x") if like is None else like)
        checkpoints.set_aside()
    return int(found["x"])


def _kept(run):
    return {int(path.name) for path in (run / "checkpoints").iterdir() if path.name.isdigit()}


@pytest.mark.parametrize("error", [
    MemoryError(),
    ValueError("RESOURCE_EXHAUSTED: Out of memory allocating 12 bytes"),
    OSError(12, "Cannot allocate memory"),
])  # fmt: skip
def test_out_of_memory_is_no_damage(run, monkeypatch, error):
    def fail(*_, **__):
        raise RuntimeError("Orbax's own") from error

    monkeypatch.setattr(ocp.StandardCheckpointHandler, "restore", fail)
    with pytest.raises(UserError, match=r"checkpoints/2: there is too little memory to read it .*stays as it is"):
        _restore(run)
    assert _kept(run) == {1, 2} and not (run / UNREADABLE).exists()


def test_a_checkpoint_that_another_process_cannot_read_is_passed_over_by_this_one_too(run, monkeypatch, caplog):
    others = iter([1, 0])  # the other process cannot read the newest, and can read the next
    monkeypatch.setattr(devices, "worst_of_all", lambda own: max(own, next(others)))
    assert _restore(run) == 1
    assert "checkpoints/2 cannot be read and is passed over: another process cannot read it" in caplog.text
    assert _kept(run) == {1}


def test_a_process_does_not_go_on_alone_when_another_one_ends(run, monkeypatch):
    monkeypatch.setattr(devices, "worst_of_all", lambda own: max(own, 2))
    with pytest.raises(UserError, match="another process ended over it, and says why"):
        _restore(run)
    assert _kept(run) == {1, 2}


def test_the_first_process_says_which_steps_there_are(run, monkeypatch):
    """A network's file system may show another process a newer one, or none yet."""
    monkeypatch.setattr(devices, "of_the_first", lambda steps: steps[1:])
    assert _restore(run) == 1


def test_every_process_comes_to_the_barrier_whatever_it_has_read(run, monkeypatch):
    came = []
    monkeypatch.setattr(devices, "wait_for_all", came.append)
    _restore(run)
    assert came == ["unreadable checkpoints are out of the way"]


@pytest.mark.parametrize(("like", "difference"), [
    (lambda: _like("x", "y"), "y is absent there and a number here"),
    (lambda: _like("y"), "x is a number there and absent here; y is absent there and a number here"),
    (lambda: _like("x", shape=(3, 4)), "x is a number there and 3x4 here"),
])  # fmt: skip
def test_other_arrays_are_no_damage(run, like, difference):
    with pytest.raises(UserError, match=f"{difference}. It is not damaged: .*config.init_from"):
        _restore(run, like())
    assert _kept(run) == {1, 2} and not (run / UNREADABLE).exists()


def test_a_truncated_checkpoint_is_damage(run, caplog):
    (run / "checkpoints" / "2" / "state" / "_METADATA").write_text("{")
    assert _restore(run) == 1
    assert _kept(run) == {1} and len(list((run / UNREADABLE).iterdir())) == 1


@pytest.mark.parametrize("text", ["{", "null", "[[1, 2], [3]]", "3"])
def test_an_identity_that_is_none_is_damage(run, text):
    (run / "checkpoints" / "2" / "identity" / "metadata").write_text(text)
    assert _restore(run) == 1


def test_only_a_want_of_memory_is_one():
    assert not mismatch.is_out_of_memory(OSError(28, "No space left on device"))
    assert not mismatch.is_out_of_memory(None)
