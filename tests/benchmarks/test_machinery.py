"""What the benchmark scripts share: fair turns, ratios, growth, and results that survive a failing measurement."""

import argparse
import json

import jax
import jax.numpy as jnp
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
def test_a_preset_is_the_config_but_for_its_sources_and_cadences(preset):
    theirs = settings_lib.from_config(demo.get_config() if preset == "demo" else deepfashion.get_config(preset))
    ours = workload.settings_of(preset)
    for name in ("model", "size", "parsing", "adversarial", "loss", "optim"):
        assert getattr(ours, name) == getattr(theirs, name), name
    for name in ("correspondence", "perceptual_scale"):
        assert getattr(ours.features, name) == getattr(theirs.features, name), name
    assert ours.train.steps == theirs.train.steps
    assert preset != "demo" or ours.train.batch_size == theirs.train.batch_size


def test_operations_are_counted_before_a_compiler_hides_them(monkeypatch):
    """A GPU's compiled program calls libraries, of whose work XLA counts nothing."""
    compiled_type = type(jax.jit(lambda a: a).lower(1.0).compile())
    monkeypatch.setattr(compiled_type, "cost_analysis", lambda _: {"flops": 0.0})
    product = workload.Compiled(lambda a, b: a @ b, jnp.ones((8, 16)), jnp.ones((16, 4)))
    assert product.gigaflops == 2 * 8 * 16 * 4 / 1e9


def test_the_gpu_benchmark_tries_every_mode_and_the_compiled_one_first(record, monkeypatch):
    flags = argparse.Namespace(smoke=True, batches=[2, 4], inference_batches=[1, 8], grids=[])
    monkeypatch.setattr(workload, "fresh_state", lambda _: None)
    monkeypatch.setattr(workload, "frozen_networks", dict)
    monkeypatch.setattr(gpu, "ours", lambda *_: {})
    monkeypatch.setattr(gpu, "theirs", lambda *_: {})
    gpu.measure_all(record, flags)
    sides = [row["side"] for row in record.rows]
    assert list(dict.fromkeys(sides)) == [*gpu.MODES, "scrn_jax"] and "compiled" in sides[0]
    assert [(row["what"], row["batch"]) for row in record.rows if row["side"] == sides[0]] == [
        ("train", 2),
        ("infer", 8),
    ]


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
