"""The whole generator: its fields, its size, its dtypes, what its outputs depend on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from scrn_jax.models import base
from scrn_jax.models.scrn.generator import SCRN
from scrn_jax.models.scrn.settings import BETTER_PICTURES, Model
from scrn_jax.person import arms


def _shapes(size=(64, 44), feature_channels=256, **fields):
    """(outputs, parameters) as shapes and dtypes."""
    module, inputs = SCRN(Model(**fields), feature_channels=feature_channels), base.example_inputs(size)
    outputs, variables = jax.eval_shape(lambda: module.init_with_output(jax.random.key(0), **inputs))
    return outputs, variables["params"]


def _count(params):
    return sum(leaf.size for leaf in jax.tree.leaves(params))


@pytest.fixture(scope="module")
def small():
    """Shapes of a small model with every part."""
    return _shapes(width=4, blocks=2)


def _parts(params):
    return {part for path in flatten_dict(params) for part in path}


def test_the_papers_model_has_54_million_parameters():
    _, params = _shapes((256, 176))
    assert 53.5e6 < _count(params) < 55e6


def test_the_number_of_coarse_blocks_is_a_field(small):
    three = _shapes(width=4, blocks=3)[1]
    assert {"block_1", "block_2", "block_3"} <= _parts(three)
    assert "block_3" not in _parts(small[1])


def test_without_refine_area_its_parameters_are_gone_and_the_others_stay(small):
    without = set(flatten_dict(_shapes(width=4, blocks=2, refine_area=False)[1]))
    gone = set(flatten_dict(small[1])) - without
    assert {path[0] for path in gone} == {"refine_area_block"}
    assert without < set(flatten_dict(small[1]))


def test_the_correspondence_layer_exists_only_where_the_widths_differ(small):
    assert "to_correspondence" in small[1]
    assert "to_correspondence" not in _shapes(width=4, blocks=2, feature_channels=16)[1]


def test_outputs_have_the_frames_shape(small):
    assert {name: value.shape for name, value in small[0].items()} == {
        "image": (1, 64, 44, 3), "coarse_image": (1, 64, 44, 3), "parsing": (1, 64, 44, 8),
        "parsing_logits": (1, 64, 44, 8), "features": (1, 16, 11, 256)}  # fmt: skip


def test_bfloat16_keeps_parameters_and_outputs_in_float32():
    outputs, params = _shapes(width=4, blocks=1, dtype="bfloat16")
    assert {leaf.dtype for leaf in jax.tree.leaves((outputs, params))} == {jnp.dtype("float32")}


def test_bfloat16_computes_its_convolutions_in_bfloat16():
    model, inputs = SCRN(Model(width=4, blocks=1, dtype="bfloat16")), base.example_inputs((32, 32))
    params = jax.eval_shape(lambda: model.init(jax.random.key(0), **inputs))
    text = str(jax.make_jaxpr(lambda p: model.apply(p, **inputs))(params))
    results = [line.split("=")[0] for line in text.splitlines() if "conv_general_dilated[" in line]
    assert len(results) > 50 and all("bf16[" in result for result in results)


def test_a_side_that_is_no_multiple_of_4_is_refused():
    with pytest.raises(ValueError, match="multiples of 4, got 62x44"):
        _shapes((62, 44), width=4, blocks=1)


@pytest.fixture(
    scope="module",
    params=[{}, {**BETTER_PICTURES, "background": "kept", "parsing_sleeves": 4.0, "parsing_bared": True}],
    ids=["paper", "ours"],
)
def model(request, random_variables, run):
    """(apply(**changed inputs), inputs) of a random generator on two different samples in a 32x36 frame."""
    rng = np.random.default_rng(0)
    inputs = {
        "source_image": rng.uniform(-1, 1, (2, 32, 36, 3)).astype(np.float32),
        "source_pose": rng.uniform(0, 31, (2, 18, 2)).astype(np.float32),
        "target_pose": rng.uniform(0, 31, (2, 18, 2)).astype(np.float32),
        "source_parsing": rng.integers(0, 8, (2, 32, 36)).astype(np.uint8),
    }
    module = SCRN(Model(width=4, blocks=1, parsing_multiples=(1, 2), style_multiples=(1, 2, 4), **request.param))
    shapes = {key: jnp.asarray(value) for key, value in inputs.items()}
    variables = random_variables(module, *shapes.values())
    apply = run(lambda inputs: module.apply(variables, **inputs))
    return lambda **changes: jax.device_get(apply({**inputs, **changes})), inputs, module.model


def test_images_are_in_range_and_the_parsing_sums_to_1(model):
    outputs = model[0]()
    assert max(np.abs(outputs[name]).max() for name in ("image", "coarse_image")) <= 1
    np.testing.assert_allclose(outputs["parsing"].sum(-1), 1, atol=1e-5)


def test_the_parsing_is_that_of_its_logits_in_the_sleeves_asked_for(model):
    apply, inputs, chosen = model
    outputs = apply()
    expected = jax.nn.softmax(outputs["parsing_logits"])
    if chosen.parsing_sleeves:
        masks, poses = jax.nn.one_hot(inputs["source_parsing"], 8), (inputs["source_pose"], inputs["target_pose"])
        bare, expected = expected, arms.worn(expected, masks, *poses, chosen.parsing_sleeves)
        assert np.abs(bare - expected).max() > 0.01
    np.testing.assert_allclose(outputs["parsing"], expected, atol=1e-4)


@pytest.mark.parametrize("name", ["source_image", "source_pose", "target_pose", "source_parsing"])
def test_the_image_depends_on_every_input(model, name):
    apply, inputs, _ = model
    changed = apply(**{name: np.ascontiguousarray(inputs[name][:, ::-1])})
    assert np.abs(changed["image"] - apply()["image"]).max() > 1e-3


def test_a_sample_does_not_depend_on_its_batch(model):
    apply, inputs, _ = model
    swapped = apply(**{name: np.ascontiguousarray(value[::-1]) for name, value in inputs.items()})
    for name, value in apply().items():
        np.testing.assert_allclose(swapped[name][::-1], value, atol=1e-4)


def test_a_pose_without_any_joint_gives_a_finite_image(model):
    outputs = model[0](target_pose=np.full((2, 18, 2), -1, np.float32))
    assert all(np.isfinite(value).all() for value in outputs.values())


def test_only_eq_9_trains_a_parsing_block_that_is_alone(run, random_variables):
    module = SCRN(Model(width=4, blocks=1, parsing_multiples=(1, 2), **BETTER_PICTURES))
    inputs = base.example_inputs((32, 32))

    def pull(params, *names):
        outputs = module.apply(params, **inputs)
        return sum(jnp.sum(outputs[name] ** 2) for name in names)

    def pulls(params):
        kinds = ("image", "coarse_image", "features"), ("parsing",)
        return [jax.grad(pull)(params, *names)["params"]["parsing_block"] for names in kinds]

    others, own = run(pulls)(random_variables(module, *map(jnp.asarray, inputs.values())))
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(others))
    assert any(np.any(leaf) for leaf in jax.tree.leaves(own))
