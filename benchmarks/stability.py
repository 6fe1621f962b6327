"""What the paper's learning rate and correspondence weight do: short runs on the embedded people, side by side.

    python -m benchmarks.stability [--steps 300] [--variants demo cor_300] [--folder runs/stability]

Every variant is configs/demo.py (64x44, batch 4) with the paper's model and a few keys changed, its learning rate
falling to 0 over its own steps. The loss terms and gradient norms are those of the training pairs, the figures those of
96 held-out pairs. The runs stay in the folder, each with its metrics.jsonl and sheets, and go on from there when they
are started again.
"""

import argparse
import json
import logging
import statistics
from pathlib import Path
from typing import Any

from benchmarks import machine
from configs import demo
from scrn_jax import settings as settings_lib
from scrn_jax.models.scrn import settings as scrn_settings
from scrn_jax.runtime import devices
from scrn_jax.training import loop

PAPER_LOSS = {"cor": 300.0, "l1": 5.0, "adv": 2.0, "per": 3.0, "par": 1.0, "face": 1.0}
# The learning rate is the paper's, 1e-3, so that both paper values at once are cor_300.
VARIANTS: dict[str, dict[str, Any]] = {
    "demo": {},
    "cor_300": {"loss": {"cor": 300.0}},
    "cor_300_clip_1": {"loss": {"cor": 300.0}, "optim": {"clip": 1.0}},
    "paper_losses": {"loss": PAPER_LOSS, "parsing": "l1"},
    "paper_losses_clip_1": {"loss": PAPER_LOSS, "parsing": "l1", "optim": {"clip": 1.0}},
    "lr_1e-4": {"optim": {"learning_rate": 1e-4}},
}
TERM = "gradient_norm/terms/"
KEPT = ("step", "loss/", "gradient_norm/", "discriminator_accuracy/", "learning_rate", "skipped")  # of metrics.jsonl


def settings_of(variant: str, steps: int, folder: Path) -> settings_lib.Settings:
    """The demo's settings with a variant's changes, for a run of `steps` steps."""
    config = demo.get_config("people_v1")
    paper = scrn_settings.Model()
    config.model.update({key: getattr(paper, key) for key in scrn_settings.BETTER_PICTURES})
    config.model.update({"parsing_multiples": (2, 4), "style_multiples": (2, 4, 4)})
    config.features.perceptual_scale, config.optim.learning_rate = 1, 1e-3
    config.data.dir = str(folder / "people")
    config.train.update({"steps": steps, "log_every": 10, "term_norms_every": 50})
    config.train.update({"sheet_every": steps, "checkpoint_every": steps})
    config.eval.limit = 96
    for key, change in VARIANTS[variant].items():
        if isinstance(change, dict):
            config[key].update(change)
        else:
            config[key] = change
    return settings_lib.from_config(config)


def measure(variant: str, steps: int, folder: Path) -> dict[str, Any]:
    """Train one variant, go on with it, or find it finished; and read what it wrote."""
    workdir = folder / variant
    path = workdir / "report.json"
    if not path.exists() or json.loads(path.read_text("utf-8"))["step"] != steps:
        settings = settings_of(variant, steps, folder)
        devices.keep_programs(settings.compilation_cache)
        loop.train(settings, workdir)
    report = json.loads(path.read_text("utf-8"))
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text("utf-8").splitlines()]
    lines = [{name: value for name, value in line.items() if name.startswith(KEPT)} for line in lines]
    return {"changes": VARIANTS[variant], "lines": lines, "held_out": report["rows"], "pairs": report["count"]}


def outcome(variant: str, run: dict[str, Any]) -> dict[str, Any]:
    """One row of the first table: how the run ended; raw loss terms are means over its last 50 steps."""
    lines, rows = run["lines"], run["held_out"]
    norms = [line["gradient_norm/generator"] for line in lines]
    late = {name: statistics.fmean(line[f"loss/{name}"] for line in lines[-5:]) for name in ("l1", "par", "per", "cor")}
    return {
        "variant": variant,
        **late,
        "largest norm": max(norm for norm in norms if norm is not None),
        "skipped": int(lines[-1]["skipped"]),
        "SSIM": rows["generated"]["ssim"],
        "LPIPS": rows["generated"]["lpips_alex"],
        "coarse SSIM": rows["coarse"]["ssim"],
        "coarse LPIPS": rows["coarse"]["lpips_alex"],
    }


def term_rows(variant: str, run: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of the second table: the gradient norm of every weighted term, early and late."""
    seen = [line for line in run["lines"] if f"{TERM}l1" in line]
    rows = []
    for place in dict.fromkeys((0, len(seen) // 2, len(seen) - 1)):
        line = seen[place]
        norms = {name.removeprefix(TERM): value for name, value in line.items() if name.startswith(TERM)}
        rows.append({"variant": variant, "step": line["step"], "whole": line["gradient_norm/generator"], **norms})
    return rows


def brief(run: dict[str, Any]) -> dict[str, Any]:
    """A run for the results file: its lines of metrics thinned to those with term norms."""
    return {**run, "lines": [line for line in run["lines"] if f"{TERM}l1" in line]}


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--folder", type=Path, default=Path("runs/stability"))
    flags = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("absl").setLevel(logging.ERROR)

    runs: dict[str, Any] = {}
    for variant in flags.variants:
        runs[variant] = measure(variant, flags.steps, flags.folder)
        path = machine.save("stability", {"steps": flags.steps, "runs": {name: brief(runs[name]) for name in runs}})
    machine.print_table([outcome(variant, run) for variant, run in runs.items()])
    print()
    machine.print_table([row for variant, run in runs.items() for row in term_rows(variant, run)])
    print(f"\n{path}")


if __name__ == "__main__":
    main()
