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
from scrn_jax.training import state as state_lib
from scrn_jax.training import step as step_lib


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


def _refuse(*_):
    raise LookupError("a way of ours")


@pytest.mark.parametrize(
    "model", [*({"name": name} for name in base.PACKAGES), {"name": "scrn", **BETTER_PICTURES}], ids=lambda m: m["name"]
)
def test_where_a_config_says_plain_every_convolution_of_a_step_is_xlas(model, frozen, make_batch, monkeypatch):
    """Generator, discriminators and frozen networks; and where it says nothing some are not, on a CPU."""
    monkeypatch.setattr(convolutions, "choose", _refuse)
    for chosen in ({"convolutions": "plain"}, {}):
        settings = settings_lib.from_config({
            "data": {"name": "none"}, "size": (32, 36), "model": {"width": 8, **model, **chosen},
            "features": {"correspondence" if model["name"] == "scrn" else "perceptual": "vgg16"},
            "train": {"steps": 4, "batch_size": 4},
        })  # fmt: skip
        arguments = step_lib.make_train_step(settings), state_lib.shapes(settings), frozen, make_batch(0)
        if chosen:
            jax.eval_shape(*arguments)
        else:
            with pytest.raises(LookupError, match="a way of ours"):
                jax.eval_shape(*arguments)
