"""The `data` section of a config: unknown names and keys are refused, and nothing loads TensorFlow too early."""

import subprocess
import sys

import ml_collections
import pytest

from input_pipeline import sources
from scrn_jax.errors import UserError


def test_a_config_dict_opens_a_folder(folder):
    data = ml_collections.ConfigDict({"name": "folder", "dir": str(folder.root), "annotation_width": 176})
    assert sources.open_source(data, "train").names(0) == ("a0.jpg", "a1.jpg")


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(UserError, match="'fashion'.*mannequins, records, folder"):
        sources.open_source({"name": "fashion", "dir": "x"}, "train")


def test_an_unknown_key_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"unknown key config\.data\.identitys"):
        sources.open_source({"name": "mannequins", "dir": str(tmp_path), "identitys": 3}, "train")


@pytest.mark.parametrize("data", [{"name": "folder"}, {"name": "folder", "dir": ""}, {"name": "records", "dir": None}])
def test_a_missing_folder_setting_is_refused(data):
    with pytest.raises(UserError, match=r"config\.data\.dir is not set"):
        sources.open_source(data, "train")


@pytest.mark.parametrize(
    ("key", "value"), [("name", ["folder"]), ("dir", 5), ("dir", ["a"]), ("images", {"a": 1}), ("merge", 7)]
)
def test_a_value_of_another_shape_is_refused(key, value):
    with pytest.raises(UserError, match=rf"config\.data\.{key} is .*; it must be a text"):
        sources.open_source({"name": "folder", "dir": "x", key: value}, "train")


def test_importing_the_package_loads_no_tensorflow():
    program = "import sys, input_pipeline.mannequins, input_pipeline.sources; assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
