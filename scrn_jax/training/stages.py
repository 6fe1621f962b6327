"""Staged training: in a run's first `config.train.parsing_steps` steps only the parsing block learns, by L_par alone.

Both stages are one compiled step, which asks for the step's number: the first stage computes what it does not use, and
takes as long a step as the second. Without a first stage nothing here touches the step.
"""

import jax
import jax.numpy as jnp
from jax.tree_util import DictKey

from scrn_jax.models.scrn import objective
from scrn_jax.settings import Settings
from scrn_jax.training.state import TrainState

PARSING_BLOCK, PARSING_TERM = "parsing_block", "par"


def weights_at(settings: Settings, step) -> dict:
    """The weights of Eq. 4's terms at a step (counted from 0) by name, without those that never have one."""
    weights = objective.term_weights(settings)
    if not settings.train.parsing_steps:
        return weights
    first = step < settings.train.parsing_steps
    return {name: w if name == PARSING_TERM else jnp.where(first, 0.0, w) for name, w in weights.items()}


def steps_in_stage(settings: Settings, step):
    """How many steps of its stage a run has behind it: what the average's warm-up goes by."""
    if not settings.train.parsing_steps:
        return step
    return jnp.where(step < settings.train.parsing_steps, step, step - settings.train.parsing_steps)


def begin(settings: Settings, optimizer, state: TrainState) -> TrainState:
    """`state`, with Adam of the generator anew when the second stage begins.

    One count serves its bias correction for all parameters: means that are still 0 would else be taken for settled
    ones, and the first steps of the second stage would be three times too long.
    """
    if not settings.train.parsing_steps:
        return state
    begins, fresh = state.step == settings.train.parsing_steps, optimizer.init(state.generator)
    optimizer_state = jax.tree.map(lambda new, old: jnp.where(begins, new, old), fresh, state.generator_optimizer)
    return state.replace(generator_optimizer=optimizer_state)


def hold(settings: Settings, before: TrainState, after: TrainState) -> TrainState:
    """`after`, but in the first stage everything outside the parsing block as `before`: values, means and averages."""
    if not settings.train.parsing_steps:
        return after
    first = before.step < settings.train.parsing_steps

    def outside(path) -> bool:
        names = [key.key for key in path if isinstance(key, DictKey)]
        return bool(names) and PARSING_BLOCK not in names  # without any: Adam's count

    def held(path, old, new):
        return jnp.where(first, old, new) if outside(path) else new

    generator_side = ("generator", "generator_optimizer", "ema")
    kept = {name: jax.tree_util.tree_map_with_path(held, getattr(before, name), getattr(after, name))
            for name in generator_side}  # fmt: skip
    for name in ("discriminator", "spectral", "discriminator_optimizer"):
        kept[name] = jax.tree.map(lambda o, n: jnp.where(first, o, n), getattr(before, name), getattr(after, name))
    return after.replace(**kept)
