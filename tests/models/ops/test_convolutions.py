"""The CPU's convolution gives the plain one's values and gradients, whichever way it takes."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from scrn_jax.models.ops import algorithms, convolutions
from scrn_jax.models.ops.algorithms import NHWC, Window
from scrn_jax.models.pretrained.alexnet import AlexNet
from scrn_jax.models.pretrained.inception import Inception
from scrn_jax.models.pretrained.vgg import VGG

ONE, TWO = (1, 1), (2, 2)


def _same(padding: int):
    return ((padding, padding), (padding, padding))


# (input, kernel, window) for each way, then what each must get right besides.
CASES = {
    "few channels": ((2, 10, 8, 3), (7, 7, 3, 4), Window(_same(3))),
    "few channels, even kernel": ((2, 9, 7, 3), (4, 2, 3, 4), Window(_same(1))),
    "few channels, uneven padding": ((1, 8, 6, 5), (3, 3, 5, 2), Window(((0, 2), (2, 0)))),
    "fewer outputs": ((2, 8, 7, 20), (3, 3, 20, 5), Window(_same(1))),
    "fewer outputs, odd grid": ((2, 7, 5, 6), (3, 5, 6, 2), Window(((1, 1), (2, 2)))),
    "fewer outputs, dilated": ((2, 8, 6, 20), (3, 3, 20, 5), Window(_same(2), dilation=TWO)),
    "fewer outputs, uneven padding": ((1, 7, 7, 6), (2, 3, 6, 2), Window(((0, 1), (2, 0)))),
    "fewer outputs, no padding": ((1, 9, 7, 6), (3, 3, 6, 2), Window(_same(0))),
    "more outputs": ((2, 7, 5, 4), (3, 3, 4, 20), Window(_same(1))),
    "many from few": ((1, 27, 20, 4), (3, 3, 4, 128), Window(_same(1))),
    "no padding": ((1, 30, 27, 20), (3, 4, 20, 6), Window(_same(0))),
    "tiny grid": ((2, 3, 1, 20), (3, 3, 20, 7), Window(_same(1))),
    "tiny grid, dilated": ((2, 2, 3, 4), (3, 3, 4, 6), Window(_same(2), dilation=TWO)),
    "stride 2": ((2, 8, 6, 3), (4, 4, 3, 5), Window(_same(1), TWO)),
    "stride 2, uneven kernel and padding": ((1, 7, 6, 3), (2, 4, 3, 5), Window(((1, 0), (0, 2)), TWO)),
    "many channels": ((1, 24, 24, 128), (3, 3, 128, 128), Window(_same(1))),
    "many channels, no padding": ((1, 26, 25, 128), (3, 3, 128, 128), Window(_same(0))),
    "many channels, odd grid": ((2, 27, 23, 128), (3, 3, 128, 136), Window(_same(1))),
    "many channels, dilated": ((1, 26, 23, 136), (3, 3, 136, 128), Window(_same(2), dilation=TWO)),
}
# The same where a single core computes.
OF_A_CORE = {
    "3x3": ((2, 18, 23, 64), (3, 3, 64, 72), Window(_same(1))),
    "3x3, no padding": ((1, 19, 22, 64), (3, 3, 64, 64), Window(_same(0))),
    "3x3, uneven padding, dilated": ((1, 19, 18, 64), (3, 3, 64, 64), Window(((2, 0), (1, 2)), dilation=TWO)),
    "5x5": ((2, 17, 19, 64), (5, 5, 64, 72), Window(_same(2))),
    "7 rows": ((2, 16, 15, 64), (7, 1, 64, 72), Window(((3, 3), (0, 0)))),
    "7 columns": ((2, 17, 20, 64), (1, 7, 64, 72), Window(((0, 0), (3, 3)))),
    "3x5": ((2, 11, 9, 64), (3, 5, 64, 64), Window(((1, 1), (2, 2)))),
    "1x1": ((2, 5, 6, 20), (1, 1, 20, 7), Window(_same(0))),
    "1x1, stride 2": ((2, 5, 6, 20), (1, 1, 20, 7), Window(_same(0), TWO)),
    "stride 2": ((2, 9, 12, 12), (3, 3, 12, 8), Window(_same(0), TWO)),
    "strides 3 and 2, uneven padding, dilated": ((2, 9, 12, 5), (2, 3, 5, 8), Window(((1, 0), (0, 2)), (3, 2), TWO)),
    "many taps, stride 4": ((1, 30, 26, 3), (11, 11, 3, 8), Window(_same(2), (4, 4))),
}
OF_A_CORE_TAKEN = {
    "3x3": "winograd.convolve", "5x5": "winograd.convolve", "7 rows": "winograd.convolve", "1x1": "patches",
    "stride 2": "patches", "many taps, stride 4": "plain",
}  # fmt: skip
# The way that each first case of its kind must take: part of which gradient, or of the convolution itself.
TAKEN = {
    "few channels": "packed", "fewer outputs": "swapped", "many from few": "in_pieces", "tiny grid": "patches",
    "no padding": "framed", "stride 2": "folded", "many channels": "winograd.convolve",
    "many channels, no padding": "winograd.convolve",
}  # fmt: skip


def _plain(x, kernel, window):
    return algorithms.plain(x, kernel, Window(window.padding, window.strides, window.dilation, "highest"))


def _ours(x, kernel, window, ways="auto"):
    return convolutions.convolution(x, kernel, window.strides, window.padding, rhs_dilation=window.dilation, ways=ways)


def _case(name, dtype=np.float32):
    x, kernel, window = (CASES | {f"a core: {key}": case for key, case in OF_A_CORE.items()})[name]
    rng = np.random.default_rng(0)
    x, kernel = (rng.standard_normal(shape).astype(dtype) for shape in (x, kernel))
    shape = jax.eval_shape(partial(_plain, window=window), x, kernel).shape
    return x, kernel, window, rng.standard_normal(shape).astype(dtype)


def _both(name, options, ways="auto"):
    """(values and gradients of ours, of the plain one), each (y, dx, dW); `options` are the compiler's.

    In float64, where only mistakes differ: Winograd's matrices are rounded to 12 digits, and no processor to fewer.
    """
    x, kernel, window, g = _case(name, np.float64)

    def all_of(function, x, kernel, g):
        y, pull = jax.vjp(partial(function, window=window), x, kernel)
        return y, *pull(g)

    # As arguments: of constants XLA would work out the results while it compiles, slowly and otherwise.
    functions = (partial(all_of, function) for function in (partial(_ours, ways=ways), _plain))
    return tuple(jax.jit(function, compiler_options=options)(x, kernel, g) for function in functions)


@pytest.mark.usefixtures("in_double_precision")
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_the_plain_convolutions(name, quick_compile):
    for found, expected in zip(*_both(name, quick_compile), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-11 * np.abs(expected).max())


@pytest.mark.usefixtures("in_double_precision")
@pytest.mark.parametrize("name", OF_A_CORE)
def test_values_and_gradients_of_a_core_are_the_plain_convolutions(name, quick_compile):
    for found, expected in zip(*_both(f"a core: {name}", quick_compile, convolutions.CORE), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-11 * np.abs(expected).max())


@pytest.mark.parametrize(("name", "way"), OF_A_CORE_TAKEN.items())
def test_each_shape_takes_its_way_on_a_core(name, way, monkeypatch):
    def taken(*_, **__):
        raise LookupError(way)

    x, kernel, window, _ = _case(f"a core: {name}")
    monkeypatch.setattr(f"scrn_jax.models.ops.convolutions.{way}", taken)
    with pytest.raises(LookupError, match=way):
        _ours(x, kernel, window, convolutions.CORE)


@pytest.mark.usefixtures("in_double_precision")
@pytest.mark.parametrize("name", [name for name in CASES if "tiny" not in name and "stride" not in name])
def test_the_swapped_weight_gradient_is_exact_for_any_shape(name, quick_compile):
    x, kernel, window, g = _case(name, np.float64)
    expected, found = (
        jax.jit(partial(way, kernel=kernel, window=window), compiler_options=quick_compile)(x, g)
        for way in (algorithms.plain_weight_gradient, algorithms.swapped)
    )
    np.testing.assert_allclose(found, expected, atol=1e-11 * np.abs(expected).max())


def test_blocks_of_four_pixels_give_the_convolution():
    x, kernel, window, _ = _case("few channels")
    found = jax.jit(partial(algorithms.convolve_blocks, window=window))(x, kernel)
    np.testing.assert_allclose(found, _plain(x, kernel, window), atol=1e-4)


@pytest.mark.parametrize(("name", "way"), TAKEN.items())
def test_each_shape_takes_its_way(name, way, monkeypatch):
    def taken(*_, **__):
        raise LookupError(way)

    monkeypatch.setattr(f"scrn_jax.models.ops.convolutions.{way}", taken)
    x, kernel, window, _ = _case(name)
    with pytest.raises(LookupError, match=way):
        jax.grad(lambda x, k: _ours(x, k, window).sum(), (0, 1))(x, kernel)


@pytest.mark.parametrize(("batch", "channels", "taken"), [(1, 256, True), (1, 512, False), (3, 512, True)])
def test_a_kernel_that_fits_no_cache_needs_more_pixels_for_winograds_way(batch, channels, taken):
    kernel = jax.ShapeDtypeStruct((3, 3, channels, channels), jnp.float32)
    x = jax.ShapeDtypeStruct((batch, 32, 22, channels), jnp.float32)
    way = convolutions.choose(x, kernel, Window(_same(1)))
    assert (getattr(way, "keywords", {}) == {"way": convolutions.WINOGRAD}) == taken


def test_on_a_grid_that_shrinks_nothing_changes_places(monkeypatch):
    """As of a mirrored frame, which is convolved without padding: PATN's and PoNA's step would take twice as long."""

    def taken(*_):
        raise AssertionError("swapped")

    monkeypatch.setattr(convolutions, "swapped", taken)
    x, kernel, window, _ = _case("fewer outputs, no padding")
    jax.grad(lambda k: _ours(x, k, window).sum())(kernel)


@pytest.mark.parametrize("strides", [(3, 3), (2, 1)])
def test_another_stride_goes_xlas_way_with_the_same_gradient(strides):
    x, kernel, window, _ = _case("fewer outputs")

    def loss(conv):
        return jax.grad(lambda k: jnp.sum(conv(x, k, strides, window.padding, dimension_numbers=NHWC) ** 2))(kernel)

    np.testing.assert_array_equal(loss(convolutions.convolution), loss(lax.conv_general_dilated))


def test_another_layout_goes_xlas_way():
    x, kernel, window, _ = _case("fewer outputs")
    layout = ("NCHW", "HWIO", "NCHW")
    found = convolutions.convolution(x.transpose(0, 3, 1, 2), kernel, ONE, window.padding, dimension_numbers=layout)
    np.testing.assert_allclose(found.transpose(0, 2, 3, 1), _plain(x, kernel, window), atol=1e-4)


def test_in_a_flax_convolution_parameters_and_numbers_stay():
    x = np.random.default_rng(0).standard_normal((2, 8, 6, 12)).astype(np.float32)
    plain = nn.Conv(3, (7, 7), padding=3)
    ours = nn.Conv(3, (7, 7), padding=3, conv_general_dilated=convolutions.convolution)
    variables = plain.init(jax.random.key(0), x)
    jax.tree.map(np.testing.assert_array_equal, ours.init(jax.random.key(0), x), variables)
    np.testing.assert_allclose(ours.apply(variables, x), plain.apply(variables, x), atol=1e-5)


@pytest.mark.parametrize("name", ["few channels", "many channels"])
def test_bfloat16_stays_bfloat16(name):
    x, kernel, window, _ = _case(name)
    x, kernel = x.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16)
    gradient = jax.grad(lambda k: _ours(x, k, window).astype(jnp.float32).sum())(kernel)
    assert gradient.dtype == jnp.bfloat16


@pytest.mark.parametrize(("ways", "backend", "own"), [
    ("auto", "cpu", True), ("auto", "gpu", False), ("own", "gpu", True), ("plain", "cpu", False),
    ("core", "cpu", True), ("core", "gpu", False),
])  # fmt: skip
def test_a_cpu_takes_the_own_ways_unless_told_otherwise(ways, backend, own, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    x, kernel, window, _ = _case("a core: 3x3" if ways == "core" else "fewer outputs")
    traced = jax.make_jaxpr(lambda k: _ours(x, k, window, ways))(kernel)
    assert ("custom_vjp" in str(traced)) == own


def test_an_unknown_way_is_refused():
    with pytest.raises(ValueError, match="convolutions must be one of auto, own, plain, core, got 'fast'"):
        convolutions.Compute(convolutions="fast")


OF_CORE = convolutions.Compute(convolutions=convolutions.CORE)


@pytest.mark.parametrize("network", [VGG(compute=OF_CORE), AlexNet(compute=OF_CORE), Inception(OF_CORE)])
def test_a_frozen_network_tells_every_convolution_that_a_core_computes(network, monkeypatch):
    def refuse(*_):
        raise LookupError("for all cores")

    monkeypatch.setattr(convolutions, "choose", refuse)
    images = jnp.zeros((1, 64, 48, 3))
    jax.eval_shape(network.init, jax.random.key(0), images)
    with pytest.raises(LookupError, match="for all cores"):
        jax.eval_shape(network.clone(compute=convolutions.Compute()).init, jax.random.key(0), images)
