"""A rendered person as a photo, and a tiny exported model that has learned nothing."""

import json

import jax
import numpy as np
import pytest
from PIL import Image

from input_pipeline.mannequins.people import Person
from scrn_jax import settings
from scrn_jax.inference import model_folder as folders
from scrn_jax.models import base
from scrn_jax.models.scrn import settings as scrn_settings


@pytest.fixture(scope="session")
def view():
    """A whole person seen from the front, 256x176."""
    return Person.sample(3, 1).view(0, 256, 176)


@pytest.fixture(scope="session")
def photo(view):
    """The same in a larger, wider photo: uint8 (300, 400, 3), with the person's upper left corner at (20, 100)."""
    pixels = np.full((300, 400, 3), view.image[0, 0], np.uint8)
    pixels[20:276, 100:276] = view.image
    return pixels


@pytest.fixture(scope="session")
def photo_file(photo, tmp_path_factory):
    path = tmp_path_factory.mktemp("photo") / "me.png"
    Image.fromarray(photo).save(path)
    return path


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory, tiny_settings):
    """An exported model for 64x44 with random parameters and carried paint."""
    chosen = tiny_settings(
        size=(64, 44),
        model={
            **scrn_settings.BETTER_PICTURES,
            "background": "kept",
            "parsing_multiples": (1, 2),
            "style_multiples": (1, 2),
        },
    )
    shapes = base.make(chosen).generator_shapes()
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: 0.1 * rng.standard_normal(leaf.shape).astype(np.float32), shapes)
    params["parsing_block"]["logits"]["bias"][0] = -9.0  # somebody everywhere, or there were nobody to see
    folder = tmp_path_factory.mktemp("exports") / "model"
    folder.mkdir()
    folders.write_params(folder, params)
    content = {"layout": folders.LAYOUT, "config": settings.to_config(chosen), "step": 1, "report": None}
    content[folders.PARAMS_SHA256] = folders.params_sha256(folder / folders.PARAMS)
    (folder / folders.MODEL_FILE).write_text(json.dumps(content))
    return folder
