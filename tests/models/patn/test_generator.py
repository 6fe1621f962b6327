"""PATN's generator: its size, its dropout. tests/benchmarks/test_torch_methods.py holds it against PyTorch."""

import jax
import numpy as np

from scrn_jax.models import base
from scrn_jax.models.patn.generator import PATN
from scrn_jax.models.patn.settings import Model

INPUTS = ("source_image", "source_pose", "target_pose")


def test_it_has_as_many_parameters_as_were_published():
    """41.36 M, in the paper's table of model sizes."""
    inputs = base.example_inputs((256, 176))
    shapes = jax.eval_shape(lambda: PATN().init(jax.random.key(0), *(inputs[name] for name in INPUTS)))
    count = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    assert count == 41_358_019 and round(count / 1e6, 2) == 41.36


def test_dropout_is_drawn_from_its_key_alone(random_variables, person_batch, run):
    batch, module = person_batch(32, 20), PATN(Model(width=4, blocks=2))
    inputs = base.to_float(batch["source_image"]), batch["source_pose"], batch["target_pose"]
    variables = random_variables(module, *inputs)

    @run
    def paint(seed):
        key = jax.random.key(seed)
        return module.apply(variables, *inputs, deterministic=False, rngs={"dropout": key})

    first, again, other = paint(0), paint(0), paint(1)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-2
