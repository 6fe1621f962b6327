"""What a run tells of itself beside its losses: where its time goes, what made it, a profile, its memory."""

import json
import logging
import subprocess
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from scrn_jax.training import monitor, workdir


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when a test says so."""

    class Clock:
        now = 100.0

    monkeypatch.setattr(monitor.time, "monotonic", lambda: Clock.now)
    return Clock


def test_waiting_is_counted_by_its_cause_and_taken_once(clock):
    loop = monitor.Pace()
    for seconds in (2.0, 3.0):
        with loop.of("input_wait"):
            clock.now += seconds
    clock.now += 50.0
    with loop.of("device_wait"):
        clock.now += 7.0
    assert loop.take() == {"seconds/input_wait": 5.0, "seconds/device_wait": 7.0}
    assert loop.take() == {"seconds/input_wait": 0.0, "seconds/device_wait": 0.0}


def test_a_report_says_the_seconds_of_a_step(tmp_path, clock):
    with monitor.Monitor(tmp_path, first_step=10, last_step=100, batch_size=8) as run:
        run.add({"loss/l1": 1.0})
        clock.now += 4.0
        assert run.report(20)["seconds/step"] == pytest.approx(0.4)


def test_a_process_that_is_not_the_first_writes_nothing(tmp_path, monkeypatch, tiny_settings):
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    workdir.claim_workdir(tmp_path / "run")
    workdir.record(tmp_path, tiny_settings(), 0)
    with monitor.Monitor(tmp_path, first_step=0, last_step=2, batch_size=1) as run:
        run.add({"loss/l1": 2.0})
        assert run.report(1)["loss/l1"] == 2.0
    assert list(tmp_path.iterdir()) == []


def test_every_start_adds_a_line(tmp_path, tiny_settings):
    for step in (0, 7):
        workdir.record(tmp_path, tiny_settings(), step)
    lines = [json.loads(line) for line in (tmp_path / "starts.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 7]
    assert lines[0]["versions"]["jax"] == jax.__version__
    assert lines[0]["devices"] == {"kind": "cpu", "platform": "cpu", "count": 4, "processes": 1}
    assert workdir.read_config(tmp_path) == tiny_settings()


def test_the_revision_is_gits_own_word():
    """In a checkout; in a copy without git there is none."""
    folder = Path(workdir.__file__).parent
    done = subprocess.run(["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True)
    tracked = subprocess.run(
        ["git", "-C", str(folder), "ls-files", "--error-unmatch", Path(workdir.__file__).name], capture_output=True
    )
    found = workdir.revision()
    assert found is None if tracked.returncode else found.removesuffix("+changes") == done.stdout.strip()


def test_a_profile_covers_the_steps_asked_for(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(jax.profiler, "start_trace", lambda folder: calls.append(("start", folder)))
    monkeypatch.setattr(jax.profiler, "stop_trace", lambda: calls.append(("stop", step)))
    with monitor.Profile(tmp_path, first=10, steps=2) as profile:
        for step in range(11, 21):
            profile.after(step, jnp.zeros(()))
    # After step 13 it starts, so that it holds steps 14 and 15.
    assert calls == [("start", str(tmp_path / "profile")), ("stop", 15)]


def test_without_steps_to_profile_there_is_no_profile(tmp_path, monkeypatch):
    monkeypatch.setattr(jax.profiler, "start_trace", lambda _: pytest.fail("started"))
    with monitor.Profile(tmp_path, first=0, steps=0) as profile:
        for step in range(1, 10):
            profile.after(step, None)


def test_a_run_that_ends_early_still_writes_its_profile(tmp_path):
    with monitor.Profile(tmp_path, first=0, steps=100) as profile:
        for step in range(1, monitor.WARM_UP + 2):
            profile.after(step, jnp.zeros(()) + 1)
    assert list((tmp_path / "profile").rglob("*.xplane.pb"))


def test_the_memory_line_counts_donated_memory_once(caplog):
    memory = SimpleNamespace(
        argument_size_in_bytes=3e9, output_size_in_bytes=2e9, alias_size_in_bytes=2e9, temp_size_in_bytes=1.5e9
    )
    with caplog.at_level(logging.INFO):
        monitor.describe_memory(SimpleNamespace(memory_analysis=lambda: memory))
    assert "memory a device: 4.50 GB, 1.50 GB of it to compute in" in caplog.text
