"""Peak signal-to-noise ratio."""

import jax
import jax.numpy as jnp

from scrn_jax.metrics import metric


@jax.jit
def psnr(a_BxHxWxC: jax.Array, b_BxHxWxC: jax.Array, data_range: float | jax.Array = 1.0) -> jax.Array:
    """10 log10(data_range^2 / mean squared error) of each pair in dB, (B,); infinite for equal images.

    Args:
      a_BxHxWxC, b_BxHxWxC: images, float (never uint8, whose differences wrap around), in [0, 1].
      data_range: a number, or one per pair (B,).

    Raises:
      ValueError: shapes that differ, or integer images.
    """
    metric.check_images(a_BxHxWxC, b_BxHxWxC)
    error = jnp.mean(jnp.square(a_BxHxWxC.astype(jnp.float32) - b_BxHxWxC.astype(jnp.float32)), axis=(1, 2, 3))
    return 10 * jnp.log10(jnp.square(jnp.asarray(data_range, jnp.float32)) / error)
