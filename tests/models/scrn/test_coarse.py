"""The coarse stage: the parsing block's distribution, the Coarse Block's two equations, the encoder's grid."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn import functional

from scrn_jax.models.scrn.coarse import CoarseBlock, DetailedParsingBlock, Encoder, ParsingBlock
from scrn_jax.person import heatmaps

HEIGHT, WIDTH = 64, 44  # 44 is not a multiple of the parsing block's 16
POSES = np.random.default_rng(0).uniform(0, 44, (1, 36, 2)).astype(np.float32)


LABELS = jax.nn.one_hot(np.random.default_rng(1).integers(0, 8, (1, HEIGHT, WIDTH)), 8)


@pytest.fixture(
    scope="module", params=[partial(ParsingBlock, upsampling="transposed"), DetailedParsingBlock],
    ids=["plain", "detailed"],
)  # fmt: skip
def parsing_block(request, random_variables, run):
    """(apply(rows, S_r), rows of the poses' profiles): the logits of a random parsing block."""
    rows, columns = heatmaps.profiles(POSES, HEIGHT, WIDTH)
    module = request.param(width=4, regions=8, multiples=(1, 2, 4, 8))
    variables = random_variables(module, (rows, columns, LABELS))
    return run(lambda rows, labels: module.apply(variables, (rows, columns, labels))), rows


def test_there_is_a_logit_for_every_region_at_every_pixel_of_an_odd_frame(parsing_block):
    apply, rows = parsing_block
    logits = apply(rows, LABELS)
    assert logits.shape == (1, HEIGHT, WIDTH, 8) and np.isfinite(logits).all()


def test_the_parsing_depends_on_poses_and_source(parsing_block):
    apply, rows = parsing_block
    logits = apply(rows, LABELS)
    for changed in (apply(rows[:, ::-1], LABELS), apply(rows, LABELS[:, ::-1])):
        assert np.abs(changed - logits).max() > 1e-3


def _vector(array):
    return torch.tensor(np.array(array))


def _dilated_pair(params, x, oihw, norm_last):
    """Conv, norm, ReLU, conv (, norm), dilated by 2, from the paper's text."""
    first, second = params["Conv_0"], params["Conv_1"]
    norms = [params[name] for name in sorted(params) if name.startswith("InstanceNorm")]
    x = functional.conv2d(x, oihw(first["kernel"]), _vector(first["bias"]), padding=2, dilation=2)
    x = functional.relu(functional.instance_norm(x, weight=_vector(norms[0]["scale"]), bias=_vector(norms[0]["bias"])))
    x = functional.conv2d(x, oihw(second["kernel"]), _vector(second["bias"]), padding=2, dilation=2)
    if norm_last:
        x = functional.instance_norm(x, weight=_vector(norms[1]["scale"]), bias=_vector(norms[1]["bias"]))
    return x


@pytest.fixture(scope="module")
def coarse_block(random_variables, run):
    """A Coarse Block whose attention is still the identity: its inputs, parameters and outputs."""
    rng = np.random.default_rng(2)
    pose_code, image_code = (rng.standard_normal((2, 6, 5, c)).astype(np.float32) for c in (16, 8))
    module = CoarseBlock()
    params = random_variables(module, pose_code, image_code)["params"]
    for name, attention in params.items():
        if name.startswith("CrissCross"):
            attention["gamma"] = jnp.float32(0)
    outputs = run(module.apply)({"params": params}, pose_code, image_code)
    return (pose_code, image_code), params, outputs


def test_the_image_code_follows_equations_1_and_2(coarse_block, nchw, nhwc, oihw):
    (pose_code, image_code), params, (_, new_image_code) = coarse_block
    attended = _dilated_pair(params["pose_path"], nchw(pose_code), oihw, norm_last=False)
    change = _dilated_pair(params["image_path"], nchw(image_code), oihw, norm_last=True)
    expected = torch.sigmoid(attended) * change + nchw(image_code)
    np.testing.assert_allclose(new_image_code, nhwc(expected), atol=1e-4)


def test_the_next_pose_code_is_attention_then_image_code(coarse_block, nchw, nhwc, oihw):
    (pose_code, _), params, (new_pose_code, new_image_code) = coarse_block
    attended = _dilated_pair(params["pose_path"], nchw(pose_code), oihw, norm_last=False)
    np.testing.assert_allclose(new_pose_code[..., :8], nhwc(attended), atol=1e-4)
    np.testing.assert_array_equal(new_pose_code[..., 8:], new_image_code)


def test_an_encoder_quarters_the_sides_and_has_four_times_the_width():
    image = jnp.zeros((1, HEIGHT, WIDTH, 3))
    code = jax.eval_shape(lambda: Encoder(4).init_with_output(jax.random.key(0), image)[0])
    assert code.shape == (1, HEIGHT // 4, WIDTH // 4, 16)
