"""Runs of two processes as a user starts them: the curve and the report of one process, and an end when one dies.

They take minutes: WHOLE_RUNS=small makes them with the smallest model, WHOLE_RUNS=demo with the demo's own model, frame
and losses; without it test_distributed.py does the same with parts of a run. Two processes add up gradients in another
order than one; in the demo's first steps Adam makes of this rounding what one process with two devices instead of four
makes of it, too, which is then the measure.
"""

import json
import os
import re
import shutil
import socket
import time
from pathlib import Path

import pytest

STEPS = 20
SIZE = os.environ.get("WHOLE_RUNS")
# Seconds without a heartbeat until a process counts as dead; the others have to end some seconds later.
HEARTBEAT, ENDED_WITHIN = 10, 60
DEMO = {
    "config": "configs/demo.py", "data__train_identities": 4, "data__test_identities": 2, "data__views": 3,
    "size": "64,44", "model__width": 16, "model__discriminator_width": 8, "model__refine_area": True,
    "model__parsing_multiples": "2,4", "model__style_multiples": "2,4,4", "loss__cor": 0.02, "loss__per": 0.5,
    "loss__adv": 0.1, "loss__face": 1.0,
}  # fmt: skip
CHANGES = {
    **(DEMO if SIZE == "demo" else {}),
    "train__steps": STEPS,
    "train__sheet_every": 10,
    "train__checkpoint_every": 5,
}
pytestmark = pytest.mark.skipif(SIZE not in ("small", "demo"), reason="WHOLE_RUNS=small or =demo; takes minutes")


@pytest.fixture(scope="module")
def one_process(program):
    """The workdir of one process with four devices."""
    workdir = program.folder / "one"
    code, _, err = program.run(workdir, devices=4, **CHANGES)
    assert code == 0, err
    return workdir


@pytest.fixture(scope="module")
def rounding(program, one_process):
    """How far one process with two devices is from one with four, as shares: in its losses, in its report's figures."""
    workdir = program.folder / "one of two devices"
    code, _, err = program.run(workdir, devices=2, **CHANGES)
    assert code == 0, err
    apart = _apart(_losses(workdir), _losses(one_process)), _apart(_figures(workdir), _figures(one_process))
    print(f"one process with two devices and with four: losses {apart[0]:.2g} apart, figures {apart[1]:.2g}")
    return apart


@pytest.fixture(scope="module")
def start_two(program):
    """Starts two processes with two devices each as one run."""

    def start(workdir: Path):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            address = f"localhost:{free.getsockname()[1]}"
        job = ["--coordinator", address, "--num_processes", "2", "--heartbeat_seconds", str(HEARTBEAT)]
        command = program.command(workdir, **CHANGES)
        return [program.start([*command, *job, "--process_id", str(index)], devices=2) for index in range(2)]

    return start


@pytest.fixture(scope="module")
def two_processes(program, start_two, one_process):
    """The workdir of two processes with two devices each, and what they printed."""
    workdir = program.folder / "two"
    results = program.finish(*start_two(workdir))
    assert [code for code, *_ in results] == [0, 0], results
    return workdir, results


def _losses(workdir: Path) -> list[float]:
    return [json.loads(line)["loss/generator"] for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def _figures(workdir: Path) -> list[float]:
    rows = json.loads((workdir / "report.json").read_text())["rows"]
    return [value for row in sorted(rows) for name, value in sorted(rows[row].items()) if name != "mesh"]


def _apart(found: list[float], expected: list[float]) -> float:
    """The largest difference, as a share."""
    return max(abs(a - b) / abs(b) for a, b in zip(found, expected, strict=True))


not_the_demo = pytest.mark.xfail(
    SIZE == "demo", reason="rounding grows in the demo's first steps: 2.7e-3 of the losses"
)


@not_the_demo
def test_two_processes_give_the_loss_curve_of_one(one_process, two_processes):
    found, expected = _losses(two_processes[0]), _losses(one_process)
    assert len(found) == STEPS
    assert found == pytest.approx(expected, rel=1e-4)


@not_the_demo
def test_two_processes_give_the_report_of_one(one_process, two_processes):
    found, expected = (json.loads((each / "report.json").read_text()) for each in (two_processes[0], one_process))
    assert found["count"] == expected["count"]
    for row, figures in expected["rows"].items():
        # A mesh is a difference of what is about equal: grey levels, not shares, say how far two of them are apart.
        mesh, expected_mesh = found["rows"][row].pop("mesh"), figures.pop("mesh")
        assert mesh == pytest.approx(expected_mesh, abs=0.01), row
        assert found["rows"][row] == pytest.approx(figures, rel=1e-4), row
    assert found["groups"].keys() == expected["groups"].keys()
    assert found["parsing"] == pytest.approx(expected["parsing"], rel=1e-3)


@pytest.mark.skipif(SIZE != "demo", reason="the smallest model meets 1e-4")
def test_two_processes_are_apart_from_one_as_far_as_rounding_takes_it(one_process, two_processes, rounding):
    found, expected = _losses(two_processes[0]), _losses(one_process)
    print(f"two processes and one: losses {_apart(found, expected):.2g} apart")
    assert found[:3] == pytest.approx(expected[:3], rel=1e-4)
    assert found == pytest.approx(expected, rel=3 * rounding[0])
    assert _figures(two_processes[0]) == pytest.approx(_figures(one_process), rel=3 * rounding[1])


def test_only_the_first_of_two_processes_writes_and_speaks(one_process, two_processes):
    workdir, ((_, out, _), (_, second, err)) = two_processes
    said = [line for line in second.splitlines() if not line.startswith("[Gloo]")]  # the transport's own words
    assert out.strip().endswith("report.md") and said == [] and err == ""
    files = [
        {str(path.relative_to(each)) for path in each.rglob("*") if "checkpoints" not in path.parts and path.is_file()}
        for each in (workdir, one_process)
    ]
    # TensorBoard's files carry the time in their names.
    assert [len(names) for names in files][0] == len(files[1])
    assert {name for name in files[0] ^ files[1] if not name.startswith("tensorboard")} == set()


def _newest(workdir: Path) -> int:
    return max((int(path.name) for path in workdir.glob("checkpoints/*") if path.name.isdigit()), default=0)


@pytest.mark.parametrize("victim", [1, 0])
def test_when_one_of_two_processes_is_killed_the_other_ends_and_both_go_on_when_started_again(
    victim, program, start_two, two_processes, final_state, tmp_path
):
    workdir = tmp_path / "run"
    shutil.copytree(two_processes[0], workdir, ignore=lambda folder, names: [n for n in names if n in ("15", "20")])
    processes = start_two(workdir)
    program.wait(processes[0], lambda: _newest(workdir) >= 15)
    processes[victim].kill()
    killed, other = time.monotonic(), processes[1 - victim]
    _, err = other.communicate(timeout=ENDED_WITHIN)
    print(f"process {1 - victim} ended with {other.returncode} after {time.monotonic() - killed:.1f} s: {err}")
    assert other.returncode not in (0, None)
    assert re.search("another process of this run has gone|another task died", err), err

    results = program.finish(*start_two(workdir))
    assert [code for code, *_ in results] == [0, 0], results
    assert "going on from step" in results[0][1]
    assert final_state(workdir) == final_state(two_processes[0])
