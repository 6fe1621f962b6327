"""What happens before the first step: claim the workdir, keep the config there, say what will run on what."""

import contextlib
import datetime
import json
import logging
import os
import tempfile
from pathlib import Path
from typing import Any

import jax
import numpy as np
from clu import parameter_overview

from input_pipeline import sources
from scrn_jax import exported, provenance, state
from scrn_jax.errors import UserError
from scrn_jax.models.ops import convolutions
from scrn_jax.runtime import devices, files
from scrn_jax.settings import Settings, from_config, to_config

log = logging.getLogger(__name__)

CONFIG_FILE, STARTS_FILE = "config.json", "starts.jsonl"
_MAX_CONFIG_BYTES = 1 << 20


def claim_workdir(workdir: Path) -> None:
    """Make the workdir and see that it can be written; what is in it stays as it is. Only the first process does so.

    Raises:
      UserError: the folder cannot be made or written.
    """
    if jax.process_index():
        return
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=workdir):
            pass
    except OSError as error:
        raise UserError(
            f"cannot write into the workdir {workdir}: {error.strerror or error}; choose another --workdir"
        ) from error


@contextlib.contextmanager
def workdir_at_risk(workdir: Path):
    """Turns an OSError of what is written into the workdir while a run goes on into a UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write into the workdir {workdir} any more: {error.strerror or error}. Its checkpoints are as they "
            "were: make room or mend the folder and run the same command again"
        ) from error


def open_sources(settings: Settings) -> tuple[Any, Any]:
    """The training and the test pairs; the first process opens them first, because that may mean to make them.

    Raises:
      UserError: see `input_pipeline.sources.open_source`.
    """

    def both():
        return tuple(sources.open_source(settings.data, split) for split in ("train", "test"))

    first = jax.process_index() == 0
    opened = both() if first else None
    devices.wait_for_all("the data is there")
    return opened if first else both()


def record(workdir: Path, settings: Settings, step: int) -> None:
    """Keep the config in the workdir, and a line on this start from `step`: versions, revision, devices."""
    if jax.process_index():
        return
    write_config(workdir, settings)
    start = {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "step": step,
        "versions": provenance.versions(),
        "revision": provenance.revision(),
        "devices": provenance.devices(),
    }
    with open(workdir / STARTS_FILE, "a", encoding="utf-8") as stream:
        stream.write(json.dumps(start) + "\n")


def write_config(workdir: Path, settings: Settings) -> None:
    """Put the config into the workdir, whole or not at all, for `read_config`."""
    unfinished = workdir / f"{CONFIG_FILE}.part"
    unfinished.write_text(json.dumps(to_config(settings), indent=2) + "\n", "utf-8")
    os.replace(unfinished, workdir / CONFIG_FILE)


def read_config(workdir: Path) -> Settings:
    """The settings that a workdir's run was started with, or that an exported model in its place carries.

    Raises:
      UserError: no or no readable config.json there.
    """
    if exported.is_exported(workdir):
        return exported.read_settings(workdir)
    path = workdir / CONFIG_FILE
    if not path.exists():
        raise UserError(f"{path} does not exist; give the --workdir of a run, or its --config")
    try:
        config = files.read_json(path, _MAX_CONFIG_BYTES)
    except UserError as error:
        raise UserError(f"{path} cannot be read ({error}); give the run's --config") from error
    if not isinstance(config, dict):
        raise UserError(f"{path} holds no config; give the run's --config")
    return from_config(config)


def forward_gigaflops(settings: Settings) -> float:
    """Floating-point operations (10^9, a multiply-add counts as two) of the generator for one image."""
    generator = state.make_generator(settings.model)
    inputs = state.example_inputs(settings.size)
    params = jax.eval_shape(lambda: generator.init(jax.random.key(0), **inputs))
    with convolutions.computed("plain"):  # what the model asks for, however it is computed
        lowered = jax.jit(lambda p, x: generator.apply(p, **x)).lower(params, inputs)
    return lowered.cost_analysis()["flops"] / 1e9


def describe(settings: Settings, mesh, train_pairs: int, test_pairs: int) -> None:
    """Log devices, data and the model's size: parameters by part, and operations per image."""
    shapes = state.shapes(settings)
    parts = {name: _millions(part) for name, part in shapes.generator.items()}
    device = jax.devices()[0].device_kind
    log.info("%d x %s; %d training pairs, %d test pairs", mesh.size, device, train_pairs, test_pairs)
    size, work = _millions(shapes.generator), forward_gigaflops(settings)
    log.info("generator: %.2f M parameters, %.1f GFLOP forward per image", size, work)
    log.info("  %s", ", ".join(f"{name} {size:.2f} M" for name, size in parts.items()))
    log.info("discriminator: %.2f M parameters", _millions(shapes.discriminator))
    log.debug("%s", parameter_overview.get_parameter_overview(shapes.generator, include_stats=False))


def describe_memory(compiled) -> None:
    """Log what a compiled training step needs on each device, by XLA's account, beside what there is where known."""
    memory = compiled.memory_analysis()
    if memory is None:
        return
    held = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    total, working = (held + memory.temp_size_in_bytes) / 1e9, memory.temp_size_in_bytes / 1e9
    limit = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    there = f" of {limit / 1e9:.1f} GB" if limit else ""
    log.info("memory a device: %.2f GB%s, %.2f GB of it to compute in", total, there, working)


def _millions(tree) -> float:
    return sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(tree)) / 1e6
