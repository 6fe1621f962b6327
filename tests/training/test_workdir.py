"""The workdir is claimed before anything is computed, and a run can be read back from it."""

import dataclasses
import json
import logging

import jax
import pytest

from scrn_jax import settings as settings_lib
from scrn_jax.errors import UserError
from scrn_jax.runtime import devices
from scrn_jax.training import monitor, workdir


def test_a_workdir_that_cannot_be_made_is_named_with_the_mend(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=rf"cannot write into the workdir {tmp_path}/file/run: .*another --workdir"):
        workdir.claim_workdir(tmp_path / "file" / "run")


def test_claiming_leaves_nothing_behind(tmp_path):
    workdir.claim_workdir(tmp_path / "deep" / "run")
    assert list((tmp_path / "deep" / "run").iterdir()) == []


def test_a_run_is_read_back_with_the_settings_it_had(tmp_path, tiny_settings):
    workdir.write_config(tmp_path, tiny_settings())
    assert workdir.read_config(tmp_path) == tiny_settings()


def test_a_workdir_without_a_run_says_so(tmp_path):
    with pytest.raises(UserError, match=r"config\.json does not exist; give the --workdir of a run"):
        workdir.read_config(tmp_path)


def test_a_damaged_config_is_named(tmp_path):
    (tmp_path / "config.json").write_text('{"seed": ')
    with pytest.raises(UserError, match=r"config\.json cannot be read .*--config"):
        workdir.read_config(tmp_path)


def test_the_start_prints_the_sizes(tiny_settings, caplog):
    """The numbers themselves are those of the models' own tests; here, that they are said."""
    settings = tiny_settings()
    with caplog.at_level(logging.INFO):
        monitor.describe(settings, devices.make_mesh(jax.devices()[:1]), 12, 3)
    assert "12 training pairs, 3 test pairs" in caplog.text
    assert f"{monitor.forward_gigaflops(settings):.1f} GFLOP forward per image" in caplog.text
    assert "parsing_block" in caplog.text and "discriminator:" in caplog.text


def _start(folder, settings, step):
    """A start that makes a step if there is one to make."""
    workdir.record(folder, settings, step)
    if step < settings.train.steps:
        workdir.write_config(folder, settings)


def _starts(folder):
    return [json.loads(line) for line in (folder / "starts.jsonl").read_text().splitlines()]


def test_each_key_that_changed_is_said_with_both_values(tmp_path, tiny_settings, caplog):
    _start(tmp_path, tiny_settings(), 0)
    assert caplog.text == ""
    _start(tmp_path, tiny_settings(loss={"l1": 7.0}, seed=3), 4)
    assert "config.loss.l1 was 5.0 and is 7.0 from step 4 on" in caplog.text
    assert "config.seed was 0 and is 3 from step 4 on" in caplog.text and "learning rate" not in caplog.text
    assert workdir.read_config(tmp_path).seed == 3


def test_a_longer_run_says_that_its_learning_rate_jumps(tmp_path, tiny_settings, caplog):
    """Halfway through 8 steps the rate is half of 1e-3, a quarter through 16 three quarters."""
    _start(tmp_path, tiny_settings(), 0)
    _start(tmp_path, tiny_settings(train={"steps": 16}), 4)
    assert "so the learning rate at step 4 is 0.00075 instead of 0.0005, and falls to 0 from there" in caplog.text


def test_every_start_keeps_its_settings_and_what_changed(tmp_path, tiny_settings):
    for step, seed in ((0, 0), (4, 1)):
        _start(tmp_path, tiny_settings(seed=seed), step)
    first, second = _starts(tmp_path)
    assert (first["changed"], second["changed"]) == ({}, {"seed": [0, 1]})
    assert settings_lib.from_config(second["config"]) == tiny_settings(seed=1)


def test_a_start_that_trains_nothing_leaves_the_config_and_says_so(tmp_path, tiny_settings, caplog):
    _start(tmp_path, tiny_settings(), 0)
    _start(tmp_path, tiny_settings(loss={"l1": 7.0}), 8)
    assert workdir.read_config(tmp_path) == tiny_settings()
    assert (
        "at step 8 of 8 and trains no further, so that what is different in its config (config.loss.l1)" in caplog.text
    )


def test_what_a_run_was_trained_with_comes_from_its_workdir(tmp_path, tiny_settings, caplog):
    _start(tmp_path, tiny_settings(), 0)
    given = tiny_settings(loss={"l1": 7.0}, data={"name": "other"}, model={"dtype": "bfloat16"})
    given = dataclasses.replace(given, eval=settings_lib.Eval(limit=3))
    found = workdir.trained_with(tmp_path, given)
    assert (found.loss, found.optim, found.train) == (tiny_settings().loss, given.optim, given.train)
    assert (found.eval, found.data, found.model) == (given.eval, given.data, given.model)
    assert "config.loss.l1 is 5.0 for what" in caplog.text and caplog.text.count("config.") == 1


def test_a_config_that_this_version_cannot_read_is_replaced_with_a_warning(tmp_path, tiny_settings, caplog):
    (tmp_path / "config.json").write_text('{"data": {}, "of_another_day": 1}')
    _start(tmp_path, tiny_settings(), 0)
    told = f"what changed since the last start cannot be told: {tmp_path / 'config.json'}: unknown config key"
    assert f"{told} config.of_another_day" in caplog.text


def test_a_config_that_is_there_already_stays_with_its_date(tmp_path, tiny_settings):
    workdir.write_config(tmp_path, tiny_settings())
    before = (tmp_path / "config.json").stat()
    workdir.write_config(tmp_path, tiny_settings())
    after = (tmp_path / "config.json").stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)
