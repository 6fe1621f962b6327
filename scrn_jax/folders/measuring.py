"""A pass over images: decoded ahead, measured batch by batch, and kept in chunks that a killed run need not repeat."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import numpy as np

from scrn_jax.folders.meter import Item, Meter
from scrn_jax.folders.resume import Shelf, State
from scrn_jax.metrics.fid import Moments
from scrn_jax.models.pretrained.inception import FEATURES
from scrn_jax.runtime.console import Progress
from scrn_jax.runtime.workers import ahead, batched

CHUNK = 512  # images between two saves; a lost chunk is a minute or two of a CPU's work


def run(
    meter: Meter, title: str, items: Sequence[Any], read: Callable[[Any], Item], shelf: Shelf, fingerprint: str
) -> State:
    """Measures every item, from where the shelf says that an earlier run was killed.

    Args:
      read: gives one item's arrays, without the batch axis, named as `Meter.start` takes them. Threads call it.
      fingerprint: of everything on which the result depends.

    Returns:
      The figures of all items in their order, and the moments of their features when there were any.
    """
    state = shelf.load(fingerprint)
    with Progress(title, len(items), state.done) as progress:
        rest = ahead(read, items[state.done :], depth=4 * meter.batch_size)
        for chunk in _chunks(rest, meter.batch_size):
            _add(state, list(_figures(meter, chunk, progress)))
            shelf.save(fingerprint, state)
    return state


def _chunks(items: Iterable[Item], batch_size: int) -> Iterable[Iterable[list[Item]]]:
    """Batches in groups of about CHUNK items, none of which is read before it is its turn."""
    batches = batched(items, batch_size)
    for first in batches:
        yield _group(first, batches, max(CHUNK // batch_size, 1))


def _group(first: list[Item], batches: Iterable[list[Item]], size: int) -> Iterable[list[Item]]:
    yield first
    for _, batch in zip(range(size - 1), batches, strict=False):
        yield batch


def _figures(meter: Meter, batches: Iterable[list[Item]], progress: Progress) -> Iterable[dict[str, np.ndarray]]:
    """The figures of each batch without its padding; the next batch is under way before one is waited for."""
    before: tuple[dict[str, jax.Array], int] | None = None
    for batch in batches:
        started = meter.start({name: np.stack([item[name] for item in batch]) for name in batch[0]}), len(batch)
        if before is not None:
            yield _taken(*before, progress)
        before = started
    if before is not None:
        yield _taken(*before, progress)


def _taken(figures: dict[str, jax.Array], count: int, progress: Progress) -> dict[str, np.ndarray]:
    taken = {name: values[:count] for name, values in jax.device_get(figures).items()}
    progress.add(count)
    return taken


def _add(state: State, batches: list[dict[str, np.ndarray]]) -> None:
    """A chunk's figures and features into the state."""
    for name in batches[0]:
        values = np.concatenate([batch[name] for batch in batches])
        if name == "features":
            state.moments = (state.moments or Moments.empty(FEATURES)).add(values)
        else:
            state.figures[name] = np.concatenate([state.figures[name], values]) if name in state.figures else values
    state.done += sum(len(next(iter(batch.values()))) for batch in batches)
