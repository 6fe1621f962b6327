"""PATN, PoNA, PINet and PISE in PyTorch, written from docs/methods/, give our numbers: pictures, losses, gradients.

Both sides compute in float64, where only another formula tells them apart.
"""

import jax
import numpy as np
import pytest
import torch
from flax.traverse_util import flatten_dict

from benchmarks import compare, torch_weights, workload
from scrn_jax import settings as settings_lib
from scrn_jax.models import base
from scrn_jax.training import state as state_lib

pytestmark = pytest.mark.usefixtures("torch_in_double_precision")

KEY, SIZE = jax.random.key(0), (32, 36)
SMALL = {
    "patn": {"width": 4, "blocks": 3, "dropout": 0.0, "discriminator_width": 4, "discriminator_blocks": 2},
    "pona": {"width": 4, "blocks": 2, "dropout": 0.0, "discriminator_width": 4, "discriminator_blocks": 2},
    "pinet": {"width": 4, "parsing_width": 2, "dropout": 0.0, "discriminator_width": 4, "discriminator_blocks": 2},
    "pise": {"width": 4, "parsing_width": 2, "parsing_halvings": 3, "discriminator_width": 2},
}
# Relative. PISE's, PoNA's and PINet's kernels are over singular values that a power iteration finds on either side.
EQUAL = {"patn": 1e-8, "pona": 1e-5, "pinet": 1e-5, "pise": 1e-5}


@pytest.fixture(scope="module", params=SMALL)
def settings(request):
    return settings_lib.from_config({
        "data": {"name": "random"}, "size": SIZE, "adversarial": "lsgan",
        "model": {"name": request.param, **SMALL[request.param]},
        "features": {"perceptual": "vgg16", "perceptual_source": "random"}, "train": {"batch_size": 2},
    })  # fmt: skip


@pytest.fixture(scope="module")
def equal(settings):
    return EQUAL[settings.model.name]


@pytest.fixture(scope="module")
def batch(settings):
    """Large regions, of which the source lacks some; joints in float64."""
    batch = workload.random_batch(settings)
    batch["source_parsing"] = (batch["source_parsing"] // 2)[:, :4, :4].repeat(8, 1).repeat(9, 2)
    return {name: x.astype(np.float64) if x.dtype == np.float32 else x for name, x in batch.items()}


@pytest.fixture(scope="module")
def state(settings):
    """At random and without compiling the start; PyTorch keeps singular vectors of length 1."""
    rng = np.random.default_rng(0)

    def at_random(shape):
        return rng.standard_normal(shape.shape) / np.sqrt(max(np.prod(shape.shape[:-1]), 1))

    def of_length_1(shape):
        vector = rng.standard_normal(shape.shape)
        return vector / np.linalg.norm(vector) if vector.ndim else np.ones(())

    state = state_lib.shapes(settings)
    parts = {name: jax.tree.map(at_random, getattr(state, name)) for name in ("generator", "discriminator")}
    return state.replace(
        **parts, spectral=jax.tree.map(of_length_1, state.spectral), ema=(), generator_optimizer=(),
        discriminator_optimizer=(), step=0, skipped=0, skipped_in_row=0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def step(settings, state, frozen):
    """PyTorch's; singular vectors that are no part of our state are settled as ours are in every call."""
    step = compare.mirror_of(settings, state, frozen)
    settled = [step.generator] if state.spectral else [step.generator, step.discriminator]
    for module in (module for network in settled for module in network.modules()):
        if hasattr(module, "weight_u"):
            hook = next(each for each in module._forward_pre_hooks.values())
            hook.n_power_iterations = 2000
            hook(module, ())
            hook.n_power_iterations = 1
    return step


@pytest.fixture(scope="module")
def ours(settings, state, frozen, batch, double_precision, quick_compile):
    """(outputs, terms with both sides' losses, the generator's gradient, the discriminators')."""
    with double_precision():
        model = base.make(settings)

        def generator_loss(params, state, frozen, batch):
            judges = state.discriminator, state.spectral
            terms, outputs = model.generator_terms(params, judges, frozen, batch, KEY)
            return sum(model.weights[name] * value for name, value in terms.items()), (terms, outputs)

        def whole(state, frozen, batch):
            of_generator, of_discriminator = (
                jax.value_and_grad(each, has_aux=True) for each in (generator_loss, model.discriminator_loss)
            )
            (loss, (terms, outputs)), gradient = of_generator(state.generator, state, frozen, batch)
            fixed = jax.lax.stop_gradient(outputs)
            (judged, _), judges = of_discriminator(state.discriminator, state.spectral, batch, fixed, KEY)
            return outputs, {**terms, "generator": loss, "discriminator": judged}, gradient, judges

        widened = jax.tree.map(np.float64, frozen)
        outputs, terms, gradient, judges = jax.device_get(
            jax.jit(whole, compiler_options=quick_compile)(state, widened, batch)
        )
        still = gradient.pop(base.STATISTICS, {})  # PyTorch's are no parameters
        assert not any(np.any(leaf) for leaf in jax.tree.leaves(still))
        return outputs, terms, gradient, judges


@pytest.fixture(scope="module")
def theirs(step, state, batch):
    """The same of PyTorch, in our trees."""
    given = step.put(batch)
    with torch.no_grad():
        image = step.outputs(given)["image"].permute(0, 2, 3, 1).numpy()
    generator, discriminator, terms = step.gradients(given)

    def tree(module, gradients, like):
        learned = [name for name, parameter in module.named_parameters() if parameter.requires_grad]
        found = {name: torch.zeros_like(parameter) for name, parameter in module.named_parameters()}
        return torch_weights.to_flax(module, found | dict(zip(learned, gradients, strict=True)), like)

    terms = {name: value.item() for name, value in terms.items()}
    trees = [
        tree(step.generator, generator, state.generator), tree(step.discriminator, discriminator, state.discriminator)
    ]  # fmt: skip
    return image, terms, *trees


def test_the_pictures_are_equal(ours, theirs, equal):
    image = ours[0]["image"]
    assert image.dtype == np.float64 and theirs[0].std() > 0.1
    np.testing.assert_allclose(image, theirs[0], atol=equal)


def test_a_parsing_map_is_shares_of_1(ours):
    assert "map" not in ours[0] or np.allclose(ours[0]["parsing"].sum(-1), 1, atol=1e-12)


def test_every_term_and_both_losses_are_equal(ours, theirs, equal):
    assert ours[1].keys() == theirs[1].keys()
    for name, expected in theirs[1].items():
        np.testing.assert_allclose(ours[1][name], expected, rtol=equal, err_msg=name)


@pytest.mark.parametrize("network", [2, 3], ids=["generator", "discriminators"])
def test_every_gradient_is_equal(network, ours, theirs, equal):
    """In each array's norm. A bias ahead of a norm has no gradient but rounding: so much of the whole is let."""
    found, expected = flatten_dict(ours[network]), flatten_dict(theirs[network])
    assert found.keys() == expected.keys()
    whole = np.sqrt(sum(np.sum(leaf**2) for leaf in expected.values()))
    for path, leaf in expected.items():
        error = np.linalg.norm(found[path] - leaf)
        assert error <= 10 * equal * np.linalg.norm(leaf) + 1e-10 * whole, f"{'/'.join(path)}: {error}"


def test_every_kernel_but_a_frozen_one_has_a_gradient(theirs):
    """Else the comparison above would say nothing of it."""
    for tree in theirs[2:]:
        kernels = {path: np.abs(leaf).max() for path, leaf in flatten_dict(tree).items() if path[-1] == "kernel"}
        assert kernels and all((most > 0) == (path[0] != "vgg") for path, most in kernels.items())


def test_a_step_moves_both_networks_and_the_average_but_no_frozen_one(ours, theirs, batch, step):
    """After the comparisons, which it ends."""
    frozen = [*step.vgg.parameters(), *(p for p in step.generator.parameters() if not p.requires_grad)]
    moving = [*step.learned(), *step.discriminator.parameters(), *step.average]
    before = [parameter.detach().clone() for parameter in (*moving, *frozen)]
    step.step(step.put(batch))
    moved = [bool((old != new).any()) for old, new in zip(before, (*moving, *frozen), strict=True)]
    # A kernel has a gradient, a bias before a norm may have none.
    kernels = [place for place, parameter in enumerate(moving) if parameter.ndim == 4]
    assert all(moved[place] for place in kernels) and not any(moved[len(moving) :])


def test_a_method_that_has_none_is_refused():
    with pytest.raises(
        ValueError, match="there is no adgan in PyTorch here; choose one of scrn, patn, pise, pona, pinet"
    ):
        compare.mirror_of(workload.settings_of("adgan_small"), None, None)
