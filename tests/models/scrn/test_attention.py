"""Criss-cross attention against its definition, pixel by pixel, in PyTorch."""

import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn import functional

from scrn_jax.models.scrn.attention import CrissCrossAttention, criss_cross


def _by_definition(query, key, value):
    """(B, C, H, W) tensors: each pixel collects its row, then its column without itself, and attends to those."""
    batch, _, height, width = query.shape
    out = []
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                cross = [(y, column) for column in range(width)] + [(row, x) for row in range(height) if row != y]
                scores = torch.stack([torch.dot(query[b, :, y, x], key[b, :, i, j]) for i, j in cross])
                values = torch.stack([value[b, :, i, j] for i, j in cross])
                out.append(torch.softmax(scores, 0) @ values)
    return torch.stack(out).reshape(batch, height, width, -1).permute(0, 3, 1, 2)


def _random(shape, seed):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


GRIDS = ((5, 4), (1, 4), (4, 1))


@pytest.mark.parametrize("grid", GRIDS)
def test_equals_the_definition(grid, nchw, nhwc):
    query, key, value = (_random((2, *grid, channels), i) for i, channels in enumerate((3, 3, 6)))
    expected = nhwc(_by_definition(nchw(query), nchw(key), nchw(value)))
    np.testing.assert_allclose(criss_cross(query, key, value), expected, atol=1e-5)


@pytest.mark.parametrize("grid", GRIDS)
def test_gradients_equal_the_definitions(grid, nchw, nhwc, run):
    arrays = [_random((2, *grid, channels), i) for i, channels in enumerate((3, 3, 6))]
    towards = _random((2, *grid, 6), 9)
    tensors = [nchw(array) for array in arrays]
    (_by_definition(*tensors) * nchw(towards).detach()).sum().backward()
    gradients = run(jax.grad(lambda *a: jnp.sum(criss_cross(*a) * towards), argnums=(0, 1, 2)))(*arrays)
    for ours, tensor in zip(gradients, tensors, strict=True):
        np.testing.assert_allclose(ours, nhwc(tensor.grad), atol=1e-4)


def _module(x):
    module = CrissCrossAttention()
    return module, module.init(jax.random.key(0), x)["params"]


def test_the_module_is_gamma_times_attention_plus_its_input(nchw, nhwc, oihw):
    x = _random((1, 4, 3, 16), 0)
    module, params = _module(x)
    params = jax.tree.map(lambda leaf: leaf + _random(leaf.shape, leaf.size), params)
    params["gamma"] = jnp.float32(0.7)
    query, key, value = (
        functional.conv2d(nchw(x), oihw(params[name]["kernel"]), torch.tensor(np.array(params[name]["bias"])))
        for name in ("query", "key", "value")
    )
    expected = nhwc(0.7 * _by_definition(query, key, value) + nchw(x))
    np.testing.assert_allclose(module.apply({"params": params}, x), expected, atol=1e-4)


def test_starts_as_the_identity():
    x = _random((2, 4, 5, 16), 1)
    module, params = _module(x)
    np.testing.assert_array_equal(module.apply({"params": params}, x), x)


def test_gamma_moves_although_the_block_starts_as_the_identity(run):
    x = _random((1, 4, 5, 16), 2)
    module, params = _module(x)
    gradient = run(jax.grad(lambda p: jnp.sum(module.apply({"params": p}, x) ** 2)))(params)
    assert abs(gradient["gamma"]) > 0.1


def test_query_and_key_have_an_eighth_of_the_channels():
    _, params = _module(_random((1, 2, 2, 32), 0))
    assert {name: params[name]["kernel"].shape for name in ("query", "key", "value")} == {
        "query": (1, 1, 32, 4),
        "key": (1, 1, 32, 4),
        "value": (1, 1, 32, 32),
    }


def test_no_weight_reaches_a_pixel_off_the_cross():
    value = np.zeros((1, 5, 6, 1), np.float32)
    value[0, 2, 3] = 1
    out = np.asarray(criss_cross(_random((1, 5, 6, 2), 0), _random((1, 5, 6, 2), 1), value))[0, :, :, 0]
    on_the_cross = np.zeros((5, 6), bool)
    on_the_cross[2], on_the_cross[:, 3] = True, True
    np.testing.assert_array_equal(out > 0, on_the_cross)


def test_equal_scores_count_the_pixel_itself_once():
    ones, value = np.ones((1, 3, 4, 1), np.float32), np.zeros((1, 3, 4, 1), np.float32)
    value[0, 1, 1] = 1
    np.testing.assert_allclose(criss_cross(ones, ones, value)[0, 1, 1, 0], 1 / (3 + 4 - 1), rtol=1e-6)


def test_large_scores_do_not_overflow():
    large = np.full((1, 3, 3, 4), 1e3, np.float32)
    np.testing.assert_allclose(criss_cross(large, large, np.ones((1, 3, 3, 2), np.float32)), 1, rtol=1e-6)


def _sizes(jaxpr):
    for equation in jaxpr.eqns:
        yield from (int(np.prod(out.aval.shape)) for out in equation.outvars)
        for inner in jax.extend.core.jaxprs_in_params(equation.params):
            yield from _sizes(inner)


def test_memory_of_value_and_gradient_grows_with_rows_and_columns_not_with_their_square():
    height, width, channels = 64, 44, 8
    arrays = [jnp.zeros((1, height, width, c)) for c in (1, 1, channels)]
    jaxpr = jax.make_jaxpr(jax.grad(lambda *a: jnp.sum(criss_cross(*a)), argnums=(0, 1, 2)))(*arrays)
    assert max(_sizes(jaxpr.jaxpr)) == height * width * (height + width)
