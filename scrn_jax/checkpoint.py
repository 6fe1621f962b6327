"""Checkpoints of a run: Orbax, asynchronous, with a record of which model they belong to."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp
from flax.traverse_util import flatten_dict
from orbax.checkpoint import checkpoint_managers as policies

from scrn_jax.errors import UserError

FOLDER = "checkpoints"


class Checkpoints:
    """The checkpoints under a workdir, as a context manager that waits for pending writes when left.

    Args:
      workdir: the run's folder.
      identity: what must agree for a checkpoint to fit (the model's config section and frame), plain JSON.
      keep, keep_every: the newest `keep` are kept, and for good those at multiples of `keep_every` (0: none).
    """

    def __init__(self, workdir: Path, identity: Mapping[str, Any], keep: int = 2, keep_every: int = 0):
        rules = [policies.LatestN(keep)] + ([policies.EveryNSteps(keep_every)] if keep_every else [])
        options = ocp.CheckpointManagerOptions(preservation_policy=policies.AnyPreservationPolicy(rules))
        self._folder = (Path(workdir) / FOLDER).resolve()
        self._identity = _flat(identity)
        self._manager = ocp.CheckpointManager(self._folder, options=options)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_):
        self._manager.close()

    @property
    def latest_step(self) -> int | None:
        """The step of the newest checkpoint, None when there is none."""
        return self._manager.latest_step()

    def save(self, step: int, state) -> None:
        """Write the state of `step` in the background; a step that is already there is left alone."""
        if step in self._manager.all_steps():
            return
        items = ocp.args.Composite(state=ocp.args.StandardSave(state), identity=ocp.args.JsonSave(self._identity))
        self._manager.save(step, args=items, force=True)

    def restore(self, like) -> Any:
        """The newest state, in the structure and shardings of `like` (a tree of jax.ShapeDtypeStruct).

        Raises:
          UserError: no checkpoint, or one of another model.
        """
        step = self._checked_latest()
        return self._manager.restore(step, args=ocp.args.Composite(state=ocp.args.StandardRestore(like)))["state"]

    def _checked_latest(self) -> int:
        step = self.latest_step
        if step is None:
            raise UserError(f"no checkpoint in {self._folder}; train first, or give another --workdir")
        stored = self._manager.restore(step, args=ocp.args.Composite(identity=ocp.args.JsonRestore()))["identity"]
        found = _flat(stored)
        differences = [
            f"{key} is {found.get(key)} there and {self._identity.get(key)} in the config"
            for key in sorted({*found, *self._identity})
            if found.get(key) != self._identity.get(key)
        ]
        if differences:
            raise UserError(
                f"{self._folder / str(step)} holds another model: {'; '.join(differences)}. "
                "Use its config, or another --workdir"
            )
        return step


def _flat(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Nested sections as "section.key", tuples as the lists that JSON gives back, so that the two sides compare."""
    return flatten_dict(json.loads(json.dumps(identity)), sep=".")
