"""The largest singular value without a state, beside NumPy's and PyTorch's."""

import jax
import numpy as np
import pytest
import torch

from scrn_jax.models import spectral


@pytest.mark.parametrize("shape", [(3, 3, 8, 16), (3, 3, 32, 64), (1, 1, 4, 100), (3, 3, 16, 3)])
def test_the_value_is_numpys(shape, run):
    kernel = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    expected = np.linalg.svd(kernel.reshape(-1, shape[-1]), compute_uv=False)[0]
    np.testing.assert_allclose(run(spectral.largest_singular_value)(kernel), expected, rtol=1e-5)


def test_two_values_as_large_as_each_other_are_no_trouble(run):
    kernel = np.diag([2.0, 2.0, 1.0]).astype(np.float32).reshape(1, 1, 3, 3)
    np.testing.assert_allclose(run(spectral.largest_singular_value)(kernel), 2, rtol=1e-6)


def test_the_gradient_is_pytorchs(oihw, hwio, run):
    """PyTorch differentiates its own singular value decomposition."""
    kernel = np.random.default_rng(1).standard_normal((3, 3, 8, 6)).astype(np.float32)
    theirs = oihw(kernel)
    torch.linalg.matrix_norm(theirs.flatten(1), 2).backward()
    found = run(jax.grad(spectral.largest_singular_value))(kernel)
    np.testing.assert_allclose(found, hwio(theirs.grad), atol=1e-4)
