"""PCKh as the field computes it, with PATN's code: the share of joints within half a head of where they should be."""

import jax
import jax.numpy as jnp

from scrn_jax.person import joints

HEAD = (0, 1, 14, 15, 16, 17)  # nose, neck, eyes and ears
TOLERANCE = 0.5


@jax.jit
def pckh(found_Bx18x2: jax.Array, target_Bx18x2: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The joints that are right and those that count, per pair; PCKh of a set is the ratio of their sums.

    A joint is right when it is within half the width and half the height of the target's head box, which its present
    head joints span. Those present in the target count, found or not; a pair whose target shows fewer than two head
    joints has no head box and counts nothing.

    Args:
      found_Bx18x2, target_Bx18x2: joints of the generated and of the target images, (y, x) in pixels of the same
        frame, COCO-18 order, (-1, -1) where missing.

    Returns:
      right, counted: (B,) int32.
    """
    present_Bx18 = joints.present(target_Bx18x2)
    head_Bx6x2, seen_Bx6x1 = target_Bx18x2[:, HEAD, :], present_Bx18[:, HEAD, None]
    top = jnp.where(seen_Bx6x1, head_Bx6x2, jnp.inf).min(1)
    bottom = jnp.where(seen_Bx6x1, head_Bx6x2, -jnp.inf).max(1)
    has_head_B = seen_Bx6x1.sum((1, 2)) >= 2
    near_Bx18 = jnp.all(jnp.abs(found_Bx18x2 - target_Bx18x2) < TOLERANCE * (bottom - top)[:, None], -1)
    counted_Bx18 = present_Bx18 & has_head_B[:, None]
    right_Bx18 = counted_Bx18 & near_Bx18 & joints.present(found_Bx18x2)
    return right_Bx18.sum(1), counted_Bx18.sum(1)
