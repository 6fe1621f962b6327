"""What the benchmark scripts share: fair turns, ratios, growth, and results that survive a failing measurement."""

import json

import jax
import jax.numpy as jnp
import pytest

from benchmarks import attention, machine, timing, workload
from configs import deepfashion, demo, people
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
    makers = {"demo": lambda: demo.get_config("people_v1"), "people": people.get_config}
    makers["people_large"] = lambda: people.get_config("large")
    theirs = settings_lib.from_config(makers.get(preset, lambda: deepfashion.get_config(preset))())
    ours = workload.settings_of(preset)
    for name in ("model", "size", "parsing", "adversarial", "loss", "optim"):
        assert getattr(ours, name) == getattr(theirs, name), name
    for name in ("correspondence", "perceptual_scale"):
        assert getattr(ours.features, name) == getattr(theirs.features, name), name
    assert ours.train.steps == theirs.train.steps
    assert preset not in makers or ours.train.batch_size == theirs.train.batch_size


def test_operations_are_counted_before_a_compiler_hides_them(monkeypatch):
    """A GPU's compiled program calls libraries, of whose work XLA counts nothing."""
    compiled_type = type(jax.jit(lambda a: a).lower(1.0).compile())
    monkeypatch.setattr(compiled_type, "cost_analysis", lambda _: {"flops": 0.0})
    product = workload.Compiled(lambda a, b: a @ b, jnp.ones((8, 16)), jnp.ones((16, 4)))
    assert product.gigaflops == 2 * 8 * 16 * 4 / 1e9


def test_operations_are_counted_where_the_backend_does_not_count_a_lowered_program(monkeypatch):
    """That is a GPU's of JAX 0.11."""
    lowered_type = type(jax.jit(lambda a: a).lower(1.0))
    known, answers = lowered_type.cost_analysis, iter([None])
    monkeypatch.setattr(lowered_type, "cost_analysis", lambda self: next(answers, known(self)))
    product = workload.Compiled(lambda a, b: a @ b, jnp.ones((8, 16)), jnp.ones((16, 4)))
    assert product.gigaflops == 2 * 8 * 16 * 4 / 1e9


def test_results_name_the_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "describe", lambda: {"name": "Some GPU (80GB)"})
    path = machine.save("question", {"rows": [1]}, tmp_path)
    assert path.name == "question-some-gpu-80gb.json"
    assert json.loads(path.read_text()) == {"machine": {"name": "Some GPU (80GB)"}, "results": {"rows": [1]}}
