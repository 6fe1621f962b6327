"""What training carries from step to step, and how it starts."""

from collections.abc import Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from scrn_jax import settings as settings_lib
from scrn_jax.models.discriminator import Discriminator
from scrn_jax.models.scrn import SCRN
from scrn_jax.person import joints


@flax.struct.dataclass
class TrainState:
    """Everything that a checkpoint holds. Nothing in a step is random, so there is no random key: (seed, step) say all.

    step counts batches seen, skipped ones included; `skipped` counts updates that were not finite and were left out,
    `skipped_in_row` those since the last good one.
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


def make_generator(model: settings_lib.Model) -> SCRN:
    """The generator that a config describes."""
    dtype = settings_lib.DTYPES[model.dtype]
    return SCRN(
        width=model.width,
        blocks=model.blocks,
        refine_area=model.refine_area,
        parsing_multiples=model.parsing_multiples,
        style_multiples=model.style_multiples,
        dtype=dtype,
    )


def make_discriminator(model: settings_lib.Model) -> Discriminator:
    """The discriminator that a config describes."""
    return Discriminator(base_width=model.discriminator_width, dtype=settings_lib.DTYPES[model.dtype])


def make_optimizer(optim: settings_lib.Optim) -> optax.GradientTransformation:
    """Adam's direction, without the learning rate, which the step takes from the schedule at `state.step`."""
    clip = optax.clip_by_global_norm(optim.clip) if optim.clip > 0 else optax.identity()
    return optax.chain(clip, optax.scale_by_adam(b1=optim.b1, b2=optim.b2))


def example_inputs(size: tuple[int, int]) -> Mapping[str, np.ndarray]:
    """The generator's inputs for one sample of nothing, for shapes only."""
    height, width = size
    pose = np.full((1, joints.NUM_JOINTS, 2), joints.MISSING, np.float32)
    return {
        "source_image": np.zeros((1, height, width, 3), np.float32),
        "source_pose": pose,
        "target_pose": pose,
        "source_parsing": np.zeros((1, height, width), np.uint8),
    }


def init_state(settings: settings_lib.Settings) -> TrainState:
    """The state before the first step, a pure function of the settings (jit it with the shardings wanted)."""
    generator_key, discriminator_key = jax.random.split(jax.random.key(settings.seed))
    inputs = example_inputs(settings.size)
    generator = make_generator(settings.model).init(generator_key, **inputs)["params"]
    discriminator = make_discriminator(settings.model).init(
        discriminator_key, inputs["source_image"], update_stats=True
    )
    optimizer = make_optimizer(settings.optim)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        generator=generator,
        discriminator=discriminator["params"],
        spectral=discriminator["spectral"],
        generator_optimizer=optimizer.init(generator),
        discriminator_optimizer=optimizer.init(discriminator["params"]),
        # A copy: donated buffers must not be shared between leaves.
        ema=jax.tree.map(jnp.copy, generator),
        skipped=jnp.zeros((), jnp.int32),
        skipped_in_row=jnp.zeros((), jnp.int32),
    )
