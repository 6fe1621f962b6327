"""The comparison of methods: equal pairs for all, what a table says, what the page admits."""

import argparse
from pathlib import Path

import numpy as np
import pytest

from benchmarks import machine, methods, methods_page

FLAGS = argparse.Namespace(folder=Path("runs"), people={}, steps=100, pairs=0)


@pytest.mark.parametrize("run", methods.RUNS)
def test_every_run_sees_the_same_pairs(run):
    """The same people, frame, seed, steps, batches and mirroring: batches depend on nothing else."""
    settings, other = (methods.settings_of(each, 1, FLAGS) for each in (run, "best"))
    for name in ("data", "size", "seed"):
        assert getattr(settings, name) == getattr(other, name)
    for name in ("steps", "batch_size", "flip", "accumulate"):
        assert getattr(settings.train, name) == getattr(other.train, name)


@pytest.mark.parametrize(
    ("run", "section", "key", "value"),
    [
        ("3cb", "model", "blocks", 3),
        ("no_refine_area", "model", "refine_area", False),
        ("no_face", "loss", "face", 0.0),
    ],
)
def test_an_ablation_differs_from_scrn_in_one_key(run, section, key, value):
    full, ablation = methods.config_of("full"), methods.config_of(run)
    assert ablation[section][key] == value != full[section][key]
    full[section][key] = value
    assert ablation == full


def _report(lpips: float, **figures) -> dict:
    row = dict.fromkeys(methods_page.JUDGES, 0.5) | {"lpips_vgg": lpips} | figures
    copied = dict.fromkeys(methods_page.JUDGES, 0.5) | {"lpips_vgg": 0.3}
    groups = {"clothes": {"plain": {"count": 7, "lpips_vgg": lpips}}}
    return {"pairs": 7, "groups": groups, "rows": {"generated": row, "copy_source": copied, "mean_image": copied}}


RUNS = {
    "patn": {"0": _report(0.25, ssim=0.70), "1": _report(0.27, ssim=0.72)},
    "pise": {"0": _report(0.20, ssim=0.80), "1": _report(0.20, ssim=0.80)},
    "full": {"0": _report(0.35, ssim=0.75), "1": _report(0.35, ssim=0.75)},
}


def test_a_cell_is_mean_and_deviation():
    """0.25 and 0.27: mean 0.26, deviation 0.02 / sqrt(2)."""
    row = methods_page.summary(RUNS)[0]
    assert row["LPIPS (VGG) ↓"] == "0.2600 ± 0.0141" and row["seeds"] == 2


def test_orders_are_compared_metric_by_metric():
    """SSIM here: PISE, SCRN, PATN; in the paper SCRN is first."""
    ssim = methods_page.agreement(RUNS, ("patn", "pise", "full"))[0]
    assert (ssim["the paper"], ssim["here"], ssim["the same"]) == ("SCRN, PISE, PATN", "PISE, SCRN, PATN", "no")


COST = {"parameters": 1, "GFLOP": 1.0, "ms": 1.0, "memory MB": 1.0}
SAVED = {
    "results": {"steps": 5, "few": True, "runs": RUNS, "costs": dict.fromkeys(RUNS, COST)},
    "machine": {"name": "x", "date": "y"},
}


def test_a_run_that_does_not_beat_copying_the_source_is_named():
    assert methods_page.beats_copying(RUNS) == {"patn": True, "pise": True, "full": False}
    page = methods_page.page(SAVED, "images/methods.png")
    assert "By LPIPS (VGG), from the best: PISE, PATN, SCRN." in page
    assert "Worse than copying the source: SCRN." in page and "says nothing of any method" in page
    assert "| clothes: plain | 7 | 0.2600 | 0.2000 | 0.3500 |" in page


def test_only_what_is_learned_is_counted():
    leaf = np.zeros((3, 4))
    assert methods.parameters({"encoder": {"kernel": leaf}, "vgg": {"conv1_1": {"kernel": leaf}}}) == 12


def test_what_was_made_with_the_same_config_is_not_made_again(tmp_path, monkeypatch):
    """A second start makes nothing; with other steps everything is made anew."""
    made = []

    def measure(run, seed, flags):
        made.append((run, seed, flags.steps))
        return {"count": 7, "rows": {}, "groups": {}}

    monkeypatch.setattr(methods, "measure", measure)
    flags = argparse.Namespace(**vars(FLAGS) | {"runs": ["patn"], "seeds": [0, 1], "results": tmp_path})
    first, again = methods.trained(flags), methods.trained(flags)
    assert made == [("patn", 0, 100), ("patn", 1, 100)] and first == again
    flags.steps = 200
    methods.trained(flags)
    assert made[2:] == [("patn", 0, 200), ("patn", 1, 200)]


def test_where_the_data_lie_makes_no_other_config():
    here, there = methods.seeded("pise", 0, FLAGS), methods.seeded("pise", 0, FLAGS)
    there.data.dir = "elsewhere"
    assert machine.fingerprint(here) == machine.fingerprint(there)


def test_what_was_written_by_hand_stays_when_the_page_is_made_anew(tmp_path):
    page = tmp_path / "methods.md"
    methods_page.write(page, SAVED)
    assert methods_page.BY_HAND not in page.read_text()
    page.write_text("old figures\n\n## What we make of it\n\nPISE wins.\n")
    methods_page.write(page, SAVED)
    methods_page.write(page, SAVED)
    said = page.read_text()
    assert said.endswith("\n\n## What we make of it\n\nPISE wins.\n") and "old figures" not in said
