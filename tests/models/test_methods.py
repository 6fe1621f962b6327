"""What holds for every method beside SCRN."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scrn_jax import settings as settings_lib
from scrn_jax.models import base
from scrn_jax.training import state as state_lib
from scrn_jax.training import step as step_lib

METHODS = sorted(set(base.PACKAGES) - {base.DEFAULT})


def _settings(method: str, **model):
    return settings_lib.from_config({
        "data": {"name": "none"}, "size": (32, 36), "model": {"name": method, "width": 8, **model},
        "features": {"perceptual": "vgg16", "perceptual_source": "random"}, "train": {"steps": 4, "batch_size": 4},
    })  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_in_bfloat16_the_whole_new_state_and_all_metrics_stay_float32(method, frozen, make_batch):
    settings = _settings(method, dtype="bfloat16")
    before = state_lib.shapes(settings)
    after, metrics = jax.eval_shape(step_lib.make_train_step(settings), before, frozen, make_batch(0))
    assert jax.tree.map(lambda leaf: leaf.dtype, after) == jax.tree.map(lambda leaf: leaf.dtype, before)
    assert {leaf.dtype for leaf in jax.tree.leaves(metrics)} == {jnp.dtype("float32")}


@pytest.mark.parametrize("method", METHODS)
def test_a_row_of_a_sheet_holds_the_columns_in_their_order(method, person_batch):
    model, batch = base.make(_settings(method)), person_batch(32, 36)
    outputs = {"image": np.full((2, 32, 36, 3), 1.0, np.float32), "parsing": np.eye(8, dtype=np.float32)[
        batch["target_parsing"]]}  # fmt: skip
    for i, row in enumerate(model.panels(batch, outputs)):
        found = dict(zip(model.columns, row, strict=True))
        np.testing.assert_array_equal(found["source"], batch["source_image"][i])
        np.testing.assert_array_equal(found["generated"], 255)
        np.testing.assert_array_equal(found["target"], batch["target_image"][i])
