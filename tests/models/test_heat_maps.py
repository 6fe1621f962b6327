"""Joints to heat maps, and the convolution that never makes them, against plain convolutions over explicit maps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn import functional

from scrn_jax.models.layers import PoseConv, heat_map_conv
from scrn_jax.person import heatmaps

HEIGHT, WIDTH = 24, 18
JOINTS = np.array([[[5, 7], [0, 0], [-1, -1], [23, 17], [11.5, 3.25]], [[-1, -1], [2, 9], [20, 1], [8, 8], [-1, -1]]],
                  np.float32)  # fmt: skip


def _explicit_maps(joints_BxJx2):
    """Heat maps (B, J, H, W) from the two-dimensional Gaussian itself, in float64."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    sigma = 6 * HEIGHT / 256
    maps = np.zeros((*joints_BxJx2.shape[:2], HEIGHT, WIDTH))
    for b, j in np.argwhere(joints_BxJx2[..., 0] >= 0):
        row, column = joints_BxJx2[b, j]
        maps[b, j] = np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * sigma**2))
    return maps


def test_heat_maps_equal_two_dimensional_gaussians():
    maps = heatmaps.heat_maps(JOINTS, HEIGHT, WIDTH)
    np.testing.assert_allclose(maps, _explicit_maps(JOINTS).transpose(0, 2, 3, 1), atol=1e-6)


def test_the_peak_is_1_at_the_joint():
    maps = np.asarray(heatmaps.heat_maps(JOINTS, HEIGHT, WIDTH))
    assert maps[0, 5, 7, 0] == maps[0, 23, 17, 3] == 1
    assert np.unravel_index(maps[0, :, :, 0].argmax(), (HEIGHT, WIDTH)) == (5, 7)


def test_a_joint_in_the_first_pixel_is_present():
    assert heatmaps.heat_maps(JOINTS, HEIGHT, WIDTH)[0, 0, 0, 1] == 1


def test_a_missing_joint_is_all_zero():
    assert not np.any(np.asarray(heatmaps.heat_maps(JOINTS, HEIGHT, WIDTH))[0, :, :, 2])


def test_pixels_are_what_a_gaussian_in_whole_numbers_leaves():
    """As the released maps were stored; a joint between pixels, which theirs never are, goes to the nearest."""
    whole = JOINTS.round()
    expected = _explicit_maps(whole).astype(np.uint8).transpose(0, 2, 3, 1)
    assert expected.sum() == 7
    np.testing.assert_array_equal(heatmaps.pixels(JOINTS, HEIGHT, WIDTH), expected)


@pytest.mark.parametrize("half_missing", [(-1, 8), (8, -1)])
def test_a_joint_with_one_negative_coordinate_is_missing(half_missing):
    maps = heatmaps.heat_maps(np.array([[half_missing]], np.float32), HEIGHT, WIDTH)
    assert not np.any(np.asarray(maps))


def test_the_papers_frame_has_a_deviation_of_6_pixels():
    maps = heatmaps.heat_maps(np.array([[[128, 88]]], np.float32), 256, 176)
    np.testing.assert_allclose(maps[0, 134, 88, 0], np.exp(-0.5), rtol=1e-5)


WINDOWS = {"7x7": (7, 1, 3), "4x4, stride 2": (4, 2, 1)}


@pytest.fixture(scope="module", params=WINDOWS)
def case(request):
    """Window, random kernel over 5 joints and 2 maps, bias, the maps."""
    taps, stride, padding = WINDOWS[request.param]
    rng = np.random.default_rng(0)
    kernel = rng.standard_normal((taps, taps, 7, 3)).astype(np.float32)
    maps = rng.standard_normal((2, HEIGHT, WIDTH, 2)).astype(np.float32)
    return (taps, stride, padding), kernel, rng.standard_normal(3).astype(np.float32), maps


def _profiles():
    return heatmaps.profiles(JOINTS, HEIGHT, WIDTH)


def test_heat_map_conv_equals_the_convolution_of_explicit_maps(case, nhwc, oihw):
    (_, stride, padding), kernel, _, _ = case
    kernel = kernel[:, :, :5]
    explicit = torch.tensor(_explicit_maps(JOINTS), dtype=torch.float32)
    expected = nhwc(functional.conv2d(explicit, oihw(kernel), stride=stride, padding=padding))
    ours = heat_map_conv(*_profiles(), kernel, stride=stride, padding=padding)
    np.testing.assert_allclose(ours, expected, atol=1e-4)


@pytest.fixture(scope="module")
def in_torch(case, nchw, oihw):
    """The plain convolution over cat(explicit maps, maps): (output, maps, kernel, bias), gradients of its squares."""
    (_, stride, padding), kernel, bias, maps = case
    maps, kernel, bias = nchw(maps), oihw(kernel), torch.tensor(bias, requires_grad=True)
    explicit = torch.tensor(_explicit_maps(JOINTS), dtype=torch.float32)
    out = functional.conv2d(torch.cat([explicit, maps], 1), kernel, bias, stride=stride, padding=padding)
    out.square().mean().backward()
    return out, maps, kernel, bias


def _pose_conv(case):
    (taps, stride, padding), kernel, bias, maps = case
    module = PoseConv(3, taps=taps, stride=stride, padding=padding)

    def apply(kernel, bias, maps):
        return module.apply({"params": {"kernel": kernel, "bias": bias}}, (*_profiles(), maps))

    return apply, (kernel, bias, maps)


def test_pose_conv_equals_a_convolution_over_heat_maps_and_maps(case, in_torch, nhwc):
    apply, arguments = _pose_conv(case)
    np.testing.assert_allclose(apply(*arguments), nhwc(in_torch[0]), atol=1e-4)


def test_pose_convs_gradients_equal_the_convolutions(case, in_torch, nhwc, hwio):
    apply, arguments = _pose_conv(case)
    of_kernel, of_bias, of_maps = jax.grad(lambda *a: jnp.mean(apply(*a) ** 2), argnums=(0, 1, 2))(*arguments)
    _, maps, kernel, bias = in_torch
    np.testing.assert_allclose(of_kernel, hwio(kernel.grad), atol=1e-4)
    np.testing.assert_allclose(of_bias, bias.grad.numpy(), atol=1e-4)
    np.testing.assert_allclose(of_maps, nhwc(maps.grad), atol=1e-4)
