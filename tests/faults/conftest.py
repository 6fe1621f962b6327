"""The whole program as a process, small and quick to start, for faults to happen to."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest

from scrn_jax.runtime import devices as devices_lib
from scrn_jax.training import checkpoints as checkpoints_lib
from scrn_jax.training import workdir as workdir_lib

ROOT = Path(__file__).parents[2]
PATIENCE = 600  # seconds
# The smoke config with the smallest model, people and pictures, and the two terms that compile most quickly.
SMALLEST = {
    "data.train_identities": 2, "data.test_identities": 1, "data.views": 2, "size": "32,36", "eval.batch_size": 4,
    "model.width": 4, "model.discriminator_width": 2, "model.refine_area": False, "model.parsing_multiples": "1,",
    "model.style_multiples": "2,2", "loss.cor": 0, "loss.per": 0, "loss.adv": 0, "loss.face": 0,
    "train.sheet_every": 0, "train.sheet_pairs": 1, "train.checkpoint_every": 3, "train.log_every": 1,
}  # fmt: skip


class Program:
    """Starts `python -m scrn_jax.main`; people and compiled programs are shared by everything that it starts."""

    def __init__(self, folder: Path, flags: str):
        self.people, self._compiled, self.folder, self._flags = folder / "people", folder / "compiled", folder, flags

    def command(self, workdir: Path, config: str = "configs/demo.py:smoke", **changes) -> list[str]:
        """The command line of a run; `changes` are keys of the config, with __ for the dot."""
        keys = {"data.dir": self.people, "compilation_cache": self._compiled, **SMALLEST}
        keys |= {key.replace("__", "."): value for key, value in changes.items()}
        options = [f"--config.{key}={value}" for key, value in keys.items()]
        return [sys.executable, "-m", "scrn_jax.main", "--config", config, *options, "--workdir", str(workdir)]

    def environment(self, devices: int = 1) -> dict[str, str]:
        """Of a process with so many virtual devices."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "XLA_", "SLURM_"))}
        return kept | {
            "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(devices), "XLA_FLAGS": self._flags,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }  # fmt: skip

    def start(self, command: list[str], devices: int = 1) -> subprocess.Popen:
        """A process, its output in pipes."""
        return subprocess.Popen(
            command, cwd=ROOT, env=self.environment(devices), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run(self, workdir: Path, devices: int = 1, **changes) -> tuple[int, str, str]:
        """One run to its end: (exit code, standard output, standard error)."""
        return self.finish(self.start(self.command(workdir, **changes), devices))

    def finish(self, *processes: subprocess.Popen):
        """Wait for processes: a list of (exit code, output, error), or that of the only one."""
        try:
            outputs = [process.communicate(timeout=PATIENCE) for process in processes]
        finally:
            for process in processes:
                process.kill()
        results = [(process.returncode, *output) for process, output in zip(processes, outputs, strict=True)]
        return results if len(results) > 1 else results[0]

    def wait(self, process: subprocess.Popen, happened: Callable[[], bool], seconds: float = PATIENCE) -> None:
        """Return once something has happened, the process is over, or so many seconds are."""
        end = time.monotonic() + seconds
        while not happened() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.005)


@pytest.fixture(scope="session")
def program(tmp_path_factory, quick_flags):
    """The program, see `Program`."""
    return Program(tmp_path_factory.mktemp("program"), quick_flags)


@pytest.fixture(scope="session")
def final_state():
    """Reads the newest checkpoint of a workdir: (its step, every array as bytes)."""

    def read(workdir: Path) -> tuple[int, list[bytes]]:
        settings = workdir_lib.read_config(workdir)
        with checkpoints_lib.open_checkpoints(settings, workdir) as checkpoints:
            step = checkpoints.latest_step
            state = checkpoints_lib.newest(settings, devices_lib.make_mesh(jax.devices()[:1]), checkpoints)
        assert int(state.step) == step, "the newest checkpoint cannot be read"
        return step, [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state)]

    return read
