"""Checkpoints of a run: Orbax, asynchronous, with a record of which model they belong to; and states from them."""

import contextlib
import dataclasses
import logging
import time
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from absl import logging as absl_logging
from orbax.checkpoint import checkpoint_managers as policies

from scrn_jax.errors import UserError, first_line
from scrn_jax.inference import model_folder
from scrn_jax.models import base
from scrn_jax.runtime import devices, distributed, files
from scrn_jax.settings import Settings
from scrn_jax.training import mismatch, state

log = logging.getLogger(__name__)

_LIBRARY_LOG = absl_logging.get_absl_logger()  # what Orbax logs with
FOLDER, UNREADABLE = "checkpoints", "unreadable_checkpoints"

STATE, IDENTITY = "state", "identity"  # what a checkpoint consists of

# The random numbers of a fresh state are drawn once: XLA would take longer to optimise that than to do it. These are
# options of XLA's compiler for processors; others refuse them or take them otherwise.
QUICK_COMPILE = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}

# How a process fared with a checkpoint, the worse the higher.
_READ, _UNREADABLE, _REFUSED = range(3)
_NAMED = 3  # arrays that a message names at most

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
        self._identity, self._unsaid = mismatch.flat(identity), mismatch.flat(dict(unsaid))
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
        items = ocp.args.Composite(**{STATE: ocp.args.StandardSave(state), IDENTITY: ocp.args.JsonSave(self._identity)})
        with self._writing():
            self._manager.save(step, args=items, force=True)

    def wait(self) -> None:
        """Return once everything that was saved is on the disk; UserError as `save`."""
        with self._writing():
            self._manager.wait_until_finished()

    @property
    def steps(self) -> list[int]:
        """The steps that there are by the first process's account, the newest first; the same in every process."""
        return devices.of_the_first(sorted(self._manager.all_steps(), reverse=True))

    def restore(self, like) -> Any:
        """The newest state that can be read, in the structure and shardings of `like` (jax.ShapeDtypeStruct).

        A checkpoint that cannot be read is passed over with a warning; `set_aside` takes it out of the way. Of several
        processes all take the same: one that a single process cannot read is passed over by all.

        Raises:
          UserError: no checkpoint, none that can be read, one of another model or structure, too little memory for it;
            in the other processes, too.
        """
        steps = self.steps
        if not steps:
            raise UserError(f"no checkpoint in {self._folder}; train first, or give another --workdir")
        for step in steps:
            state, error = self._attempt(step, like)
            worst = devices.worst_of_all(_severity(error))
            if worst == _READ:
                return state
            reason = "another process cannot read it" if error is None else first_line(error)
            if worst == _REFUSED:
                if _severity(error) == _REFUSED:
                    raise error
                raise UserError(f"{self._folder / str(step)}: another process ended over it, and says why")
            log.warning("%s cannot be read and is passed over: %s", self._folder / str(step), reason)
            self._unreadable.append(step)
        raise UserError(
            f"none of the {len(steps)} checkpoints in {self._folder} can be read (the oldest: {reason}); "
            "bring back a copy of one, or start anew in another --workdir"
        )

    def set_aside(self) -> None:
        """Move the checkpoints that `restore` passed over out of the way, so that their steps can be saved again."""
        if self._unreadable and jax.process_index() == 0:
            shelf = self._folder.with_name(UNREADABLE)
            shelf.mkdir(exist_ok=True)
            for step in self._unreadable:
                (self._folder / str(step)).rename(shelf / f"{step}-{time.time_ns()}")
            log.warning("moved to %s: %s", shelf, ", ".join(map(str, self._unreadable)))
        devices.wait_for_all("unreadable checkpoints are out of the way")
        if self._unreadable:
            self._unreadable = []
            self._manager.reload()

    def _attempt(self, step: int, like) -> tuple[Any, Exception | None]:
        """The state of `step` and None, or None and what was met; waits for no other process."""
        try:
            return self._read(step, like), None
        except Exception as error:  # noqa: BLE001  Orbax and TensorStore raise whatever they meet
            if not mismatch.is_out_of_memory(error):
                return None, error
            short = UserError(
                f"{self._folder / str(step)}: there is too little memory to read it ({first_line(error)}); it "
                "stays as it is: free memory, or use a machine with more, and run the same command again"
            )
            return None, short

    def _read(self, step: int, like) -> Any:
        # By Orbax's handlers: the manager's own `restore` ends in a barrier, at which the other processes would wait
        # for one that has met an error.
        folder = self._folder / str(step)
        try:
            stored = files.read_json(folder / IDENTITY / "metadata")
        except UserError as error:
            raise OSError(str(error)) from error  # damage, which is passed over
        if not isinstance(stored, dict):
            raise OSError(f"{folder / IDENTITY / 'metadata'}: holds no description of a model")
        self._check_identity(step, stored)
        handler = ocp.StandardCheckpointHandler()
        self._check_structure(step, mismatch.of_arrays(handler.metadata(folder / STATE).tree, like))
        return handler.restore(folder / STATE, args=ocp.args.StandardRestore(like))

    def _check_structure(self, step: int, differences: list[str]) -> None:
        if differences:
            more = f" and {len(differences) - _NAMED} more" if len(differences) > _NAMED else ""
            raise UserError(
                f"{self._folder / str(step)} holds other arrays than this model and optimiser have: "
                f"{'; '.join(differences[:_NAMED])}{more}. It is not damaged: use the config and the version of "
                "scrn_jax that made it, or start from its generator in another --workdir with config.init_from"
            )

    def _check_identity(self, step: int, stored: Mapping[str, Any]) -> None:
        differences = mismatch.of_values(self._unsaid | mismatch.flat(stored), self._identity)
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
                f"a checkpoint cannot be written into {self._folder}: {mismatch.reason(error)}; {kept}. Make room or "
                "mend the folder and run the same command again: it goes on from there"
            ) from error


def _severity(error: Exception | None) -> int:
    if error is None:
        return _READ
    return _REFUSED if isinstance(error, UserError) else _UNREADABLE


def _is_not_of_orbax(record: logging.LogRecord) -> bool:
    """False for what Orbax logs: hundreds of lines of tracebacks about an error that it also raises."""
    return "orbax" not in Path(record.pathname).parts


def read_params(settings: Settings, folder: Path, mesh) -> tuple[Any, int]:
    """The averaged generator of a workdir or of an exported model, and its step; UserError as `evaluate`."""
    if model_folder.is_exported(folder):
        there, here = (mismatch.flat(identity(each.model)) for each in (model_folder.read_settings(folder), settings))
        if differences := mismatch.of_values(there, here):
            raise UserError(f"{folder} holds another model: {'; '.join(differences)}; take its config.model")
        step = model_folder.read_model_file(folder)["step"]
        return model_folder.read_params(folder, settings, devices.replicated(mesh)), step
    with open_checkpoints(settings, folder) as checkpoints:
        current = newest(settings, mesh, checkpoints)
    return current.ema, int(current.step)


def open_checkpoints(settings: Settings, workdir: Path) -> Checkpoints:
    """The run's checkpoints, which fit models of the same config section and frame, in whatever way computed."""
    options = settings.train
    return Checkpoints(
        workdir,
        {"model": identity(settings.model), "size": settings.size, "muon": settings.optim.muon_learning_rate > 0},
        options.keep, options.keep_every,
        unsaid={"model": {**identity(type(settings.model)()), "name": base.DEFAULT}, "muon": False},
    )  # fmt: skip


def identity(model) -> dict[str, Any]:
    """What of a config's section `model` says which parameters there are and what is computed with them."""
    return {key: value for key, value in dataclasses.asdict(model).items() if key not in NOT_OF_THE_MODEL}


def newest(settings: Settings, mesh, checkpoints: Checkpoints) -> state.TrainState:
    """The state of the newest checkpoint that can be read, placed on the mesh; UserError when none fits."""
    shapes = state.shapes(settings)
    placement = devices.parameters(shapes, mesh)
    like = jax.tree.map(lambda x, to: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=to), shapes, placement)
    return checkpoints.restore(like)


def newest_or_fresh(settings: Settings, mesh, checkpoints: Checkpoints) -> state.TrainState:
    """The newest checkpoint's state, or a fresh one when the workdir has none yet."""
    if not checkpoints.steps:
        placement = devices.parameters(state.shapes(settings), mesh)
        options = QUICK_COMPILE if jax.default_backend() == "cpu" else None
        fresh = jax.jit(lambda: state.init_state(settings), out_shardings=placement, compiler_options=options)
        return state.filled(settings, fresh(), placement)
    current = newest(settings, mesh, checkpoints)
    checkpoints.set_aside()
    log.info("going on from step %d", int(current.step))
    return current
