"""Staged training: in a run's first steps only a part of the generator learns, see `models.base.Stage`.

Both stages are one compiled step, which asks for the step's number: the first stage computes what it does not use, and
takes as long a step as the second. Without a first stage nothing here touches the step.
"""

import jax
import jax.numpy as jnp
from jax.tree_util import DictKey

from scrn_jax.models.base import TrainableModel
from scrn_jax.training.state import TrainState


def weights_at(model: TrainableModel, step) -> dict:
    """The weights of the loss's terms at a step (counted from 0) by name, without those that never have one."""
    weights, stage = dict(model.weights), model.first_stage
    if stage is None:
        return weights
    first = step < stage.steps
    return {name: w if name in stage.terms else jnp.where(first, 0.0, w) for name, w in weights.items()}


def steps_in_stage(model: TrainableModel, step):
    """How many steps of its stage a run has behind it: what the average's warm-up goes by."""
    if (stage := model.first_stage) is None:
        return step
    return jnp.where(step < stage.steps, step, step - stage.steps)


def begin(model: TrainableModel, optimizer, state: TrainState) -> TrainState:
    """`state`, with the generator's optimizer anew when the second stage begins.

    One count serves Adam's bias correction for all parameters: means that are still 0 would else be taken for settled
    ones, and the first steps of the second stage would be three times too long.
    """
    if (stage := model.first_stage) is None:
        return state
    begins, fresh = state.step == stage.steps, optimizer.init(state.generator)
    optimizer_state = jax.tree.map(lambda new, old: jnp.where(begins, new, old), fresh, state.generator_optimizer)
    return state.replace(generator_optimizer=optimizer_state)


def hold(model: TrainableModel, before: TrainState, after: TrainState) -> TrainState:
    """`after`, but in the first stage everything outside its part as `before`: values, means and averages."""
    if (stage := model.first_stage) is None:
        return after
    first = before.step < stage.steps

    others = set(before.generator) - {stage.part}

    def outside(path) -> bool:
        return any(isinstance(key, DictKey) and key.key in others for key in path)  # an optimizer's counts are not

    def held(path, old, new):
        return jnp.where(first, old, new) if outside(path) else new

    generator_side = ("generator", "generator_optimizer", "ema")
    kept = {name: jax.tree_util.tree_map_with_path(held, getattr(before, name), getattr(after, name))
            for name in generator_side}  # fmt: skip
    for name in ("discriminator", "spectral", "discriminator_optimizer"):
        kept[name] = jax.tree.map(lambda o, n: jnp.where(first, o, n), getattr(before, name), getattr(after, name))
    return after.replace(**kept)
