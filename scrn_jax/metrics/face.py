"""How well the face is drawn: the mean absolute error inside the face box."""

import jax
import jax.numpy as jnp

from scrn_jax.metrics import images


@jax.jit
def face_l1(a_BxHxWxC: jax.Array, b_BxHxWxC: jax.Array, face_box_Bx4: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The mean of abs(a - b) over the pixels and channels in each face box, and whether there is a face.

    Equals cropping: pixel (y, x) is inside when y0 <= y < y1 and x0 <= x < x1, for the box (y0, x0, y1, x1).

    Returns:
      (B,) float32 errors, 0 where there is no face; (B,) bool, False for a box without a pixel in the frame. The mean
      over a set is taken over the pairs with a face only.

    Raises:
      ValueError: shapes that differ, or integer images.
    """
    images.check(a_BxHxWxC, b_BxHxWxC)
    rows = jnp.arange(a_BxHxWxC.shape[1])[None, :, None]
    columns = jnp.arange(a_BxHxWxC.shape[2])[None, None, :]
    y0, x0, y1, x1 = (edge[:, None, None] for edge in face_box_Bx4.T)
    inside_BxHxW = (rows >= y0) & (rows < y1) & (columns >= x0) & (columns < x1)
    pixels = inside_BxHxW.sum((1, 2))
    error_BxHxW = jnp.abs(a_BxHxWxC - b_BxHxWxC).mean(-1)
    total = jnp.where(inside_BxHxW, error_BxHxW, 0).sum((1, 2))
    return total / jnp.maximum(pixels, 1), pixels > 0
