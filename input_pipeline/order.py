"""The order of training: which pair, mirrored or not, stands at which place of which step."""

import tensorflow as tf

# tf.data counts in int64; no run comes near this many positions.
_ENDLESS = 1 << 60


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

    return tf.data.Dataset.range(start_step * share, _ENDLESS).map(place)
