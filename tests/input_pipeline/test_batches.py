"""Batches: their order, shares, mirror images, sizes and evaluation padding."""

import io
import itertools

import numpy as np
import pytest
from PIL import Image

from input_pipeline import batches as batches_lib

SIZE = (16, 12)


def train(source, **options):
    return batches_lib.train_batches(source, **{"batch_size": 4, "size": SIZE, "seed": 3, **options})


def indices(batch):
    """Which pair of a MemorySource each row shows."""
    return batch["source_image"][:, 0, 0, 0].tolist()


def take(batches, count):
    return list(itertools.islice(batches, count))


def assert_equal(first, second):
    assert first.keys() == second.keys()
    for key in first:
        assert np.array_equal(first[key], second[key]), key
        assert first[key].dtype == second[key].dtype, key


@pytest.mark.parametrize("cache_bytes", [0, 1 << 20])
def test_step_s_is_the_same_started_at_zero_or_at_s(memory_source, cache_bytes):
    source = memory_source(10)
    from_zero = take(train(source, cache_bytes=cache_bytes), 8)
    from_six = take(train(source, start_step=6, cache_bytes=cache_bytes), 2)
    for first, second in zip(from_zero[6:], from_six, strict=True):
        assert_equal(first, second)


def test_a_start_three_million_steps_in_reads_only_what_it_shows(memory_source):
    source = memory_source(10)
    batch = next(train(source, start_step=3_000_000, cache_bytes=0))
    assert len(source.seen) < 40
    assert set(indices(batch)) <= set(range(10))


def test_every_epoch_is_a_permutation_and_epochs_differ(memory_source):
    shown = np.concatenate([indices(batch) for batch in take(train(memory_source(10)), 10)])
    epochs = shown.reshape(4, 10)
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs.tolist())
    assert len({tuple(epoch) for epoch in epochs.tolist()}) == 4


def test_another_seed_gives_another_order(memory_source):
    source = memory_source(10)
    assert indices(next(train(source, seed=1))) != indices(next(train(source, seed=2)))


def test_a_single_pair_can_be_trained_on(memory_source):
    assert indices(next(train(memory_source(1)))) == [0, 0, 0, 0]


def test_two_processes_shares_make_the_batch_of_one(memory_source):
    source = memory_source(10)
    whole = take(train(source), 5)
    shares = [take(train(source, process_index=index, process_count=2), 5) for index in (0, 1)]
    for one, first, second in zip(whole, *shares, strict=True):
        assert_equal(one, {key: np.concatenate([first[key], second[key]]) for key in one})


def test_a_batch_that_does_not_divide_among_processes_is_refused(memory_source):
    with pytest.raises(ValueError, match="3 processes"):
        train(memory_source(4), process_count=3)


def test_memory_and_stream_give_equal_batches(memory_source):
    source = memory_source(7)
    streamed = take(train(source, size=(8, 6), cache_bytes=0), 6)
    held = take(train(source, size=(8, 6), cache_bytes=1 << 20), 6)
    for first, second in zip(streamed, held, strict=True):
        assert_equal(first, second)


def test_about_half_of_the_pairs_are_mirrored(memory_source):
    source = memory_source(10)
    plain, mirrored = (take(train(source, flip=flip), 50) for flip in (False, True))
    same = [
        np.array_equal(one, other)
        for first, second in zip(plain, mirrored, strict=True)
        for one, other in zip(first["target_image"], second["target_image"], strict=True)
    ]
    assert 70 < sum(same) < 130


@pytest.mark.parametrize("cache_bytes", [0, 1 << 20])
def test_a_mirrored_pair_has_its_pictures_joints_and_face_box_mirrored(memory_source, cache_bytes):
    source = memory_source(1)
    raw = source.read(0)
    batch = next(train(source, batch_size=16, cache_bytes=cache_bytes))
    image = np.array(Image.open(io.BytesIO(raw.target_image)))
    row = next(row for row in range(16) if not np.array_equal(batch["target_image"][row], image))
    labels = np.array(Image.open(io.BytesIO(raw.target_parsing)))
    assert np.array_equal(batch["target_image"][row], image[:, ::-1])
    assert np.array_equal(batch["target_parsing"][row], labels[:, ::-1])
    right_wrist, left_wrist = 4, 7
    assert batch["target_pose"][row, right_wrist].tolist() == [
        raw.target_pose[left_wrist, 0],
        np.float32(11) - raw.target_pose[left_wrist, 1],
    ]
    assert batch["face_box"][row].tolist() == [1, 12 - 7, 5, 12 - 2]


def test_halving_averages_the_photo_and_moves_joints_and_box(memory_source):
    source = memory_source(1)
    raw = source.read(0)
    batch = next(train(source, batch_size=1, size=(8, 6), flip=False))
    image = np.array(Image.open(io.BytesIO(raw.source_image))).astype(float)
    expected = image.reshape(8, 2, 6, 2, 3).mean(axis=(1, 3))
    assert np.abs(batch["source_image"][0] - expected).max() <= 0.5
    # Three roundings of numbers below 16 are 3 * 2^-21 pixels at most.
    assert np.abs(batch["source_pose"][0] - ((raw.source_pose.astype(float) + 0.5) / 2 - 0.5)).max() < 1e-5
    assert batch["face_box"][0].tolist() == [0.5, 1, 2.5, 3.5]


def test_resized_labels_are_labels_of_the_map(memory_source):
    source = memory_source(1)
    labels = np.array(Image.open(io.BytesIO(source.read(0).source_parsing)))
    small = next(train(source, batch_size=1, size=(8, 6), flip=False))["source_parsing"][0]
    blocks = labels.reshape(8, 2, 6, 2).transpose(0, 2, 1, 3).reshape(8, 6, 4)
    assert (blocks == small[..., None]).any(axis=-1).all()


def test_only_bytes_and_joints_leave_the_host(folder):
    from input_pipeline.formats.folder import FolderSource

    batch = next(train(FolderSource(folder.root, "train"), size=(256, 176), batch_size=2))
    kinds = {key: values.dtype.name for key, values in batch.items()}
    assert set(kinds) == set(batches_lib.KEYS)
    assert {key for key, kind in kinds.items() if kind != "uint8"} == {"source_pose", "target_pose", "face_box"}
    assert sum(values.nbytes for values in batch.values()) / 2 < 0.5e6


def test_evaluation_shows_every_pair_once_in_order(memory_source):
    batches = list(batches_lib.eval_batches(memory_source(10), batch_size=4, size=SIZE))
    names = [name for batch in batches for name, real in zip(batch["source_name"], batch["mask"], strict=True) if real]
    assert names == [f"source{index}" for index in range(10)]


def test_the_last_evaluation_batch_repeats_its_last_pair_under_the_mask(memory_source):
    *_, last = batches_lib.eval_batches(memory_source(10), batch_size=4, size=SIZE)
    assert last["mask"].tolist() == [True, True, False, False]
    assert indices(last) == [8, 9, 9, 9]
    assert last["target_name"] == ["target8", "target9", "target9", "target9"]
    assert last["target_pose"].shape == (4, 18, 2)


def test_chosen_pairs_are_shown_in_the_order_asked_for(memory_source):
    batches = list(batches_lib.eval_batches(memory_source(10), batch_size=2, size=SIZE, indices=[7, 2, 5]))
    assert [indices(batch) for batch in batches] == [[7, 2], [5, 5]]
    assert batches[0]["source_name"] == ["source7", "source2"]


def test_a_limit_cuts_the_evaluation_short(memory_source):
    batches = list(batches_lib.eval_batches(memory_source(10), batch_size=4, size=SIZE, limit=5))
    assert sum(batch["mask"].sum() for batch in batches) == 5


def test_noise_is_on_the_sources_only_and_a_step_has_its_own_however_a_run_began(memory_source):
    plain, noisy = (take(train(memory_source(9), noise=n), 3)[2] for n in (0.0, 1.5))
    assert_equal(next(train(memory_source(9), noise=1.5, start_step=2)), noisy)
    shares = [next(train(memory_source(9), noise=1.5, start_step=2, process_index=p, process_count=2)) for p in (0, 1)]
    assert_equal({key: np.concatenate([share[key] for share in shares]) for key in noisy}, noisy)
    changed = {key for key in plain if not np.array_equal(plain[key], noisy[key])}
    assert changed == {"source_pose", "source_parsing"}


def test_no_thread_tunes_what_is_made_of_an_order():
    """Its end would wait for that thread, which sleeps for up to a minute."""
    options = batches_lib.training_order(5, 2, seed=0).batch(2).skip(1).take(1).options()
    assert options.autotune.enabled is False and options.deterministic is True
