"""From a config to networks, and from a batch of bytes to pictures: what training and using a model share."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from scrn_jax.models.scrn.generator import SCRN
from scrn_jax.person import joints

INPUTS = ("source_image", "source_pose", "target_pose", "source_parsing")
DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


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


def to_float(image_uint8):
    """uint8 image to float32 in [-1, 1]."""
    return image_uint8.astype(jnp.float32) / 127.5 - 1.0


def to_uint8(image):
    """Float image in [-1, 1] to uint8, rounded and clipped."""
    return jnp.round(jnp.clip((image + 1) * 127.5, 0, 255)).astype(jnp.uint8)


def generate(generator: SCRN, params, batch: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    """The generator's outputs for a batch as it comes from the input pipeline (uint8 images)."""
    prepared = {**batch, "source_image": to_float(batch["source_image"])}
    return generator.apply({"params": params}, **{key: prepared[key] for key in INPUTS})
