"""PINet's generator: its size, its map, what is refused. Its values beside PyTorch's: test_torch_methods.py."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scrn_jax import settings as settings_lib
from scrn_jax.errors import UserError
from scrn_jax.models import base
from scrn_jax.models.pinet.generator import PINet
from scrn_jax.models.pinet.settings import Model

SMALL = Model(width=4, parsing_width=2)


def _gated(before: int, after: int, taps: int = 3) -> int:
    """Two convolutions with biases, and a norm's scale and shift; its statistics are not counted."""
    return 2 * (taps**2 * before * after + after) + 2 * after


def _network(before: int, widths: list[int], after: int) -> int:
    """7x7 to 64; `widths`; five of 256 and three on the way back, counted by hand; the attention; the last."""
    count, channels = _gated(before, 64, 7), 64
    for width in [*widths, 256, 256, 256, 256, 128, 128, 64, 32]:
        count, channels = count + _gated(channels, width), width
    attention = 1 + 2 * (256 * 32 + 32) + 256 * 256 + 256
    return count + attention + _gated(32, after)


def test_it_has_as_many_parameters_as_its_authors_code_but_for_their_twelve_classes():
    shapes = jax.eval_shape(lambda: PINet().init(jax.random.key(0), **base.example_inputs((256, 176))))["params"]
    parsing = _network(3 + 8 + 36, [128, 128, 256, 256, 256, 256], 8)
    painting = _network(3 + 8 + 8 + 18, [64, 128, 128, 256, 256, 256], 3)
    sizes = {name: sum(leaf.size for leaf in jax.tree.leaves(network)) for name, network in shapes.items()}
    assert sizes == {"parsing_network": parsing, "painting_network": painting}
    assert parsing + painting == 20_330_350


@pytest.fixture
def painted(random_variables, person_batch, run):
    """(a function of parameters to outputs, parameters)."""
    batch = person_batch(32, 20)
    inputs = {"source_image": base.to_float(batch["source_image"]), **{name: batch[name] for name in base.INPUTS[1:]}}
    variables = random_variables(PINet(SMALL), **inputs)
    return (
        lambda params: PINet(SMALL).apply({"params": params}, **inputs, training=True, mutable=[base.STATISTICS])[0],
        variables["params"],
    )


def test_a_picture_is_made_with_the_statistics_that_its_parameters_hold(person_batch, run, quick_compile):
    """In training with the batch's, which become those: then both paint the same."""
    model = base.make(settings_lib.from_config({
        "data": {"name": "none"}, "size": (32, 36), "model": dataclasses.asdict(SMALL),
        "features": {"perceptual": "vgg16", "perceptual_source": "random"},
    }))  # fmt: skip
    params = run(lambda: model.init(jax.random.key(0))[0])()
    batch = person_batch(32, 36)
    alone = {name: leaf[:1] for name, leaf in batch.items()}
    trained = run(lambda params, batch: model._outputs(params, batch, jax.random.key(1)))(params, batch)
    generate = run(model.generate)
    before = generate(params, batch)["image"]
    params = model.with_statistics(params, trained[base.STATISTICS])
    found = generate(params, batch)["image"]
    np.testing.assert_allclose(found, trained["image"], atol=0.01)
    assert np.abs(found - before).max() > 0.1
    np.testing.assert_allclose(generate(params, alone)["image"], found[:1], atol=0.01)


def test_a_map_learns_from_its_own_loss_alone(painted, run):
    outputs, params = painted
    of_picture = run(jax.grad(lambda params: jnp.sum(outputs(params)["image"] ** 2)))(params)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(of_picture["parsing_network"]))
    assert any(np.any(leaf) for leaf in jax.tree.leaves(of_picture["painting_network"]))


def test_a_picture_follows_the_predicted_map_and_keeps_to_its_range(painted, run):
    outputs, params = painted
    paint = run(outputs)
    first = paint(params)
    other = paint({**params, "parsing_network": jax.tree.map(lambda leaf: 0.5 * leaf, params["parsing_network"])})
    assert np.abs(first["image"] - other["image"]).max() > 1e-3 and np.abs(first["image"]).max() <= 1
    np.testing.assert_allclose(first["parsing"].sum(-1), 1, atol=1e-5)


def test_what_it_cannot_be_is_refused():
    config = {"data": {"name": "none"}, "size": (32, 36), "model": {"name": "pinet"}}
    with pytest.raises(UserError, match="parsing_steps is SCRN's; PINet learns its parsing map along with the rest"):
        settings_lib.from_config(config | {"train": {"parsing_steps": 3}})
    with pytest.raises(UserError, match=r"config\.model\.parsing_width must be at least 2"):
        settings_lib.from_config(config | {"model": {"name": "pinet", "parsing_width": 1}})
