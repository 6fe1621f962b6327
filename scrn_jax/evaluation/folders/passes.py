"""A pass over images: decoded ahead, measured in batches, and kept in chunks that a killed run need not repeat."""

import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np

from scrn_jax.errors import UserError
from scrn_jax.evaluation.folders import images
from scrn_jax.evaluation.meter import RANDOM, Item, Meter, Networks
from scrn_jax.metrics.fid import Moments, Origin
from scrn_jax.metrics.protocols import Protocol
from scrn_jax.models.pretrained.inception import FEATURES
from scrn_jax.runtime import arrays as arrays_lib
from scrn_jax.runtime import files
from scrn_jax.runtime.console import Progress
from scrn_jax.runtime.workers import ahead, batched

CHUNK = 512  # images between two saves; a lost chunk is a minute or two of a CPU's work

_PACKAGES = ("scrn-jax", "jax", "jaxlib", "numpy", "pillow")

UNFINISHED = ".unfinished"


@dataclass
class State:
    """How many items are done, their figures by name, each (done,), and the moments of their features, if asked for."""

    done: int = 0
    figures: dict[str, np.ndarray] = field(default_factory=dict)
    moments: Moments | None = None


class Shelf:
    """The states of one evaluation's passes, each a file under its fingerprint in a hidden folder of the output."""

    def __init__(self, output: Path):
        self._folder = output / UNFINISHED

    def load(self, fingerprint: str) -> State:
        """The state kept under that fingerprint; an empty one when there is none or the file is damaged."""
        path = self._path(fingerprint)
        try:
            arrays = arrays_lib.read_npz(path) if path.is_file() else {}
        except UserError:
            arrays = {}
        if "done" not in arrays:
            return State()
        figures = {key.removeprefix("figure "): value for key, value in arrays.items() if key.startswith("figure ")}
        moments = None
        if "scatter" in arrays:
            moments = Moments(int(arrays["count"]), arrays["mean"], arrays["scatter"])
        return State(int(arrays["done"]), figures, moments)

    def save(self, fingerprint: str, state: State) -> None:
        """Keeps a state, whole or not at all."""
        arrays = {f"figure {name}": values for name, values in state.figures.items()}
        if state.moments is not None:
            arrays |= {"count": np.array(state.moments.count), "mean": state.moments.mean}
            arrays["scatter"] = state.moments.scatter
        path = self._path(fingerprint)
        with files.written_whole(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, done=np.array(state.done), **arrays)

    def clear(self) -> None:
        """Removes every state."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, fingerprint: str) -> Path:
        return self._folder / f"{fingerprint[:32]}.npz"


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


class Passes:
    """Runs passes over images with the same devices, networks and shelf.

    Attributes:
      protocol: how to measure.
      origin: of Inception's features of images in the protocol's frame.
      has_random_features: whether Inception's weights are random ones, whose features are worth nothing.
    """

    def __init__(self, protocol: Protocol, networks: Networks, batch_size: int | None, output: Path):
        self.protocol = protocol
        self.has_random_features = networks.weights.get("inception", {}).get("sha256") == RANDOM
        self.origin = Origin(protocol.frame, "inception", networks.weights.get("inception", {}).get("sha256", "none"))
        self._meter = Meter(protocol, networks, batch_size)
        self._shelf = Shelf(output)
        self._grounds = {
            "protocol": asdict(protocol),
            "weights": networks.weights,
            "batch": [self._meter.batch_size, self._meter.devices, jax.default_backend()],
            "versions": [version(name) for name in _PACKAGES],
        }

    def run(self, title: str, items: Sequence[Any], read: Callable[[Any], Item], facts: dict[str, Any]) -> State:
        """One pass (see `passes.run`); `facts` tell its images from those of other passes."""
        return run(self._meter, title, items, read, self._shelf, self.fingerprint(facts))

    def fingerprint(self, facts: dict[str, Any]) -> str:
        """Of everything that a pass with these facts depends on."""
        return images.fingerprint({**self._grounds, **facts})

    def pixels(self, path: Path) -> np.ndarray:
        """An image in the protocol's frame, uint8 (H, W, 3)."""
        return images.decode(images.read_bytes(path), str(path), self.protocol.frame)

    def mask(self, path: Path) -> np.ndarray:
        """A mask in the protocol's frame, uint8 (H, W) of 0 and 1."""
        return images.decode_mask(images.read_bytes(path), str(path), self.protocol.frame)
