"""What every model shares: bytes and floats, and which models a config may name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scrn_jax import settings as settings_lib
from scrn_jax.errors import UserError
from scrn_jax.models import base
from scrn_jax.models.ops import convolutions
from scrn_jax.models.scrn.settings import BETTER_PICTURES


@pytest.mark.parametrize("array", [np.asarray, jnp.asarray])
def test_floats_round_to_the_nearest_byte_and_clip(array):
    values = array([-1.2, -1, 0, 1 / 127.5, 1, 3], np.float32)
    found = base.to_uint8(values)
    assert found.dtype == np.uint8
    assert found.tolist() == [0, 0, 128, 128, 255, 255]  # 127.5 and 128.5 round to even


def test_eight_bits_hold_256_levels():
    image = np.linspace(-0.1, 1.1, 1000, dtype=np.float32)
    levels = np.asarray(base.to_eight_bits(image)) * 255
    np.testing.assert_allclose(levels, np.round(levels), atol=1e-4)
    assert levels.min() == 0 and round(float(levels.max())) == 255


def test_uint8_images_map_to_minus_1_to_1_and_floats_stay():
    np.testing.assert_allclose(base.to_float(np.array([0, 255], np.uint8)), [-1, 1], atol=1e-6)
    np.testing.assert_array_equal(base.to_float(np.array([0.25, -1], np.float32)), [0.25, -1])


def test_a_config_names_no_module():
    with pytest.raises(UserError, match=r"config\.model\.name must be one of scrn, .*, got 'os'"):
        base.sections("os")


@pytest.mark.parametrize("blocks, words", [(1, "with 1 Coarse Block"), (2, "with 2 Coarse Blocks")])
def test_a_model_counts_its_blocks_in_words(blocks, words):
    """As the card of an export begins."""
    made = base.make(settings_lib.from_config({"data": {"name": "none"}, "model": {"blocks": blocks}}))
    assert made.summary.endswith(words)


MODELS = {name: {"name": name, "blocks": 1} for name in base.PACKAGES} | {
    "pise": {"name": "pise"}, "pinet": {"name": "pinet"}, "ours": {"name": "scrn", "blocks": 1, **BETTER_PICTURES},
}  # fmt: skip


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_where_a_config_says_plain_every_convolution_is_xlas(model, frozen, make_batch, monkeypatch):
    """Those of generator, discriminators and frozen networks; where it says nothing a CPU looks for ways of ours."""

    def refuse(*_):
        raise LookupError("a way of ours")

    def losses(ways):
        settings, batch = settings_lib.from_config({
            "data": {"name": "none"}, "size": (32, 36), "model": {"width": 4, "convolutions": ways, **model},
            "features": {"correspondence" if model["name"] == "scrn" else "perceptual": "vgg16"},
        }), make_batch(0)  # fmt: skip
        made = base.make(settings)

        def every_network(key):
            params, *judges = made.init(key)
            terms, outputs = made.generator_terms(params, judges, frozen, batch, key)
            return terms, made.discriminator_loss(*judges, batch, outputs, key)

        return jax.eval_shape(every_network, jax.random.key(0))

    monkeypatch.setattr(convolutions, "choose", refuse)
    losses("plain")
    with pytest.raises(LookupError, match="a way of ours"):
        losses("auto")
