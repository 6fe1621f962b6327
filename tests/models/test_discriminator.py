"""The discriminator: nine layers, every kernel spectrally normalised as PyTorch does it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax.traverse_util import flatten_dict, unflatten_dict
from torch import nn

from scrn_jax.models import layers
from scrn_jax.models.discriminator import Discriminator, SpectralConv

IMAGES = np.random.default_rng(0).uniform(-1, 1, (2, 32, 44, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def discriminator(random_variables, run):
    """(apply(variables, images) -> (logits, moved statistics), variables)."""
    module = Discriminator(base_width=4)
    apply = run(lambda variables, images: module.apply(variables, images, mutable=["spectral"]))
    return apply, random_variables(module, IMAGES)


def _kernels(variables):
    return {path: leaf for path, leaf in flatten_dict(variables["params"]).items() if path[-1] == "kernel"}


def test_nine_main_convolutions_and_four_shortcuts():
    shapes = jax.eval_shape(lambda: Discriminator(32).init(jax.random.key(0), IMAGES))
    found = sorted(leaf.shape for leaf in _kernels(shapes).values())
    steps = list(zip((3, 32, 64, 128), (32, 64, 128, 128), strict=True))
    main = [shape for i, o in steps for shape in ((3, 3, i, o), (4, 4, o, o))] + [(1, 1, 128, 1)]
    assert len(main) == 9
    assert found == sorted(main + [(1, 1, i, o) for i, o in steps])


def test_every_kernel_has_a_tracked_singular_vector(discriminator):
    _, variables = discriminator
    tracked = [path for path in flatten_dict(variables["spectral"], sep="/") if path.endswith("kernel/u")]
    assert len(tracked) == len(_kernels(variables)) == 13


def test_no_kernels_size_matters(discriminator):
    apply, variables = discriminator
    _, moved = apply(variables, IMAGES)
    params = flatten_dict(variables["params"])
    larger = {path: 7 * leaf if path[-1] == "kernel" else leaf for path, leaf in params.items()}
    expected = apply({**variables, **moved}, IMAGES)[0]
    found = apply({"params": unflatten_dict(larger), **moved}, IMAGES)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_the_logits_of_an_image_do_not_depend_on_the_batch(discriminator):
    apply, variables = discriminator
    reversed_logits = apply(variables, IMAGES[::-1])[0]
    np.testing.assert_allclose(reversed_logits[::-1], apply(variables, IMAGES)[0], atol=1e-5)


def test_each_logit_is_a_patch_of_sixteen_pixels(discriminator):
    apply, variables = discriminator
    assert apply(variables, IMAGES)[0].shape == (2, 32 // 16, 44 // 16)


@pytest.fixture(scope="module")
def spectral_conv():
    """Input, our spectrally normed convolution's parts and PyTorch's on the same weights and starting vector."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2, 6, 5, 3)).astype(np.float32)
    kernel, bias = rng.standard_normal((3, 3, 3, 4)).astype(np.float32), rng.standard_normal(4).astype(np.float32)
    start = rng.standard_normal((1, 4)).astype(np.float32)
    start /= np.linalg.norm(start)
    module = SpectralConv(layers.conv3(4))
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), x))
    params = {name: {"kernel": kernel, "bias": bias} for name in shapes["params"]}
    spectral = jax.tree.map(lambda leaf: start if leaf.shape else jnp.ones(()), shapes["spectral"])
    return x, module, params, spectral


def _torch_conv(params, oihw):
    (weights,) = params.values()
    conv = nn.Conv2d(3, 4, 3, padding=1)
    conv.weight, conv.bias = nn.Parameter(oihw(weights["kernel"])), nn.Parameter(torch.tensor(weights["bias"]))
    return conv


def _u_and_sigma(spectral):
    leaves = flatten_dict(spectral, sep="/")
    return next(v for k, v in leaves.items() if k.endswith("/u")), next(v for k, v in leaves.items() if "sigma" in k)


def test_two_training_calls_equal_pytorchs_hook(spectral_conv, nchw, nhwc, oihw):
    """`torch.nn.utils.spectral_norm` updates v, then u; the order of the singular vectors is ours, too."""
    x, module, params, spectral = spectral_conv
    reference = nn.utils.spectral_norm(_torch_conv(params, oihw))
    reference.weight_u.copy_(torch.tensor(np.array(_u_and_sigma(spectral)[0][0])))
    reference.train()
    for _ in range(2):
        y, moved = module.apply({"params": params, "spectral": spectral}, x, mutable=["spectral"])
        spectral = moved["spectral"]
        np.testing.assert_allclose(y, nhwc(reference(nchw(x))), atol=1e-4)
        np.testing.assert_allclose(_u_and_sigma(spectral)[0][0], reference.weight_u.numpy(), atol=1e-5)


def test_the_kernels_gradient_equals_pytorchs(spectral_conv, nchw, oihw, hwio, run):
    """The singular vectors are constants, the singular value is not."""
    x, module, params, spectral = spectral_conv
    reference = nn.utils.spectral_norm(_torch_conv(params, oihw))
    reference.weight_u.copy_(torch.tensor(np.array(_u_and_sigma(spectral)[0][0])))
    reference(nchw(x)).square().mean().backward()

    def loss(params):
        variables = {"params": params, "spectral": spectral}
        return jnp.mean(module.apply(variables, x, mutable=["spectral"])[0] ** 2)

    (gradient,) = run(jax.grad(loss))(params).values()
    np.testing.assert_allclose(gradient["kernel"], hwio(reference.weight_orig.grad), atol=1e-4)


def test_after_many_calls_it_equals_pytorchs_parametrisation(spectral_conv, nchw, nhwc, oihw, run):
    """Its single steps differ from ours by half an iteration; both settle on the largest singular value."""
    x, module, params, spectral = spectral_conv
    reference = nn.utils.parametrizations.spectral_norm(_torch_conv(params, oihw))
    apply = run(lambda spectral: module.apply({"params": params, "spectral": spectral}, x, mutable=["spectral"]))
    for _ in range(60):
        (y, moved), expected = apply(spectral), reference(nchw(x))
        spectral = moved["spectral"]
    np.testing.assert_allclose(y, nhwc(expected), atol=1e-4)
    (weights,) = params.values()
    largest = np.linalg.svd(weights["kernel"].reshape(-1, 4), compute_uv=False)[0]
    np.testing.assert_allclose(_u_and_sigma(spectral)[1], largest, rtol=1e-4)
