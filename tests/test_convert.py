"""Published weights: every way in which a file can be another one, and what a folder says of where it is from."""

import json
import os
import re
import runpy
from pathlib import Path

import jax
import numpy as np
import pytest
import torch

from scrn_jax import convert
from scrn_jax.errors import UserError
from scrn_jax.inference import model_folder
from scrn_jax.models import base
from scrn_jax.models import published as tables
from scrn_jax.runtime import arrays, devices
from scrn_jax.settings import from_config
from scrn_jax.training import checkpoints

METHODS_CONFIG = Path(__file__).parents[1] / "configs" / "methods.py"
KERNEL = "model.att.0.conv_block_stream1.6.weight"  # a square one: its shape tells nothing of its order


def _settings(**model):
    sizes = {"name": "patn", "width": 4, "blocks": 1, "published": True}
    return from_config({"data": {"name": "none"}, "size": (32, 36), "model": sizes | model})


@pytest.fixture(scope="module")
def tensors():
    """A file's, of PATN's names and of the shapes that its table makes ours of."""
    rng, found = np.random.default_rng(0), {}
    shapes = base.make(_settings()).generator_shapes()
    leaves = {"/".join(each.key for each in path): leaf for path, leaf in jax.tree.leaves_with_path(shapes)}
    for path, recipe in tables.names("patn").table(_settings().model).items():
        shape = leaves[path].shape
        if len(shape) == 4:
            shape = (*(shape[2:] if "UpConv" in path else shape[:1:-1]), *shape[:2])
        found[recipe.tensors[0]] = torch.tensor(rng.standard_normal(shape), dtype=torch.float32)
    return found


@pytest.fixture
def refused(tensors, tmp_path):
    """`refused(match, **changes)`: the file with other tensors, None for none, is refused and leaves nothing behind."""

    def check(match: str, changes: dict, **model):
        kept = {name: tensor for name, tensor in (tensors | changes).items() if tensor is not None}
        torch.save(kept, tmp_path / "weights.pth")
        with pytest.raises(UserError, match=match):
            convert.generator(_settings(**model), tmp_path / "weights.pth", tmp_path / "model")
        assert [path.name for path in tmp_path.iterdir()] == ["weights.pth"]

    return check


def test_a_missing_tensor_is_named(refused):
    refused(rf"weights\.pth: holds no tensor {re.escape(KERNEL)};", {KERNEL: None})


def test_a_tensor_of_another_network_is_named(refused):
    """As of one with learned norms, of which PATN's released one for Market-1501 is."""
    name = "model.stream1_down.2.weight"
    refused(rf"weights\.pth: holds a tensor {re.escape(name)}, which is none of patn's", {name: torch.ones(4)})


def test_a_misshapen_tensor_is_named(refused):
    refused(rf"weights\.pth: {re.escape(KERNEL)} of \(16, 16, 5, 5\): .* \(3, 3, 16, 16\)", {
        KERNEL: torch.zeros(16, 16, 5, 5)
    })  # fmt: skip


def test_a_tensor_without_axes_is_named(refused):
    refused(rf"weights\.pth: {re.escape(KERNEL)} of \(\):", {KERNEL: torch.zeros(())})


def test_a_number_that_is_none_is_refused(refused):
    refused(rf"weights\.pth: not all numbers of {re.escape(KERNEL)}", {KERNEL: torch.full((16, 16, 3, 3), np.nan)})


def test_a_file_of_another_width_is_refused(refused):
    refused(r"weights\.pth: .* it is of a network of another size", {}, width=8)


def test_a_malicious_file_is_refused_and_does_not_run(refused, tmp_path):
    class Malicious:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made"),)

    refused(r"weights\.pth: PyTorch cannot read it as plain weights", {KERNEL: Malicious()})


def test_an_output_that_exists_is_left_alone(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.txt").touch()
    with pytest.raises(UserError, match="exists already"):
        convert.generator(_settings(), tmp_path / "weights.pth", tmp_path / "model")


def test_the_command_says_that_there_is_no_file(tmp_path, capsys):
    assert convert.main(["--model", "patn", str(tmp_path / "none.pth"), str(tmp_path / "model")]) == 1
    assert "none.pth: no such file" in capsys.readouterr().err


@pytest.fixture(scope="module")
def folder(tensors, tmp_path_factory):
    path = tmp_path_factory.mktemp("published")
    torch.save({f"module.{name}": tensor for name, tensor in tensors.items()}, path / "weights.pth")
    convert.generator(_settings(), path / "weights.pth", path / "model")
    return path / "model"


def test_names_of_a_network_on_several_gpus_are_known(folder, tensors):
    mesh = devices.make_mesh(jax.devices()[:1])
    found = model_folder.read_params(folder, base.make(_settings()), devices.replicated(mesh))
    found = found["block_1"]["image_path"]["Conv_1"]
    np.testing.assert_array_equal(found["kernel"], tensors[KERNEL].numpy().transpose(2, 3, 1, 0))


def test_the_folder_says_which_file_it_is_from(folder):
    digest = arrays.sha256(folder.parent / "weights.pth")
    assert json.loads((folder / "model.json").read_text())["published"] == {"file": "weights.pth", "sha256": digest}
    assert f"`weights.pth` (sha256 {digest})" in (folder / "README.md").read_text()


def test_a_config_that_knows_nothing_of_it_is_told_so(folder):
    """The parameters would fit, and be given poses that they never saw."""
    mesh = devices.make_mesh(jax.devices()[:1])
    with pytest.raises(UserError, match=r"holds another model: published is True there and False in the config"):
        checkpoints.read_params(_settings(published=False), folder, mesh)


@pytest.mark.parametrize("method", tables.METHODS)
def test_what_is_converted_is_the_model_of_the_shipped_config(method):
    config = runpy.run_path(str(METHODS_CONFIG))["get_config"](method)
    config.model.published = True
    shipped, ours = from_config(config), convert.settings(method)
    for section in ("size", "data", "model", "loss", "features", "adversarial"):
        assert getattr(ours, section) == getattr(shipped, section)
