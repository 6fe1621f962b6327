"""Batches of pairs: in the order of training, any step of which can be computed without those before it, or in turn."""

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from input_pipeline import annotation_noise
from input_pipeline.decoding import (
    DecodedPairs,
    cpu_only,
    decode_labels,
    decode_photo,
    decoded_bytes,
    explain,
    parallel_calls,
    with_options,
)
from input_pipeline.pair import Source
from scrn_jax.person import face, joints
from scrn_jax.person.face import face_box_at_size
from scrn_jax.person.joints import pose_at_size

KEYS = (
    "source_image",
    "source_pose",
    "source_parsing",
    "target_image",
    "target_pose",
    "target_parsing",
    "face_box",
)
DEFAULT_CACHE_BYTES = 256 << 20

Batch = dict[str, np.ndarray]

# tf.data counts in int64; no run comes near this many positions.
_ENDLESS = 1 << 60


def train_batches(
    source: Source,
    *,
    batch_size: int,
    size: tuple[int, int],
    seed: int,
    start_step: int = 0,
    flip: bool = True,
    process_index: int = 0,
    process_count: int = 1,
    cache_bytes: int = DEFAULT_CACHE_BYTES,
    noise: float = 0.0,
) -> Iterator[Batch]:
    """Endless training batches; the one of step s depends on (seed, s) alone, so a run can start at any `start_step`.

    Each batch maps KEYS to arrays: images uint8 (B, H, W, 3), parsing maps uint8 (B, H, W) with values 0 to 7, poses
    float32 (B, 18, 2) and face_box float32 (B, 4) in pixels of `size` = (H, W). `batch_size` counts the pairs of all
    processes and B is this process's share. Every epoch is a permutation of the pairs. With `flip`, half of the pairs
    are mirrored. A data set that takes at most `cache_bytes` decoded is held in memory, with equal results. The
    sources' annotation is off by `noise` pixels, see `annotation_noise`.

    Raises ValueError when `batch_size` does not divide among the processes, UserError naming a broken file or record.
    """
    cpu_only()
    order = training_order(
        len(source),
        batch_size,
        seed=seed,
        start_step=start_step,
        flip=flip,
        process_index=process_index,
        process_count=process_count,
    )
    share = batch_size // process_count
    if decoded_bytes(source, size) <= cache_bytes:
        batches = _gathered(DecodedPairs(source, size), order.batch(share))
    else:
        batches = _streamed(source, order, share, size)
    if not noise:
        return batches
    firsts = itertools.count(start_step * batch_size + process_index * share, batch_size)
    return (annotation_noise.add(batch, noise, seed, first) for first, batch in zip(firsts, batches, strict=False))


def eval_batches(
    source: Source,
    *,
    batch_size: int,
    size: tuple[int, int],
    limit: int | None = None,
    indices: Sequence[int] | None = None,
) -> Iterator[dict[str, np.ndarray | list[str]]]:
    """Every pair (or those at `indices`; or the first `limit`) once, in order, in batches of exactly `batch_size`.

    The last batch is filled by repeating its last pair. Beside KEYS (see `train_batches`) a batch has `mask`, bool
    (B,), False for the repeats, and the lists of strings `source_name` and `target_name`. Raises UserError naming a
    broken file or record.
    """
    cpu_only()
    chosen = np.arange(len(source)) if indices is None else np.asarray(indices, np.int64)
    chosen = chosen[:limit]
    order = with_options(tf.data.Dataset.from_tensor_slices(chosen).map(lambda index: (index, False)))
    for number, batch in enumerate(_streamed(source, order, batch_size, size)):
        start = number * batch_size
        real = batch["face_box"].shape[0]
        rows = np.minimum(np.arange(batch_size), real - 1)
        if real < batch_size:
            batch = {key: values[rows] for key, values in batch.items()}
        names = [source.names(int(index)) for index in chosen[start : start + real]]
        sources, targets = zip(*(names[row] for row in rows), strict=True)
        yield batch | {
            "mask": np.arange(batch_size) < real,
            "source_name": list(sources),
            "target_name": list(targets),
        }


def _gathered(decoded: DecodedPairs, batches: tf.data.Dataset) -> Iterator[Batch]:
    """The batches of an order of batched (index, mirrored), from memory; what is made of an order has its options."""
    for indices, mirrored in batches.prefetch(2).as_numpy_iterator():
        yield decoded.batch(indices, mirrored)


def _streamed(source: Source, order: tf.data.Dataset, share: int, size: tuple[int, int]) -> Iterator[Batch]:
    """The batches of an order of (index, mirrored), read and decoded as they are needed."""
    decode = _decoder(source, size)
    dataset = order.map(decode, num_parallel_calls=parallel_calls()).batch(share).prefetch(2)
    done = 0
    failure = tf.errors.OpError  # a name of this function, still there when the interpreter shuts down
    try:
        for batch in dataset.as_numpy_iterator():
            yield batch
            done += 1
    except failure as error:
        broken = order.skip(done * share).take(share).as_numpy_iterator()
        raise explain(source, (int(index) for index, _ in broken), error) from error


def _decoder(source: Source, size: tuple[int, int]) -> Callable[[tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]:
    """The graph function (index, mirrored) -> one example of a batch."""
    kinds = [tf.string, tf.float32, tf.string] * 2 + [tf.float32]
    read = _reader(source, size)

    def decode(index: tf.Tensor, mirrored: tf.Tensor) -> dict[str, tf.Tensor]:
        pair = dict(zip(KEYS, tf.numpy_function(read, [index, mirrored], kinds, stateful=False), strict=True))
        for side in ("source", "target"):
            image = decode_photo(pair[f"{side}_image"], source.frame, size)
            labels = decode_labels(pair[f"{side}_parsing"], source.frame, size)
            pair[f"{side}_image"] = _mirrored_if(mirrored, image)
            pair[f"{side}_parsing"] = _mirrored_if(mirrored, labels)
            pair[f"{side}_pose"].set_shape((joints.NUM_JOINTS, 2))
        pair["face_box"].set_shape((4,))
        return pair

    return decode


def _reader(source: Source, size: tuple[int, int]) -> Callable[[np.int64, np.bool_], list[bytes | np.ndarray]]:
    """The Python function (index, mirrored) -> the values of KEYS, pictures still encoded, joints and box in place."""

    def read(index: np.int64, mirrored: np.bool_) -> list[bytes | np.ndarray]:
        pair = source.read(int(index))
        source_pose, target_pose = (
            pose_at_size(pose, source.frame, size) for pose in (pair.source_pose, pair.target_pose)
        )
        face_box = face_box_at_size(pair.face_box, source.frame, size)
        if mirrored:
            source_pose, target_pose = (joints.flip(pose, size[1]) for pose in (source_pose, target_pose))
            face_box = face.flip_box(face_box, size[1])
        return [
            pair.source_image, source_pose, pair.source_parsing,
            pair.target_image, target_pose, pair.target_parsing, face_box,
        ]  # fmt: skip

    return read


def _mirrored_if(mirrored: tf.Tensor, picture: tf.Tensor) -> tf.Tensor:
    """The picture (H, W, ...), left and right swapped when `mirrored` (a scalar bool) holds."""
    return tf.cond(mirrored, lambda: tf.reverse(picture, [1]), lambda: picture)


def training_order(
    num_pairs: int,
    batch_size: int,
    *,
    seed: int,
    start_step: int = 0,
    flip: bool = True,
    process_index: int = 0,
    process_count: int = 1,
) -> tf.data.Dataset:
    """An endless data set of (pair index, mirrored) for this process's share of every batch from `start_step` on.

    Position = step * batch_size + place in the batch; epoch = position // num_pairs, and each epoch is a permutation
    of the pairs given by (seed, epoch). Whether a pair is mirrored is a fair coin given by (seed, position). So any
    step can be computed without those before it, and process p of n holds the p-th part of the batch that one process
    would hold. Raises ValueError when `batch_size` does not divide among the processes.
    """
    if batch_size < 1 or batch_size % process_count:
        raise ValueError(f"batch size {batch_size} does not divide among {process_count} processes")
    share = batch_size // process_count

    def place(count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        position = count // share * batch_size + process_index * share + count % share
        epoch = position // num_pairs
        index = tf.random.experimental.index_shuffle(
            position % num_pairs, tf.stack([tf.constant(seed, tf.int64), epoch]), tf.constant(num_pairs - 1, tf.int64)
        )
        coin = tf.random.stateless_uniform([], tf.stack([tf.constant(seed, tf.int64), position])) < 0.5
        return index, coin if flip else tf.constant(False)

    return with_options(tf.data.Dataset.range(start_step * share, _ENDLESS).map(place))
