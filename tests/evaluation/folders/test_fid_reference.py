"""The other side of FID is passed over once and kept for the next evaluation, under all that it depends on."""

import dataclasses
import os

import numpy as np
import pytest

from scrn_jax.errors import UserError
from scrn_jax.evaluation.folders import fid_reference
from scrn_jax.evaluation.folders.fid_reference import FidReference
from scrn_jax.evaluation.folders.passes import State
from scrn_jax.metrics import fid, protocols
from scrn_jax.metrics.fid import Gaussian, Moments, Origin

ORIGIN = Origin((256, 176), "inception", "ab" * 32)
NAMES = ["p0.png", "p1.png", "p2.png"]


class _Passes:
    """Passes that count themselves; their features are random, but always the same."""

    def __init__(self, grounds: str = "", has_random_features: bool = False):
        self.protocol, self.has_random_features = protocols.protocol("scrn"), has_random_features
        self.grounds, self.runs = grounds, 0
        self.origin = ORIGIN

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
    return tmp_path / "cache" / fid_reference.FOLDER


@pytest.fixture
def distance(make_folders, tmp_path):
    """FID of the same features against a folder, by some passes."""
    _, true = make_folders(tmp_path, 3)

    def distance(passes: _Passes) -> float:
        return FidReference(passes, true, None, tmp_path).distance("method", _moments(0), NAMES)

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
    assert passes.runs == 1 and fid_reference.kept(file.stem, ORIGIN) is not None


def test_a_folder_that_cannot_be_written_is_a_warning(tmp_path, monkeypatch, distance, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SCRN_JAX_CACHE", str(tmp_path / "file"))
    assert distance(_Passes()) > 0
    assert "statistics are not kept" in caplog.text


def test_the_sets_used_last_stay(cache):
    gaussian = Gaussian(np.zeros(2), np.eye(2), ORIGIN)
    for index in range(fid_reference.MOST + 1):
        fid_reference.keep(f"set{index}", gaussian)
        os.utime(cache / f"set{index}.npz", (index, index))
        if index == fid_reference.MOST - 1:
            assert fid_reference.kept("set0", ORIGIN) is not None
    assert fid_reference.kept("set0", ORIGIN) is not None and fid_reference.kept("set1", ORIGIN) is None


def test_kept_statistics_that_say_another_origin_are_measured_anew(cache):
    fid_reference.keep("set", Gaussian(np.zeros(2), np.eye(2), dataclasses.replace(ORIGIN, frame=(256, 256))))
    assert fid_reference.kept("set", ORIGIN) is None


@pytest.fixture
def against(make_folders, tmp_path):
    """FID of some features against a file of statistics of an origin."""
    _, true = make_folders(tmp_path, 3)

    def against(origin: Origin | None) -> float:
        fid.save(tmp_path / "train.npz", Gaussian(np.zeros(3), np.eye(3), origin))
        return FidReference(_Passes(), true, tmp_path / "train.npz", tmp_path).distance("method", _moments(0), NAMES)

    return against


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frame": (256, 256)}, r"frame \(256, 256\), here \(256, 176\)"),
        ({"network": "vgg16"}, "network vgg16, here inception"),
        ({"weights": "cd" * 32}, f"weights {'cd' * 32}, here {'ab' * 32}"),
    ],
)
def test_statistics_of_other_features_are_refused_by_name(against, change, message):
    with pytest.raises(UserError, match=rf"train\.npz: statistics of other features \({message}\); make it anew: eval"):
        against(dataclasses.replace(ORIGIN, **change))


def test_statistics_of_the_same_features_are_compared_without_a_word(against, caplog):
    assert against(ORIGIN) > 0 and not caplog.text


def test_statistics_that_say_no_origin_are_compared_and_how_to_make_them_anew_is_said(against, caplog):
    assert against(None) == against(ORIGIN)
    assert "train.npz does not say of which frame, network and weights it is" in caplog.text
    assert "make it anew: evaluate once with --training_images FOLDER" in caplog.text
