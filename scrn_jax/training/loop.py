"""The training loop: restore or start, step, log, draw, save; then evaluate."""

import dataclasses
import itertools
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from scrn_jax import data
from scrn_jax.errors import UserError
from scrn_jax.evaluation import heldout
from scrn_jax.evaluation.samples import Samples
from scrn_jax.models import base
from scrn_jax.runtime import devices
from scrn_jax.settings import Settings
from scrn_jax.training import checkpoints as checkpoints_lib
from scrn_jax.training import init_from, state
from scrn_jax.training import monitor as monitor_lib
from scrn_jax.training import step as step_lib
from scrn_jax.training import workdir as workdir_lib
from scrn_jax.training.checkpoints import Checkpoints
from scrn_jax.training.monitor import Monitor, Pace, Profile
from scrn_jax.training.preemption import Interruption

log = logging.getLogger(__name__)

SAMPLES = "samples"


@dataclasses.dataclass(frozen=True)
class Run:
    """What stays the same while a run goes on; `profile_steps`: how many steps to profile."""

    settings: Settings
    workdir: Path
    mesh: jax.sharding.Mesh
    frozen: dict[str, Any]
    train_source: Any
    test_source: Any
    profile_steps: int = 0


def train(settings: Settings, workdir: Path, profile_steps: int = 0) -> None:
    """Train to `settings.train.steps`, going on from the newest checkpoint in `workdir`, then evaluate.

    SIGTERM and SIGINT end it after a step, with a checkpoint and without an error.

    Raises:
      UserError: bad data, a checkpoint of another model, a folder that cannot be written, a run that diverged.
    """
    workdir_lib.claim_workdir(workdir)
    mesh = devices.make_mesh(fsdp=settings.fsdp)
    devices.check_batch_parts(settings.train.batch_size, settings.train.accumulate, mesh)
    train_source, test_source = data.open_sources(settings.data)
    frozen = jax.device_put(base.make(settings).pretrained(), devices.replicated(mesh))
    monitor_lib.describe(settings, mesh, len(train_source), len(test_source))
    run = Run(settings, workdir, mesh, frozen, train_source, test_source, profile_steps)

    with checkpoints_lib.open_checkpoints(settings, workdir) as checkpoints, workdir_lib.workdir_at_risk(workdir):
        is_new = not checkpoints.steps
        current = checkpoints_lib.newest_or_fresh(settings, mesh, checkpoints)
        if is_new and settings.init_from:
            current = init_from.start_from(Path(settings.init_from).expanduser(), settings, mesh, current)
        # Only now: the config of a run whose checkpoints do not fit this one stays with them.
        workdir_lib.record(workdir, settings, int(current.step))
        current = run_steps(run, current, checkpoints)
    if (step := int(current.step)) < settings.train.steps:
        log.info("stopped as asked, and saved step %d; run the same command again to go on", step)
        return
    params = devices.gathered(current.ema, mesh)
    trained = workdir_lib.trained_with(workdir, settings)
    heldout.evaluate(trained, workdir, mesh, params, step, train_source, test_source)


def compile_for_batches(run: Run, current: state.TrainState, batches):
    """(the program of each step by its number, compiled for the first of the batches; all the batches)."""
    example = next(batches)
    placed = devices.put_batch(example, run.mesh)
    program_of = step_lib.compile_steps(run.settings, run.mesh, current, run.frozen, placed)
    return program_of, itertools.chain([example], batches)


def run_steps(run: Run, current: state.TrainState, checkpoints: Checkpoints) -> state.TrainState:
    """Step from `current.step` to the end; the metrics of a step are read while the next one runs."""
    options, first, pace = run.settings.train, int(jax.device_get(current.step)), Pace()
    if first >= options.steps:
        log.info("already at step %d of %d", first, options.steps)
        return current
    size, seed = run.settings.size, run.settings.seed
    batches = data.open_batches(run.train_source, first, options, size=size, seed=seed)
    program_of, batches = compile_for_batches(run, current, batches)
    term_norms = step_lib.make_term_norms(run.settings, run.mesh)
    shown = data.spread_batch(run.test_source, options.sheet_pairs, run.settings.size)
    samples = Samples(base.make(run.settings), run.mesh, shown)
    with (
        Monitor(run.workdir, first_step=first, last_step=options.steps, batch_size=options.batch_size) as monitor,
        Profile(run.workdir, first, run.profile_steps) as profile,
        Interruption() as stop,
    ):

        def read(step: int, metrics) -> None:
            with pace.of("device_wait"):
                metrics = jax.device_get(metrics)
            monitor.add({**metrics, **pace.take()})
            check_skipped(step, metrics, run.settings, run.train_source, checkpoints)
            if due(step, options.log_every, options.steps):
                monitor.report(step)

        unread = None
        for step in range(first + 1, options.steps + 1):
            with pace.of("input_wait"):
                batch = next(batches)
            batch, norms = devices.put_batch(batch, run.mesh), {}
            if due(step, options.term_norms_every, options.steps):
                norms = term_norms(current, run.frozen, batch)
            current, metrics = program_of(step)(current, run.frozen, batch)
            if step == first + 1:
                workdir_lib.write_config(run.workdir, run.settings)
            if unread:
                read(*unread)
            unread = step, {**metrics, **norms}
            profile.after(step, metrics)
            if due(step, options.sheet_every, options.steps):
                draw(run.workdir, samples, step, current, monitor)
            stopping = stop.requested(step)
            if stopping or due(step, options.checkpoint_every, options.steps):
                checkpoints.save(step, current)
            if stopping:
                break
        read(*unread)
    return current


def draw(workdir: Path, samples: Samples, step: int, current: state.TrainState, monitor: Monitor) -> None:
    """The sheet of `step`, painted by every process and kept by the first."""
    page = samples.draw(current.ema)
    if jax.process_index() == 0:
        (workdir / SAMPLES).mkdir(exist_ok=True)
        page.save(workdir / SAMPLES / f"{step:07d}.png")
        monitor.picture(step, "samples", np.asarray(page))


def due(step: int, every: int, last: int) -> bool:
    """Whether something at a cadence happens after `step`; the last step always counts, a cadence of 0 never."""
    return every > 0 and (step % every == 0 or step == last)


def check_skipped(
    step: int, metrics: Mapping[str, float], settings: Settings, source, checkpoints: Checkpoints
) -> None:
    """Warn when the update of `step` was skipped; raise UserError after `config.optim.max_skipped` in a row."""
    in_row = round(float(metrics["skipped_in_row"]))
    if not in_row:
        return
    names = ", ".join(" -> ".join(pair) for pair in data.pair_names(source, step, settings.train, seed=settings.seed))
    log.warning("step %d: the update was not finite and was skipped (%d in a row); its pairs: %s", step, in_row, names)
    if in_row >= settings.optim.max_skipped:
        raise UserError(
            f"the last {in_row} updates were not finite: the run has diverged. The newest checkpoint is step "
            f"{checkpoints.latest_step}; go on from it with a lower config.optim.learning_rate or a config.optim.clip"
        )
