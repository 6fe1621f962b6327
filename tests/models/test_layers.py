"""The small parts against PyTorch's: padding, norms, gates."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from scrn_jax.models import layers


def _random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def _vector(array):
    return torch.tensor(np.array(array), requires_grad=True)


CONVOLUTIONS = {
    "conv1": (layers.conv1, {}),
    "conv3": (layers.conv3, {"padding": 1}),
    "conv7": (layers.conv7, {"padding": 3}),
    "down_conv": (layers.down_conv, {"stride": 2, "padding": 1}),
    "layers.dilated_conv3": (layers.dilated_conv3, {"padding": 2, "dilation": 2}),
}


@pytest.mark.parametrize("sides", [(8, 10), (11, 7)])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution_pads_as_pytorchs(name, sides, nchw, nhwc, oihw, random_variables, run):
    layer, options = CONVOLUTIONS[name]
    x = _random(2, *sides, 3)
    params = {**random_variables(layer(5), x)["params"], "bias": _random(5, seed=1)}
    expected = functional.conv2d(nchw(x), oihw(params["kernel"]), _vector(params["bias"]), **options)
    np.testing.assert_allclose(run(layer(5).apply)({"params": params}, x), nhwc(expected), atol=1e-5)


@pytest.mark.parametrize(
    "norm, reference",
    [(layers.instance_norm, nn.InstanceNorm2d(4, affine=True)), (layers.layer_norm, nn.GroupNorm(1, 4))],
    ids=["instance", "layer"],
)
def test_a_norm_equals_pytorchs(norm, reference, nchw, nhwc, run):
    x, scale, bias = 3 * _random(2, 5, 6, 4) + 1, _random(4, seed=1), _random(4, seed=2)
    reference.weight, reference.bias = nn.Parameter(_vector(scale)), nn.Parameter(_vector(bias))
    tensor, towards = nchw(x), _random(2, 5, 6, 4, seed=3)
    expected = reference(tensor)
    (expected * nchw(towards).detach()).sum().backward()

    def apply(scale, bias, x):
        return norm().apply({"params": {"scale": scale, "bias": bias}}, x)

    gradients = run(jax.grad(lambda *a: jnp.sum(apply(*a) * towards), argnums=(0, 1, 2)))(scale, bias, x)
    np.testing.assert_allclose(apply(scale, bias, x), nhwc(expected), atol=1e-5)
    np.testing.assert_allclose(gradients[0], reference.weight.grad.numpy(), atol=1e-4)
    np.testing.assert_allclose(gradients[1], reference.bias.grad.numpy(), atol=1e-4)
    np.testing.assert_allclose(gradients[2], nhwc(tensor.grad), atol=1e-4)


def test_instance_norm_keeps_its_digits_on_a_channel_far_from_zero():
    """E[x^2] - E[x]^2 in float32 would be wrong by more than the variance, 0.01.

    Multiples of 1/8 whose sum needs 21 bits: their mean and what they are away from it are exact in whatever order one
    adds, and the sum of 256 squares costs 256 * 2^-24 = 2e-5 of the variance at worst.
    """
    x = (1000 + np.random.default_rng(0).integers(-1, 2, (1, 16, 16, 1)) / 8).astype(np.float32)
    exact = x.astype(np.float64)
    expected = (exact - exact.mean()) / np.sqrt(exact.var() + 1e-5)
    y = layers.instance_norm().apply({"params": {"scale": np.ones(1), "bias": np.zeros(1)}}, x)
    np.testing.assert_allclose(y, expected, atol=1e-4)


def test_instance_norm_of_bfloat16_takes_its_statistics_in_float32():
    """What is left is the rounding of the result, by 2^-8 of it: bfloat16 has 8 digits."""
    x = jnp.asarray(100 + _random(1, 16, 16, 2), jnp.bfloat16)
    exact = np.asarray(x, np.float64)
    expected = (exact - exact.mean((1, 2))) / np.sqrt(exact.var((1, 2)) + 1e-5)
    norm = layers.instance_norm(dtype=jnp.bfloat16)
    y = norm.apply({"params": {"scale": np.ones(2, np.float32), "bias": np.zeros(2, np.float32)}}, x)
    np.testing.assert_allclose(np.asarray(y, np.float32), expected, rtol=2**-8, atol=1e-3)


def test_gated_convolution_is_normed_features_times_gate(nchw, nhwc, oihw, random_variables, run):
    x = _random(2, 6, 7, 3)
    module = layers.GatedConv(4)
    params = random_variables(module, x)["params"]
    params = jax.tree.map(lambda leaf: leaf + _random(*leaf.shape, seed=leaf.size), params)
    conv, norm = params["Conv_0"], params["InstanceNorm_0"]

    def half(part):
        return functional.conv2d(nchw(x), oihw(conv["kernel"][..., part]), _vector(conv["bias"][part]), padding=1)

    gated = functional.leaky_relu(half(slice(0, 4)), 0.2) * torch.sigmoid(half(slice(4, 8)))
    expected = functional.instance_norm(gated, weight=_vector(norm["scale"]), bias=_vector(norm["bias"]))
    np.testing.assert_allclose(run(module.apply)({"params": params}, x), nhwc(expected), atol=1e-4)


def test_res_block_adds_two_pre_activated_convolutions(nchw, nhwc, oihw, random_variables, run):
    x = _random(2, 5, 6, 4)
    module = layers.ResBlock()
    params = random_variables(module, x)["params"]
    params = jax.tree.map(lambda leaf: leaf + _random(*leaf.shape, seed=leaf.size), params)
    y = nchw(x)
    for i in range(2):
        norm, conv = params[f"InstanceNorm_{i}"], params[f"Conv_{i}"]
        y = functional.instance_norm(y, weight=_vector(norm["scale"]), bias=_vector(norm["bias"]))
        y = functional.conv2d(functional.leaky_relu(y, 0.1), oihw(conv["kernel"]), _vector(conv["bias"]), padding=1)
    np.testing.assert_allclose(run(module.apply)({"params": params}, x), nhwc(y + nchw(x)), atol=1e-4)


def test_mean_pool_is_the_mean_of_each_block():
    x = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    np.testing.assert_array_equal(layers.mean_pool(x, 2)[0, :, :, 0], [[2.5, 4.5], [10.5, 12.5]])


def test_padding_to_a_multiple_keeps_the_image_at_the_top_left():
    x = _random(1, 3, 4, 2)
    padded = np.asarray(layers.pad_to_multiple(x, 4))
    np.testing.assert_array_equal(padded[:, :3], x)
    np.testing.assert_array_equal(padded[:, 3:], 0)
    assert padded.shape == (1, 4, 4, 2)
