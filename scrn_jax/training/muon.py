"""Muon (Jordan et al., 2024) for convolution kernels, its matrices made orthogonal several at a time."""

import collections
import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from optax.contrib import MuonDimensionNumbers, muon

FEWEST_OUTPUTS = 8  # of a kernel that is not Muon's
_STEPS = 5
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of Jordan's quintic polynomial, as in optax
_LONG = 2  # times as many columns as rows, from which on Gram matrices are the cheaper way
# A matrix unit's ten bits would give Gram matrices eigenvalues below 0, which the polynomial enlarges step by step.
_product = partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)


def _is_kernel(parameter) -> bool:
    return parameter.ndim == 4 and parameter.shape[-1] > FEWEST_OUTPUTS


def kernels(params) -> Any:
    """Which parameters are Muon's: for each its axes as a matrix, inputs by outputs, or None for Adam.

    Convolution kernels, but for those that give pictures, regions or scores: Muon is for layers between layers.
    """
    axes = MuonDimensionNumbers(reduction_axis=(0, 1, 2), output_axis=3)
    return jax.tree.map(lambda parameter: axes if _is_kernel(parameter) else None, params)


def directions(rate: float, b1: float, b2: float) -> tuple[optax.GradientTransformation, optax.GradientTransformation]:
    """Two transformations that one after the other give Muon's direction of `kernels`, to be subtracted, at `rate`.

    Other parameters take Adam's with Nesterov's correction. Means, corrections and state are optax's `muon`, which is
    asked for no Newton-Schulz steps; the second does them.
    """
    normed = muon(
        rate, ns_steps=0, adam_learning_rate=1.0, adam_b1=b1, adam_b2=b2, muon_weight_dimension_numbers=kernels
    )
    return normed, optax.stateless(lambda updates, _: _made_orthogonal(updates, rate))


def _made_orthogonal(updates, rate: float):
    """The direction against such updates, those that are kernels made orthogonal, all of a shape together."""
    leaves, tree = jax.tree.flatten(updates)
    lengths, matrices = {}, collections.defaultdict(dict)
    for index, leaf in enumerate(leaves):
        if _is_kernel(leaf):
            matrix = leaf.reshape(-1, leaf.shape[-1])
            inputs, outputs = matrix.shape
            lengths[index] = rate * math.sqrt(max(1.0, outputs / inputs))  # which optax has given it
            wide = matrix if inputs <= outputs else matrix.T
            matrices[wide.shape][index] = wide / lengths[index]
    found = [-leaf for leaf in leaves]
    for same in matrices.values():
        for index, wide in zip(same, orthogonal(jnp.stack(list(same.values()))), strict=True):
            inputs, outputs = math.prod(leaves[index].shape[:-1]), leaves[index].shape[-1]
            matrix = wide if inputs <= outputs else wide.T
            found[index] = -lengths[index] * matrix.reshape(leaves[index].shape)
    return jax.tree.unflatten(tree, found)


def orthogonal(matrices_NxRxC):
    """About U V^T of each U S V^T, by five Newton-Schulz steps x -> (a + b x x^T + c (x x^T)^2) x.

    The matrices have R <= C and singular values of at most 1, which end between 0.7 and 1.2 if they are not tiny. Each
    step multiplies by a polynomial in the Gram matrix x x^T, which commutes with all others; so where C is much more
    than R the steps are made on matrices of R x R, and x is multiplied once.
    """
    a, b, c = _COEFFICIENTS
    x = matrices_NxRxC

    def polynomial(gram):
        return b * gram + c * _product(gram, gram)

    rows, columns = x.shape[1:]
    if columns < _LONG * rows:
        for _ in range(_STEPS):
            x = a * x + _product(polynomial(_product(x, x.mT)), x)
        return x
    one = jnp.eye(rows, dtype=x.dtype)
    gram, q = _product(x, x.mT), one
    for step in range(_STEPS):
        factor = a * one + polynomial(gram)
        q = _product(factor, q) if step else factor
        if step < _STEPS - 1:
            gram = _product(_product(factor, gram), factor)
    return _product(q, x)
