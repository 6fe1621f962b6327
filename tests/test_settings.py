"""Configs: what is read is what was written, and every mistake is named with its place."""

import json

import pytest
from ml_collections import ConfigDict

from scrn_jax import settings
from scrn_jax.errors import UserError

DATA = {"name": "mannequins", "dir": "data"}
CHANGED = {
    "data": DATA, "seed": 3, "size": (64, 44), "adversarial": "hinge",
    "model": {"width": 16, "refine_area": False, "dtype": "bfloat16"}, "loss": {"cor": 0.0}, "train": {"steps": 7},
}  # fmt: skip


def test_missing_keys_take_the_papers_defaults():
    read = settings.from_config({"data": DATA})
    assert (read.size, read.model.width, read.model.blocks, read.train.steps, read.train.batch_size) == (
        (256, 176), 64, 6, 120_000, 6)  # fmt: skip


def test_values_arrive_where_they_belong():
    read = settings.from_config(CHANGED)
    assert (read.seed, read.size, read.adversarial, read.model.width, read.model.refine_area, read.train.steps) == (
        3, (64, 44), "hinge", 16, False, 7)  # fmt: skip


def test_a_round_trip_through_json_gives_equal_settings():
    read = settings.from_config(CHANGED)
    assert settings.from_config(json.loads(json.dumps(settings.to_config(read)))) == read


def test_a_config_dict_reads_as_a_plain_mapping():
    assert settings.from_config(ConfigDict(CHANGED)) == settings.from_config(CHANGED)


def test_the_defaults_with_data_are_a_valid_config():
    assert settings.from_config({**settings.defaults(), "data": DATA}) == settings.from_config({"data": DATA})


def test_a_whole_number_is_a_valid_float():
    read = settings.from_config({"data": DATA, "loss": {"l1": 2}})
    assert isinstance(read.loss.l1, float) and read.loss.l1 == 2


MISTAKES = {
    "misspelt section": ({"modle": {}}, r"unknown config key config\.modle; did you mean 'model'"),
    "misspelt key": ({"optim": {"learningrate": 1.0}}, r"config\.optim\.learningrate; did you mean 'learning_rate'"),
    "key unlike any": ({"train": {"zzz": 1}}, r"unknown config key config\.train\.zzz; known keys: .*batch_size"),
    "text for a number": ({"train": {"steps": "many"}}, r"config\.train\.steps must be int, got 'many'"),
    "float for an int": ({"train": {"steps": 1.5}}, r"config\.train\.steps must be int, got 1\.5"),
    "bool for an int": ({"train": {"steps": True}}, r"config\.train\.steps must be int, got True"),
    "bool for a float": ({"loss": {"l1": True}}, r"config\.loss\.l1 must be float, got True"),
    "int for a bool": ({"model": {"refine_area": 1}}, r"config\.model\.refine_area must be bool, got 1"),
    "value for a section": ({"model": 64}, r"config\.model must be a section of keys, got 64"),
    "no width": ({"model": {"width": 0}}, r"config\.model\.width must be from 1 to 512, got 0"),
    "no blocks": ({"model": {"blocks": 0}}, r"config\.model\.blocks must be from 1 to 64, got 0"),
    "no steps": ({"train": {"steps": 0}}, r"config\.train\.steps must be above 0, got 0"),
    "learning rate of 0": ({"optim": {"learning_rate": 0.0}}, r"config\.optim\.learning_rate must be above 0"),
    "learning rate not a number": ({"optim": {"learning_rate": float("nan")}}, r"config\.optim\.learning_rate"),
    "Adam's b2 of 1": ({"optim": {"b2": 1.0}}, r"config\.optim\.b2 must be in \[0, 1\), got 1"),
    "EMA of 1": ({"optim": {"ema_decay": 1.0}}, r"config\.optim\.ema_decay must be in \[0, 1\)"),
    "unknown dtype": ({"model": {"dtype": "float16"}}, r"config\.model\.dtype must be one of float32, bfloat16"),
    "unknown adversarial form": ({"adversarial": "wgan"}, r"config\.adversarial must be one of .*hinge"),
    "unknown parsing form": ({"parsing": "l2"}, r"config\.parsing must be one of l1, cross_entropy"),
    "unknown VGG": ({"features": {"correspondence": "vgg11"}}, r"config\.features\.correspondence must be one of"),
    "size off the grid": ({"size": (64, 45)}, r"config\.size must be .*multiples of 4.*\(64, 45\)"),
    "size too small": ({"size": (16, 16)}, r"config\.size must be .*from 32 to 2048"),
    "size of one style cell": ({"size": (32, 32)}, r"config\.size \(32, 32\).*longer than 32"),
    "no parsing layers": ({"model": {"parsing_multiples": ()}}, r"config\.model\.parsing_multiples must be 1 to 8"),
    "a single style layer": ({"model": {"style_multiples": (1,)}}, r"config\.model\.style_multiples must be 2 to 8"),
    "a number for a list": ({"model": {"style_multiples": 2}}, r"config\.model\.style_multiples must be a list, got 2"),
    "a model without a name": ({"model": {"name": ["scrn"]}}, r"config\.model\.name must be str, got \['scrn'\]"),
    "a number beyond floats": ({"loss": {"l1": 10**400}}, r"config\.loss\.l1 must be float"),
    "size of one number": ({"size": (64,)}, r"config\.size must be \(height, width\)"),
    "size as a number": ({"size": 64}, r"config\.size must be \(height, width\)"),
    "size as text": ({"size": "64x44"}, r"config\.size must be \(height, width\)"),
    "size with a float": ({"size": (64.0, 44)}, r"config\.size must be \(height, width\)"),
    "negative loss weight": ({"loss": {"per": -1.0}}, r"config\.loss\.per must be .*got -1"),
    "loss weight not a number": ({"loss": {"per": float("nan")}}, r"config\.loss\.per must be"),
    "no loss at all": ({"loss": dict.fromkeys(("cor", "l1", "adv", "per", "par", "face"), 0.0)}, r"config\.loss"),
    "negative clip": ({"optim": {"clip": -1.0}}, r"config\.optim\.clip must be"),
    "negative ratio": ({"optim": {"discriminator_ratio": -0.1}}, r"config\.optim\.discriminator_ratio must be"),
    "negative cadence": ({"train": {"sheet_every": -1}}, r"config\.train\.sheet_every must be"),
    "a first stage without its loss": (
        {"train": {"parsing_steps": 5}, "loss": {"par": 0.0}}, r"parsing_steps.*config\.loss\.par.*is 0"),
    "negative stage": ({"train": {"parsing_steps": -1}}, r"config\.train\.parsing_steps must be"),
    "no device for the parameters": ({"fsdp": 0}, r"config\.fsdp must be 1 or more devices, got 0"),
    "negative cadence of the norms": ({"train": {"term_norms_every": -1}}, r"config\.train\.term_norms_every must be"),
    "negative limit": ({"eval": {"limit": -1}}, r"config\.eval\.limit must be"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_its_place(mistake):
    config, message = MISTAKES[mistake]
    with pytest.raises(UserError, match=message):
        settings.from_config({"data": DATA, **config})


def test_a_config_without_data_says_how_to_name_one():
    with pytest.raises(UserError, match="no `data` section.*mannequins"):
        settings.from_config({"seed": 1})
