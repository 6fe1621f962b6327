"""Staged training: at first only the parsing block learns, and then everything does, as from a fresh start of Adam."""

import jax
import numpy as np
import pytest

from scrn_jax.training import step as step_lib

STEPS = 2
OUTSIDE = ("coarse_generator", "refine_area_block", "style_encoder", "inject_style_block", "decoder")


@pytest.fixture(scope="module")
def staged(trainer_of, tiny_settings):
    """The step of a run whose first two steps train the parsing block; four of the six terms, to compile sooner."""
    return trainer_of(tiny_settings(loss={"cor": 0.0, "per": 0.0}, train={"parsing_steps": STEPS}))


@pytest.fixture(scope="module")
def run(staged, first_state, make_batch):
    """[(state, metrics)] after each of three steps, in host memory."""
    seen, state = [], staged.put(first_state)
    for number in range(STEPS + 1):
        state, metrics = staged.step(state, make_batch(number))
        seen.append(jax.device_get((state, metrics)))
    return seen


def _generator_side(state, adam_of):
    adam = adam_of(state.generator_optimizer)
    return {"values": state.generator, "first moments": adam.mu, "second moments": adam.nu, "average": state.ema}


def _equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def _moved(a, b) -> bool:
    return any(np.any(x != y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def _assert_only_the_parsing_block_moved(before, after, adam_of):
    for what, old in _generator_side(before, adam_of).items():
        new = _generator_side(after, adam_of)[what]
        assert _moved(old["parsing_block"], new["parsing_block"]), what
        _equal({name: part for name, part in old.items() if name != "parsing_block"},
               {name: part for name, part in new.items() if name != "parsing_block"})  # fmt: skip
    for name in ("discriminator", "spectral", "discriminator_optimizer"):
        _equal(getattr(before, name), getattr(after, name))


def test_the_first_stage_leaves_everything_but_the_parsing_block_bit_for_bit(first_state, run, adam_of):
    _assert_only_the_parsing_block_moved(first_state, run[STEPS - 1][0], adam_of)


def test_moments_from_before_do_not_drift_in_a_first_stage(staged, run, make_batch, adam_of):
    """As in a run that is given a first stage when it goes on."""
    before = run[STEPS][0].replace(step=np.int32(0))
    after = jax.device_get(staged.step(staged.put(before), make_batch(5))[0])
    _assert_only_the_parsing_block_moved(before, after, adam_of)


def test_the_first_stage_minimises_the_parsing_loss_alone(run):
    for _, metrics in run[:STEPS]:
        assert metrics["weighted/l1"] == metrics["weighted/adv"] == metrics["weighted/face"] == 0
        assert metrics["loss/generator"] == metrics["weighted/par"] == metrics["loss/par"] > 0
        assert metrics["loss/l1"] == metrics["loss/discriminator"] == 0, "nothing of it is computed"


def test_everything_moves_afterwards(run):
    (before, _), (after, metrics) = run[STEPS - 1 : STEPS + 1]
    for name in (*OUTSIDE, "parsing_block"):
        assert _moved(before.generator[name], after.generator[name]), name
        assert _moved(before.ema[name], after.ema[name]), name
    assert _moved(before.discriminator, after.discriminator) and _moved(before.spectral, after.spectral)
    assert metrics["weighted/l1"] == 5 * metrics["loss/l1"]


def test_the_second_stage_begins_with_a_fresh_adam(run, adam_of):
    """Its first update is the learning rate times the gradient's sign, nowhere more."""
    (before, _), (after, metrics) = run[STEPS - 1 : STEPS + 1]
    assert int(adam_of(before.generator_optimizer).count) == STEPS
    assert int(adam_of(after.generator_optimizer).count) == 1
    lengths = [np.abs(x - y).max() for x, y in zip(
        jax.tree.leaves(before.generator), jax.tree.leaves(after.generator), strict=True)]  # fmt: skip
    np.testing.assert_allclose(max(lengths), metrics["learning_rate"], rtol=1e-3)


def test_the_average_forgets_each_stages_start_quickly(run):
    """1/10 of the old at the first step of a stage."""
    (before, _), (after, _) = run[STEPS - 1 : STEPS + 1]
    by_hand = jax.tree.map(lambda old, new: 0.1 * old + 0.9 * new, before.ema, after.generator)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-6), by_hand, after.ema)


def test_each_stage_is_one_program(staged, run):
    assert staged.jitted_first._cache_size() == staged.jitted._cache_size() == 1


@pytest.mark.parametrize(("done", "program"), [(0, "first"), (1, "first"), (2, "whole"), (7, "whole")])
def test_a_run_takes_the_program_of_its_step(done, program, monkeypatch, tiny_settings, first_state):
    """One that is begun, or gone on with, after `done` of two steps of a first stage."""

    class Program:
        def __init__(self, first):
            self.name = "first" if first else "whole"

        def lower(self, *_):
            return self

        def compile(self):
            return self

        def memory_analysis(self):
            return None

    monkeypatch.setattr(step_lib, "jit_step", lambda *_, first: Program(first))
    settings, state = tiny_settings(train={"parsing_steps": STEPS}), first_state.replace(step=np.int32(done))
    program_of = step_lib.compile_steps(settings, None, state, {}, {})
    assert program_of(done + 1).name == program
    assert program_of(STEPS + 1).name == "whole"
