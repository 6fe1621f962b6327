"""Sources whose annotation is off, as found ones are."""

import numpy as np
import pytest

from input_pipeline import annotation_noise
from scrn_jax.person import joints

LABELS = np.zeros((64, 44), np.uint8)
LABELS[16:48, 11:33] = 2
POSE = np.random.default_rng(0).uniform(5, 40, (18, 2)).astype(np.float32)
POSE[3] = joints.MISSING


def _displaced(spread, seed):
    return annotation_noise.displaced(LABELS, POSE, spread, np.random.default_rng(seed))


def test_only_outlines_and_joints_move_and_by_about_as_much_as_is_asked_for():
    found = [_displaced(1.0, seed) for seed in range(100)]
    apart = np.mean([labels != LABELS for labels, _ in found], axis=0)
    deep = np.zeros_like(LABELS, bool)
    deep[26:38, 21:23] = deep[:6] = True  # ten pixels from any outline
    assert apart[deep].max() == 0 and 0.15 < apart[16:48, 11].mean() < 0.5
    moved = np.array([pose - POSE for _, pose in found])
    assert 0.4 < moved[:, [0, 5, 9]].std() < 0.8


def test_missing_joints_stay_missing_and_the_others_in_the_frame():
    poses = np.array([_displaced(8.0, seed)[1] for seed in range(50)])
    assert (poses[:, 3] == joints.MISSING).all()
    others = np.delete(poses, 3, axis=1)
    assert (others >= 0).all() and (others <= [63, 43]).all() and others.dtype == np.float32


def test_no_spread_changes_nothing():
    labels, pose = _displaced(0.0, 0)
    np.testing.assert_array_equal(labels, LABELS)
    np.testing.assert_array_equal(pose, POSE)


@pytest.fixture
def batch():
    rng = np.random.default_rng(1)
    return {
        "source_parsing": rng.integers(0, 8, (4, 64, 44), np.uint8),
        "source_pose": rng.uniform(0, 43, (4, 18, 2)).astype(np.float32),
        "target_parsing": np.ones((4, 64, 44), np.uint8),
    }


def test_a_pair_is_off_in_the_same_way_wherever_its_batch_begins(batch):
    whole = annotation_noise.add(batch, 1.0, seed=5, first=40)
    half = annotation_noise.add({key: value[2:] for key, value in batch.items()}, 1.0, seed=5, first=42)
    for key, values in half.items():
        np.testing.assert_array_equal(values, whole[key][2:])
    other = annotation_noise.add(batch, 1.0, seed=6, first=40)
    assert (other["source_pose"] != whole["source_pose"]).mean() > 0.9
    assert whole["target_parsing"] is batch["target_parsing"]
