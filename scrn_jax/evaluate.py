"""How good a run is on people it has never seen: its averaged generator over the test split, and a report."""

import logging
from pathlib import Path

import jax

from input_pipeline import pairs, sources
from scrn_jax import restore, scoring, sharding, state
from scrn_jax.metrics import lpips, report
from scrn_jax.samples import Samples
from scrn_jax.settings import Settings, to_config

log = logging.getLogger(__name__)

BASELINE_PAIRS = 512  # training pairs that the mean image averages
REPORT_PAIRS = 8  # rows of the report's picture
PROTOCOL = (
    "in the config's own frame, on images rounded to 8 bits: SSIM with a 7x7 uniform window and PSNR, both for a "
    "range of 1; LPIPS AlexNet v0.1; face L1 inside the target's face box, over the pairs with a face; means over "
    "the pairs."
)


def evaluate(settings: Settings, workdir: Path) -> None:
    """Evaluate the newest checkpoint of a workdir; report.json, report.md and report.png go into it.

    Raises:
      UserError: no checkpoint, one of another model, bad data.
    """
    mesh = sharding.make_mesh()
    train_source = sources.open_source(settings.data, "train")
    test_source = sources.open_source(settings.data, "test")
    with restore.open_checkpoints(settings, workdir) as checkpoints:
        current = restore.newest(settings, mesh, checkpoints)
    evaluate_params(settings, workdir, mesh, current.ema, int(current.step), train_source, test_source)


def evaluate_params(settings: Settings, workdir: Path, mesh, params, step: int, train_source, test_source) -> None:
    """Score a generator's `params` on the test pairs and write the report into the workdir."""
    options = settings.eval
    sharding.check_batch_size(options.batch_size, mesh, "config.eval.batch_size")
    batches = {"batch_size": options.batch_size, "size": settings.size}
    baseline = scoring.mean_image(pairs.eval_batches(train_source, **batches, limit=BASELINE_PAIRS))
    scorer = scoring.Scorer(state.make_generator(settings.model), mesh, lpips.load_params("alex"), baseline)
    figures = scorer.run(params, pairs.eval_batches(test_source, **batches, limit=options.limit or None))
    result = {
        "rows": scoring.summarise(figures),
        "count": len(figures["generated"]["ssim"]),
        "frame": list(settings.size),
        "step": step,
        "protocol": PROTOCOL,
        "device": jax.devices()[0].device_kind,
        "config": to_config(settings),
    }
    if jax.process_index() == 0:
        report.write(workdir, result, Samples(settings, mesh, test_source, REPORT_PAIRS).draw(params))
        log.info("report: %s", workdir / "report.md")
