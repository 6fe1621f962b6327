"""The mesh that up-sampling can leave: a pattern of period 2, 3 or 4 pixels that the true picture does not have.

Of every column (and row) the amplitude at a period is taken by a Fourier sum under a Hann window, as long as the
column. Edges and textures have about the same amplitude at all neighbouring frequencies, a mesh at its own alone; so
the mean amplitude of frequencies 2 and 3 cycles a picture away, which the window keeps apart, is taken off. What is
left is about 0 for pictures without a mesh, sharp or blurred, and A for A cos(2 pi y / period) on a picture that is
smooth. It is below A where other structure is as strong as the mesh.
"""

import jax
import jax.numpy as jnp
import numpy as np

from scrn_jax.metrics import metric

PERIODS = (2, 3, 4)
_NEIGHBOURS = (-3, -2, 2, 3)  # cycles a picture; two is where a Hann window's main lobe ends
_GREY_LEVELS = 255


@jax.jit
def mesh_excess(a_BxHxWx3: jax.Array, b_BxHxWx3: jax.Array) -> jax.Array:
    """The mesh of images a less that of their targets b, in grey levels of 255, (B, 6) float32, of either sign.

    In the order of `PERIODS`, first down the columns (a mesh of rows), then along the rows. Images are float in [0, 1]
    and count as grey, the mean of red, green and blue. For a set see `mesh`: single pairs are noisy, but their means
    are not biased.

    Raises:
      ValueError: images whose shapes differ, or of integers.
    """
    metric.check_images(a_BxHxWx3, b_BxHxWx3)
    grey = _GREY_LEVELS * jnp.concatenate([a_BxHxWx3, b_BxHxWx3]).astype(jnp.float32).mean(-1)
    lines = [_line(each, period) for each in (grey, grey.swapaxes(1, 2)) for period in PERIODS]
    a, b = jnp.split(jnp.stack(lines, axis=-1), 2)
    return a - b


def _line(grey_BxHxW: jax.Array, period: int) -> jax.Array:
    """How far the amplitude at a period down the columns stands out from its neighbours, mean over columns, (B,)."""
    length = grey_BxHxW.shape[1]
    window, place = np.hanning(length + 1)[:-1], np.arange(length)
    frequencies = 1 / period + np.array([0, *_NEIGHBOURS]) / length
    waves = window[:, None] * np.exp(-2j * np.pi * place[:, None] * frequencies) / window.sum()
    # A wave of period 2 is its own mirror image; of others the mirror image holds the other half.
    waves *= 1 if period == 2 else 2
    mean = jnp.einsum("bhw,h->bw", grey_BxHxW, window / window.sum(), precision=jax.lax.Precision.HIGHEST)
    level = grey_BxHxW - mean[:, None]
    real, imaginary = (
        jnp.einsum("bhw,hf->bwf", level, part.astype(np.float32), precision=jax.lax.Precision.HIGHEST)
        for part in (waves.real, waves.imag)
    )
    amplitude = jnp.hypot(real, imaginary)
    # At period 2 amplitudes are real; of structure their mean is that of either part of its neighbours, times sqrt 2.
    beside = (jnp.abs(real) + jnp.abs(imaginary)) / np.sqrt(2) if period == 2 else amplitude
    return (amplitude[..., 0] - beside[..., 1:].mean(-1)).mean(-1)


def mesh(excess_Nx6: np.ndarray) -> float:
    """The mesh of a set in grey levels: over the six kinds of `mesh_excess`, the largest mean over the pairs; at least
    0, and NaN where a picture was NaN."""
    return float(np.maximum(np.asarray(excess_Nx6, np.float64).mean(0).max(), 0))
