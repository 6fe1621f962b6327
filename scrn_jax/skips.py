"""Updates that were left out because they were not finite: said with the pairs of their batch, and an end to it."""

import logging
from collections.abc import Mapping

from input_pipeline.order import training_order
from scrn_jax.checkpoint import Checkpoints
from scrn_jax.errors import UserError
from scrn_jax.settings import Settings

log = logging.getLogger(__name__)


def pair_names(settings: Settings, source, step: int) -> list[tuple[str, str]]:
    """(source, target) names of the pairs that step `step` (from 1) trains on, over all processes."""
    options = settings.train
    order = training_order(
        len(source), options.batch_size, seed=settings.seed, start_step=step - 1, flip=options.flip
    ).take(options.batch_size)
    return [source.names(int(index)) for index, _ in order.as_numpy_iterator()]


def check(step: int, metrics: Mapping[str, float], settings: Settings, source, checkpoints: Checkpoints) -> None:
    """Warn when the update of `step` was skipped; raise UserError after `config.optim.max_skipped` in a row."""
    in_row = round(float(metrics["skipped_in_row"]))
    if not in_row:
        return
    names = ", ".join(" -> ".join(pair) for pair in pair_names(settings, source, step))
    log.warning("step %d: the update was not finite and was skipped (%d in a row); its pairs: %s", step, in_row, names)
    if in_row >= settings.optim.max_skipped:
        raise UserError(
            f"the last {in_row} updates were not finite: the run has diverged. The newest checkpoint is step "
            f"{checkpoints.latest_step}; go on from it with a lower config.optim.learning_rate or a config.optim.clip"
        )
