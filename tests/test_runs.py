"""The program as a user starts it: a whole small run, its interruption, its report, and what it says to bad input."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import orbax.checkpoint as ocp
import pytest
from PIL import Image

from scrn_jax.evaluation import samples, scoring
from scrn_jax.evaluation.report import heldout
from scrn_jax.metrics import groups

ROOT = Path(__file__).parents[1]
SMOKE = ["--config", "configs/demo.py:smoke"]
STEPS = 20
PATIENCE = 240  # seconds


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A folder for what the runs of this file share: the rendered people and compiled programs."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def start(shared, quick_flags):
    """Starts the program in a process of its own, its output in a pipe."""

    def start(*arguments) -> subprocess.Popen:
        environment = {
            **os.environ,
            "JAX_PLATFORMS": "cpu",
            "JAX_COMPILATION_CACHE_DIR": str(shared / "compiled"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "XLA_FLAGS": quick_flags,
        }
        command = [sys.executable, "-m", "scrn_jax.main", *map(str, arguments)]
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    return start


@pytest.fixture(scope="module")
def run(start):
    """Runs the program to its end: (exit code, standard output, standard error)."""

    def run(*arguments):
        process = start(*arguments)
        out, err = process.communicate(timeout=PATIENCE)
        return process.returncode, out, err

    return run


@pytest.fixture(scope="module")
def smoke_options(shared):
    return [*SMOKE, f"--config.data.dir={shared / 'people'}"]


@pytest.fixture(scope="module")
def finished(run, shared, smoke_options):
    """The workdir of a smoke run and what it printed."""
    workdir = shared / "finished"
    code, out, err = run(*smoke_options, "--workdir", workdir)
    assert code == 0, err
    return workdir, out


def _final_state(workdir: Path):
    """Every array of the last checkpoint as bytes."""
    with ocp.CheckpointManager(workdir / "checkpoints") as manager:
        assert manager.latest_step() == STEPS
        restored = manager.restore(STEPS, args=ocp.args.Composite(state=ocp.args.StandardRestore()))["state"]
    return [np.asarray(leaf).tobytes() for _, leaf in sorted(ocp.tree.to_flat_dict(restored).items())]


def _metrics(workdir: Path):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def test_a_run_reports_every_row_and_metric(finished):
    workdir, _ = finished
    report = json.loads((workdir / "report.json").read_text())
    assert report["step"] == STEPS and report["count"] == 12  # two people, six ordered pairs of three views each
    assert set(report["rows"]) == set(heldout.ROW_TITLES)
    for row in report["rows"].values():
        assert set(row) == set(scoring.METRICS) and all(np.isfinite(value) for value in row.values())
    assert set(report["parsing"]) == {"accuracy", "miou"}
    assert set(report["groups"]) == set(report["known_groups"]) == set(groups.GROUPINGS)
    assert all(sum(group["count"] for group in grouping.values()) == 12 for grouping in report["groups"].values())


@pytest.mark.parametrize("name", ["step", "first_step"])
def test_a_run_has_one_program_for_its_step(finished, shared, name):
    """Whatever it draws, saves and logs: a second one, for another placement or shape, would lie beside it."""
    assert len(list((shared / "compiled").glob(f"jit_{name}-*-cache"))) == 1


def test_a_run_draws_sheets_on_the_way(finished):
    workdir, _ = finished
    names = sorted(path.name for path in (workdir / "samples").iterdir())
    assert names == ["0000010.png", "0000020.png"]
    assert Image.open(workdir / "samples" / names[0]).width > 6 * samples.MIN_PANEL_HEIGHT // 2


def test_a_run_logs_every_term_raw_and_weighted(finished):
    workdir, _ = finished
    lines = _metrics(workdir)
    assert [line["step"] for line in lines] == [5, 10, 15, 20]
    for term in ("cor", "l1", "adv", "per", "par", "face"):
        # The parsing block's steps come first.
        for line in lines if term == "par" else lines[1:]:
            assert line[f"loss/{term}"] > 0 and line[f"weighted/{term}"] > 0
    assert all(line["images_per_second"] > 0 and line["learning_rate"] > 0 for line in lines)


def test_a_run_writes_tensorboard_events(finished):
    workdir, _ = finished
    assert list((workdir / "tensorboard").glob("events.out.tfevents.*"))


def test_the_screen_shows_the_programs_own_lines_only(finished):
    """Lines of libraries would drown them."""
    _, out = finished
    assert "GFLOP forward per image" in out and "step 20/20" in out and out.strip().endswith("report.md")
    assert all(line[2] == ":" and line[5] == ":" for line in out.splitlines())


@pytest.mark.slow
def test_evaluating_the_workdir_again_gives_the_same_report_and_its_pictures_as_files(finished, run, tmp_path):
    workdir, _ = finished
    before = json.loads((workdir / "report.json").read_text())
    (workdir / "report.json").unlink()
    code, _, err = run("--mode", "evaluate", "--workdir", workdir, "--pictures", tmp_path / "out")
    assert code == 0, err
    assert json.loads((workdir / "report.json").read_text()) == before
    files = sorted((tmp_path / "out" / "generated").iterdir())
    assert len(files) == 12 and len(list((tmp_path / "out" / "reference").iterdir())) == 6
    # What the files hold is what was measured: the mean of their PSNR is the report's.
    decibels = []
    for file in files:
        source, target = file.name.removesuffix("_vis.png").split("___")
        assert source != target
        true = tmp_path / "out" / "reference" / f"{target}.png"
        error = np.subtract(*(np.asarray(Image.open(each), np.float64) / 255 for each in (file, true)))
        decibels.append(-10 * np.log10((error**2).mean()))
    assert np.mean(decibels) == pytest.approx(before["rows"]["generated"]["psnr"], abs=1e-3)


def _wait_for(path: Path, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + PATIENCE
    while not path.exists() or (path.is_file() and not path.stat().st_size):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def terminated(start, shared, smoke_options):
    """(workdir of a run that was asked to end after its first line of metrics, exit code, output)."""
    workdir = shared / "interrupted"
    process = start(*smoke_options, "--workdir", workdir)
    _wait_for(workdir / "metrics.jsonl", process)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=PATIENCE)
    return workdir, process.returncode, out


@pytest.mark.slow
def test_a_run_that_is_asked_to_end_saves_and_says_how_to_go_on(terminated):
    workdir, code, out = terminated
    assert code == 0
    (step,) = [int(path.name) for path in (workdir / "checkpoints").iterdir() if path.name != "10"]
    assert 5 <= step < STEPS, "the run was over before it could be asked"
    assert f"saved step {step}; run the same command again to go on" in out
    assert not (workdir / "report.json").exists()


@pytest.mark.slow
def test_a_run_ended_and_killed_and_started_again_ends_as_if_it_had_been_left_alone(
    finished, terminated, start, run, smoke_options
):
    straight, _ = finished
    workdir, *_ = terminated
    (stopped,) = [path.name for path in (workdir / "checkpoints").iterdir() if path.name != "10"]
    process = start(*smoke_options, "--workdir", workdir)
    _wait_for(workdir / "checkpoints" / "10", process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (workdir / "checkpoints" / str(STEPS)).exists(), "the run was over before it could be killed"

    code, out, err = run(*smoke_options, "--workdir", workdir)
    assert code == 0, err
    assert f"going on from step {max(int(stopped), 10)}" in out
    assert _final_state(workdir) == _final_state(straight)
    reports = [json.loads((folder / "report.json").read_text())["rows"] for folder in (workdir, straight)]
    assert reports[0] == reports[1]


@pytest.mark.slow
def test_an_exported_model_is_evaluated_like_its_run(finished, run, shared):
    workdir, _ = finished
    model = shared / "model"
    code, out, err = run("--mode", "export", "--workdir", workdir, "--output", model)
    assert code == 0 and f"exported step {STEPS}" in out, err
    code, _, err = run("--mode", "evaluate", "--workdir", model)
    assert code == 0, err
    rows = [json.loads((folder / "report.json").read_text())["rows"] for folder in (workdir, model)]
    assert rows[0] == rows[1]


def test_a_run_says_what_produced_it(finished):
    workdir, _ = finished
    (start,) = [json.loads(line) for line in (workdir / "starts.jsonl").read_text().splitlines()]
    assert start["step"] == 0 and start["versions"]["jax"] and start["devices"]["processes"] == 1


def test_a_run_says_where_its_time_goes(finished):
    workdir, out = finished
    for line in _metrics(workdir):
        assert 0 < line["seconds/input_wait"] + line["seconds/device_wait"] < line["seconds/step"]
    assert "memory a device: " in out


@pytest.mark.slow
def test_a_checkpoint_of_another_model_is_refused_and_the_workdir_stays(finished, run, smoke_options):
    workdir, _ = finished
    before = {path: path.stat().st_mtime_ns for path in workdir.rglob("*") if path.is_file()}
    code, _, err = run(*smoke_options, "--config.model.width=12", "--workdir", workdir)
    assert code == 1
    assert err.strip().startswith("error: ") and "model.width is 8 there and 12 in the config" in err
    assert {path: path.stat().st_mtime_ns for path in workdir.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([*SMOKE, "--config.model.widht=4"], 'Did you mean "width"'),
        (["--config", "configs/demo.py:huge"], "no variant 'huge'; choose one of full, long, people_v1, smoke"),
        (["--config", "configs/deepfashion.py", "--config.data.dir=/nowhere"], "/nowhere"),
        ([], "--mode train needs a --config"),
        (["--mode", "export", *SMOKE], "--mode export needs an --output"),
        ([*SMOKE, "--pictures", "out"], "--pictures belongs to --mode evaluate"),
        ([*SMOKE, "--coordinator", "localhost:1"], "--coordinator, --num_processes and --process_id"),
        ([*SMOKE, "--config.train.batch_size=0"], "config.train.batch_size must be above 0"),
        ([*SMOKE, "--config.train.batch_size=many"], "'many'"),
        (["--config", "configs/nowhere.py"], "No such file or directory: 'configs/nowhere.py'"),
        (["--confg", "configs/demo.py"], "Unknown command line flag 'confg'"),
        ([*SMOKE, "more"], "unexpected argument 'more'"),
    ],
    ids=[
        "unknown key",
        "unknown variant",
        "missing folder",
        "no config",
        "no output",
        "pictures while training",
        "half a job",
        "bad value",
        "no number",
        "missing config",
        "unknown flag",
        "stray argument",
    ],  # fmt: skip
)
def test_a_mistake_ends_as_one_line_and_leaves_nothing(arguments, message, run, tmp_path):
    code, _, err = run(*arguments, "--workdir", tmp_path / "run")
    assert code == 1
    assert err.startswith("error: ") and message in err and len(err.strip().splitlines()) == 1
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
