"""config.init_from: a new run that starts from the trained weights of another run, or of an exported model."""

import logging
from pathlib import Path

import jax
import jax.numpy as jnp

from scrn_jax.errors import UserError
from scrn_jax.inference import model_folder
from scrn_jax.runtime import devices
from scrn_jax.settings import Settings
from scrn_jax.training import checkpoints as checkpoints_lib
from scrn_jax.training import mismatch
from scrn_jax.training import workdir as workdir_lib
from scrn_jax.training.state import TrainState

log = logging.getLogger(__name__)

_TAKEN = {"ema": "averaged generator", "discriminator": "discriminator", "spectral": "spectral statistics"}


def start_from(folder: Path, settings: Settings, mesh, fresh: TrainState) -> TrainState:
    """`fresh` with what the run or exported model in `folder` has learned, at step 0 and with a fresh optimiser.

    The averaged generator becomes both the generator and its average. A run's discriminator comes along, which an
    export does not have. Frame, losses, rates and data may be others than there; config.model may not, but for how it
    is computed.

    Raises:
      UserError: neither a run nor an export there, one of another model, or one that cannot be read.
    """
    try:
        found = workdir_lib.read_config(folder)
        differences = mismatch.of_values(*(
            mismatch.flat(checkpoints_lib.identity(each.model)) for each in (found, settings)
        ))  # fmt: skip
        if differences:
            raise UserError(f"it is another model: {'; '.join(differences)}; take its config.model")
        parts, step = _parts(folder, found, mesh)
    except UserError as error:
        raise UserError(f"config.init_from {folder}: {error}") from error
    placed = {name: _copied(part, devices.parameters(part, mesh)) for name, part in parts.items()}
    log.info("starting from step %d of %s: its %s", step, folder, ", ".join(_TAKEN[name] for name in parts))
    # Another copy: donated buffers must not be shared between leaves.
    return fresh.replace(**placed, generator=_copied(parts["ema"], devices.parameters(parts["ema"], mesh)))


def _parts(folder: Path, settings: Settings, mesh):
    """(parts of a state by name, the step that they are of)."""
    if model_folder.is_exported(folder):
        params, step = checkpoints_lib.read_params(settings, folder, mesh)
        return {"ema": params}, step
    with checkpoints_lib.open_checkpoints(settings, folder) as checkpoints:
        there = checkpoints_lib.newest(settings, mesh, checkpoints)
    return {name: getattr(there, name) for name in _TAKEN}, int(there.step)


def _copied(tree, placement):
    return jax.jit(lambda tree: jax.tree.map(jnp.copy, tree), out_shardings=placement)(tree)
