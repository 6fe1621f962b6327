"""SCRN as training, evaluation and use see it."""

import jax
import numpy as np
import pytest

from scrn_jax.models import base
from scrn_jax.person import draw, regions


def test_a_row_holds_the_columns_in_their_order(tiny_settings):
    rng = np.random.default_rng(0)
    height, width = 36, 32
    batch = {
        "source_image": rng.integers(0, 256, (1, height, width, 3), dtype=np.uint8),
        "target_image": rng.integers(0, 256, (1, height, width, 3), dtype=np.uint8),
        "target_pose": rng.uniform(0, 16, (1, 18, 2)).astype(np.float32),
    }
    labels = rng.integers(0, regions.NUM_REGIONS, (1, height, width))
    outputs = {
        "image": np.full((1, height, width, 3), 1.0, np.float32),
        "coarse_image": np.full((1, height, width, 3), -1.0, np.float32),
        "parsing": np.eye(regions.NUM_REGIONS, dtype=np.float32)[labels],
    }
    model = base.make(tiny_settings(size=(height, width)))
    (row,) = model.panels(batch, outputs)
    expected = dict(zip(model.columns, row, strict=True))
    np.testing.assert_array_equal(expected["source"], batch["source_image"][0])
    np.testing.assert_array_equal(expected["target pose"], draw.skeleton(batch["target_pose"][0], height, width))
    np.testing.assert_array_equal(expected["coarse"], 0)
    np.testing.assert_array_equal(expected["parsing"], draw.paint_regions(labels[0]))
    np.testing.assert_array_equal(expected["generated"], 255)
    np.testing.assert_array_equal(expected["target"], batch["target_image"][0])


@pytest.mark.parametrize("term", ["cor", "l1", "adv", "per", "par", "face"])
def test_a_term_of_weight_0_is_left_out(term, tiny_settings, first_state, make_batch, frozen):
    """Its frozen network is not needed then, either."""
    needed = {"cor": {"alexnet": frozen["alexnet"]}, "per": {"vgg": frozen["vgg"]}}.get(term, frozen)
    settings = tiny_settings(loss={term: 0.0})
    judges = first_state.discriminator, first_state.spectral
    model = base.make(settings)
    given = first_state.generator, judges, needed, make_batch(0), jax.random.key(0)
    terms, _ = jax.eval_shape(model.generator_terms, *given)
    assert set(terms) == set(model.weights) == {"cor", "l1", "adv", "per", "par", "face"} - {term}
