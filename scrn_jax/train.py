"""The training loop: restore or start, step, log, draw, save; then evaluate."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from input_pipeline import pairs, sources
from scrn_jax import evaluate, restore, sharding, startup, state, train_step
from scrn_jax.checkpoint import Checkpoints
from scrn_jax.errors import UserError
from scrn_jax.features import weights
from scrn_jax.monitor import Monitor
from scrn_jax.samples import Samples
from scrn_jax.settings import Settings

log = logging.getLogger(__name__)

SAMPLES = "samples"


def train(settings: Settings, workdir: Path) -> None:
    """Train to `settings.train.steps`, going on from the newest checkpoint in `workdir`, then evaluate.

    Raises:
      UserError: bad data, a checkpoint of another model, a folder that cannot be written, a run that diverged.
    """
    startup.claim_workdir(workdir)
    mesh = sharding.make_mesh()
    sharding.check_batch_size(settings.train.batch_size, mesh, "config.train.batch_size")
    train_source = sources.open_source(settings.data, "train")
    test_source = sources.open_source(settings.data, "test")
    frozen = jax.device_put(load_frozen(settings), sharding.replicated(mesh))
    startup.describe(settings, mesh, len(train_source), len(test_source))

    with restore.open_checkpoints(settings, workdir) as checkpoints:
        current = restore.newest_or_fresh(settings, mesh, checkpoints)
        # Only now: the config of a run whose checkpoints do not fit this one stays with them.
        startup.write_config(workdir, settings)
        current = run_steps(settings, workdir, mesh, current, frozen, train_source, test_source, checkpoints)
    evaluate.evaluate_params(settings, workdir, mesh, current.ema, int(current.step), train_source, test_source)


def load_frozen(settings: Settings) -> dict[str, Any]:
    """The frozen networks' parameters that the weighted losses need, as `make_train_step` takes them."""
    features, frozen = settings.features, {}
    if settings.loss.cor:
        frozen["vgg"] = weights.load(features.correspondence, features.correspondence_source)
    if settings.loss.per:
        frozen["alexnet"] = weights.load("alexnet", features.perceptual_source)
    return frozen


def jit_step(settings: Settings, mesh):
    """The training step, compiled once: state donated and replicated, batch split over the devices."""
    replicated = sharding.replicated(mesh)
    return jax.jit(
        train_step.make_train_step(settings),
        in_shardings=(replicated, replicated, sharding.data(mesh)),
        out_shardings=(replicated, replicated),
        donate_argnums=0,
    )


def run_steps(settings, workdir, mesh, current, frozen, train_source, test_source, checkpoints) -> state.TrainState:
    """Step from `current.step` to the end; the metrics of a step are read while the next one runs."""
    options, first = settings.train, int(current.step)
    if first >= options.steps:
        log.info("already at step %d of %d", first, options.steps)
        return current
    step_fn = jit_step(settings, mesh)
    samples = Samples(settings, mesh, test_source, options.sheet_pairs)
    (workdir / SAMPLES).mkdir(exist_ok=True)
    batches = pairs.train_batches(
        train_source, batch_size=options.batch_size, size=settings.size, seed=settings.seed, start_step=first,
        flip=options.flip, process_index=jax.process_index(), process_count=jax.process_count(),
    )  # fmt: skip
    log.info("compiling the training step, once; then the first lines appear")
    with Monitor(workdir, first_step=first, last_step=options.steps, batch_size=options.batch_size) as monitor:

        def read(step: int, metrics) -> None:
            metrics = jax.device_get(metrics)
            monitor.add(metrics)
            if due(step, options.log_every, options.steps):
                monitor.report(step)
                stop_if_diverged(metrics, settings, checkpoints)

        unread = None
        for step, batch in zip(range(first + 1, options.steps + 1), batches, strict=False):
            current, metrics = step_fn(current, frozen, sharding.put_batch(batch, mesh))
            if unread:
                read(*unread)
            unread = step, metrics
            if due(step, options.sheet_every, options.steps):
                page = samples.draw(current.ema)
                page.save(workdir / SAMPLES / f"{step:07d}.png")
                monitor.picture(step, "samples", np.asarray(page))
            if due(step, options.checkpoint_every, options.steps):
                checkpoints.save(step, current)
        read(*unread)
    return current


def due(step: int, every: int, last: int) -> bool:
    """Whether something at a cadence happens after `step`; the last step always counts, a cadence of 0 never."""
    return every > 0 and (step % every == 0 or step == last)


def stop_if_diverged(metrics: Mapping[str, float], settings: Settings, checkpoints: Checkpoints) -> None:
    """Warn of skipped updates; raise UserError when too many in a row were not finite."""
    in_row = round(float(metrics["skipped_in_row"]))
    if in_row:
        log.warning("the last %d updates were not finite and were skipped", in_row)
    if in_row >= settings.optim.max_skipped:
        raise UserError(
            f"the last {in_row} updates were not finite: the run has diverged. The newest checkpoint is step "
            f"{checkpoints.latest_step}; go on from it with a lower config.optim.learning_rate or a config.optim.clip"
        )
