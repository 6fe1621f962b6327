"""What training carries from step to step, and how it starts."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from scrn_jax import settings as settings_lib
from scrn_jax.models import base
from scrn_jax.training import muon


@flax.struct.dataclass
class TrainState:
    """Everything that a checkpoint holds. There is no random key in it: (seed, step) say all.

    step counts batches seen, skipped ones included; `skipped` counts updates that were not finite and were left out,
    `skipped_in_row` those since the last good one. discriminator and spectral are trees: a model may have several
    discriminators, and `spectral` are their statistics.
    """

    step: jax.Array
    generator: Any
    discriminator: Any
    spectral: Any
    generator_optimizer: Any
    discriminator_optimizer: Any
    ema: Any
    skipped: jax.Array
    skipped_in_row: jax.Array


def make_optimizers(optim: settings_lib.Optim) -> tuple[optax.GradientTransformation, optax.GradientTransformation]:
    """G's and D's directions, without the learning rate, which the step takes from the schedule at `state.step`.

    Adam's. With `optim.muon_learning_rate` G's kernels take Muon's instead (Jordan et al., 2024: the running mean of
    the gradient, made orthogonal), scaled so that `learning_rate` times it is a step of Muon at its own rate; G's other
    parameters then take Adam's with Nesterov's correction, as optax pairs the two.
    """
    clip = optax.clip_by_global_norm(optim.clip) if optim.clip > 0 else optax.identity()
    adam = optax.chain(clip, optax.scale_by_adam(b1=optim.b1, b2=optim.b2))
    if not optim.muon_learning_rate:
        return adam, adam
    both = muon.directions(optim.muon_learning_rate / optim.learning_rate, optim.b1, optim.b2)
    return optax.chain(clip, *both), adam


def shapes(settings: settings_lib.Settings) -> TrainState:
    """The shapes and dtypes of a state (jax.ShapeDtypeStruct), of which nothing is computed."""
    return jax.eval_shape(lambda: init_state(settings))


def init_state(settings: settings_lib.Settings) -> TrainState:
    """The state before the first step, a pure function of the settings (jit it with the shardings wanted)."""
    generator, discriminator, statistics = base.make(settings).init(jax.random.key(settings.seed))
    generator_optimizer, discriminator_optimizer = make_optimizers(settings.optim)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        generator=generator,
        discriminator=discriminator,
        spectral=statistics,
        generator_optimizer=generator_optimizer.init(generator),
        discriminator_optimizer=discriminator_optimizer.init(discriminator),
        # A copy: donated buffers must not be shared between leaves.
        ema=jax.tree.map(jnp.copy, generator),
        skipped=jnp.zeros((), jnp.int32),
        skipped_in_row=jnp.zeros((), jnp.int32),
    )


def filled(model: base.TrainableModel, fresh: TrainState, placement: TrainState) -> TrainState:
    """A fresh state whose generator and average hold the frozen weights that they need, see `TrainableModel.fill`."""
    # Each by itself: donated buffers must not be shared.
    parts = {name: jax.device_put(model.fill(getattr(fresh, name)), getattr(placement, name))
             for name in ("generator", "ema")}  # fmt: skip
    return fresh.replace(**parts)
