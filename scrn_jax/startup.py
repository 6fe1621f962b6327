"""What happens before the first step: claim the workdir, keep the config there, say what will run on what."""

import json
import logging
import os
import tempfile
from pathlib import Path

import jax
import numpy as np
from clu import parameter_overview

from scrn_jax import state
from scrn_jax.errors import UserError
from scrn_jax.settings import Settings, from_config, to_config

log = logging.getLogger(__name__)

CONFIG_FILE = "config.json"


def claim_workdir(workdir: Path) -> None:
    """Make the workdir and see that it can be written; what is in it stays as it is.

    Raises:
      UserError: the folder cannot be made or written.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=workdir):
            pass
    except OSError as error:
        raise UserError(
            f"cannot write into the workdir {workdir}: {error.strerror or error}; choose another --workdir"
        ) from error


def write_config(workdir: Path, settings: Settings) -> None:
    """Put the config into the workdir, whole or not at all, for `read_config`."""
    unfinished = workdir / f"{CONFIG_FILE}.part"
    unfinished.write_text(json.dumps(to_config(settings), indent=2) + "\n", "utf-8")
    os.replace(unfinished, workdir / CONFIG_FILE)


def read_config(workdir: Path) -> Settings:
    """The settings that a workdir's run was started with.

    Raises:
      UserError: no or no readable config.json there.
    """
    path = workdir / CONFIG_FILE
    try:
        return from_config(json.loads(path.read_text("utf-8")))
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist; give the --workdir of a run, or its --config") from error
    except (OSError, json.JSONDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error}); give the run's --config") from error


def forward_gigaflops(settings: Settings) -> float:
    """Floating-point operations (10^9, a multiply-add counts as two) of the generator for one image."""
    generator = state.make_generator(settings.model)
    inputs = state.example_inputs(settings.size)
    params = jax.eval_shape(lambda: generator.init(jax.random.key(0), **inputs))
    lowered = jax.jit(lambda p, x: generator.apply(p, **x)).lower(params, inputs)
    return lowered.cost_analysis()["flops"] / 1e9


def describe(settings: Settings, mesh, train_pairs: int, test_pairs: int) -> None:
    """Log devices, data and the model's size: parameters by part, and operations per image."""
    shapes = jax.eval_shape(lambda: state.init_state(settings))
    parts = {name: _millions(part) for name, part in shapes.generator.items()}
    device = jax.devices()[0].device_kind
    log.info("%d x %s; %d training pairs, %d test pairs", mesh.size, device, train_pairs, test_pairs)
    size, work = _millions(shapes.generator), forward_gigaflops(settings)
    log.info("generator: %.2f M parameters, %.1f GFLOP forward per image", size, work)
    log.info("  %s", ", ".join(f"{name} {size:.2f} M" for name, size in parts.items()))
    log.info("discriminator: %.2f M parameters", _millions(shapes.discriminator))
    log.debug("%s", parameter_overview.get_parameter_overview(shapes.generator, include_stats=False))


def _millions(tree) -> float:
    return sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(tree)) / 1e6
