"""SCRN beside other methods and beside itself without its parts: all on the same people, by the same judges.

    python -m benchmarks.methods [--steps 2400] [--seeds 0 1 2] [--runs patn pise full 3cb] [--folder runs/methods]

Every run sees the same number of pairs in the same order (batches depend on seed and step alone), with its own losses,
its learning rate falling to 0 over its own steps, at 64x44. What benchmarks/results has of the same config is not made
again; a run that was cut goes on in the folder. The page with both tables goes to --page, and a picture beside it if
every run of the first seed lies in the folder.
"""

import argparse
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import ml_collections

from benchmarks import machine, methods_page, timing, workload
from configs import demo, methods
from scrn_jax import data
from scrn_jax import settings as settings_lib
from scrn_jax.models import base
from scrn_jax.models.scrn import settings as scrn_settings
from scrn_jax.runtime import devices
from scrn_jax.training import checkpoints, loop

METHODS = ("patn", "adgan", "pona", "pinet", "pise")
# SCRN's variants, as changes of `full`: the paper's networks in the demo's size, under the demo's losses.
ABLATIONS: dict[str, dict[str, dict[str, Any]]] = {
    "full": {},
    "3cb": {"model": {"blocks": 3}},
    "no_refine_area": {"model": {"refine_area": False}},
    "no_face": {"loss": {"face": 0.0}},
    "best": {"model": dict(scrn_settings.BETTER_PICTURES)},
}
RUNS = (*METHODS, *ABLATIONS)
FROZEN = "vgg"  # the part of a generator's parameters that is not learned


def config_of(run: str) -> ml_collections.ConfigDict:
    """The config of a run, before what the command line says."""
    if run in METHODS:
        return methods.get_config(f"{run}_small")
    config = demo.get_config("people_v1")
    paper = scrn_settings.Model()
    config.model.update({key: getattr(paper, key) for key in scrn_settings.BETTER_PICTURES})
    config.model.blocks = paper.blocks
    for section, keys in ABLATIONS[run].items():
        config[section].update(keys)
    return config


def seeded(run: str, seed: int, flags: argparse.Namespace) -> ml_collections.ConfigDict:
    """The config of one run with a seed, as the command line wants it."""
    config = config_of(run)
    config.seed = seed
    config.data.update({"dir": str(flags.folder / "people"), **flags.people})
    config.train.update({"steps": flags.steps, "sheet_every": flags.steps, "checkpoint_every": 200})
    config.eval.limit = flags.pairs
    return config


def settings_of(run: str, seed: int, flags: argparse.Namespace) -> settings_lib.Settings:
    """The settings of one run."""
    return settings_lib.from_config(seeded(run, seed, flags))


def workdir_of(run: str, seed: int, flags: argparse.Namespace) -> Path:
    """Where a run lies."""
    return flags.folder / run / f"seed{seed}_{flags.steps}"


def measure(run: str, seed: int, flags: argparse.Namespace) -> Mapping[str, Any]:
    """The report of a run: made now, gone on with, or found finished."""
    path = workdir_of(run, seed, flags) / "report.json"
    if not path.exists():
        settings = settings_of(run, seed, flags)
        devices.keep_programs(settings.compilation_cache)
        loop.train(settings, path.parent)
        jax.clear_caches()
    return json.loads(path.read_text("utf-8"))


def kept(report: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a report: the figures of every row, and of the generated pictures by group."""
    return {"pairs": report["count"], "rows": report["rows"], "groups": report["groups"]}


def parameters(tree: Mapping[str, Any]) -> int:
    """How many parameters of a generator are learned."""
    learned = {name: part for name, part in tree.items() if name not in (FROZEN, base.STATISTICS)}
    return sum(leaf.size for leaf in jax.tree.leaves(learned))


def costs(runs: tuple[str, ...], repeats: int, flags: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Learned parameters, and a training step's GFLOP, memory and time on random data; the steps take turns."""
    found, steps, frozen = {}, {}, workload.frozen_networks()
    for run in runs:
        settings = settings_of(run, 0, flags)
        state = workload.fresh_state(settings)
        steps[run], compiled = workload.Ours(settings, state, frozen).training_step()
        found[run] = {
            "parameters": parameters(state.generator), "GFLOP": compiled.gigaflops, "memory MB": compiled.memory_mb
        }  # fmt: skip
    seconds = timing.alternate(steps, repeats)
    return {run: {**found[run], "ms": 1e3 * sorted(seconds[run])[len(seconds[run]) // 2]} for run in runs}


def paint(runs: tuple[str, ...], seed: int, flags: argparse.Namespace, count: int = 6):
    """The same held-out pairs under every run: (a batch of them, {run: generated pictures, uint8})."""
    mesh, pictures, batch = devices.make_mesh(jax.local_devices()[:1]), {}, None
    for run in runs:
        settings = settings_of(run, seed, flags)
        if batch is None:
            batch = data.spread_batch(data.open_sources(settings.data)[1], count, settings.size)
        params, _ = checkpoints.read_params(settings, workdir_of(run, seed, flags), mesh)
        inputs = {name: batch[name] for name in base.INPUTS}
        outputs = jax.jit(base.make(settings).generate)(params, inputs)
        pictures[run] = base.to_uint8(jax.device_get(outputs["image"]))
    return batch, pictures


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs", nargs="+", choices=RUNS, default=list(RUNS))
    parser.add_argument("--pairs", type=int, default=0, help="held-out pairs to judge by; 0: all")
    parser.add_argument("--repeats", type=int, default=9, help="steps that are timed; 0: none, as before")
    parser.add_argument("--folder", type=Path, default=Path("runs/methods"))
    parser.add_argument("--page", type=Path, default=Path("docs/methods.md"))
    parser.add_argument("--results", type=Path, default=machine.RESULTS)
    parser.add_argument("--few", action="store_true", help="a handful of people, to see that everything runs")
    flags = parser.parse_args()
    flags.people = {"train_identities": 4, "test_identities": 2, "views": 3} if flags.few else {}
    return flags


def trained(flags: argparse.Namespace) -> dict[str, dict[str, dict[str, Any]]]:
    """{run: {seed: what is `kept` of its report}}, those that were made before with the same config included."""
    chosen: dict[str, dict[str, dict[str, Any]]] = {run: {} for run in flags.runs}
    for seed in flags.seeds:
        for run in flags.runs:
            fingerprint = machine.fingerprint(seeded(run, seed, flags))
            # Read anew each time: another process may work at other runs.
            known = machine.saved("methods", flags.results).get("runs", {}).get(run, {}).get(str(seed), {})
            if known.get("config") != fingerprint:
                known = {"config": fingerprint, "steps": flags.steps, **kept(measure(run, seed, flags))}
            chosen[run][str(seed)] = known
            results = machine.saved("methods", flags.results)
            results.setdefault("runs", {}).setdefault(run, {})[str(seed)] = known
            machine.save("methods", results, flags.results)
    return chosen


def main() -> None:
    """Run, print, write."""
    flags = parse()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("absl").setLevel(logging.ERROR)
    runs = trained(flags)
    if flags.repeats:
        results = machine.saved("methods", flags.results)
        results["costs"] = results.get("costs", {}) | costs(tuple(flags.runs), flags.repeats, flags)
        machine.save("methods", results, flags.results)
    known = machine.saved("methods", flags.results).get("costs", {})
    results = {
        "steps": flags.steps, "few": flags.few, "runs": runs, "costs": {run: known[run] for run in runs if run in known}
    }  # fmt: skip
    if all(workdir_of(run, flags.seeds[0], flags).exists() for run in runs):
        methods_page.draw_people(flags.page, *paint(tuple(runs), flags.seeds[0], flags))
    methods_page.write(flags.page, {"machine": machine.describe(), "results": results})
    machine.print_table(methods_page.summary(runs))
    print(f"\n{flags.page}")


if __name__ == "__main__":
    main()
