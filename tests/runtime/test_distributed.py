"""Several processes as one run: who is told what, who reads what, and the same losses as one process."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from scrn_jax import data
from scrn_jax.errors import UserError
from scrn_jax.runtime import distributed
from scrn_jax.settings import to_config
from scrn_jax.training import checkpoints as checkpoints_lib

SCRIPT = Path(__file__).with_name("one_process.py")
# Until the checkpoint, and after it; WHOLE_RUNS, see faults/test_two_processes.py, asks for long ones.
STEPS, NEXT = 3, 50 if os.environ.get("WHOLE_RUNS") else 5
PATIENCE = 600  # seconds
EQUAL = 1e-6  # relative, in float64, over steps of Adam, which makes full steps of small gradients


def test_without_flags_and_environment_a_process_is_alone():
    assert distributed.find_job(None, None, None, {}) is None


def test_flags_come_before_the_environment():
    environment = {"JAX_COORDINATOR_ADDRESS": "other:1", "JAX_NUM_PROCESSES": "9", "JAX_PROCESS_ID": "8"}
    assert distributed.find_job("host:1", 2, 1, environment) == distributed.Job("host:1", 2, 1)
    assert distributed.find_job(None, None, None, environment) == distributed.Job("other:1", 9, 8)


def test_kubernetes_counts_the_processes_of_an_indexed_job():
    environment = {"JAX_COORDINATOR_ADDRESS": "train-0:1", "JAX_NUM_PROCESSES": "4", "JOB_COMPLETION_INDEX": "3"}
    assert distributed.find_job(None, None, None, environment) == distributed.Job("train-0:1", 4, 3)


@pytest.mark.parametrize("tasks, found", [("1", None), ("4", distributed.Job())])
def test_slurm_is_found_in_a_step_of_several_tasks(tasks, found):
    environment = {"SLURM_JOB_ID": "7", "SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": tasks}
    assert distributed.find_job(None, None, None, environment) == found


@pytest.mark.parametrize(
    "flags, environment, message",
    [
        (("host:1", None, 0), {}, "--coordinator, --num_processes and --process_id"),
        ((None, None, None), {"JAX_COORDINATOR_ADDRESS": "host:1"}, "give all three"),
        (("host:1", 2, 2), {}, "process 2 of 2 does not exist"),
        (
            (None, None, None),
            {"JAX_COORDINATOR_ADDRESS": "host:1", "JAX_NUM_PROCESSES": "two", "JAX_PROCESS_ID": "0"},
            "give whole numbers",
        ),
    ],
)
def test_half_a_description_is_refused(flags, environment, message):
    with pytest.raises(UserError, match=message):
        distributed.find_job(*flags, environment)


@pytest.fixture
def ended(monkeypatch):
    """A process of a job of two that says its exit code instead of ending."""
    codes = []
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(distributed.os, "_exit", codes.append)
    return codes


def test_an_error_of_a_lost_process_ends_in_one_line(ended, capsys):
    lost = "FAILED_PRECONDITION: Gloo all-reduce failed: Connection closed by peer [127.0.0.1]:1\nmore"
    with distributed.peers_at_risk():
        raise jax.errors.JaxRuntimeError(lost)
    assert ended == [1]
    said = capsys.readouterr().err
    assert said.startswith("error: another process of this run has gone (FAILED_PRECONDITION: Gloo")
    assert said.endswith("start all of them again: they go on from the newest checkpoint\n") and said.count("\n") == 1


@pytest.mark.parametrize(
    "error", [jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory"), UserError("bad data"), KeyError("peer")]
)
def test_errors_of_a_processs_own_stay_as_they_are(ended, error):
    with pytest.raises(type(error)), distributed.peers_at_risk():
        raise error
    assert not ended


def test_a_process_on_its_own_has_no_lost_peers():
    assert not distributed.is_of_a_lost_peer(jax.errors.JaxRuntimeError("Connection closed by peer"))


class _Named:
    """A source whose pairs are told apart by name only."""

    def __init__(self, count: int):
        self.count = count

    def __len__(self):
        return self.count


@pytest.mark.parametrize("count, limit", [(10, None), (8, None), (10, 5), (3, None)])
def test_processes_read_the_parts_of_one_processs_test_batches(count, limit, monkeypatch):
    def read(_, *, batch_size, size, indices):
        for start in range(0, len(indices), batch_size):
            yield {"index": np.array(indices[start : start + batch_size])}

    monkeypatch.setattr(data.batches, "eval_batches", read)
    parts = [
        list(data.own_batches(_Named(count), batch_size=4, size=(1, 1), limit=limit, index=i, processes=2))
        for i in range(2)
    ]
    joined = [np.concatenate([batch["index"] for batch in batches]) for batches in zip(*parts, strict=True)]
    masks = [batch["mask"] for batch in parts[0]]
    assert [list(m) for m in masks] == [list(batch["mask"]) for batch in parts[1]]
    assert np.concatenate(joined)[np.concatenate(masks)].tolist() == list(range(limit or count))
    assert all(len(indices) == 4 for indices in joined)


def _port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def _write_inputs(folder: Path, settings, state, frozen, batches) -> None:
    """What tests/runtime/one_process.py reads."""
    (folder / "settings.json").write_text(json.dumps(to_config(settings)))
    (folder / "frozen.json").write_text(json.dumps(jax.tree.map(lambda _: 0, frozen)))
    arrays = {"steps": np.int32(len(batches))}
    for name, tree in (("state", state), ("frozen", frozen)):
        arrays |= {f"{name}_{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(tree))}
    arrays |= {f"batch{i}/{key}": array for i, batch in enumerate(batches) for key, array in batch.items()}
    np.savez(folder / "arrays.npz", **arrays)


@pytest.fixture(scope="module")
def settings(tiny_settings):
    """Those of every run here: the learning rate falls over all steps, also over those after the checkpoint."""
    return tiny_settings(train={"steps": STEPS + NEXT})


@pytest.fixture(scope="module")
def one(settings, trainer_of):
    """The step on one device, in float64."""
    return trainer_of(settings, double=True)


@pytest.fixture(scope="module")
def four(settings, trainer_of):
    """The step of one process on four devices, in float64."""
    return trainer_of(settings, 4, double=True)


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory, settings, one, first_state, frozen, make_batch):
    """(folder, what each of two processes with two devices each saw over all steps, how they ended)."""
    folder, port = tmp_path_factory.mktemp("processes"), str(_port())
    batches = [make_batch(i) for i in range(STEPS + NEXT)]
    _write_inputs(folder, settings, one.cast(first_state), one.cast(frozen), batches)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    commands = [[sys.executable, str(SCRIPT), str(folder), str(index), port] for index in range(2)]
    processes = [
        subprocess.Popen(command, cwd=SCRIPT.parents[1], env=environment, stderr=subprocess.PIPE, text=True)
        for command in commands
    ]
    try:
        errors = [process.communicate(timeout=PATIENCE)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert all((folder / f"{index}.json").exists() for index in range(2)), errors
    seen = [json.loads((folder / f"{index}.json").read_text()) for index in range(2)]
    return folder, seen, [(process.returncode, error) for process, error in zip(processes, errors, strict=True)]


def _losses_from(checkpoint_folder: Path, settings, trainer, make_batch) -> list[float]:
    """G's total losses of the next steps, gone on with from a checkpoint."""
    with trainer.precision(), checkpoints_lib.open_checkpoints(settings, checkpoint_folder) as checkpoints:
        resumed = checkpoints_lib.newest_or_fresh(settings, trainer.mesh, checkpoints)
    assert int(resumed.step) == STEPS
    _, metrics = trainer.run(resumed, [make_batch(i) for i in range(STEPS, STEPS + NEXT)])
    return [float(each["loss/generator"]) for each in metrics]


@pytest.fixture(scope="module")
def resumed_on_one(two_processes, settings, one, make_batch):
    """The losses after the checkpoint of two processes, in one process on one device."""
    return _losses_from(two_processes[0] / "run", settings, one, make_batch)


@pytest.mark.slow
def test_two_processes_give_the_losses_of_one(two_processes, four, first_state, make_batch):
    _, seen, _ = two_processes
    _, expected = four.run(four.put(first_state), [make_batch(i) for i in range(STEPS)])
    for process in seen:
        assert process["devices"] == 4 and len(process["losses"]) == STEPS + NEXT
        for found, metrics in zip(process["losses"], expected, strict=False):
            assert found == pytest.approx({name: float(metrics[name]) for name in found}, rel=EQUAL)


@pytest.mark.slow
def test_a_checkpoint_of_two_processes_goes_on_in_one_with_the_same_losses(two_processes, resumed_on_one):
    expected = [losses["loss/generator"] for losses in two_processes[1][0]["losses"][STEPS:]]
    assert len(expected) == NEXT
    assert resumed_on_one == pytest.approx(expected, rel=EQUAL)


@pytest.mark.slow
def test_a_checkpoint_of_one_device_goes_on_on_four_with_the_same_losses(
    tmp_path, two_processes, resumed_on_one, settings, one, four, make_batch
):
    with one.precision():
        with checkpoints_lib.open_checkpoints(settings, two_processes[0] / "run") as checkpoints:
            state = checkpoints_lib.newest(settings, one.mesh, checkpoints)
        with checkpoints_lib.open_checkpoints(settings, tmp_path) as checkpoints:
            checkpoints.save(STEPS, state)
    assert _losses_from(tmp_path, settings, four, make_batch) == pytest.approx(resumed_on_one, rel=EQUAL)


@pytest.mark.slow
def test_a_signal_to_one_process_stops_both_after_the_same_step(two_processes):
    first, second = (process["stopped"] for process in two_processes[1])
    assert first == second >= 3


@pytest.mark.slow
def test_both_processes_go_on_from_the_newest_checkpoint_that_both_can_read(two_processes):
    folder, seen, _ = two_processes
    assert [process["restored"] for process in seen] == [1, 1]
    assert {path.name for path in (folder / "two" / "checkpoints").iterdir() if path.name.isdigit()} == {"1", "3"}
    assert len(list((folder / "two" / "unreadable_checkpoints").iterdir())) == 1


@pytest.mark.slow
def test_when_one_process_is_killed_the_other_ends_by_itself_and_says_why(two_processes):
    """At the latest after the heartbeat's time-out; the first process learns of it by then, the others at once."""
    (code, said), (killed, _) = two_processes[2]
    assert killed == -signal.SIGKILL
    assert code not in (0, -signal.SIGKILL), "it was not ended by itself"
    assert re.search("another process of this run has gone|another task died", said), said
