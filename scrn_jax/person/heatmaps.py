"""Joints to Gaussian heat maps, on the device; kept as two one-dimensional profiles for as long as possible."""

import jax.numpy as jnp

from scrn_jax.person import joints

# The field draws Gaussians of 6 pixels in frames of 256 rows; other frames keep the same size relative to the person.
SIGMA_AT_256 = 6.0


def sigma_for(height: int) -> float:
    """Standard deviation in pixels of a joint's Gaussian in a frame of `height` rows: 6 px at 256."""
    return SIGMA_AT_256 * height / 256.0


def profiles(joints_BxJx2, height: int, width: int):
    """The two factors of every joint's Gaussian, as exp(-(dy^2 + dx^2) / 2s^2) = exp(-dy^2 / 2s^2) exp(-dx^2 / 2s^2).

    Args:
      joints_BxJx2: (y, x) in pixels, pixel centres at integers; (-1, -1) marks a missing joint.
      height, width: the frame in pixels.

    Returns:
      (rows (B, J, height), columns (B, J, width)), float32 in [0, 1]; the rows of a missing joint are all zero, so its
      heat map is too.
    """
    joints_BxJx2 = joints_BxJx2.astype(jnp.float32)
    present = joints.present(joints_BxJx2)[..., None]
    scale = -0.5 / sigma_for(height) ** 2
    rows = jnp.exp(scale * (jnp.arange(height) - joints_BxJx2[..., :1]) ** 2)
    columns = jnp.exp(scale * (jnp.arange(width) - joints_BxJx2[..., 1:]) ** 2)
    return jnp.where(present, rows, 0.0), columns


def heat_maps(joints_BxJx2, height: int, width: int):
    """Heat maps (B, height, width, J) float32 in [0, 1] with a peak of 1 at each present joint, 0 for a missing one."""
    rows, columns = profiles(joints_BxJx2, height, width)
    return jnp.einsum("bjh,bjw->bhwj", rows, columns)


def pixels(joints_BxJx2, height: int, width: int):
    """As `heat_maps`, but 1 at the one pixel that a joint is nearest to, and 0 everywhere else."""
    nearest = jnp.round(joints_BxJx2)
    rows = jnp.arange(height) == nearest[..., :1]
    columns = jnp.arange(width) == nearest[..., 1:]
    there = joints.present(joints_BxJx2)[..., None]
    return jnp.einsum("bjh,bjw->bhwj", (rows & there).astype(jnp.float32), columns.astype(jnp.float32))
