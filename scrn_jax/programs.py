"""A run's compiled programs: the training step, ahead of the first one, and the term norms, at the first use."""

import logging

import jax

from scrn_jax import startup, term_norms, train_step
from scrn_jax import state as state_lib
from scrn_jax.runtime import devices
from scrn_jax.settings import Settings

log = logging.getLogger(__name__)


def jit_step(settings: Settings, mesh, compiler_options=None):
    """The training step: state donated and placed by `devices.parameters`, batch split over the devices."""
    placement, replicated = devices.parameters(state_lib.shapes(settings), mesh), devices.replicated(mesh)
    return jax.jit(
        train_step.make_train_step(settings, _gather(mesh)),
        in_shardings=(placement, replicated, devices.data(mesh)),
        out_shardings=(placement, replicated),
        donate_argnums=0,
        compiler_options=compiler_options,
    )


def compile_step(settings: Settings, mesh, state, frozen, batch):
    """The step for a state and a placed batch like these, with a line on the memory that it needs."""
    log.info("compiling the training step, once; then the first lines appear")
    compiled = jit_step(settings, mesh).lower(state, frozen, batch).compile()
    startup.describe_memory(compiled)
    return compiled


def jit_term_norms(settings: Settings, mesh):
    """The term norms of a state and a batch placed as the step's."""
    placement, replicated = devices.parameters(state_lib.shapes(settings), mesh), devices.replicated(mesh)
    return jax.jit(
        term_norms.make_term_norms(settings, _gather(mesh)),
        in_shardings=(placement, replicated, devices.data(mesh)),
        out_shardings=replicated,
    )


def _gather(mesh):
    """Makes the networks' parameters whole on every device before anything is computed with them.

    Left to itself, XLA splits convolutions by channels where their parameters are, and moves features instead, which
    are many more numbers.
    """
    if mesh.shape[devices.FSDP_AXIS] == 1:
        return lambda state: state

    def gather(state):
        parts = {name: getattr(state, name) for name in ("generator", "discriminator", "spectral")}
        return state.replace(**jax.lax.with_sharding_constraint(parts, devices.replicated(mesh)))

    return gather
