"""An exported model paints what the run's averaged generator paints, stands alone, and is whole or not there."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import jax
import numpy as np
import pytest

from scrn_jax.errors import UserError
from scrn_jax.inference import PoseTransfer, model_folder
from scrn_jax.inference.transfer import pieces
from scrn_jax.models import base
from scrn_jax.runtime import devices
from scrn_jax.training import checkpoints as checkpoints_lib
from scrn_jax.training import export

# Of 255: convolutions sum in another order when the batch or the number of threads differs.
ROUNDING = 1
ROOT = Path(__file__).parents[2]
REPORT = {
    "rows": {
        row: {"ssim": 0.5, "psnr": 20.0, "lpips_vgg": 0.125, "face_l1": None}
        for row in ("generated", "coarse", "copy_source", "mean_image")
    },
    "count": 12,
    "protocol": "as a test does",
    "step": 3,
}


@pytest.fixture(scope="module")
def trained(first_state):
    """A state at step 3 in which nothing is zero or equal any more, as after training."""
    rng = np.random.default_rng(0)

    def stir(leaf):
        noise = rng.normal(0, 0.02, np.shape(leaf)).astype(np.float32)
        return leaf + noise if np.asarray(leaf).dtype == np.float32 else leaf

    return jax.tree.map(stir, first_state).replace(step=np.int32(3))


@pytest.fixture(scope="module")
def workdir(tmp_path_factory, trained, tiny_settings):
    folder = tmp_path_factory.mktemp("run")
    with checkpoints_lib.open_checkpoints(tiny_settings(), folder) as checkpoints:
        checkpoints.save(3, jax.device_put(trained, jax.devices()[0]))
    (folder / "report.json").write_text(json.dumps(REPORT))
    return folder


@pytest.fixture(scope="module")
def folder(workdir, tiny_settings, tmp_path_factory):
    """The exported model."""
    output = tmp_path_factory.mktemp("export") / "model"
    export.export(tiny_settings(), workdir, output)
    return output


@pytest.fixture(scope="module")
def transfer(folder):
    return PoseTransfer.load(folder)


@pytest.fixture(scope="module")
def people(make_batch):
    """The four arguments for four people."""
    batch = make_batch(0)
    return tuple(batch[key] for key in ("source_image", "source_parsing", "source_pose", "target_pose"))


def _largest_difference(a, b) -> int:
    return np.abs(a.astype(int) - b).max()


def _twice(batch):
    return {key: np.concatenate([array] * 2) for key, array in batch.items()}


def test_its_pictures_are_bit_for_bit_those_of_the_runs_average(transfer, people, trained, tiny_settings, make_batch):
    """In a batch of the size that it pads to."""
    outputs = jax.jit(base.make(tiny_settings()).generate)(trained.ema, _twice(make_batch(0)))
    found = transfer(*(np.concatenate([array] * 2) for array in people))
    np.testing.assert_array_equal(found, base.to_uint8(outputs["image"]))
    assert np.ptp(found) > 0


def test_its_parameters_are_those_of_the_average_bit_for_bit(folder, trained, tiny_settings):
    mesh = devices.make_mesh(jax.devices()[:1])
    params = model_folder.read_params(folder, base.make(tiny_settings()), devices.replicated(mesh))
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(params), trained.ema)


def test_a_packed_folder_is_read_as_it_was_written_and_a_large_one_refused(tmp_path, tiny_settings, first_state):
    settings, packed = tiny_settings(), tmp_path / "packed"
    model = export.description(settings, 7, None)
    size = model_folder.write_packed(packed, model, "# A card", first_state.ema)
    assert size == (packed / model_folder.PACKED).stat().st_size
    mesh = devices.make_mesh(jax.devices()[:1])
    found = model_folder.read_params(packed, base.make(settings), devices.replicated(mesh))
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, np.float32(np.float16(b))), found, first_state.ema)
    assert model_folder.read_model_file(packed)["step"] == 7 and model_folder.read_settings(packed) == settings
    with pytest.raises(UserError, match="at most 1,000; make the model narrower"):
        model_folder.write_packed(tmp_path / "large", model, "# A card", first_state.ema, most_bytes=1000)
    assert not (tmp_path / "large").exists()


def test_it_is_smaller_than_a_third_of_the_checkpoint(folder, workdir):
    def size(path):
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())

    assert size(folder) < size(workdir / "checkpoints" / "3") / 3


def test_it_says_what_it_is_and_how_good(folder, tiny_settings):
    model = json.loads((folder / "model.json").read_text())
    assert model["layout"] == model_folder.LAYOUT and model["step"] == 3 and model["versions"]["jax"] == jax.__version__
    assert model_folder.read_settings(folder) == tiny_settings()
    card = (folder / "README.md").read_text()
    assert "32x36" in card and "after 3 steps" in card
    assert "| generated (I_g) | 0.1250 | 0.5000 | 20.00 | – |" in card


def test_a_report_of_another_step_stays_out_of_the_card(workdir, tmp_path):
    (tmp_path / "report.json").write_text(json.dumps({**REPORT, "step": 2}))
    assert export.read_report(tmp_path, 3) is None and export.read_report(workdir, 3)["count"] == 12


def test_an_output_that_exists_is_left_alone(workdir, tiny_settings, tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(UserError, match=r"exists already; give a new folder"):
        export.export(tiny_settings(), workdir, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_an_export_that_fails_leaves_nothing(workdir, tiny_settings, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model_folder, "write_params", full)
    with pytest.raises(UserError, match="No space left on device.*give another place"):
        export.export(tiny_settings(), workdir, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_a_checkpoint_is_not_exported(tiny_settings, tmp_path):
    with pytest.raises(UserError, match="no checkpoint"):
        export.export(tiny_settings(), tmp_path / "run", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_using_a_model_loads_no_training_code_and_no_tensorflow(folder, people, transfer, tmp_path):
    """In a process of its own, where TensorFlow cannot be imported; it paints the same pictures."""
    np.savez(tmp_path / "people.npz", *people)
    code = f"""
import sys
sys.modules["tensorflow"] = sys.modules["tensorflow_datasets"] = None
import numpy as np
from scrn_jax.inference import PoseTransfer
people = np.load({str(tmp_path / "people.npz")!r})
np.save({str(tmp_path / "out.npy")!r}, PoseTransfer.load({str(folder)!r})(*(people[name] for name in people.files)))
training = ["scrn_jax." + name for name in ("train", "train_step", "state", "checkpoint", "monitor", "evaluate")]
found = [name for name in sys.modules if name in training or name in ("optax", "clu", "input_pipeline")]
assert not found, found
"""
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert _largest_difference(np.load(tmp_path / "out.npy"), transfer(*people)) <= ROUNDING


@pytest.mark.parametrize("devices_", [1, 2])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 8, 9, 11, 12, 19, 100])
def test_any_number_is_worked_on_in_two_sizes_and_at_most_as_much_again_is_padded(count, devices_):
    found = pieces(count, devices_)
    assert [first for first, *_ in found] == [0, *(end for _, end, _ in found[:-1])] and found[-1][1] == count
    assert {padded for *_, padded in found} <= {devices_, 8 * devices_}
    assert sum(padded for *_, padded in found) <= 2 * count + devices_


def test_any_number_of_people_gives_the_same_pictures_and_compiles_twice(transfer, people):
    whole = transfer(*people)
    for count in (1, 2, 3):
        assert _largest_difference(transfer(*(array[:count] for array in people)), whole[:count]) <= ROUNDING
    many = transfer(*(np.concatenate([array] * 5)[:19] for array in people))
    assert _largest_difference(many, np.concatenate([whole] * 5)[:19]) <= ROUNDING
    assert transfer._paint._cache_size() == 2


def test_joints_outside_the_picture_are_missing_as_in_training(transfer, people):
    image, parsing, source, target = (np.array(array[:1]) for array in people)
    target[0, :4] = [[-3.0, 5.0], [40.0, 5.0], [5.0, 50.0], [5.0, -2.0]]
    missing = np.where(np.arange(18)[:, None] < 4, np.float32(-1), target[0])[None]
    np.testing.assert_array_equal(transfer(image, parsing, source, target), transfer(image, parsing, source, missing))


def test_programs_are_kept_for_the_next_process(folder, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(devices, "keep_programs", lambda *arguments: asked.append(arguments))
    PoseTransfer.load(folder)
    PoseTransfer.load(folder, programs=str(tmp_path))
    assert [where for where, _ in asked] == ["auto", str(tmp_path)] and {seconds for _, seconds in asked} == {0.5}


def test_one_person_needs_no_batch(transfer, people):
    assert _largest_difference(transfer(*(array[2] for array in people)), transfer(*people)[2]) <= ROUNDING


def test_floats_and_bytes_give_the_same_picture(transfer, people):
    image, *rest = people
    assert _largest_difference(transfer(image / np.float32(127.5) - 1, *rest), transfer(*people)) <= ROUNDING


@pytest.mark.slow
def test_a_mesh_gives_the_pictures_of_one_device(folder, transfer, people):
    on_four = PoseTransfer.load(folder, devices=jax.devices())
    assert _largest_difference(on_four(*people), transfer(*people)) <= ROUNDING
    assert on_four(*(array[:1] for array in people)).shape == (1, 32, 36, 3)


@pytest.mark.slow
def test_bfloat16_is_close_to_float32_and_not_the_same(folder, transfer, people):
    difference = np.abs(PoseTransfer.load(folder, dtype="bfloat16")(*people).astype(int) - transfer(*people))
    assert 0 < difference.mean() < 4


@pytest.mark.parametrize(
    "argument, value, message",
    [
        (0, np.zeros((4, 32, 32, 3), np.uint8), r"source_image has shape \(4, 32, 32, 3\), expected \(4, 32, 36, 3\)"),
        (0, np.zeros((4, 32, 36, 3), np.int64), "source_image holds int64; give uint8"),
        (0, np.full((4, 32, 36, 3), 255.0), r"outside \[-1, 1\]"),
        (0, np.full((4, 32, 36, 3), np.nan), "not a number"),
        (0, np.zeros((0, 32, 36, 3), np.uint8), "no picture"),
        (1, np.full((4, 32, 36), 8), "label 8 in a parsing map of 8 classes"),
        (1, np.full((4, 32, 36), -1), "label -1; labels are 0 to 7"),
        (1, np.zeros((4, 32, 36)), "source_parsing holds float64"),
        (2, np.zeros((4, 17, 2)), "source_joints has 17 joints, as COCO has"),
        (3, np.zeros((3, 18, 2)), r"target_joints has shape \(3, 18, 2\), expected \(4, 18, 2\)"),
        (3, np.zeros((4, 18, 2), str), "target_joints holds <U1"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_with_the_mend(argument, value, message, transfer, people):
    arguments = [*people]
    arguments[argument] = value
    with pytest.raises(UserError, match=message):
        transfer(*arguments)


def test_a_joint_that_is_not_a_number_is_a_missing_one(transfer, people):
    image, parsing, source, target = people
    unknown, missing = target.copy(), target.copy()
    unknown[:, 3], missing[:, 3] = np.nan, -1
    np.testing.assert_array_equal(transfer(image, parsing, source, unknown), transfer(image, parsing, source, missing))


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda model: {**model, "layout": 2}, r"layout 2, and this version of scrn_jax reads layout 1"),
        (lambda model: [], "layout None"),
        (lambda model: {**model, "config": 3}, "`config` or `step` is missing"),
        (lambda model: {**model, "config": {**model["config"], "colour": 1}}, "unknown config key config.colour"),
        (lambda model: {**model, "config": {**model["config"], "model": {"width": 5}}}, "of another model"),
    ],
    ids=["another layout", "no model", "no config", "a key of a later version", "another width"],
)
def test_a_model_file_that_does_not_fit_is_refused(change, message, folder, tmp_path):
    (tmp_path / "params").symlink_to(folder / "params")
    (tmp_path / "model.json").write_text(json.dumps(change(json.loads((folder / "model.json").read_text()))))
    with pytest.raises(UserError, match=message):
        PoseTransfer.load(tmp_path)


def test_a_folder_without_a_model_says_so(tmp_path):
    with pytest.raises(UserError, match=r"model\.json does not exist; give the --output folder of an export"):
        PoseTransfer.load(tmp_path)


def test_an_unknown_dtype_is_refused(folder):
    with pytest.raises(UserError, match="dtype must be one of float32, bfloat16, got 'float16'"):
        PoseTransfer.load(folder, dtype="float16")


def _copy(folder, to):
    return Path(shutil.copytree(folder, to / "model"))


def _largest(folder):
    return max((folder / "params").rglob("*"), key=lambda path: path.stat().st_size)


def test_one_flipped_bit_in_the_parameters_is_noticed(folder, tmp_path):
    model = _copy(folder, tmp_path)
    data = bytearray(_largest(model).read_bytes())
    data[len(data) // 2] ^= 1
    _largest(model).write_bytes(data)
    with pytest.raises(UserError, match=r"params: wrong sha256, expected [0-9a-f]{64}, found .*copy the folder anew"):
        PoseTransfer.load(model)


@pytest.mark.parametrize("change", ["added", "removed", "renamed"])
def test_files_that_were_added_removed_or_renamed_are_noticed(folder, tmp_path, change):
    model = _copy(folder, tmp_path)
    file = _largest(model)
    if change == "added":
        (file.parent / "more").write_bytes(b"")
    elif change == "removed":
        file.unlink()
    else:
        file.rename(file.with_name("0" * len(file.name)))
    with pytest.raises(UserError, match="wrong sha256"):
        PoseTransfer.load(model)


@pytest.mark.parametrize("what", ["link to a file", "link to a folder", "pipe"])
def test_what_no_export_has_is_neither_followed_nor_waited_for(folder, tmp_path, what):
    model = _copy(folder, tmp_path)
    place = model / "params" / "more"
    if what == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to("/etc/passwd" if what == "link to a file" else "/etc")
    with pytest.raises(UserError, match="params/more: a link or no file, which no export has"):
        PoseTransfer.load(model)


def test_an_export_of_before_loads_and_says_that_damage_would_pass_unseen(folder, transfer, people, tmp_path, caplog):
    model = _copy(folder, tmp_path)
    _edit(model, lambda said: said.pop("params_sha256"))
    older = PoseTransfer.load(model)
    assert "names no sha256 of its parameters" in caplog.text and "export the run anew" in caplog.text
    jax.tree.map(np.testing.assert_array_equal, older._params, transfer._params)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda said: said["config"].update(size=[4_000_000, 4_000_000]), r"config\.size must be .* from 32 to 2048"),
        (lambda said: said["config"]["model"].update(blocks=5000), r"config\.model\.blocks must be from 1 to 64"),
        (lambda said: said["config"]["model"].update(width=1 << 20), r"config\.model\.width must be from 1 to 512"),
        (lambda said: said["config"]["model"].update(style_multiples=[1] * 500), "must be 2 to 8 whole numbers"),
        (lambda said: said["config"]["model"].update(parsing_multiples=[1 << 40]), "from 1 to 64, got"),
        (lambda said: said["config"]["model"].update(discriminator_width=1 << 30), "must be from 1 to 512"),
    ],
)
def test_a_model_file_of_absurd_sizes_is_refused_before_anything_is_built(
    folder, tmp_path, monkeypatch, change, message
):
    model = _copy(folder, tmp_path)
    _edit(model, change)
    monkeypatch.setattr(base, "make", None)  # is not come to
    with pytest.raises(UserError, match=rf"model\.json: .*{message}"):
        PoseTransfer.load(model)


def test_names_of_classes_in_an_exports_metadata_are_not_imported(folder, tmp_path, monkeypatch):
    model = _copy(folder, tmp_path)
    _edit(model, lambda said: said.pop("params_sha256"))
    (model / "planted.py").write_text(f"open({str(tmp_path / 'it_ran')!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(str(model))
    for name, key in (("_CHECKPOINT_METADATA", "orbax.checkpoint."), ("_METADATA", '"value_type": "')):
        file = model / "params" / name
        text = file.read_text()
        assert key in text
        file.write_text(re.sub(r'("value_type": ")[^"]*|orbax\.checkpoint\.[\w.]*', r"\1planted.Array", text))
    with contextlib.suppress(UserError):  # whether it loads is Orbax's affair
        PoseTransfer.load(model)
    assert not (tmp_path / "it_ran").exists() and "planted" not in sys.modules


def test_an_array_in_pieces_larger_than_itself_is_refused(folder, tmp_path, monkeypatch):
    """Such a piece may unpack to any number of bytes; the sum of the files does not tell who wrote them."""
    leaf = types.SimpleNamespace(shape=(7,), storage=types.SimpleNamespace(chunk_shape=(1 << 40,)))
    monkeypatch.setattr(
        model_folder.ocp.StandardCheckpointer, "metadata", lambda *_: types.SimpleNamespace(item_metadata={"a": leaf})
    )
    with pytest.raises(UserError, match=r"an array \(7,\) in pieces of \(1099511627776,\)"):
        PoseTransfer.load(folder)


def _edit(model, change):
    said = json.loads((model / "model.json").read_text())
    change(said)
    (model / "model.json").write_text(json.dumps(said))
