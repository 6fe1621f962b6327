"""VGG16 and VGG19 against PyTorch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scrn_jax.models.ops.convolutions import Compute
from scrn_jax.models.pretrained import vgg
from scrn_jax.models.pretrained.vgg import VGG

IMAGES = np.random.default_rng(0).uniform(-1, 1, (2, 33, 26, 3)).astype(np.float32)


@pytest.mark.parametrize("depth", [16, 19])
def test_every_tap_equals_pytorch(depth, torch_network, torch_taps, tree_of):
    network = torch_network(f"vgg{depth}")
    taps = tuple(vgg.tap_names(depth))
    params = tree_of(network, vgg.conv_names(depth))
    ours = jax.jit(VGG(depth, taps).apply)({"params": params}, IMAGES)
    for name, reference in zip(taps, torch_taps(network, IMAGES), strict=True):
        np.testing.assert_allclose(ours[name], reference, rtol=1e-4, atol=1e-4, err_msg=name)


def test_nothing_below_the_deepest_tap_is_needed(torch_network, tree_of):
    params = tree_of(torch_network("vgg19"), vgg.conv_names(19))
    shallow = {name: params[name] for name in ("conv1_1", "conv1_2")}
    module = VGG(19, ("relu1_2",))
    assert jnp.array_equal(
        module.apply({"params": shallow}, IMAGES)["relu1_2"], module.apply({"params": params}, IMAGES)["relu1_2"]
    )


def test_conv3_1_is_before_its_relu(torch_network, tree_of):
    params = tree_of(torch_network("vgg16"), vgg.conv_names(16))
    taps = VGG(16, ("conv3_1", "relu3_1")).apply({"params": params}, IMAGES)
    assert taps["conv3_1"].min() < 0
    assert jnp.array_equal(jnp.maximum(taps["conv3_1"], 0), taps["relu3_1"])


def test_bfloat16_compute_stays_near_float32_and_returns_float32(torch_network, tree_of):
    params = tree_of(torch_network("vgg16"), vgg.conv_names(16))
    exact = VGG(16, ("relu2_2",)).apply({"params": params}, IMAGES)["relu2_2"]
    rough = VGG(16, ("relu2_2",), Compute(jnp.bfloat16)).apply({"params": params}, IMAGES)["relu2_2"]
    assert rough.dtype == jnp.float32
    assert 0 < jnp.abs(rough - exact).max() < 0.05 * exact.max()


@pytest.mark.parametrize(("depth", "taps"), [(19, ("relu6_1",)), (16, ("conv3_4",)), (16, ()), (13, ("conv1_1",))])
def test_unknown_layers_and_depths_are_refused(depth, taps):
    with pytest.raises(ValueError, match="choose"):
        VGG(depth, taps).init(jax.random.key(0), IMAGES)


def test_only_the_layers_up_to_the_deepest_tap_are_kept():
    whole = {name: number for number, name in enumerate(vgg.conv_names(19))}
    kept = vgg.as_deep_as(whole, 19, ("relu2_1", "conv3_1"))
    assert kept == {"conv1_1": 0, "conv1_2": 1, "conv2_1": 2, "conv2_2": 3, "conv3_1": 4}
