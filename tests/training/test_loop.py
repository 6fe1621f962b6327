"""The training loop: the step compiled once, only batches and metrics over the bus, and what is logged when.

A step that computes next to nothing stands in for the real one, because the loop does not look inside; that whole runs
have one program for their step is a test of test_runs.py.
"""

import json
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax._src.array import ArrayImpl  # its `_value` is how the host reads an array that lies on several devices

from scrn_jax import data
from scrn_jax.runtime import devices
from scrn_jax.training import checkpoints as checkpoints_lib
from scrn_jax.training import loop, workdir
from scrn_jax.training import step as step_lib

STEPS = 7
# A sheet, a checkpoint or norms after most steps.
CADENCES = {"log_every": 2, "sheet_every": 3, "sheet_pairs": 1, "checkpoint_every": 3, "term_norms_every": 3}
COMPILATION = "/jax/core/compile/backend_compile_duration"


@pytest.fixture(scope="module")
def patch():
    """pytest's monkeypatch, for as long as this file's tests."""
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def watch(patch):
    """What the loop does, in order: `events`; and arrays that the host read without saying so, `implicit_reads`."""
    watch = types.SimpleNamespace(events=[], implicit_reads=[], explicit=False)
    losses = []
    read, get, compile_steps = ArrayImpl._value.fget, jax.device_get, step_lib.compile_steps

    def value(array):
        if not watch.explicit:
            watch.implicit_reads.append(array.aval)
        return read(array)

    def device_get(tree):
        if isinstance(tree, dict) and "loss/l1" in tree:
            (number,) = [number for number, loss in enumerate(losses, 1) if loss is tree["loss/l1"]]
            watch.events.append(("read", number))
        watch.explicit = True
        try:
            return get(tree)
        finally:
            watch.explicit = False

    def compile_and_watch(*arguments):
        program_of = compile_steps(*arguments)

        def watched(number):
            def step(*arguments):
                state, metrics = program_of(number)(*arguments)
                losses.append(metrics["loss/l1"])
                watch.events.append(("step", len(losses)))
                return state, metrics

            return step

        return watched

    def on_duration(event, _, **details):
        if event == COMPILATION:
            watch.events.append(("compiled", details["fun_name"]))

    patch.setattr(ArrayImpl, "_value", property(value))
    patch.setattr(jax, "device_get", device_get)
    patch.setattr(step_lib, "compile_steps", compile_and_watch)
    jax.monitoring.register_event_duration_secs_listener(on_duration)
    yield watch
    jax.monitoring.unregister_event_duration_listener(on_duration)


def jit_step(*_, **__):
    """A training step that counts; another function each time, so that JAX compiles each."""

    def step(state, frozen, batch):
        metrics = {"loss/l1": batch["target_image"].mean(), "skipped_in_row": jnp.float32(0)}
        return state.replace(step=state.step + 1), metrics

    return jax.jit(step, donate_argnums=0)


def norms(state, frozen, batch):
    """Term norms that say which state they were asked about."""
    return {"gradient_norm/terms/l1": state.step.astype(jnp.float32)}


@pytest.fixture(scope="module")
def finished(tmp_path_factory, patch, watch, tiny_settings, make_batch, first_state):
    """A short run under `jax.transfer_guard`: its folder."""
    settings = tiny_settings(train={**CADENCES, "steps": STEPS})
    folder, mesh = tmp_path_factory.mktemp("loop"), devices.make_mesh(jax.devices()[:2])
    patch.setattr(step_lib, "jit_step", jit_step)
    patch.setattr(step_lib, "make_term_norms", lambda *_: jax.jit(norms))
    patch.setattr(data, "open_batches", lambda source, first, *_, **__: iter(map(make_batch, range(first, STEPS))))
    patch.setattr(data, "spread_batch", lambda *_: make_batch(0))
    run = loop.Run(settings, folder, mesh, {}, [], [0])
    state = jax.device_put(jax.tree.map(np.array, first_state), devices.replicated(mesh))
    with checkpoints_lib.open_checkpoints(settings, folder) as checkpoints, jax.transfer_guard("disallow"):
        loop.run_steps(run, state, checkpoints)
    return folder


def test_a_run_compiles_its_step_once(finished, watch):
    """Whatever it draws and saves between its steps."""
    assert [name for kind, name in watch.events if kind == "compiled"].count("jit(step)") == 1


def test_nothing_is_compiled_after_the_first_use_of_each_program(finished, watch):
    late = watch.events[watch.events.index(("step", 4)) :]
    assert [event for event in late if event[0] == "compiled"] == []


def test_the_metrics_of_a_step_are_read_while_the_next_one_runs(finished, watch):
    order = [event for event in watch.events if event[0] in ("step", "read")]
    expected = [("step", 1)]
    for step in range(2, STEPS + 1):
        expected += [("step", step), ("read", step - 1)]
    assert order == [*expected, ("read", STEPS)]


def test_the_host_reads_nothing_on_the_side(finished, watch):
    """Every way from an array to a number passes ArrayImpl._value; what is not read by jax.device_get shows here."""
    assert watch.implicit_reads == []


def test_term_norms_are_of_the_state_before_the_step_and_averaged_over_their_own_steps(finished):
    lines = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    norms = {line["step"]: line.get("gradient_norm/terms/l1") for line in lines}
    assert norms == {2: None, 4: 2.0, 6: 5.0, 7: 6.0}


def test_sheets_and_checkpoints_come_when_they_are_due(finished):
    assert sorted(path.name for path in (finished / "samples").iterdir()) == [
        "0000003.png", "0000006.png", "0000007.png"]  # fmt: skip
    assert {"6", "7"} <= {path.name for path in (finished / "checkpoints").iterdir()}


def test_the_first_step_makes_the_config_the_workdirs(finished, tiny_settings):
    assert workdir.read_config(finished) == tiny_settings(train={**CADENCES, "steps": STEPS})
