"""Compiled programs are kept on disk where the config says so, and change nothing but the time that a start takes."""

import logging
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

from scrn_jax.runtime import devices, files
from scrn_jax.training import checkpoints as checkpoints_lib

NAMES = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")


@pytest.fixture(autouse=True)
def without_a_folder(monkeypatch):
    """JAX keeps nothing before a test, whatever this machine's environment says, and has its settings back after it."""
    monkeypatch.delenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", raising=False)
    before = {name: getattr(jax.config, name) for name in NAMES}
    jax.config.update("jax_compilation_cache_dir", None)
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


@pytest.fixture
def hits():
    """Counts the programs that were found on disk."""
    seen = []

    def listen(event, **_):
        seen.append(event)

    jax.monitoring.register_event_listener(listen)
    yield lambda: seen.count("/jax/compilation_cache/cache_hits")
    jax.monitoring.unregister_event_listener(listen)


def _compile_again(function, *arguments):
    """As a new process would."""
    jax.clear_caches()
    return jax.jit(function)(*arguments)


def _wave(x):
    return jnp.sin(x) @ jnp.cos(x)


def test_a_program_is_written_once_and_then_found(tmp_path, hits):
    devices.keep_programs(str(tmp_path / "kept"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    x = jnp.ones((4, 4))
    first = _compile_again(_wave, x)
    (kept,) = (tmp_path / "kept").glob("jit__wave-*")
    before = hits()
    second = _compile_again(_wave, x)
    assert hits() == before + 1
    assert list((tmp_path / "kept").glob("jit__wave-*")) == [kept]
    np.testing.assert_array_equal(first, second)


def test_what_compiles_quickly_is_not_kept(tmp_path):
    devices.keep_programs(str(tmp_path))
    _compile_again(_wave, jnp.ones((4, 4)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not os.environ.get("WHOLE_RUNS"), reason="WHOLE_RUNS=small asks for the long proofs")
def test_a_training_step_from_the_folder_gives_the_same_bits(
    tmp_path, trainer_of, tiny_settings, first_state, make_batch, hits
):
    settings = tiny_settings(loss={"cor": 0.0, "per": 0.0})  # to compile sooner
    devices.keep_programs(str(tmp_path))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 1)

    def step():
        each = trainer_of(settings)
        return jax.device_get(each.step(each.put(first_state), make_batch(0)))

    compiled, before = step(), hits()
    assert list(tmp_path.glob("jit_step-*"))
    found = step()
    assert hits() > before
    jax.tree.map(np.testing.assert_array_equal, compiled, found)


def test_a_damaged_program_is_compiled_again(tmp_path):
    devices.keep_programs(str(tmp_path))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    first = _compile_again(_wave, jnp.ones((4, 4)))
    (kept,) = tmp_path.glob("jit__wave-*")
    kept.write_bytes(kept.read_bytes()[:100])
    with pytest.warns(UserWarning, match="Error reading persistent compilation cache"):
        np.testing.assert_array_equal(_compile_again(_wave, jnp.ones((4, 4))), first)


def test_auto_is_a_folder_in_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SCRN_JAX_CACHE", str(tmp_path))
    devices.keep_programs("auto")
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "compiled")
    assert files.cache_folder() == tmp_path and (tmp_path / "compiled").is_dir()


def test_auto_leaves_alone_what_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("SCRN_JAX_CACHE", str(tmp_path / "ours"))
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "theirs"))
    devices.keep_programs("auto")
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "theirs")
    assert not (tmp_path / "ours").exists()


def test_an_empty_word_keeps_nothing():
    devices.keep_programs("")
    assert jax.config.jax_compilation_cache_dir is None


def test_a_folder_that_cannot_be_written_is_a_warning(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING):
        devices.keep_programs(str(tmp_path / "file" / "kept"))
    assert f"compiled programs are not kept: {tmp_path}/file/kept cannot be written" in caplog.text
    assert jax.config.jax_compilation_cache_dir is None


def test_where_programs_are_kept_is_not_part_of_a_checkpoints_identity(tmp_path, tiny_settings):
    identities = []
    for where in ("", "auto"):
        with checkpoints_lib.open_checkpoints(tiny_settings(compilation_cache=where), tmp_path) as checkpoints:
            identities.append(checkpoints._identity)
    assert identities[0] == identities[1]
