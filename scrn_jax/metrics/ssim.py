"""Structural similarity (Wang et al., 2004), with every parameter that the field's protocols set."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scrn_jax.metrics import metric

Weights = tuple[float, ...]
Stages = tuple[tuple[Weights, int], ...]
_K1, _K2 = 0.01, 0.03
_TRUNCATE = 3.5  # standard deviations on each side of the Gaussian window, 11 taps at sigma 1.5


@functools.partial(jax.jit, static_argnames=("window", "gaussian", "sigma", "sample_covariance"))
def ssim(
    a_BxHxWxC: jax.Array,
    b_BxHxWxC: jax.Array,
    *,
    data_range: float | jax.Array = 1.0,
    window: int = 7,
    gaussian: bool = False,
    sigma: float = 1.5,
    sample_covariance: bool = True,
) -> jax.Array:
    """The mean SSIM of each pair, (B,): over the positions where the window fits, then over the channels.

    Equals skimage.metrics.structural_similarity(a, b, channel_axis=-1, ...) on each pair.

    Args:
      a_BxHxWxC, b_BxHxWxC: images, float, in [0, 1].
      data_range: L in the constants (0.01 L)^2 and (0.03 L)^2; a number, or one per pair (B,).
      window: side of the uniform window, odd; a Gaussian window has the side that `sigma` gives it instead.
      gaussian, sigma: a Gaussian window, cut at 3.5 sigma.
      sample_covariance: divide by N - 1 instead of N, N being the pixels of the window.

    Raises:
      ValueError: shapes that differ, integer images, an even window, or a window larger than the images.
    """
    metric.check_images(a_BxHxWxC, b_BxHxWxC)
    stages = _gaussian_stages(sigma) if gaussian else _uniform_stages(window)
    side = 1 + sum((len(weights) - 1) * spacing for weights, spacing in stages)
    if side % 2 == 0 or side > min(a_BxHxWxC.shape[1:3]):
        raise ValueError(f"an SSIM window of {side} must be odd and fit into images of {a_BxHxWxC.shape[1:3]}")
    moments = _pixels(a_BxHxWxC.astype(jnp.float32), b_BxHxWxC.astype(jnp.float32))
    for weights, spacing in stages:
        for axis in (1, 2):
            moments = _merge(moments, weights, spacing, axis)
    mean_a, mean_b, var_a, var_b, cov = moments
    bias = side**2 / (side**2 - 1) if sample_covariance else 1.0
    scale = jnp.asarray(data_range, jnp.float32).reshape(-1, 1, 1, 1)
    c1, c2 = (_K1 * scale) ** 2, (_K2 * scale) ** 2
    luminance = 1 - (mean_a - mean_b) ** 2 / (mean_a**2 + mean_b**2 + c1)
    structure = (2 * bias * cov + c2) / (bias * (var_a + var_b) + c2)
    return jnp.mean(luminance * structure, axis=(1, 2, 3))


class _Moments(NamedTuple):
    """Means, variances and covariance of two images inside a window at each position, each (B, h, w, C)."""

    mean_a: jax.Array
    mean_b: jax.Array
    var_a: jax.Array
    var_b: jax.Array
    cov: jax.Array


def _pixels(a: jax.Array, b: jax.Array) -> _Moments:
    """The moments of windows of one pixel."""
    zero = jnp.zeros_like(a)
    return _Moments(a, b, zero, zero, zero)


def _gaussian_stages(sigma: float) -> Stages:
    radius = int(_TRUNCATE * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return ((tuple(weights / weights.sum()), 1),)


def _uniform_stages(window: int) -> Stages:
    """A window of 51 is 17 windows of 3 side by side: each prime factor is a stage, spaced by those before it."""
    stages, spacing, rest, factor = [], 1, window, 2
    while rest > 1:
        while rest % factor:
            factor += 1
        stages.append(((1 / factor,) * factor, spacing))
        spacing, rest = spacing * factor, rest // factor
    return tuple(stages)


def _merge(moments: _Moments, weights: Weights, spacing: int, axis: int) -> _Moments:
    """The moments of each row of windows, `spacing` apart along `axis`, taken together with these weights.

    The variance of a union is the mean of the variances plus the variance of the means. Unlike E[x^2] - E[x]^2 nothing
    cancels, so that float32 agrees with float64 in flat and in dark places too.
    """
    size = moments.mean_a.shape[axis] - (len(weights) - 1) * spacing
    weight = jnp.asarray(weights, jnp.float32)

    def part(i: jax.Array) -> _Moments:
        return _Moments(*(jax.lax.dynamic_slice_in_dim(array, i * spacing, size, axis) for array in moments))

    first = part(0)  # means are taken relative to it, which keeps those of flat places exact

    def add_means(i: jax.Array, means: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        other = part(i)
        return (
            means[0] + weight[i] * (other.mean_a - first.mean_a),
            means[1] + weight[i] * (other.mean_b - first.mean_b),
        )

    mean_a, mean_b = jax.lax.fori_loop(1, len(weights), add_means, (first.mean_a, first.mean_b))

    def add_variances(i: jax.Array, sums: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        other = part(i)
        off_a, off_b = other.mean_a - mean_a, other.mean_b - mean_b
        terms = (other.var_a + off_a * off_a, other.var_b + off_b * off_b, other.cov + off_a * off_b)
        return tuple(total + weight[i] * term for total, term in zip(sums, terms, strict=True))

    zero = jnp.zeros_like(mean_a)
    return _Moments(mean_a, mean_b, *jax.lax.fori_loop(0, len(weights), add_variances, (zero, zero, zero)))
