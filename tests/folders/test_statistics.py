"""The other side of FID is passed over once and kept for the next evaluation, under all that it depends on."""

import os

import numpy as np
import pytest

from scrn_jax.folders import statistics
from scrn_jax.folders.other_side import OtherSide
from scrn_jax.folders.resume import State
from scrn_jax.metrics import protocols
from scrn_jax.metrics.fid import Gaussian, Moments

NAMES = ["p0.png", "p1.png", "p2.png"]


class _Passes:
    """Passes that count themselves; their features are random, but always the same."""

    def __init__(self, grounds: str = "", has_random_features: bool = False):
        self.protocol, self.has_random_features = protocols.protocol("scrn"), has_random_features
        self.grounds, self.runs = grounds, 0

    def fingerprint(self, facts):
        return f"{self.grounds}{facts['images']}"

    def run(self, title, items, read, facts):
        self.runs += 1
        return State(len(items), moments=_moments(1))


def _moments(seed: int) -> Moments:
    return Moments.of(np.random.default_rng(seed).standard_normal((9, 3)))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SCRN_JAX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / statistics.FOLDER


@pytest.fixture
def distance(make_folders, tmp_path):
    """FID of the same features against a folder, by some passes."""
    _, true = make_folders(tmp_path, 3)

    def distance(passes: _Passes) -> float:
        return OtherSide(passes, true, None, tmp_path).distance("method", _moments(0), NAMES)

    return distance


def test_the_next_evaluation_finds_the_statistics_and_the_same_distance(cache, distance):
    first, second = _Passes(), _Passes()
    assert distance(first) == distance(second)
    assert (first.runs, second.runs) == (1, 0)


def test_other_grounds_are_measured_anew(cache, distance):
    passes = _Passes("other weights")
    distance(_Passes()), distance(passes)
    assert passes.runs == 1


def test_other_images_are_measured_anew(cache, distance, draw, tmp_path):
    distance(_Passes())
    draw.save(tmp_path / "true" / "p0.png", draw.picture(99))
    passes = _Passes()
    distance(passes)
    assert passes.runs == 1


def test_statistics_of_random_weights_are_not_kept(cache, distance):
    distance(_Passes(has_random_features=True))
    assert not cache.exists()


def test_a_damaged_file_is_measured_anew(cache, distance):
    distance(_Passes())
    (file,) = cache.iterdir()
    os.truncate(file, 10)
    passes = _Passes()
    distance(passes), distance(_Passes())
    assert passes.runs == 1 and statistics.kept(file.stem) is not None


def test_a_folder_that_cannot_be_written_is_a_warning(tmp_path, monkeypatch, distance, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SCRN_JAX_CACHE", str(tmp_path / "file"))
    assert distance(_Passes()) > 0
    assert "statistics are not kept" in caplog.text


def test_the_sets_used_last_stay(cache):
    gaussian = Gaussian(np.zeros(2), np.eye(2))
    for index in range(statistics.MOST + 1):
        statistics.keep(f"set{index}", gaussian)
        os.utime(cache / f"set{index}.npz", (index, index))
        if index == statistics.MOST - 1:
            assert statistics.kept("set0") is not None
    assert statistics.kept("set0") is not None and statistics.kept("set1") is None
