"""Checkpoints of a run: Orbax, asynchronous, with a record of which model they belong to; and states from them."""

import contextlib
import dataclasses
import json
import logging
import os
import re
import time
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from absl import logging as absl_logging
from flax.traverse_util import flatten_dict
from orbax.checkpoint import checkpoint_managers as policies

from scrn_jax.errors import UserError
from scrn_jax.inference import model_folder
from scrn_jax.models import base
from scrn_jax.runtime import devices, distributed
from scrn_jax.settings import Settings
from scrn_jax.training import state

log = logging.getLogger(__name__)

_LIBRARY_LOG = absl_logging.get_absl_logger()  # what Orbax logs with
FOLDER, UNREADABLE = "checkpoints", "unreadable_checkpoints"

# The random numbers of a fresh state are drawn once: XLA would take longer to optimise that than to do it.
QUICK_COMPILE = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}

# Keys of config.model that say how to compute, not what: a run may change them on the way.
NOT_OF_THE_MODEL = ("dtype", "remat", "convolutions")


class Checkpoints:
    """The checkpoints under a workdir, as a context manager that waits for pending writes when left.

    Args:
      workdir: the run's folder.
      identity: what must agree for a checkpoint to fit (the model's config section and frame), plain JSON.
      unsaid: what keys of `identity` mean that a checkpoint, being older than they are, does not have.
      keep, keep_every: the newest `keep` are kept, and for good those at multiples of `keep_every` (0: none).
    """

    def __init__(
        self,
        workdir: Path,
        identity: Mapping[str, Any],
        keep: int = 2,
        keep_every: int = 0,
        unsaid: Mapping[str, Any] = types.MappingProxyType({}),
    ):
        rules = [policies.LatestN(keep)] + ([policies.EveryNSteps(keep_every)] if keep_every else [])
        options = ocp.CheckpointManagerOptions(preservation_policy=policies.AnyPreservationPolicy(rules))
        self._folder = (Path(workdir) / FOLDER).resolve()
        self._identity, self._unsaid = _flat(identity), _flat(dict(unsaid))
        self._unreadable: list[int] = []
        self._manager = ocp.CheckpointManager(self._folder, options=options)

    def __enter__(self) -> "Checkpoints":
        _LIBRARY_LOG.addFilter(_is_not_of_orbax)
        return self

    def __exit__(self, kind, error, _):
        try:
            self._close(kind, error)
        finally:
            _LIBRARY_LOG.removeFilter(_is_not_of_orbax)

    def _close(self, kind, error) -> None:
        if kind is None:
            with self._writing():
                self._manager.close()
            return
        if distributed.is_of_a_lost_peer(error):
            return  # Closing would wait for that process.
        # What ended the run is the news, not what its last write met on the way.
        with contextlib.suppress(Exception):
            self._manager.close()

    @property
    def latest_step(self) -> int | None:
        """The step of the newest checkpoint, None when there is none."""
        return self._manager.latest_step()

    def save(self, step: int, state) -> None:
        """Write the state of `step` in the background; a step that is already there is left alone.

        Raises:
          UserError: the folder has vanished, or this or the previous write failed, as on a full disk.
        """
        if step in self._manager.all_steps():
            return
        if not self._folder.is_dir():
            raise UserError(
                f"{self._folder} has vanished while the run wrote into it; run again with a --workdir that stays"
            )
        items = ocp.args.Composite(state=ocp.args.StandardSave(state), identity=ocp.args.JsonSave(self._identity))
        with self._writing():
            self._manager.save(step, args=items, force=True)

    def wait(self) -> None:
        """Return once everything that was saved is on the disk; UserError as `save`."""
        with self._writing():
            self._manager.wait_until_finished()

    def restore(self, like) -> Any:
        """The newest state that can be read, in the structure and shardings of `like` (jax.ShapeDtypeStruct).

        A checkpoint that cannot be read is passed over with a warning; `set_aside` takes it out of the way.

        Raises:
          UserError: no checkpoint, none that can be read, or one of another model.
        """
        steps = sorted(self._manager.all_steps(), reverse=True)
        if not steps:
            raise UserError(f"no checkpoint in {self._folder}; train first, or give another --workdir")
        for step in steps:
            try:
                self._check_identity(step)
                items = ocp.args.Composite(state=ocp.args.StandardRestore(like))
                state = self._manager.restore(step, args=items)["state"]
            except (UserError, MemoryError):
                raise
            except Exception as error:  # Orbax and TensorStore raise whatever they meet
                reason = _first_line(error)
                log.warning("%s cannot be read and is passed over: %s", self._folder / str(step), reason)
                self._unreadable.append(step)
            else:
                return state
        raise UserError(
            f"none of the {len(steps)} checkpoints in {self._folder} can be read (the oldest: {reason}); "
            "bring back a copy of one, or start anew in another --workdir"
        )

    def set_aside(self) -> None:
        """Move the checkpoints that `restore` passed over out of the way, so that their steps can be saved again."""
        if not self._unreadable:
            return
        if jax.process_index() == 0:
            shelf = self._folder.with_name(UNREADABLE)
            shelf.mkdir(exist_ok=True)
            for step in self._unreadable:
                (self._folder / str(step)).rename(shelf / f"{step}-{time.time_ns()}")
            log.warning("moved to %s: %s", shelf, ", ".join(map(str, self._unreadable)))
        devices.wait_for_all("unreadable checkpoints are out of the way")
        self._unreadable = []
        self._manager.reload()

    def _check_identity(self, step: int) -> None:
        stored = self._manager.restore(step, args=ocp.args.Composite(identity=ocp.args.JsonRestore()))["identity"]
        found = self._unsaid | _flat(stored)
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

    @contextlib.contextmanager
    def _writing(self):
        """Turns what Orbax and TensorStore raise when they cannot write into a UserError."""
        try:
            yield
        except (OSError, ValueError) as error:
            good = [int(path.name) for path in self._folder.glob("*") if path.name.isdigit()]
            kept = f"step {max(good)} is the newest good one" if good else "there is none yet"
            raise UserError(
                f"a checkpoint cannot be written into {self._folder}: {_reason(error)}; {kept}. Make room or mend "
                "the folder and run the same command again: it goes on from there"
            ) from error


def _is_not_of_orbax(record: logging.LogRecord) -> bool:
    """False for what Orbax logs: hundreds of lines of tracebacks about an error that it also raises."""
    return "orbax" not in Path(record.pathname).parts


def _reason(error: Exception) -> str:
    """The operating system's word for what went wrong, where TensorStore's long message has it, or the first line."""
    code = re.search(r"os_error_code='(\d+)'", str(error))
    return os.strerror(int(code[1])) if code else _first_line(error)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


def _flat(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Nested sections as "section.key", tuples as the lists that JSON gives back, so that the two sides compare."""
    return flatten_dict(json.loads(json.dumps(identity)), sep=".")


def read_params(settings: Settings, folder: Path, mesh) -> tuple[Any, int]:
    """The averaged generator of a workdir or of an exported model, and its step; UserError as `evaluate`."""
    if model_folder.is_exported(folder):
        step = model_folder.read_model_file(folder)["step"]
        return model_folder.read_params(folder, settings, devices.replicated(mesh)), step
    with open_checkpoints(settings, folder) as checkpoints:
        current = newest(settings, mesh, checkpoints)
    return current.ema, int(current.step)


def open_checkpoints(settings: Settings, workdir: Path) -> Checkpoints:
    """The run's checkpoints, which fit models of the same config section and frame, in whatever way computed."""

    def identity(model):
        return {key: value for key, value in dataclasses.asdict(model).items() if key not in NOT_OF_THE_MODEL}

    options = settings.train
    return Checkpoints(
        workdir, {"model": identity(settings.model), "size": settings.size}, options.keep, options.keep_every,
        unsaid={"model": {**identity(type(settings.model)()), "name": base.DEFAULT}},
    )  # fmt: skip


def newest(settings: Settings, mesh, checkpoints: Checkpoints) -> state.TrainState:
    """The state of the newest checkpoint that can be read, placed on the mesh; UserError when none fits."""
    shapes = state.shapes(settings)
    placement = devices.parameters(shapes, mesh)
    like = jax.tree.map(lambda x, to: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=to), shapes, placement)
    return checkpoints.restore(like)


def newest_or_fresh(settings: Settings, mesh, checkpoints: Checkpoints) -> state.TrainState:
    """The newest checkpoint's state, or a fresh one when the workdir has none yet."""
    if checkpoints.latest_step is None:
        placement = devices.parameters(state.shapes(settings), mesh)
        fresh = jax.jit(lambda: state.init_state(settings), out_shardings=placement, compiler_options=QUICK_COMPILE)
        return state.filled(settings, fresh(), placement)
    current = newest(settings, mesh, checkpoints)
    checkpoints.set_aside()
    log.info("going on from step %d", int(current.step))
    return current
