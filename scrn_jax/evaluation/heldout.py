"""How good a run is on people it has never seen: its averaged generator over the test split, and a report."""

import logging
from pathlib import Path
from typing import Any

import jax

from scrn_jax import data
from scrn_jax.evaluation import scoring
from scrn_jax.evaluation.report import heldout
from scrn_jax.evaluation.samples import Samples
from scrn_jax.metrics import groups, lpips
from scrn_jax.metrics.by_region import LEAST_AREA, parsing_scores
from scrn_jax.models import base
from scrn_jax.runtime import devices
from scrn_jax.settings import Settings, to_config

log = logging.getLogger(__name__)

BASELINE_PAIRS = 512  # training pairs that the mean image averages
REPORT_PAIRS = 8  # rows of the report's picture
PROTOCOL = (
    "in the config's own frame, on images rounded to 8 bits. Every figure is the mean over the pairs; of face L1 over "
    "those with a face, of the colour error over those with a region of {least} pixels or more. LPIPS v0.1 on VGG16 "
    "({judge}) and on AlexNet; SSIM with a 7x7 uniform window, and PSNR, both for a range of 1; face L1: the mean "
    "absolute error inside the target's face box, in [0, 1]; colour error: the mean absolute difference of the mean "
    "colours of the target's regions but the background, in [0, 1], weighted by area; mesh: by how many grey levels of "
    "255 the amplitude at a period of 2, 3 or 4 rows or columns stands out, over the target's, the largest of the six "
    "means over the pairs. Foreground accuracy and mIoU are of the pixels of all pairs together: the share of those "
    "truly not background whose likeliest region in S_g is right, and the mean over the regions but the background. "
    "Flat paint takes the likeliest region of S_g everywhere."
)


def evaluate(settings: Settings, folder: Path, mesh, params, step: int, train_source, test_source) -> None:
    """Score a generator's `params` on the test pairs; report.json, .md and .png go into the folder.

    Raises:
      UserError: bad data, a batch that the devices cannot share.
    """
    options, model = settings.eval, base.make(settings)
    devices.check_batch_size(options.batch_size, mesh, "config.eval.batch_size")
    batches = {"batch_size": options.batch_size, "size": settings.size}
    baseline = scoring.mean_image(data.eval_batches(train_source, **batches, limit=BASELINE_PAIRS))
    own = options.judge == "own"
    weights = {net: lpips.load_params(net) for net in (("alex", "vgg") if own else ("alex",))}
    judge = None if own else lpips.load_lpips_j()
    scorer = scoring.Scorer(model, mesh, weights, baseline, judge)
    figures = scorer.run(params, data.own_batches(test_source, **batches, limit=options.limit or None))
    result = _figures(figures, test_source) | {
        "count": len(figures),
        "frame": list(settings.size),
        "step": step,
        "protocol": PROTOCOL.format(least=LEAST_AREA, judge="our own" if own else "the package lpips-j"),
        "device": jax.devices()[0].device_kind,
        "config": to_config(settings),
    }
    picture = Samples(model, mesh, data.spread_batch(test_source, REPORT_PAIRS, settings.size)).draw(params)
    if jax.process_index() == 0:
        heldout.write(folder, result, picture, model.columns)
        log.info("report: %s", folder / "report.md")


def _figures(figures: scoring.Figures, source) -> dict[str, Any]:
    """Everything of a report that was measured, of the first pairs of a source."""
    known = data.known_facts(source, len(figures))
    return {
        "rows": scoring.summarise(figures),
        "parsing": parsing_scores(figures.counts) if figures.counts else None,
        "groups": scoring.by_group(figures, groups.assign(figures.estimates, known)),
        "known_groups": groups.known(known),
    }
