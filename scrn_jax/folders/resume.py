"""What a measurement has so far, on disk, so that a killed one goes on; it is gone when the report is written."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from scrn_jax.errors import UserError
from scrn_jax.metrics.fid import Moments
from scrn_jax.runtime import arrays as arrays_lib
from scrn_jax.runtime import files

FOLDER = ".unfinished"


@dataclass
class State:
    """How many items are done, their figures by name, each (done,), and the moments of their features, if asked for."""

    done: int = 0
    figures: dict[str, np.ndarray] = field(default_factory=dict)
    moments: Moments | None = None


class Shelf:
    """The states of one evaluation's passes, each a file under its fingerprint in a hidden folder of the output."""

    def __init__(self, output: Path):
        self._folder = output / FOLDER

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
