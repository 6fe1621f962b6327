"""Up-sampling against PyTorch's: transposed convolutions, nearest pixels, and the mesh that one of them leaves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from scrn_jax.models import upsampling


def _random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def _vector(array):
    return torch.tensor(np.array(array), requires_grad=True)


@pytest.fixture(scope="module", params=[(4, 6), (3, 5), (1, 2)])
def up_convolution(request):
    """(input, kernel, bias, what the output is weighted with)."""
    height, width = request.param
    x, kernel, bias = _random(2, height, width, 3), _random(3, 3, 3, 4, seed=1), _random(4, seed=2)
    return x, kernel, bias, _random(2, 2 * height, 2 * width, 4, seed=3)


@pytest.fixture(scope="module")
def up_convolution_in_torch(up_convolution, nchw):
    """PyTorch's layer on the same numbers, with its input and output."""
    x, kernel, bias, towards = up_convolution
    layer = nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(kernel.transpose(2, 3, 0, 1)))
        layer.bias.copy_(torch.tensor(bias))
    x = nchw(x)
    y = layer(x)
    (y * nchw(towards).detach()).sum().backward()
    return layer, x, y


def test_up_convolution_equals_conv_transpose(up_convolution, up_convolution_in_torch, nhwc):
    x, kernel, bias, _ = up_convolution
    y = upsampling.UpConv(4).apply({"params": {"kernel": kernel, "bias": bias}}, x)
    np.testing.assert_allclose(y, nhwc(up_convolution_in_torch[2]), atol=1e-5)


def test_an_up_convolution_starts_without_a_checkerboard():
    """Of a flat image it makes a flat one, but for the border, where zeros are beyond."""
    layer = upsampling.UpConv(4)
    flat = jnp.ones((1, 5, 6, 3))
    y = layer.apply(layer.init(jax.random.key(0), flat), flat)[:, :-1, :-1]
    np.testing.assert_allclose(y, jnp.broadcast_to(y[:, :1, :1], y.shape), rtol=1e-5)
    assert np.abs(y[0, 0, 0]).min() > 0


def test_up_convolutions_gradients_equal_conv_transposes(up_convolution, up_convolution_in_torch, nhwc, run):
    x, kernel, bias, towards = up_convolution
    layer, tensor, _ = up_convolution_in_torch

    def loss(x, kernel, bias):
        return jnp.sum(upsampling.UpConv(4).apply({"params": {"kernel": kernel, "bias": bias}}, x) * towards)

    of_x, of_kernel, of_bias = run(jax.grad(loss, argnums=(0, 1, 2)))(x, kernel, bias)
    np.testing.assert_allclose(of_x, nhwc(tensor.grad), atol=1e-4)
    np.testing.assert_allclose(of_kernel, layer.weight.grad.numpy().transpose(2, 3, 0, 1), atol=1e-4)
    np.testing.assert_allclose(of_bias, layer.bias.grad.numpy(), atol=1e-4)


@pytest.mark.parametrize(("kind", "has_mesh"), [("nearest", False), ("transposed", True)])
def test_only_transposed_convolutions_turn_a_flat_plane_into_a_mesh(kind, has_mesh, random_variables, run):
    x = np.broadcast_to(_random(1, 1, 1, 8), (1, 6, 6, 8)) + 0
    module = upsampling.UpResBlock(4, kind)
    variables = random_variables(module, x)
    inner = run(lambda: module.apply(variables, x))()[:, 4:-4, 4:-4]
    deviation = float(np.abs(inner - inner.mean((1, 2), keepdims=True)).max())
    assert deviation > 0.1 if has_mesh else deviation < 1e-4


def test_up_sampling_by_nearest_pixels_equals_pytorchs_upsample_and_convolution(nchw, nhwc, oihw, run):
    x, module = _random(1, 4, 5, 6), upsampling.UpResBlock(3, "nearest")
    params = run(lambda: module.init(jax.random.key(2), x)["params"])()

    def norm_act(y, name):
        scale, bias = (_vector(params[name][key]) for key in ("scale", "bias"))
        return functional.leaky_relu(functional.instance_norm(y, weight=scale, bias=bias), 0.1)

    def conv(y, p, padding):
        return functional.conv2d(y, oihw(p["kernel"]), _vector(p["bias"]) if "bias" in p else None, padding=padding)

    y = conv(norm_act(nchw(x), "InstanceNorm_0"), params["Conv_0"], 1)
    y = nn.functional.interpolate(norm_act(y, "InstanceNorm_1"), scale_factor=2, mode="nearest")
    short = nn.functional.interpolate(conv(nchw(x), params["shortcut"], 0), scale_factor=2, mode="nearest")
    expected = nhwc(conv(y, params["UpConv_0"], 1) + short)
    np.testing.assert_allclose(run(lambda: module.apply({"params": params}, x))(), expected, atol=1e-4)
