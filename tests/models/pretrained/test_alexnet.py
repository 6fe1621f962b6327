"""AlexNet against PyTorch."""

import jax
import numpy as np
import pytest

from scrn_jax.models.pretrained import layers
from scrn_jax.models.pretrained.alexnet import TAPS, AlexNet


def test_every_tap_equals_pytorch(torch_network, torch_taps, tree_of):
    images = np.random.default_rng(0).uniform(-1, 1, (2, 64, 44, 3)).astype(np.float32)
    network = torch_network("alexnet")
    params = tree_of(network, [f"conv{i}" for i in range(1, 6)])
    ours = jax.jit(AlexNet(TAPS).apply)({"params": params}, images)
    for name, reference in zip(TAPS, torch_taps(network, images), strict=True):
        np.testing.assert_allclose(ours[name], reference, rtol=1e-4, atol=1e-4, err_msg=name)


def test_the_smallest_image_has_31_pixels_a_side():
    def grid(height, width):
        images = np.zeros((1, height, width, 3))
        shapes, _ = jax.eval_shape(AlexNet(("relu5",)).init_with_output, jax.random.key(0), images)
        return shapes["relu5"].shape[1:3]

    assert grid(31, 47) == (1, 2)
    with pytest.raises(ValueError, match="give larger images"):
        grid(30, 47)


def test_imagenet_mean_colour_normalises_to_zero():
    image = 2 * np.array([0.485, 0.456, 0.406], np.float32).reshape(1, 1, 1, 3) - 1
    np.testing.assert_allclose(layers.normalise(image), 0, atol=1e-6)
    np.testing.assert_allclose(layers.normalise(image + 2 * np.array([0.229, 0.224, 0.225])), 1, atol=1e-6)
