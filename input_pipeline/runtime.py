"""How TensorFlow runs beside JAX: on the CPU only, in few threads of its own."""

import tensorflow as tf

from scrn_jax.runtime.workers import cores

_MAX_THREADS = 16


def cpu_only() -> None:
    """Keeps TensorFlow off the accelerators, whose memory belongs to JAX. Call before any TensorFlow op."""
    tf.config.set_visible_devices([], "GPU")


def parallel_calls() -> int:
    """How many pictures are worked on at a time: one per core that this process may use."""
    return min(cores(), _MAX_THREADS)


def with_options(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The data set in order, with a private pool of threads, so that it does not crowd out JAX."""
    options = tf.data.Options()
    options.deterministic = True
    options.threading.private_threadpool_size = parallel_calls()
    options.threading.max_intra_op_parallelism = 1
    return dataset.with_options(options)
