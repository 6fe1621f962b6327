"""The refine stage: Eq. 3's gate, style means under regions, style injected where S_g says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scrn_jax.models.scrn.refine import (
    InjectStyle,
    PaintingDecoder,
    RefineArea,
    StyleEncoder,
    region_means,
    region_norm,
)
from scrn_jax.person import heatmaps


def _random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


FEATURES = np.arange(1, 9, dtype=np.float32).reshape(1, 2, 4, 1)  # rows 1 2 3 4 and 5 6 7 8
EVERYWHERE = np.ones((1, 2, 4, 1), np.float32)


def _masks(*grids):
    return np.stack(grids, -1)[None].astype(np.float32)


def test_a_regions_code_is_the_mean_under_it():
    masks = _masks([[1, 1, 0, 0], [0, 0, 0, 0]], [[0, 0, 1, 1], [1, 1, 1, 1]])
    np.testing.assert_allclose(region_means(FEATURES, masks, EVERYWHERE)[0, :, 0], [1.5, 33 / 6], rtol=1e-6)


def test_a_soft_mask_weighs_its_cells():
    masks = _masks([[0.25, 0, 0, 0], [0, 0, 0, 0.75]])
    np.testing.assert_allclose(region_means(FEATURES, masks, EVERYWHERE)[0, 0, 0], 0.25 * 1 + 0.75 * 8, rtol=1e-6)


def test_a_region_of_one_pixel_in_a_cell_keeps_that_cells_style():
    masks = _masks([[0, 0, 0, 0], [0, 1 / 64, 0, 0]])
    np.testing.assert_allclose(region_means(FEATURES, masks, EVERYWHERE)[0, 0, 0], 6, rtol=1e-5)


def test_an_absent_region_takes_the_mean_of_the_whole_image():
    masks = _masks(np.zeros((2, 4)), np.ones((2, 4)))
    np.testing.assert_allclose(region_means(FEATURES, masks, EVERYWHERE)[0, :, 0], [4.5, 4.5], rtol=1e-6)


def test_the_whole_image_ends_where_the_padding_starts():
    inside = np.array([[1, 1, 0.5, 0], [1, 1, 0.5, 0]], np.float32)[None, :, :, None]
    expected = (1 + 2 + 5 + 6 + 0.5 * (3 + 7)) / 5
    np.testing.assert_allclose(region_means(FEATURES, _masks(np.zeros((2, 4))), inside)[0, 0, 0], expected, rtol=1e-6)


def test_an_absent_region_does_not_break_the_gradient():
    masks = _masks(np.zeros((2, 4)))
    gradient = jax.grad(lambda f, m: jnp.sum(region_means(f, m, EVERYWHERE) ** 2), argnums=(0, 1))(FEATURES, masks)
    assert all(np.isfinite(part).all() for part in gradient)


@pytest.fixture(scope="module")
def style_encoder(random_variables, run):
    """apply(image, labels) -> codes of a frame whose width, 44, is not a multiple of the encoder's 32."""
    module = StyleEncoder(width=4, multiples=(1, 2, 4, 4, 4), upsampling="transposed", bounded=True)
    variables = random_variables(module, jnp.zeros((1, 64, 44, 3)), jnp.zeros((1, 64, 44, 8)))
    return run(lambda image, labels: module.apply(variables, image, jax.nn.one_hot(labels, 8))[0])


def _halves():
    """Regions 1 left and 2 right, the last column included."""
    labels = np.ones((1, 64, 44), np.int32)
    labels[:, :, 24:] = 2
    return labels


def test_absent_regions_share_one_code_and_present_ones_have_their_own(style_encoder):
    codes = np.asarray(style_encoder(_random(1, 64, 44, 3), _halves()))
    np.testing.assert_array_equal(codes[3:], np.broadcast_to(codes[0], (5, 16)))
    assert np.abs(codes[1] - codes[2]).max() > 1e-3
    assert np.abs(codes[1] - codes[0]).max() > 1e-3


def test_the_whole_images_code_is_the_mean_of_its_regions_weighed_by_area(style_encoder):
    codes = np.asarray(style_encoder(_random(1, 64, 44, 3), _halves()))
    np.testing.assert_allclose(codes[0], (24 * codes[1] + 20 * codes[2]) / 44, atol=1e-5)


def test_a_region_in_the_last_columns_only_has_its_own_code(style_encoder):
    """They would be cropped away if 44 were rounded down to a multiple of 32."""
    labels = np.zeros((1, 64, 44), np.int32)
    labels[:, 30:40, 42:] = 5
    codes = np.asarray(style_encoder(_random(1, 64, 44, 3), labels))
    assert np.abs(codes[5] - codes[1]).max() > 1e-3


def test_style_codes_are_bounded_by_tanh(style_encoder):
    assert np.abs(style_encoder(100 * _random(1, 64, 44, 3), _halves())).max() <= 1


@pytest.fixture(scope="module")
def inject(random_variables, run):
    """apply(codes, weights) onto fixed features."""
    features, module = _random(1, 6, 5, 8), InjectStyle("frame")
    variables = random_variables(module, features, _random(1, 3, 8), _random(1, 6, 5, 3))
    return run(lambda codes, weights: module.apply(variables, features, codes, weights))


def _one_hot_everywhere(region):
    return jnp.broadcast_to(jax.nn.one_hot(region, 3), (1, 6, 5, 3))


@pytest.mark.parametrize("region", range(3))
def test_only_the_code_of_the_region_that_s_g_names_matters(inject, region):
    codes, other = _random(1, 3, 8), _random(1, 3, 8, seed=1)
    elsewhere, here = other.copy(), codes.copy()
    elsewhere[:, region] = codes[:, region]
    here[:, region] = other[:, region]
    weights = _one_hot_everywhere(region)
    np.testing.assert_array_equal(inject(codes, weights), inject(elsewhere, weights))
    assert np.abs(inject(codes, weights) - inject(here, weights)).max() > 1e-2


def test_regions_with_the_same_code_have_layers_of_their_own(inject):
    codes = np.repeat(_random(1, 1, 8), 3, axis=1)
    assert np.abs(inject(codes, _one_hot_everywhere(0)) - inject(codes, _one_hot_everywhere(1))).max() > 1e-2


def test_gradients_flow_through_s_g(inject, run):
    unjitted = inject.__wrapped__
    gradient = run(jax.grad(lambda weights: jnp.sum(unjitted(_random(1, 3, 8), weights) ** 2)))(_one_hot_everywhere(0))
    assert np.abs(gradient).max() > 1e-3


@pytest.fixture(scope="module")
def refine_area(random_variables, run):
    """(apply(params, F_crs), params) of a RefineArea block over one fixed pose and parsing."""
    pose = np.array([[[5, 7], [10, 11], [-1, -1]]], np.float32)
    shape = (*heatmaps.profiles(pose, 16, 12), _random(1, 16, 12, 8))
    module = RefineArea(width=2)
    params = random_variables(module, _random(1, 4, 3, 8), shape)["params"]
    return run(lambda params, coarse: module.apply({"params": params}, coarse, shape)), params


def test_refine_area_scales_each_feature_by_a_share(refine_area):
    apply, params = refine_area
    coarse = _random(1, 4, 3, 8)
    share = np.asarray(apply(params, coarse)) / coarse
    assert share.min() >= 0 and share.max() <= 1 and share.std() > 0.01


def test_refine_areas_share_is_the_sigmoid_of_its_last_convolution(refine_area):
    apply, params = refine_area
    last = {"kernel": np.zeros_like(params["fuse_out"]["kernel"]), "bias": np.full(8, np.log(3), np.float32)}
    coarse = _random(1, 4, 3, 8)
    np.testing.assert_allclose(apply({**params, "fuse_out": last}, coarse), 0.75 * coarse, rtol=1e-5)


def test_a_region_norm_takes_away_each_regions_level_and_spread():
    features = np.array([1.0, 3.0, 10.0, 30.0], np.float32).reshape(1, 1, 4, 1)
    weights = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32).reshape(1, 1, 4, 2)
    expected = [-1 / np.sqrt(1 + 1e-2), 1 / np.sqrt(1 + 1e-2), -10 / np.sqrt(100 + 1e-2), 10 / np.sqrt(100 + 1e-2)]
    np.testing.assert_allclose(region_norm(features, weights).ravel(), expected, rtol=1e-5)


def test_a_painting_decoder_starts_near_its_paint(run):
    rng = np.random.default_rng(5)
    features, guide = rng.standard_normal((1, 8, 8, 16)), rng.standard_normal((1, 32, 32, 5))
    painted = rng.uniform(-0.9, 0.9, (1, 32, 32, 3)).astype(np.float32)
    module = PaintingDecoder(width=4)
    image = run(lambda *args: module.init_with_output(jax.random.key(0), *args)[0])(features, guide, painted)
    assert np.abs(image - painted).mean() < 0.1


def test_its_gate_starts_at_0_88_of_the_carried_paint(run):
    """sigmoid(2) = 0.8808: of paint at 0.5 over flat paint at -0.5 it makes 0.38."""
    rng = np.random.default_rng(5)
    features, guide = rng.standard_normal((1, 8, 8, 16)), rng.standard_normal((1, 32, 32, 5))
    paints = [np.full((1, 32, 32, 3), level, np.float32) for level in (0.5, -0.5)]
    module = PaintingDecoder(width=4)
    image = run(lambda *args: module.init_with_output(jax.random.key(0), *args)[0])(features, guide, *paints)
    assert image.mean() == pytest.approx(0.38, abs=0.1)
