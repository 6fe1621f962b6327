"""The PyTorch mirror, written from the paper's page in the plain way, gives our numbers: outputs, losses, gradients.

Both sides compute in float64, where only another formula tells them apart.
"""

from functools import partial

import jax
import numpy as np
import pytest
import torch
from flax.traverse_util import flatten_dict

from benchmarks import torch_paint, torch_training, torch_weights
from scrn_jax.models import base
from scrn_jax.models.scrn.settings import BETTER_PICTURES
from scrn_jax.person import paint
from scrn_jax.training import state as state_lib

pytestmark = pytest.mark.usefixtures("torch_in_double_precision")

TERMS = ("cor", "l1", "adv", "per", "par", "face", "generator", "discriminator")
PARTS = ("parsing_block", "coarse_generator", "refine_area_block", "style_encoder", "inject_style_block", "decoder",
         "to_correspondence")  # fmt: skip


EQUAL = 1e-7  # relative
BEST = {
    "model": {**BETTER_PICTURES, "background": "kept", "parsing_multiples": (2, 3), "style_multiples": (1, 2, 4)},
    "parsing": "cross_entropy",
    "features": {"perceptual_scale": 2},
}


@pytest.fixture(scope="module")
def batch(make_batch):
    """A batch, its joints and boxes in float64."""
    return {name: x.astype(np.float64) if x.dtype == np.float32 else x for name, x in make_batch(0).items()}


@pytest.fixture(scope="module", params=[{}, BEST], ids=["paper", "best"])
def changes(request):
    """Of the tiny config."""
    return request.param


@pytest.fixture(scope="module")
def settings(changes, tiny_settings):
    """Of a tiny model by the paper's letter, and of one with all that makes better pictures."""
    return tiny_settings(**changes)


@pytest.fixture(scope="module")
def trainer(changes, settings, request, trainer_of):
    """Our step in float64; the paper's is compiled for other files too."""
    return trainer_of(settings, double=True) if changes else request.getfixturevalue("double_trainer")


@pytest.fixture(scope="module")
def start(changes, settings, first_state):
    """A state whose biases, norms and attention are not at their neutral start, so that every part has a say."""
    state, rng = first_state, np.random.default_rng(7)

    def at_random(leaf):
        return rng.standard_normal(leaf.shape) / np.sqrt(max(np.prod(leaf.shape[:-1]), 1))

    def stir(leaf):
        noise = rng.standard_normal(leaf.shape) * (leaf.ndim == 1) + (leaf.ndim == 0)  # attention's gamma is the scalar
        return (leaf + 0.3 * noise).astype(np.float32)

    if changes:  # the same discriminator; another generator, at random, which is quicker than to compile its start
        state = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), state_lib.shapes(settings))
        generator = jax.tree.map(at_random, state.generator)
        state = state.replace(
            generator=generator, ema=generator, discriminator=first_state.discriminator, spectral=first_state.spectral
        )
    return state.replace(**{name: jax.tree.map(stir, getattr(state, name)) for name in ("generator", "discriminator")})


@pytest.fixture(scope="module")
def ours(trainer, start, make_batch):
    """(state after one step of ours, its metrics)."""
    state, metrics = trainer.step(trainer.put(start), make_batch(0))
    return jax.device_get(state), jax.device_get(metrics)


@pytest.fixture(scope="module")
def mirror(settings, start, frozen):
    """The mirror before the step."""
    return torch_training.Mirror(settings, start, frozen)


@pytest.fixture(scope="module")
def theirs(mirror, start, batch):
    """(generator's gradient, discriminator's, terms) of the mirror, in our trees."""
    generator, discriminator, terms = mirror.gradients(mirror.put(batch))

    def tree(module, gradients, like):
        names = [name for name, _ in module.named_parameters()]
        return torch_weights.to_flax(module, dict(zip(names, gradients, strict=True)), like)

    generator = tree(mirror.generator, generator, start.generator)
    return generator, tree(mirror.discriminator, discriminator, start.discriminator), terms


@pytest.fixture(scope="module")
def gradients(ours, adam_of):
    """Our (generator's, discriminator's) gradient: Adam's first running mean is a tenth of it."""
    state = ours[0]
    means = [adam_of(each).mu for each in (state.generator_optimizer, state.discriminator_optimizer)]
    return [jax.tree.map(lambda leaf: leaf / 0.1, mean) for mean in means]


@pytest.fixture(scope="module")
def outputs(settings, start, batch, mirror, trainer, quick_compile):
    """(ours, the mirror's) outputs of the generator, NHWC."""
    params = trainer.cast(start.generator)
    with trainer.precision():
        found = jax.jit(base.make(settings).generate, compiler_options=quick_compile)(params, batch)
    with torch.no_grad():
        expected = mirror.outputs(mirror.put(batch))
    return jax.device_get(found), {name: x.numpy().transpose(0, 2, 3, 1) for name, x in expected.items()}


def _assert_close(ours, theirs, all_of_theirs):
    """Equal in each array's norm. A bias ahead of a norm has no gradient but rounding: so much of the whole is let."""
    rounding = 1e-12 * np.sqrt(sum(np.sum(leaf.astype(np.float64) ** 2) for leaf in all_of_theirs))
    for path, expected in theirs.items():
        error = np.linalg.norm(ours[path] - expected)
        assert error <= EQUAL * np.linalg.norm(expected) + rounding, f"{'/'.join(path)}: {error}"


@pytest.mark.parametrize("name", ["image", "coarse_image", "parsing", "parsing_logits", "features"])
def test_the_generators_outputs_are_equal(name, outputs):
    found, expected = (side[name] for side in outputs)
    assert found.dtype == np.float64
    assert np.linalg.norm(found - expected) <= EQUAL * np.linalg.norm(expected)


@pytest.mark.parametrize("term", TERMS)
def test_the_losses_are_equal(term, ours, theirs):
    np.testing.assert_allclose(ours[1][f"loss/{term}"], theirs[2][term].item(), rtol=EQUAL)


@pytest.mark.parametrize("part", PARTS)
def test_the_generators_gradients_are_equal(part, gradients, theirs):
    found, expected = flatten_dict(gradients[0][part]), flatten_dict(theirs[0][part])
    assert found.keys() == expected.keys()
    _assert_close(found, expected, jax.tree.leaves(theirs[0]))


def test_the_discriminators_gradients_are_equal(gradients, theirs):
    found, expected = flatten_dict(gradients[1]), flatten_dict(theirs[1])
    assert found.keys() == expected.keys()
    _assert_close(found, expected, jax.tree.leaves(theirs[1]))


def test_every_part_of_the_generator_has_a_gradient(theirs):
    """Else the comparison above would say nothing of it."""
    kernels = {path: leaf for path, leaf in flatten_dict(theirs[0]).items() if leaf.ndim > 1}
    assert {path[0] for path in kernels} == set(PARTS)
    assert min(np.linalg.norm(leaf) for leaf in kernels.values()) > 1e-4


@pytest.fixture(scope="module")
def stepped(settings, start, frozen, batch):
    """The mirror after one step."""
    moved = torch_training.Mirror(settings, start, frozen)
    moved.step(moved.put(batch))
    return moved


def test_one_update_of_both_networks_is_equal(stepped, ours, gradients):
    """Where a gradient is more than rounding: Adam's first update is its sign."""
    for name, gradient in zip(("generator", "discriminator"), gradients, strict=True):
        module, expected = getattr(stepped, name), getattr(ours[0], name)
        found = flatten_dict(torch_weights.to_flax(module, dict(module.named_parameters()), expected))
        scale = max(np.abs(leaf).max() for leaf in jax.tree.leaves(gradient))
        for path, value in flatten_dict(expected).items():
            told = np.abs(flatten_dict(gradient)[path]) > 1e-6 * scale
            np.testing.assert_allclose(found[path][told], value[told], atol=1e-9)


def test_the_singular_vectors_move_alike(stepped, ours, start):
    buffers, before = dict(stepped.discriminator.named_buffers()), torch_weights.singular_vectors(start.spectral)
    for name, expected in torch_weights.singular_vectors(ours[0].spectral).items():
        np.testing.assert_allclose(buffers[name].numpy(), expected, atol=EQUAL)
        assert expected.size == 1 or np.abs(expected - before[name]).max() > 1e-2


def test_parameters_come_back_as_they_went(mirror, start):
    back = torch_weights.to_flax(mirror.generator, dict(mirror.generator.named_parameters()), start.generator)
    jax.tree.map(np.testing.assert_array_equal, back, start.generator)


def test_a_parameter_that_the_mirror_lacks_is_an_error(mirror, start):
    with pytest.raises(ValueError, match="the mirror has no .*another"):
        torch_weights.load(mirror.generator, {**start.generator, "another": {"kernel": np.zeros((1, 1))}})


def test_a_target_that_the_mirror_has_no_form_for_is_an_error(tiny_settings, start, frozen):
    with pytest.raises(ValueError, match="non-saturating form"):
        torch_training.Mirror(tiny_settings(adversarial="hinge"), start, frozen)


def test_flat_paint_on_the_sources_own_background_is_equal(quick_compile):
    """On maps with a person in them: random labels leave no pixel whose neighbours are all background."""
    rng = np.random.default_rng(3)
    labels = np.zeros((2, 65, 44), np.int64)
    labels[0, 10:50, 12:30], labels[1, :, 20:44] = rng.integers(1, 8, (40, 18)), 2
    image, parsing = rng.uniform(-1, 1, (2, 65, 44, 3)), rng.dirichlet(np.ones(8), (2, 65, 44))
    masks = np.eye(8)[labels]
    with jax.enable_x64(True):
        of = partial(paint.Paint.of, parts=None, carried=False, background_kept=True)
        ours = jax.jit(of, compiler_options=quick_compile)(image, masks, parsing_BxHxWxR=parsing)

    def nchw(maps):
        return torch.from_numpy(maps).permute(0, 3, 1, 2)

    theirs = torch_paint.paint(nchw(image), torch.from_numpy(labels), nchw(masks), None, nchw(parsing), False, True)
    assert np.mean(np.asarray(ours.weight) > 0.01) > 0.1
    for own, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(other.permute(0, 2, 3, 1), own, atol=EQUAL)
