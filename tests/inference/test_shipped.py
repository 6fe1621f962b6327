"""The models that come with the package: they are what the code reads, and nothing else passes for them."""

import json
import shutil

import jax
import numpy as np
import pytest

from scrn_jax.errors import UserError
from scrn_jax.inference import PoseTransfer, model_folder, packing
from scrn_jax.inference.finding import region_network
from scrn_jax.inference.transfer import SHIPPED
from scrn_jax.models import base
from scrn_jax.runtime import devices


def test_the_picture_models_parameters_are_those_that_its_config_asks_for():
    mesh, model = devices.make_mesh(), base.make(model_folder.read_settings(SHIPPED))
    params = model_folder.read_params(SHIPPED, model, devices.replicated(mesh))
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {np.dtype(np.float32)}


def test_the_region_networks_parameters_are_those_of_its_layers():
    data = (SHIPPED.parent / region_network.WEIGHTS).read_bytes()
    assert len(jax.tree.leaves(region_network.unpack(data))) > 50


def test_parameters_of_another_model_than_the_config_says_are_one_line_when_they_are_used(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(SHIPPED, folder)
    model = json.loads((folder / "model.json").read_text("utf-8"))
    model["config"]["model"]["width"] = 8
    (folder / "model.json").write_text(json.dumps(model), "utf-8")
    transfer = PoseTransfer.load(folder)
    height, width = transfer.size
    joints = np.stack([np.linspace(10, 110, 18), np.linspace(20, 60, 18)], axis=1)
    with pytest.raises(UserError, match=r"of another model than model\.json's .*export the run anew"):
        transfer(np.zeros((height, width, 3), np.uint8), np.ones((height, width), np.uint8), joints, joints)


def test_a_packed_file_whose_bytes_changed_is_damaged():
    data = bytearray(packing.pack({"a": np.arange(1000.0)}))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(ValueError, match="damaged"):
        packing.unpack(bytes(data))
