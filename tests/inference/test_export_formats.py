"""An exported model in other formats paints what the Flax model paints, without our code."""

import json
import subprocess
import sys

import jax
import numpy as np
import pytest
from flax import traverse_util

from scrn_jax.errors import UserError
from scrn_jax.inference import export_formats
from scrn_jax.inference import model_folder as folders
from scrn_jax.models import base
from scrn_jax.runtime import devices

SIZE = (64, 44)
NAMES = ("source_image", "source_parsing", "source_pose", "target_pose")


@pytest.fixture(scope="module")
def settings(model_folder):
    return folders.read_settings(model_folder)


@pytest.fixture(scope="module")
def params(model_folder, settings):
    mesh = devices.make_mesh(jax.devices()[:1])
    return jax.device_get(folders.read_params(model_folder, base.make(settings), devices.replicated(mesh)))


@pytest.fixture(scope="module")
def people():
    """Name -> array of three random people; some joints are missing."""
    rng = np.random.default_rng(0)
    poses = rng.uniform(0, 40, (2, 3, 18, 2)).astype(np.float32)
    poses[rng.uniform(size=(2, 3, 18)) < 0.2] = -1
    image, labels = rng.integers(0, 256, (3, *SIZE, 3), dtype=np.uint8), rng.integers(0, 8, (3, *SIZE), dtype=np.uint8)
    return dict(zip(NAMES, (image, labels, *poses), strict=True))


@pytest.fixture(scope="module")
def painted(settings, params, people):
    """What the Flax model paints, float32 in [-1, 1], by XLA's own convolutions."""
    model = base.make(settings, convolutions="plain")
    return np.asarray(jax.jit(lambda params, batch: model.generate(params, batch)["image"])(params, people))


@pytest.fixture(scope="module")
def stablehlo_folder(model_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stablehlo") / "model"
    export_formats.convert(model_folder, folder, "stablehlo")
    return folder


@pytest.fixture(scope="module")
def tflite_folder(model_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tflite") / "model"
    export_formats.convert(model_folder, folder, "tflite")
    return folder


def _called(settings, flat, people, **options) -> np.ndarray:
    """What the program says before it becomes bytes."""
    paint = export_formats.painter(settings, as_bytes=False)
    program = jax.export.deserialize(bytearray(export_formats.stablehlo(paint, flat, settings.size, **options)))
    assert program.platforms == tuple(options.get("platforms", ("cpu", "cuda", "tpu")))
    return np.asarray(program.call(flat, *people.values()))


def test_stablehlo_is_bit_equal_to_the_flax_model(settings, params, people, painted):
    flat = traverse_util.flatten_dict(params, sep="/")
    np.testing.assert_array_equal(_called(settings, flat, people, batch=3, platforms=["cpu"]), painted)
    assert np.ptp(painted) > 0.1


@pytest.mark.slow
def test_stablehlo_of_any_batch_and_platform_is_equal_but_for_the_last_bit(settings, params, people, painted):
    """9e-8 was measured, see `export_formats.stablehlo`."""
    found = _called(settings, traverse_util.flatten_dict(params, sep="/"), people)
    np.testing.assert_allclose(found, painted, rtol=0, atol=1e-6)


def test_stablehlo_runs_with_jax_and_numpy_alone(stablehlo_folder, people, painted, tmp_path):
    """In a process where neither our code nor Flax can be imported, as the card says."""
    np.savez(tmp_path / "people.npz", **people)
    code = f"""
import sys
for name in ("scrn_jax", "flax", "orbax", "tensorflow", "absl"):
    sys.modules[name] = None
import jax, numpy as np
jax.config.update("jax_platforms", "cpu")
with open("model.stablehlo", "rb") as file:
    paint = jax.export.deserialize(bytearray(file.read())).call
params = dict(np.load("params.npz"))
people = np.load({str(tmp_path / "people.npz")!r})
np.save({str(tmp_path / "out.npy")!r}, paint(params, *(people[name] for name in people.files)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=stablehlo_folder)
    assert done.returncode == 0, done.stderr[-2000:]
    difference = np.abs(np.load(tmp_path / "out.npy").astype(int) - np.asarray(base.to_uint8(painted)))
    # One where the last bit decides to which side a half is rounded.
    assert difference.max() <= 1 and (difference > 0).mean() < 1e-3


def test_tflite_runs_without_jax_on_built_in_operations(tflite_folder, people, painted, tmp_path):
    np.savez(tmp_path / "people.npz", **people)
    code = f"""
import sys
for name in ("jax", "scrn_jax", "flax", "tensorflow"):
    sys.modules[name] = None
import numpy as np
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter("model.tflite")
paint = interpreter.get_signature_runner()
people = np.load({str(tmp_path / "people.npz")!r})
found = [paint(**{{n: people[n][k : k + 1] for n in people.files}})["picture"] for k in range(3)]
operations = {{each["op_name"] for each in interpreter._get_ops_details()}}
assert not [name for name in operations if name.startswith(("Flex", "CUSTOM"))], operations
np.save({str(tmp_path / "out.npy")!r}, np.concatenate(found))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tflite_folder)
    assert done.returncode == 0, done.stderr[-2000:]
    found, expected = np.load(tmp_path / "out.npy"), np.asarray(base.to_uint8(painted))
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_the_folder_says_what_it_is_and_how_it_is_used(stablehlo_folder, tflite_folder):
    for folder, name in ((stablehlo_folder, "stablehlo"), (tflite_folder, "tflite")):
        model = json.loads((folder / "model.json").read_text())
        assert model["format"] == name and model["config"]["size"] == list(SIZE)
        card = (folder / "README.md").read_text()
        assert f"model.{name}" in card and "(B, 64, 44, 3)" in card or "(1, 64, 44, 3)" in card


def test_a_card_keeps_all_but_its_section_on_use():
    card = "# Model\n\nWhat.\n\n## Use\n\nOld.\n\n## How good it is\n\nVery.\n"
    found = export_formats._with_use(card, "## Use\n\nNew.\n\n")
    assert found == "# Model\n\nWhat.\n\n## Use\n\nNew.\n\n## How good it is\n\nVery.\n"


def test_a_folder_that_exists_and_an_unknown_format_are_said(model_folder, tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(UserError, match="exists already"):
        export_formats.convert(model_folder, tmp_path, "tflite")
    with pytest.raises(UserError, match="--format onnx: choose one of stablehlo, tflite"):
        export_formats.convert(model_folder, tmp_path / "new", "onnx")


def test_without_tensorflow_tflite_says_what_it_needs(model_folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(UserError, match="--format tflite needs TensorFlow"):
        export_formats.convert(model_folder, tmp_path / "new", "tflite")
    assert not list(tmp_path.iterdir())
