"""Several processes as one run: who is told what, who reads what, and the same losses as one process."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from scrn_jax import distributed, evaluate, restore, sharding
from scrn_jax.errors import UserError
from scrn_jax.settings import to_config

SCRIPT = Path(__file__).with_name("one_process.py")
STEPS = 3
PATIENCE = 600  # seconds


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

    monkeypatch.setattr(evaluate.pairs, "eval_batches", read)
    parts = [
        list(evaluate.own_batches(_Named(count), batch_size=4, size=(1, 1), limit=limit, index=i, processes=2))
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
    """What tests/one_process.py reads."""
    (folder / "settings.json").write_text(json.dumps(to_config(settings)))
    (folder / "frozen.json").write_text(json.dumps(jax.tree.map(lambda _: 0, frozen)))
    arrays = {"steps": np.int32(len(batches))}
    for name, tree in (("state", state), ("frozen", frozen)):
        arrays |= {f"{name}_{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(tree))}
    arrays |= {f"batch{i}/{key}": array for i, batch in enumerate(batches) for key, array in batch.items()}
    np.savez(folder / "arrays.npz", **arrays)


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory, tiny_settings, first_state, frozen, make_batch):
    """(folder, what each of two processes with two devices each saw over three steps)."""
    folder, port = tmp_path_factory.mktemp("processes"), str(_port())
    _write_inputs(folder, tiny_settings(), first_state, frozen, [make_batch(i) for i in range(STEPS)])
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
    assert [process.returncode for process in processes] == [0, 0], errors
    return folder, [json.loads((folder / f"{index}.json").read_text()) for index in range(2)]


def test_two_processes_give_the_losses_of_one(two_processes, trainer_on_four, first_state, make_batch):
    """The total to 1e-4 over the steps; single terms drift more, since Adam makes full steps of tiny gradients."""
    _, seen = two_processes
    _, expected = trainer_on_four.run(trainer_on_four.put(first_state), [make_batch(i) for i in range(STEPS)])
    for process in seen:
        assert process["devices"] == 4 and len(process["losses"]) == STEPS
        for number, (found, metrics) in enumerate(zip(process["losses"], expected, strict=True)):
            metrics = {name: float(metrics[name]) for name in found}
            assert found == pytest.approx(metrics, rel=2e-3 if number else 1e-5)
            assert found["loss/generator"] == pytest.approx(metrics["loss/generator"], rel=1e-4)


def test_a_checkpoint_of_two_processes_resumes_in_one(two_processes, tiny_settings):
    mesh = sharding.make_mesh(jax.devices()[:1])
    with restore.open_checkpoints(tiny_settings(), two_processes[0] / "run") as checkpoints:
        assert int(restore.newest_or_fresh(tiny_settings(), mesh, checkpoints).step) == STEPS


def test_a_signal_to_one_process_stops_both_after_the_same_step(two_processes):
    first, second = (process["stopped"] for process in two_processes[1])
    assert first == second >= 3
