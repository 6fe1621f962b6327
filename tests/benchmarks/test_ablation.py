"""What a run of the ablation changes, and how long each of its stages is."""

import argparse
from pathlib import Path

import pytest

from benchmarks import ablation
from scrn_jax.models.scrn import settings as scrn_settings

FLAGS = argparse.Namespace(folder=Path("runs"), steps=100, pairs=24)


def of(run: str):
    return ablation.config_of(run, 0, FLAGS)


@pytest.mark.parametrize(("run", "first"), [
    ("all", 100), ("without/paint", 100), ("without/first_stage", 0), ("none", 0), ("alone/first_stage", 100),
    ("alone/muon", 0),
])  # fmt: skip
def test_all_learns_in_as_many_steps_as_was_asked(run, first):
    """The rate falls over them; the parsing block's own come before."""
    config = of(run)
    assert config.train.parsing_steps == config.optim.constant_steps == first
    assert config.train.steps == first + 100


def test_a_choice_left_out_is_as_the_paper_has_it():
    everything, without = of("all"), of("without/upsampling")
    assert (everything.model.upsampling, without.model.upsampling) == ("nearest", "transposed")
    without.model.upsampling = "nearest"
    assert without == everything


def test_without_any_choice_the_model_is_the_papers():
    model, paper = of("none").model, scrn_settings.Model()
    assert {key: model[key] for key in scrn_settings.BETTER_PICTURES} == {
        key: getattr(paper, key) for key in scrn_settings.BETTER_PICTURES
    }


@pytest.mark.parametrize("choice", ablation.ALONE)
def test_a_choice_alone_is_the_only_one(choice):
    alone, none = of(f"alone/{choice}"), of("none")
    assert alone != none
    for section, keys in ablation.CHOICES[choice].items():
        alone[section].update(keys)
    alone.train.steps, alone.optim.constant_steps = none.train.steps, none.optim.constant_steps
    assert alone == none
