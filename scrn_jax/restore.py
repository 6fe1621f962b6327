"""From a workdir to a state on the devices: the newest checkpoint, or a fresh start."""

import dataclasses
import logging
from pathlib import Path

import jax

from scrn_jax import state
from scrn_jax.checkpoint import Checkpoints
from scrn_jax.models.scrn.settings import Model
from scrn_jax.runtime import devices
from scrn_jax.settings import Settings

log = logging.getLogger(__name__)

# The random numbers of a fresh state are drawn once: XLA would take longer to optimise that than to do it.
QUICK_COMPILE = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}

# Keys of config.model that say how to compute, not what: a run may change them on the way.
NOT_OF_THE_MODEL = ("dtype", "remat", "convolutions")


def open_checkpoints(settings: Settings, workdir: Path) -> Checkpoints:
    """The run's checkpoints, which fit models of the same config section and frame, in whatever way computed."""

    def identity(model: Model):
        return {key: value for key, value in dataclasses.asdict(model).items() if key not in NOT_OF_THE_MODEL}

    options = settings.train
    return Checkpoints(
        workdir, {"model": identity(settings.model), "size": settings.size}, options.keep, options.keep_every,
        unsaid={"model": identity(Model())},
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
        return fresh()
    current = newest(settings, mesh, checkpoints)
    checkpoints.set_aside()
    log.info("going on from step %d", int(current.step))
    return current
