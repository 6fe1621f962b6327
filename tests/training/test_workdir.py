"""The workdir is claimed before anything is computed, and a run can be read back from it."""

import logging

import jax
import pytest

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
