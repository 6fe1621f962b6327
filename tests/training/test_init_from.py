"""config.init_from: a new run from the weights of another one, or of an export."""

import jax
import numpy as np
import pytest

from scrn_jax import data
from scrn_jax.errors import UserError
from scrn_jax.evaluation import heldout
from scrn_jax.runtime import devices
from scrn_jax.training import checkpoints as checkpoints_lib
from scrn_jax.training import export, init_from, loop, monitor, workdir


@pytest.fixture(scope="module")
def mesh():
    return devices.make_mesh(jax.devices()[:1])


@pytest.fixture(scope="module")
def put(mesh):
    """A state on the device, in memory of its own."""
    return lambda state: jax.device_put(jax.tree.map(np.array, state), devices.replicated(mesh))


@pytest.fixture(scope="module")
def learned(first_state):
    """A state whose every number differs from the fresh one's."""
    other = jax.tree.map(lambda x: np.asarray(x + 1), first_state)
    return other.replace(ema=jax.tree.map(lambda x: x + 1, other.ema), step=np.int32(5))


@pytest.fixture(scope="module")
def run(learned, mesh, tiny_settings, tmp_path_factory):
    """A workdir with the state at step 5."""
    folder, settings = tmp_path_factory.mktemp("run"), tiny_settings()
    workdir.write_config(folder, settings)
    with checkpoints_lib.open_checkpoints(settings, folder) as checkpoints:
        checkpoints.save(5, jax.device_put(learned, devices.replicated(mesh)))
    return folder


@pytest.fixture(scope="module")
def exported(run, tiny_settings, tmp_path_factory):
    """The export of the workdir."""
    folder = tmp_path_factory.mktemp("export") / "model"
    export.export(tiny_settings(), run, folder)
    return folder


@pytest.fixture(scope="module")
def started(run, first_state, put, mesh, tiny_settings):
    """A fresh state once it has started from the workdir."""
    return init_from.start_from(run, tiny_settings(), mesh, put(first_state))


def _equal(found, expected):
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(found), expected)


def test_a_run_gives_its_averaged_generator_and_its_discriminator(started, learned):
    _equal(started.generator, learned.ema)
    _equal(started.ema, learned.ema)
    _equal(started.discriminator, learned.discriminator)
    _equal(started.spectral, learned.spectral)


def test_an_export_gives_its_generator_and_nothing_else(exported, learned, first_state, put, mesh, tiny_settings):
    found = init_from.start_from(exported, tiny_settings(), mesh, put(first_state))
    _equal(found.generator, learned.ema)
    _equal(found.discriminator, first_state.discriminator)


def test_the_new_run_starts_at_step_0_with_a_fresh_optimiser(started, first_state):
    assert int(started.step) == 0
    _equal(started.generator_optimizer, first_state.generator_optimizer)


def test_generator_and_average_share_no_memory(started):
    """A step is given the whole state for good, which it may not be twice."""
    places = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves((started.generator, started.ema))]
    assert len(set(places)) == len(places)


def test_losses_rates_data_and_frame_may_be_others(run, learned, first_state, put, mesh, tiny_settings):
    changes = {"loss": {"l1": 1.0}, "optim": {"learning_rate": 1e-5}, "size": (64, 44), "data": {"name": "other"}}
    found = init_from.start_from(run, tiny_settings(**changes), mesh, put(first_state))
    _equal(found.generator, learned.ema)


def test_another_model_is_refused_by_its_keys(run, first_state, put, mesh, tiny_settings):
    expected = (
        rf"config\.init_from {run}: it is another model: width is 4 there and 8 in the config; take its config\.model"
    )
    with pytest.raises(UserError, match=expected):
        init_from.start_from(run, tiny_settings(model={"width": 8}), mesh, put(first_state))


def test_nothing_there_is_said_with_the_key(tmp_path, first_state, put, mesh, tiny_settings):
    with pytest.raises(UserError, match=rf"config\.init_from {tmp_path}: .*config\.json does not exist"):
        init_from.start_from(tmp_path, tiny_settings(), mesh, put(first_state))


@pytest.fixture
def trained_from(monkeypatch, put, first_state):
    """Trains by a loop that makes no step: the state which its first step would be given."""
    given = []

    def run_steps(run, current, checkpoints):
        given.append(jax.device_get(current.generator))
        checkpoints.save(1, current)
        return current

    def fresh_or_newest(settings, mesh, checkpoints):
        return checkpoints_lib.newest(settings, mesh, checkpoints) if checkpoints.steps else put(first_state)

    monkeypatch.setattr(data, "open_sources", lambda _: ([], []))
    monkeypatch.setattr(monitor, "describe", lambda *_: None)
    monkeypatch.setattr(heldout, "evaluate", lambda *_: None)
    monkeypatch.setattr(loop, "run_steps", run_steps)
    monkeypatch.setattr(checkpoints_lib, "newest_or_fresh", fresh_or_newest)

    def train(settings, folder):
        loop.train(settings, folder)
        return given[-1]

    return train


def test_only_a_new_run_starts_from_there(run, learned, trained_from, tiny_settings, tmp_path):
    """Once it has a checkpoint of its own, it goes on from that, and needs the other run no longer."""
    settings = tiny_settings(init_from=str(run))
    _equal(trained_from(settings, tmp_path), learned.ema)
    _equal(trained_from(tiny_settings(init_from=str(tmp_path / "gone")), tmp_path), learned.ema)
