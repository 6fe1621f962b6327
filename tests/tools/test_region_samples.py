"""What the region network learns from: a crowd that grows on the device, samples framed anew, made foreign."""

import threading
import time

import crowd
import jax
import numpy as np
import pytest
import region_samples
from crowd import ROOMY

from scrn_jax.inference.finding.region_network import FRAME
from scrn_jax.person import joints as joints_lib

FOUND = 4  # of the joints, at even rows and columns


def crowd_of(count=2):
    """Pictures that are bright, masked and "upper clothes" in a square around each of FOUND joints."""
    rng = np.random.default_rng(0)
    joints = np.full((count, joints_lib.NUM_JOINTS, 2), -1, np.float32)
    joints[:, :FOUND] = rng.integers((40, 30), np.array(ROOMY) - (40, 30), (count, FOUND, 2))
    image, labels = np.zeros((count, *ROOMY, 3), np.uint8), np.zeros((count, *ROOMY), np.uint8)
    for number in range(count):
        for y, x in joints[number, :FOUND].astype(int):
            image[number, y - 3 : y + 4, x - 3 : x + 4] = 255
            labels[number, y - 3 : y + 4, x - 3 : x + 4] = 2
    return {"image": image, "labels": labels, "mask": 255 * (labels > 0).astype(np.uint8), "joints": joints}


def test_picture_labels_mask_and_joints_are_framed_alike():
    arrays = {**crowd_of(), "count": np.int32(2)}
    batch = jax.tree.map(np.asarray, jax.jit(region_samples.sample, static_argnums=2)(arrays, jax.random.key(0), 16))
    assert batch["image"].shape == (16, *FRAME, 3) and batch["labels"].shape == (16, *FRAME, 8)
    np.testing.assert_allclose(batch["labels"].sum(-1), 1, atol=1e-5)
    np.testing.assert_allclose(batch["labels"][..., 2], batch["mask"], atol=1e-5)
    np.testing.assert_allclose(batch["image"][..., 0], batch["mask"], atol=1e-5)
    there = joints_lib.present(batch["joints"])
    assert there.sum() > 40  # of 64, some are outside
    for mask, joints, shown in zip(batch["mask"], batch["joints"], there, strict=True):
        rows, columns = np.rint(joints[shown]).astype(int).T
        inside = (rows < FRAME[0]) & (columns < FRAME[1])
        assert mask[rows[inside], columns[inside]].min() > 0.9


def test_half_of_the_samples_are_mirrored_with_their_joints():
    arrays = {**crowd_of(1), "count": np.int32(1)}
    joints = jax.jit(region_samples.sample, static_argnums=2)(arrays, jax.random.key(1), 64)["joints"]
    # Nose and neck have no mirror image; the right shoulder's place is the left one's then.
    mirrored = np.asarray(joints_lib.present(joints))[:, 5]
    assert 16 < mirrored.sum() < 48


def test_foreign_pictures_stay_pictures_and_no_label_moves():
    arrays = {**crowd_of(), "count": np.int32(2)}
    batch = jax.jit(region_samples.sample, static_argnums=2)(arrays, jax.random.key(0), 8)
    image, mask, joints = jax.jit(region_samples.foreign)(jax.random.key(3), batch)
    assert image.shape == (8, *FRAME, 3) and np.abs(image).max() <= 1 and np.isfinite(image).all()
    assert np.min(mask) >= 0 and np.max(mask) <= 1 and np.std(image) > 0.05
    assert not joints_lib.present(joints)[:, FOUND:].all(1).any()


def test_a_crowd_grows_while_it_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr(crowd, "framed", lambda shard: {} if shard is None else crowd_of(3 if "b" in shard.name else 2))
    monkeypatch.setattr(region_samples, "framed", crowd.framed)
    (tmp_path / "a.npz").touch()
    there = region_samples.Crowd(tmp_path, 200, processes=0)
    assert there.refresh(1)["count"] == 2
    threading.Timer(0.3, (tmp_path / "b.npz").touch).start()
    arrays = there.refresh(5)
    assert arrays["count"] == 5
    np.testing.assert_array_equal(arrays["joints"][2:5], crowd_of(3)["joints"])


def test_what_ends_the_reading_is_raised_where_the_crowd_is_used(tmp_path, monkeypatch):
    def broken(shard):
        raise ValueError("no shard")

    monkeypatch.setattr(region_samples, "framed", broken)
    there = region_samples.Crowd(tmp_path, 100, processes=0)
    time.sleep(0.1)
    with pytest.raises(ValueError, match="no shard"):
        there.refresh(1)


def test_a_shard_of_more_than_a_piece_is_taken_whole_as_far_as_there_is_room(tmp_path, monkeypatch):
    monkeypatch.setattr(region_samples, "framed", lambda shard: {} if shard is None else crowd_of(7))
    monkeypatch.setattr(region_samples, "PIECE", 3)
    (tmp_path / "a.npz").touch()
    (tmp_path / "b.npz").touch()
    arrays = region_samples.Crowd(tmp_path, 11, processes=0).refresh(8)
    # Three pieces of the first, and of the second those that fit: 3, then no three more.
    assert arrays["count"] == 10
    np.testing.assert_array_equal(arrays["joints"][:10], np.concatenate([crowd_of(7)["joints"]] * 2)[:10])


def test_more_pictures_than_there_is_room_for_are_not_waited_for(tmp_path):
    with pytest.raises(ValueError, match="do not fit"):
        region_samples.Crowd(tmp_path, 100, processes=0).refresh(99)
