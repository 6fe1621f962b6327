"""A rendered person as a photo; a tiny exported model that has learned nothing, and the page's server with it."""

import contextlib
import json

import jax
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from input_pipeline.mannequins.people import Person
from scrn_jax import settings
from scrn_jax.errors import UserError
from scrn_jax.inference import model_folder as folders
from scrn_jax.inference.finding import estimators
from scrn_jax.inference.page import web
from scrn_jax.inference.photo import PhotoTransfer, encode_png
from scrn_jax.inference.transfer import PoseTransfer
from scrn_jax.models import base
from scrn_jax.models.scrn import settings as scrn_settings
from scrn_jax.person.face import face_box_from_joints


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
            "parsing_sleeves": 4.0,
            "parsing_bared": True,
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


@pytest.fixture(scope="session")
def page_transfer(model_folder, view):
    """The tiny model, and an estimator that knows one person whatever the photo, or nobody in a black one."""

    def estimate(photo):
        if not photo.any():
            raise UserError("nobody is found in the picture")
        scale = photo.shape[0] / view.image.shape[0]
        rows, columns = (
            np.minimum((np.arange(n) / scale).astype(int), m - 1)
            for n, m in zip(photo.shape[:2], (256, 176), strict=True)
        )
        labels = view.labels[rows][:, columns]
        joints = np.where(view.joints >= 0, view.joints * scale, -1).astype(np.float32)
        face_box = face_box_from_joints(joints, *photo.shape[:2])
        return estimators.Person(joints, (labels > 0).astype(np.float32), labels, face_box, ("a note",))

    return PhotoTransfer(PoseTransfer.load(model_folder, devices=jax.devices()[:1]), estimate)


@pytest.fixture(scope="session")
def page_url():
    """Where the page is, as its visitors have it."""
    return "http://127.0.0.1:8765"


@pytest.fixture(scope="session")
def served(page_url):
    """Runs the page's server while a `with` lasts, whose client it gives; `options` are those of `web.make_app`."""

    @contextlib.contextmanager
    def serve(transfer, **options):
        options = {"limits": web.Limits(answer_seconds=600), **options}  # the first pictures are compiled
        with TestClient(web.make_app(transfer, warm=False, **options), base_url=page_url) as client:
            yield client

    return serve


@pytest.fixture(scope="module")
def client(served, page_transfer):
    """A visitor of the page."""
    with served(page_transfer) as client:
        yield client


@pytest.fixture(scope="module")
def sent_person(client, view):
    """What the server answers to a photo of the person."""
    answer = client.post("/api/person", content=encode_png(view.image))
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
def packed(sent_person):
    """What of it a request for a picture holds."""
    return {key: sent_person[key] for key in ("image", "regions", "joints")}
