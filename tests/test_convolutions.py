"""The CPU's convolution gives the plain one's values and gradients, whichever way it takes."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from scrn_jax.models import conv_gradients as gradients

ONE, TWO = (1, 1), (2, 2)
# (input, kernel, padding, dilation): one for each way, then what each must get right besides.
CASES = {
    "few channels": ((2, 10, 8, 3), (7, 7, 3, 4), ((3, 3), (3, 3)), ONE),
    "few channels, even kernel": ((2, 9, 7, 3), (4, 2, 3, 4), ((1, 1), (1, 1)), ONE),
    "few channels, uneven padding": ((1, 8, 6, 5), (3, 3, 5, 2), ((0, 2), (2, 0)), ONE),
    "fewer outputs": ((2, 8, 7, 20), (3, 3, 20, 5), ((1, 1), (1, 1)), ONE),
    "fewer outputs, odd grid": ((2, 7, 5, 6), (3, 5, 6, 2), ((1, 1), (2, 2)), ONE),
    "fewer outputs, dilated": ((2, 8, 6, 20), (3, 3, 20, 5), ((2, 2), (2, 2)), TWO),
    "fewer outputs, uneven padding": ((1, 7, 7, 6), (2, 3, 6, 2), ((0, 1), (2, 0)), ONE),
    "fewer outputs, no padding": ((1, 9, 7, 6), (3, 3, 6, 2), ((0, 0), (0, 0)), ONE),
    "more outputs": ((2, 7, 5, 4), (3, 3, 4, 20), ((1, 1), (1, 1)), ONE),
    "tiny grid": ((2, 3, 1, 20), (3, 3, 20, 7), ((1, 1), (1, 1)), ONE),
    "tiny grid, dilated": ((2, 2, 3, 4), (3, 3, 4, 6), ((2, 2), (2, 2)), TWO),
}


def _plain(x, kernel, padding, dilation):
    return lax.conv_general_dilated(
        x, kernel, ONE, padding, rhs_dilation=dilation, dimension_numbers=gradients.NHWC, precision="highest"
    )


def _case(name):
    x, kernel, padding, dilation = CASES[name]
    rng = np.random.default_rng(0)
    x, kernel = (rng.standard_normal(shape).astype(np.float32) for shape in (x, kernel))
    shape = jax.eval_shape(lambda: _plain(x, kernel, padding, dilation)).shape
    return x, kernel, padding, dilation, rng.standard_normal(shape).astype(np.float32)


def _both(name, run):
    """(values and gradients of ours, of the plain one), each (y, dx, dW)."""
    x, kernel, padding, dilation, g = _case(name)

    def ours(x, kernel):
        return gradients.convolution(x, kernel, ONE, padding, rhs_dilation=dilation)

    def theirs(x, kernel):
        return _plain(x, kernel, padding, dilation)

    def all_of(function):
        y, pull = jax.vjp(function, x, kernel)
        return y, *pull(g)

    return run(lambda: all_of(ours))(), run(lambda: all_of(theirs))()


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_the_plain_convolutions(name, run):
    for found, expected in zip(*_both(name, run), strict=True):
        np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", [name for name in CASES if "tiny" not in name])
def test_the_swapped_weight_gradient_is_exact_for_any_shape(name, run):
    x, kernel, padding, dilation, g = _case(name)
    (expected,) = jax.linear_transpose(lambda kernel: _plain(x, kernel, padding, dilation), kernel)(g)
    found = run(lambda: gradients.swapped(x, g, kernel, padding, dilation))()
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


def test_blocks_of_four_pixels_give_the_convolution(run):
    x, kernel, padding, dilation, _ = _case("few channels")
    found = run(lambda: gradients.convolve_blocks(x, kernel, padding))()
    np.testing.assert_allclose(found, _plain(x, kernel, padding, dilation), atol=1e-4)


@pytest.mark.parametrize(
    ("name", "way"), [("few channels", "packed"), ("fewer outputs", "swapped"), ("tiny grid", "patches")]
)
def test_each_shape_takes_its_way(name, way, monkeypatch):
    def taken(*_):
        raise LookupError(way)

    monkeypatch.setattr(gradients, way, taken)
    x, kernel, padding, dilation, _ = _case(name)
    with pytest.raises(LookupError, match=way):
        jax.grad(lambda k: gradients.convolution(x, k, ONE, padding, rhs_dilation=dilation).sum())(kernel)


def test_a_stride_goes_xlas_way_with_the_same_gradient():
    x, kernel, padding, _, _ = _case("fewer outputs")

    def loss(conv):
        return jax.grad(lambda k: jnp.sum(conv(x, k, (2, 2), padding, dimension_numbers=gradients.NHWC) ** 2))(kernel)

    np.testing.assert_array_equal(loss(gradients.convolution), loss(lax.conv_general_dilated))


def test_another_layout_goes_xlas_way():
    x, kernel, padding, _, _ = _case("fewer outputs")
    layout = ("NCHW", "HWIO", "NCHW")
    found = gradients.convolution(x.transpose(0, 3, 1, 2), kernel, ONE, padding, dimension_numbers=layout)
    np.testing.assert_allclose(found.transpose(0, 2, 3, 1), _plain(x, kernel, padding, ONE), atol=1e-4)


def test_in_a_flax_convolution_parameters_and_numbers_stay():
    x = np.random.default_rng(0).standard_normal((2, 8, 6, 12)).astype(np.float32)
    plain = nn.Conv(3, (7, 7), padding=3)
    ours = nn.Conv(3, (7, 7), padding=3, conv_general_dilated=gradients.convolution)
    variables = plain.init(jax.random.key(0), x)
    jax.tree.map(np.testing.assert_array_equal, ours.init(jax.random.key(0), x), variables)
    np.testing.assert_allclose(ours.apply(variables, x), plain.apply(variables, x), atol=1e-5)


def test_bfloat16_stays_bfloat16():
    x, kernel, padding, _, _ = _case("few channels")
    x, kernel = x.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16)
    gradient = jax.grad(lambda k: gradients.convolution(x, k, ONE, padding).astype(jnp.float32).sum())(kernel)
    assert gradient.dtype == jnp.bfloat16
