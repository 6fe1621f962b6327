"""How good a run is on people it has never seen: its averaged generator over the test split, and a report."""

import logging
from pathlib import Path
from typing import Any

import jax
from PIL import Image

from scrn_jax import data
from scrn_jax.errors import UserError
from scrn_jax.evaluation import scoring
from scrn_jax.evaluation.report import heldout
from scrn_jax.evaluation.samples import Samples
from scrn_jax.metrics import groups, lpips
from scrn_jax.metrics.by_region import LEAST_AREA, parsing_scores
from scrn_jax.models import base
from scrn_jax.person.image_files import SUFFIXES, flat_name
from scrn_jax.runtime import devices, files
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


def evaluate(
    settings: Settings, folder: Path, mesh, params, step: int, train_source, test_source, pictures: Path | None = None
) -> None:
    """Score a generator's `params` on the test pairs; report.json, .md and .png go into the folder.

    pictures: where each of them goes as a file, too, see `write_pictures`; None: nowhere.

    Raises:
      UserError: bad data, a batch that the devices cannot share, `pictures` that cannot be written.
    """
    if pictures is not None and jax.process_count() > 1:
        raise UserError("--pictures writes from one process; evaluate with one")
    options, model = settings.eval, base.make(settings)
    devices.check_batch_size(options.batch_size, mesh, "config.eval.batch_size")
    batches = {"batch_size": options.batch_size, "size": settings.size}
    baseline = scoring.mean_image(data.eval_batches(train_source, **batches, limit=BASELINE_PAIRS))
    own = options.judge == "own"
    weights = {net: lpips.load_params(net) for net in (("alex", "vgg") if own else ("alex",))}
    judge = None if own else lpips.load_lpips_j()
    scorer = scoring.Scorer(model, mesh, weights, baseline, judge)
    figures = scorer.run(params, data.own_batches(test_source, **batches, limit=options.limit or None))
    if pictures is not None:
        shown = data.eval_batches(test_source, **batches, limit=options.limit or None)
        write_pictures(lambda batch: scorer.paint(params, batch), shown, test_source.names, pictures)
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


def write_pictures(paint, batches, names, folder: Path) -> None:
    """Write pictures and targets as folders that `evaluation.folders` measures by the field's protocols.

    They are `folder`/generated/FROM___TO_vis.png and `folder`/reference/TO.png, in the config's frame.

    Args:
      paint: a batch -> its pictures, uint8 (B, H, W, 3).
      batches: of `data.eval_batches`, whose pair number i is called names(i), (FROM, TO).

    Raises:
      UserError: a place that cannot be written; two names that would be one file's.
    """
    number, generated, reference = 0, folder / "generated", folder / "reference"
    known: dict[str, str] = {}

    def file_name(name: str) -> str:
        # Names come from records, which may be anybody's: none leads out of the folder.
        flat = flat_name(name).replace("/", "_").replace("\\", "_")
        flat = Path(flat).stem if flat.lower().endswith(SUFFIXES) else flat
        if (other := known.setdefault(flat, name)) != name:
            raise UserError(f"--pictures {folder}: {name} and {other} would both be {flat}.png; rename one of them")
        return flat

    for batch in batches:
        for picture, target in zip(paint(batch)[batch["mask"]], batch["target_image"][batch["mask"]], strict=True):
            source_name, target_name = map(file_name, names(number))
            _write(generated / f"{source_name}___{target_name}_vis.png", picture)
            if not (true := reference / f"{target_name}.png").exists():
                _write(true, target)
            number += 1
    log.info("%d pictures: %s, their targets: %s", number, generated, reference)


def _write(path: Path, picture) -> None:
    with files.written_whole(path) as temporary:
        Image.fromarray(picture).save(temporary, "png")


def _figures(figures: scoring.Figures, source) -> dict[str, Any]:
    """Everything of a report that was measured, of the first pairs of a source."""
    known = data.known_facts(source, len(figures))
    return {
        "rows": scoring.summarise(figures),
        "parsing": parsing_scores(figures.counts) if figures.counts else None,
        "groups": scoring.by_group(figures, groups.assign(figures.estimates, known)),
        "known_groups": groups.known(known),
    }
