"""PoNA's generator: its size, its start, its dropout. Its values beside PyTorch's: test_torch_methods.py."""

import jax
import numpy as np
import pytest

from scrn_jax import settings as settings_lib
from scrn_jax.errors import UserError
from scrn_jax.models import base
from scrn_jax.models.pona.generator import PoNA
from scrn_jax.models.pona.settings import Model

INPUTS = ("source_image", "source_pose", "target_pose")


def test_it_has_as_many_parameters_as_its_authors_code():
    """Counted by hand, with C = 256: 3x3 of 2C to 2C three times and 2C to C, of C to C four times; 1x1 of 2C and C."""
    inputs = base.example_inputs((256, 176))
    shapes = jax.eval_shape(lambda: PoNA().init(jax.random.key(0), *(inputs[name] for name in INPUTS)))["params"]
    c = 256
    block = 3 * (9 * 4 * c * c + 2 * c) + (9 * 2 * c * c + c) + 4 * (9 * c * c + c)
    block += 2 * (2 * c * c // 4 + c // 4) + 4 * c * c + 2 * c + 2 * (c * c // 8 + c // 8) + c * c + c + 3
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["block_1"])) == block == 11_030_211
    encoders_and_decoder = 378_496 + 481_984 + 378_243
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == 3 * block + encoders_and_decoder == 34_329_356


def test_attention_has_no_say_at_first(run):
    inputs, init = base.example_inputs((32, 20)), PoNA(Model(width=4, blocks=1)).init
    params = run(init)(jax.random.key(0), *(inputs[name] for name in INPUTS))["params"]["block_1"]
    assert not any(np.any(params[name]) for name in ("image_gamma", "pose_gamma", "pose_beta"))


def test_dropout_is_drawn_from_its_key_alone(random_variables, person_batch, run):
    batch, module = person_batch(32, 20), PoNA(Model(width=4, blocks=1))
    inputs = base.to_float(batch["source_image"]), batch["source_pose"], batch["target_pose"]
    variables = random_variables(module, *inputs)

    @run
    def paint(seed):
        return module.apply(variables, *inputs, deterministic=False, rngs={"dropout": jax.random.key(seed)})

    first, again, other = paint(0), paint(0), paint(1)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-2


def test_what_it_cannot_be_is_refused():
    config = {"data": {"name": "none"}, "size": (32, 36), "model": {"name": "pona"}}
    with pytest.raises(UserError, match="parsing_steps is for models with a parsing block, and PoNA has none"):
        settings_lib.from_config(config | {"train": {"parsing_steps": 3}})
    with pytest.raises(UserError, match=r"config\.model\.dropout must be in \[0, 1\), got 1\.0"):
        settings_lib.from_config(config | {"model": {"name": "pona", "dropout": 1.0}})
