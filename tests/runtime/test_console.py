"""What a command says: help with every flag, and what libraries warn of, once."""

import asyncio
import gc
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from absl import flags

from scrn_jax.runtime import console

ROOT = Path(__file__).parents[2]
COMMANDS = {
    "scrn_jax.main": ("--workdir", "--generated", "--masks", "--num_processes", "--profile_steps"),
    "input_pipeline.check": ("--data_dir", "--page", "--merge", "--samples"),
    "input_pipeline.prepare": ("--source", "--output", "--[no]skip_broken", "--processes"),
    "scrn_jax.convert": ("source", "destination", "--network", "--model"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_every_commands_flags_and_an_example_and_is_no_error(command):
    done = subprocess.run([sys.executable, "-m", command, "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"python -m {command}" in done.stdout
    for flag in COMMANDS[command]:
        assert re.search(rf"^ +{re.escape(flag)}\b", done.stdout, re.MULTILINE), flag
    assert "--logtostderr" not in done.stdout and len(max(done.stdout.splitlines(), key=len)) <= 120


@pytest.fixture
def values(monkeypatch):
    """Flags of a command's own, one of them in a group."""
    monkeypatch.setattr(console, "_GROUPS", {})
    values = flags.FlagValues()
    flags.DEFINE_string("name", None, "What it is called.", flag_values=values, required=True)
    flags.DEFINE_enum("kind", "plain", ["plain", "striped"], "Which kind.", flag_values=values)
    with console.flag_group("Size", values):
        flags.DEFINE_integer("height", 3, "How high.", flag_values=values)
        flags.DEFINE_boolean("tall", False, "Whether it is.", flag_values=values)
    return values


def test_help_groups_flags_and_says_values_defaults_and_needs(values):
    assert console.help_text("About it.\n", values).splitlines() == [
        "About it.",
        "",
        "Flags:",
        "  --name TEXT",
        "      What it is called. (needed)",
        "  --kind plain|striped",
        "      Which kind. (default: plain)",
        "",
        "Size:",
        "  --height NUMBER",
        "      How high. (default: 3)",
        "  --[no]tall",
        "      Whether it is.",
    ]


def _warning(library: str, line: int, text: str, level=logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord(library, level, f"/site-packages/{library}/module.py", line, text, (), None)


def test_a_librarys_warning_passes_once_and_another_one_too():
    once = console.Once()
    told = [
        _warning("jax", 7, "falling back"),
        _warning("jax", 7, "falling back"),
        _warning("jax", 9, "something else"),
    ]
    assert [once.filter(record) for record in told] == [True, False, True]


def test_of_orbax_only_errors_pass_and_every_time():
    once = console.Once()
    assert not once.filter(_warning("orbax", 1, "this option will change"))
    assert all(once.filter(_warning("orbax", 2, "lost", logging.ERROR)) for _ in range(2))


def _forgotten(start, file: str) -> str:
    """What asyncio logs of a task of a coroutine in a file of that name, which has failed and is never asked."""
    told = []
    handler = logging.Handler()
    handler.emit = told.append
    handler.addFilter(console.Once())
    names = {}
    exec(compile("async def read():\n    raise OSError('gone')", file, "exec"), names)

    async def forget():
        task = start(names["read"]())
        for _ in range(3):
            await asyncio.sleep(0)
        del task
        gc.collect()

    logger = logging.getLogger("asyncio")
    logger.addHandler(handler)
    try:
        asyncio.run(forget())
    finally:
        logger.removeHandler(handler)
    return "\n".join(record.getMessage() for record in told)


@pytest.mark.parametrize("start", [asyncio.ensure_future, asyncio.gather])
def test_a_read_that_orbax_gave_up_is_not_reported_by_asyncio_and_another_task_is(start):
    assert _forgotten(start, "/site-packages/orbax/checkpoint/serialization.py") == ""
    assert "never retrieved" in _forgotten(start, "/site-packages/other/serialization.py")


PROGRAM = """
'''Warns.'''
import logging, os, sys
from scrn_jax.runtime import console

def main():
    for _ in range(2):
        logging.getLogger("jax._src.xla_bridge").warning("An NVIDIA GPU may be present.\\nFalling back to cpu.")
    with console.silent_stderr():
        os.write(2, b"chatter of a C++ library")
        logging.getLogger("flax").warning("imported twice")
        print("from Python", file=sys.stderr)

console.run(main)
"""


def test_a_program_shows_what_libraries_warn_of_and_no_chatter():
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, env=os.environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [
        "warning of jax: An NVIDIA GPU may be present. Falling back to cpu.",
        "warning of flax: imported twice",
        "from Python",
    ]


OWN_LOOP = """
'''Has a closed loop of its own.'''
import asyncio
from scrn_jax.runtime import console

def main():
    loop = asyncio.new_event_loop()
    loop.close()
    loop.call_soon_threadsafe(print)

console.run(main)
"""


def test_a_closed_loop_of_our_own_is_an_error_like_any_other():
    done = subprocess.run([sys.executable, "-c", OWN_LOOP], cwd=ROOT, env=os.environ, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.strip().endswith("RuntimeError: Event loop is closed")
