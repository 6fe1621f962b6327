"""The source's own background: what stays where it is when only the person moves.

Nothing here is learned and no gradient flows through it. All arrays are float32.
"""

import jax
import jax.numpy as jnp

# Around the person so many of a frame's rows are in doubt: they mix both, or the outline is not found exactly.
MARGIN = 1 / 64


def kept(image_BxHxWxC, person_BxHxW, otherwise_BxC):
    """The picture without its person: hidden pixels are made up of what lies around.

    They come from a pyramid of means (pull and push, Gortler et al., The Lumigraph, 1996, section 3.4.3): each takes
    the value of the finest level that knows something there, bilinearly enlarged.

    Args:
      image_BxHxWxC: the source.
      person_BxHxW: the person's share of each pixel, in [0, 1]; who fills the frame hides all of it.
      otherwise_BxC: the value of everything where nothing is known.

    Returns:
      (picture (B, H, W, C), known (B, H, W, 1): 1 where the source shows it, 0 where it is made up).
    """
    radius = max(1, round(MARGIN * image_BxHxWxC.shape[1]))
    known = (_largest_near(person_BxHxW, radius) < 0.5)[..., None].astype(jnp.float32)
    return _fill(image_BxHxWxC, known, otherwise_BxC), known


def _largest_near(values_BxHxW, radius: int):
    """The largest value within `radius` rows and columns, by comparing neighbours: exports know no such operation."""
    for axis in (1, 2):
        size = values_BxHxW.shape[axis]
        pads = [(radius, radius) if at == axis else (0, 0) for at in range(3)]
        padded = jnp.pad(values_BxHxW, pads)
        for offset in range(2 * radius + 1):
            values_BxHxW = jnp.maximum(values_BxHxW, jax.lax.slice_in_dim(padded, offset, offset + size, axis=axis))
    return values_BxHxW


def _fill(values_BxHxWxC, known_BxHxWx1, otherwise_BxC):
    """The values where they are known, elsewhere those of half the size, filled likewise."""
    b, h, w, c = values_BxHxWxC.shape
    if h == w == 1:
        return jnp.where(known_BxHxWx1 > 0, values_BxHxWxC, otherwise_BxC[:, None, None])
    odd = (0, 0), (0, h % 2), (0, w % 2), (0, 0)
    halves = (b, (h + 1) // 2, 2, (w + 1) // 2, 2, -1)
    total, count = (
        jnp.pad(x, odd).reshape(halves).sum((2, 4)) for x in (values_BxHxWxC * known_BxHxWx1, known_BxHxWx1)
    )
    coarse = _fill(total / jnp.maximum(count, 1), (count > 0).astype(jnp.float32), otherwise_BxC)
    enlarged = jax.image.resize(coarse, (b, 2 * coarse.shape[1], 2 * coarse.shape[2], c), "bilinear")
    return known_BxHxWx1 * values_BxHxWxC + (1 - known_BxHxWx1) * enlarged[:, :h, :w]
