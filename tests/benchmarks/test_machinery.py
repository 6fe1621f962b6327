"""What the benchmark scripts share: fair turns, ratios, growth, and results that survive a failing measurement."""

import json

import pytest

from benchmarks import attention, gpu, machine, timing, workload
from configs import deepfashion, demo
from scrn_jax import settings as settings_lib


def test_sides_take_turns_and_the_order_changes_every_round():
    calls = []
    timing.alternate({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repeats=3)
    assert calls == ["a", "b", *"ab", *"ba", *"ab"]


def test_the_first_call_is_not_counted():
    seconds = timing.alternate({"a": lambda: None}, repeats=3)
    assert len(seconds["a"]) == 3


def test_a_ratio_is_taken_within_each_round():
    """A machine twice as slow in the second round slows both sides; the medians alone would say 3 / 2."""
    assert timing.median_ratio([1.0, 4.0, 3.0], [1.0, 2.0, 1.0]) == 2.0


def test_the_summary_says_how_many_times_as_fast():
    rows = timing.summary({"ours": [1.0, 1.0], "theirs": [3.0, 3.0]}, against="theirs")
    assert [row["times as fast as theirs"] for row in rows] == [3.0, 1.0]


def test_growth_is_the_exponent():
    rows = [{"ms": 2.0, "n": 10}, {"ms": 7.0, "n": 20}, {"ms": 2.0 * 4**1.5, "n": 40}]
    assert attention.growth(rows, "ms", "n") == pytest.approx(1.5)


@pytest.mark.parametrize("preset", workload.PRESETS)
def test_a_preset_is_the_configs_model_with_its_losses_in_its_frame(preset):
    theirs = settings_lib.from_config(demo.get_config() if preset == "demo" else deepfashion.get_config(preset))
    ours = workload.settings_of(preset)
    assert (ours.model, ours.size, ours.parsing, ours.loss) == (theirs.model, theirs.size, theirs.parsing, theirs.loss)
    assert ours.features.perceptual_scale == theirs.features.perceptual_scale


def test_results_name_the_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "describe", lambda: {"name": "Some GPU (80GB)"})
    path = machine.save("question", {"rows": [1]}, tmp_path)
    assert path.name == "question-some-gpu-80gb.json"
    assert json.loads(path.read_text()) == {"machine": {"name": "Some GPU (80GB)"}, "results": {"rows": [1]}}


@pytest.fixture
def record(tmp_path, monkeypatch):
    """A record that writes into a folder of the test."""
    monkeypatch.setattr(machine, "RESULTS", tmp_path)
    return gpu.Record("gpu", minutes=1)


def test_a_measurement_that_fails_is_noted_and_the_next_one_runs(record, tmp_path):
    def fail():
        raise MemoryError("64 GB wanted\nand more")

    record.attempt({"batch": 64}, fail)
    record.attempt({"batch": 6}, lambda: {"ms": 1.0})
    (path,) = tmp_path.iterdir()
    rows = json.loads(path.read_text())["results"]["rows"]
    assert rows == [{"batch": 64, "note": "MemoryError: 64 GB wanted"}, {"batch": 6, "ms": 1.0}]


def test_nothing_is_measured_after_the_time_is_over(record):
    record.seconds = 0.0001
    record.attempt({"batch": 6}, lambda: pytest.fail("measured"))
    assert record.rows == [{"batch": 6, "note": "no time left"}]
