"""Staged training: in a run's first steps only a part of the generator learns, see `models.base.Stage`.

Each stage has a program of its own, so that a step of the first costs what its part costs. As branches of one program
they would be slow on a CPU: `jax.lax.cond` made the demo's step twelve times as slow (JAX 0.10.2). Without a first
stage nothing here touches the step.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from scrn_jax.models.base import TrainableModel
from scrn_jax.training.state import TrainState


def weights_at(model: TrainableModel, step) -> dict:
    """The weights of the loss's terms at a step (counted from 0) by name, without those that never have one."""
    weights, stage = dict(model.weights), model.first_stage
    if stage is None:
        return weights
    first = step < stage.steps
    return {name: w if name in stage.terms else jnp.where(first, 0.0, w) for name, w in weights.items()}


def last_step(model: TrainableModel) -> int:
    """The number (from 1) of the first stage's last step; 0 without one."""
    return 0 if model.first_stage is None else model.first_stage.steps


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


def state_of(part: str, optimizer: optax.GradientTransformation, state, params: Mapping[str, Any]):
    """Of an optimizer's state of all parameters, that of {part: its parameters}; counts are every part's."""
    leaves = dict(jax.tree_util.tree_leaves_with_path(state))
    own = jax.eval_shape(optimizer.init, {part: params[part]})
    return jax.tree_util.tree_map_with_path(lambda path, _: leaves[path], own)


def put_back(own, whole):
    """`whole`, a tree of all parts or an optimizer's state of them, with the leaves of `own` in their places."""
    leaves = dict(jax.tree_util.tree_leaves_with_path(own))
    return jax.tree_util.tree_map_with_path(lambda path, leaf: leaves.get(path, leaf), whole)
