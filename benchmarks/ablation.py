"""What each choice of docs/pictures.md gains: all of them but one, and each of them alone, on the embedded people.

    python -m benchmarks.ablation [--steps 800] [--seeds 0 1 2] [--runs all without/paint] [--folder runs/ablation]

Every run is configs/demo.py with a few keys as the paper has them: so many steps, in which its learning rate falls to
0, after as many in which the parsing block learns alone, where that is among its choices. It is judged on held-out
pairs by figures that no loss of it looks at. What benchmarks/results has of the same config, steps and pairs is not
made again; a run that was cut goes on in the folder. A run takes three minutes on two idle cores.
"""

import argparse
import json
import logging
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import ml_collections

from benchmarks import machine
from configs import demo
from scrn_jax import settings as settings_lib
from scrn_jax.runtime import devices
from scrn_jax.training import loop

# Each choice, as the paper's letter has it: what a run without it goes back to.
CHOICES: dict[str, dict[str, Any]] = {
    "upsampling": {"model": {"upsampling": "transposed"}},
    "parsing_detail": {"model": {"parsing_detail": False}},
    "parsing_hints": {"model": {"parsing_hints": False}},
    "parsing_alone": {"model": {"parsing_alone": False}},
    "paint": {"model": {"paint": "none"}},
    "carried": {"model": {"paint": "flat"}},
    "blended": {"model": {"paint": "carried"}},
    "style_norm": {"model": {"style_norm": "frame"}},
    "style_bounded": {"model": {"style_bounded": True}},
    "perceptual_scale": {"features": {"perceptual_scale": 1}},
    "muon": {"optim": {"muon_learning_rate": 0.0}},
    "adversary": {"loss": {"adv": 0.0}},
    "correspondence": {"loss": {"cor": 0.0}},
    "first_stage": {"train": {"parsing_steps": 0}},
}
# Alone: a choice that needs no other, on top of the paper's letter. Flat paint is paint without carrying, carried
# paint is paint without blending.
ALONE = ("upsampling", "parsing_detail", "parsing_hints", "parsing_alone", "paint", "style_norm", "style_bounded",
         "perceptual_scale", "muon", "first_stage")  # fmt: skip
RUNS = ("all", "none", *(f"without/{name}" for name in CHOICES), *(f"alone/{name}" for name in ALONE))
FIGURES = ("lpips_vgg", "psnr", "ssim", "colour_error", "face_l1", "mesh")


def changes(run: str) -> list[dict[str, Any]]:
    """The sections of the config that a run changes, in order."""
    kind, _, choice = run.partition("/")
    match kind:
        case "all":
            return []
        case "without":
            return [CHOICES[choice]]
    return [CHOICES[name] for name in ALONE if name != choice]


def config_of(run: str, seed: int, flags) -> ml_collections.ConfigDict:
    """The demo's config with a run's changes."""
    config = demo.get_config()
    config.seed = seed
    config.data.dir = str(flags.folder / "people")
    config.train.update({"parsing_steps": flags.steps, "sheet_every": 0, "checkpoint_every": 200})
    config.eval.limit = flags.pairs
    config.loss.per = 1.0  # as the table in docs/pictures.md was made; the demo has half of it since
    for change in changes(run):
        for section, keys in change.items():
            config[section].update(keys)
    first = config.train.parsing_steps
    config.train.steps, config.optim.constant_steps = first + flags.steps, first
    return config


def measure(run: str, seed: int, flags) -> Mapping[str, Any]:
    """The report of a run: made now, gone on with, or found finished."""
    workdir = flags.folder / run.replace("/", "_") / f"seed{seed}_{flags.steps}"
    path = workdir / "report.json"
    if not path.exists():
        settings = settings_lib.from_config(config_of(run, seed, flags))
        devices.keep_programs(settings.compilation_cache)
        loop.train(settings, workdir)
        jax.clear_caches()
    return json.loads(path.read_text("utf-8"))


def figures(report: Mapping[str, Any]) -> dict[str, float]:
    """What is kept of a report: the generated pictures' figures, and S_g's accuracy on the person."""
    row = report["rows"]["generated"]
    return {name: row[name] for name in FIGURES} | {"accuracy": report["parsing"]["accuracy"]}


def summary(runs: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[dict[str, Any]]:
    """A row a run: mean and deviation over its seeds."""
    rows = []
    for run, seeds in runs.items():
        row: dict[str, Any] = {"run": run, "seeds": len(seeds)}
        for name in (*FIGURES, "accuracy"):
            values = [found[name] for found in seeds.values()]
            spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
            row[name] = f"{statistics.fmean(values):.4f}{spread}"
        rows.append(row)
    return rows


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs", nargs="+", choices=RUNS, default=list(RUNS))
    parser.add_argument("--pairs", type=int, default=240, help="held-out pairs to judge by")
    parser.add_argument("--folder", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--results", type=Path, default=machine.RESULTS)
    flags = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("absl").setLevel(logging.ERROR)

    chosen: dict[str, dict[str, dict[str, Any]]] = {}
    for seed in flags.seeds:
        for run in flags.runs:
            fingerprint = machine.fingerprint(config_of(run, seed, flags))
            # Read anew each time: another process may work at other runs.
            known = machine.saved("ablation", flags.results).get(run, {}).get(str(seed), {})
            if known.get("config") != fingerprint:
                known = {"config": fingerprint, "steps": flags.steps, **figures(measure(run, seed, flags))}
            chosen.setdefault(run, {})[str(seed)] = known
            results = machine.saved("ablation", flags.results)
            results.setdefault(run, {})[str(seed)] = known
            path = machine.save("ablation", results, flags.results)
    machine.print_table(summary(chosen))
    print(f"\n{path}")


if __name__ == "__main__":
    main()
