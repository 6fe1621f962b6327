"""The only door to the input pipeline: sources, batches and names of pairs, each process's share of them."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from input_pipeline import batches, facts, sources
from input_pipeline.batches import training_order
from scrn_jax.runtime import devices
from scrn_jax.settings import Train


def eval_batches(source, *, batch_size: int, size, limit: int | None = None):
    """`batches.eval_batches`: the pairs of a source in order, the same in every process."""
    return batches.eval_batches(source, batch_size=batch_size, size=size, limit=limit)


def spread_batch(source, count: int, size) -> dict[str, np.ndarray]:
    """One batch of `count` pairs spread evenly over a source, or of all when there are fewer."""
    spread = np.unique(np.linspace(0, len(source) - 1, count).round().astype(int))
    return next(iter(batches.eval_batches(source, batch_size=len(spread), size=size, indices=spread.tolist())))


def known_facts(source, count: int) -> list[dict[str, str | float]]:
    """What the data set knows of each of the first `count` pairs, see `input_pipeline.facts`."""
    return [facts.of_pair(*source.names(index)) for index in range(count)]


def own_batches(source, *, batch_size, size, limit=None, index: int | None = None, processes: int | None = None):
    """`batches.eval_batches`, of which each process reads its part; `mask` is the whole batch's.

    `index`, `processes`: which part of how many; this process's by default.
    """
    index = jax.process_index() if index is None else index
    processes = jax.process_count() if processes is None else processes
    count = min(len(source), limit or len(source))
    places = np.arange(-(-count // batch_size) * batch_size).reshape(-1, processes, batch_size // processes)
    own = np.minimum(places[:, index].ravel(), count - 1)
    share = batch_size // processes
    for number, batch in enumerate(batches.eval_batches(source, batch_size=share, size=size, indices=own.tolist())):
        yield batch | {"mask": number * batch_size + np.arange(batch_size) < count}


def open_sources(section: Mapping[str, Any]) -> tuple[Any, Any]:
    """The training and the test pairs that `config.data` names.

    The first process opens them first, because that may mean to make them.

    Raises:
      UserError: see `input_pipeline.sources.open_source`.
    """

    def both():
        return tuple(sources.open_source(section, split) for split in ("train", "test"))

    first = jax.process_index() == 0
    opened = both() if first else None
    devices.wait_for_all("the data is there")
    return opened if first else both()


def open_batches(source, first: int, train: Train, *, size: tuple[int, int], seed: int):
    """This process's share of the training batches of a source after step `first`, in the order of `seed`."""
    return batches.train_batches(
        source, batch_size=train.batch_size, size=size, seed=seed,
        start_step=first, flip=train.flip, noise=train.annotation_noise,
        process_index=jax.process_index(), process_count=jax.process_count(),
    )  # fmt: skip


def pair_names(source, step: int, train: Train, *, seed: int) -> list[tuple[str, str]]:
    """(source, target) names of the pairs that step `step` (from 1) trains on, over all processes."""
    order = training_order(len(source), train.batch_size, seed=seed, start_step=step - 1, flip=train.flip)
    order = order.take(train.batch_size)
    return [source.names(int(index)) for index, _ in order.as_numpy_iterator()]
