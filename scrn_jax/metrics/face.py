"""How well the face is drawn: the mean absolute error inside the face box."""

import jax
import jax.numpy as jnp

from scrn_jax.metrics import metric
from scrn_jax.person.face import mean_inside


@jax.jit
def face_l1(a_BxHxWxC: jax.Array, b_BxHxWxC: jax.Array, face_box_Bx4: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The mean of abs(a - b) over the pixels and channels in each face box, and whether there is a face.

    A box is (y0, x0, y1, x1), half-open, see `person.face.mean_inside`.

    Returns:
      (B,) float32 errors, 0 where there is no face; (B,) bool, False for a box without a pixel in the frame. The mean
      over a set is taken over the pairs with a face only.

    Raises:
      ValueError: shapes that differ, or integer images.
    """
    metric.check_images(a_BxHxWxC, b_BxHxWxC)
    return mean_inside(jnp.abs(a_BxHxWxC - b_BxHxWxC).mean(-1), face_box_Bx4)
