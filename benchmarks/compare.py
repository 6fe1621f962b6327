"""One of our functions beside the mirror's, in turn: the table that train_step.py and inference.py share."""

import argparse
from collections.abc import Callable

from benchmarks import machine, timing, torch_patn, torch_pinet, torch_pise, torch_pona, torch_training, workload

OURS, THEIRS = "scrn_jax", "PyTorch"
# By `model.name`.
MIRRORS = {"scrn": torch_training.Mirror, "patn": torch_patn.Patn, "pise": torch_pise.Pise, "pona": torch_pona.Pona,
           "pinet": torch_pinet.Pinet}  # fmt: skip


def mirror_of(settings, state, frozen) -> torch_training.Training:
    """A config's step in PyTorch with the weights of a `TrainState`. Raises ValueError for a model that has none."""
    name = settings.model.name
    if name not in MIRRORS:
        raise ValueError(f"there is no {name} in PyTorch here; choose one of {', '.join(MIRRORS)}")
    return MIRRORS[name](settings, state, frozen)


def measure(settings, repeats: int, ours: Callable, theirs: Callable) -> dict:
    """Rows of both sides, and what XLA says of ours.

    Args:
      ours: makes (function to time, `workload.Compiled`) of a `workload.Ours`.
      theirs: makes a function to time of a `torch_training.Training` and a batch on its device.
    """
    state, frozen = workload.fresh_state(settings), workload.frozen_networks()
    run, compiled = ours(workload.Ours(settings, state, frozen))
    mirror = mirror_of(settings, state, frozen)
    run_mirror = theirs(mirror, mirror.put(workload.random_batch(settings)))
    wall, processor = timing.alternate_both({OURS: run, THEIRS: run_mirror}, repeats, settle=1)
    rows = timing.summary(wall, THEIRS, processor)
    for row in rows:
        row["images/s"] = 1e3 * settings.train.batch_size / row["median ms"]
    figures = {**compiled.figures(), **roofline(compiled, rows[0]["least ms"])}
    return {"what": workload.describe(settings), "rows": rows, "ours": figures, "rounds": repeats}


def roofline(compiled: workload.Compiled, milliseconds: float) -> dict[str, float]:
    """How far a time is from what this machine's products and memory allow; bytes are those before fusion."""
    peak, bandwidth = machine.matrix_product_peak(), machine.memory_bandwidth()
    rate = compiled.gigaflops / (milliseconds / 1e3)
    least = max(compiled.gigaflops / peak, compiled.gigabytes_moved / bandwidth)
    return {
        "GFLOP/s": rate, "matrix product GFLOP/s": peak, "share of it": rate / peak, "memory GB/s": bandwidth,
        "roofline ms": 1e3 * least,
    }  # fmt: skip


def main(question: str, description: str, ours: Callable, theirs: Callable, arguments=None) -> None:
    """Read the flags, measure, print, write benchmarks/results/QUESTION_PRESET-MACHINE.json."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags = workload.add_flags(parser, repeats=15).parse_args(arguments)
    results = measure(workload.from_flags(flags), flags.repeats, ours, theirs)
    print(f"{question}: {results['what']}\n")
    machine.print_table(results["rows"])
    print()
    machine.print_table([results["ours"]])
    print(f"\n{machine.save(f'{question}_{flags.preset}', results)}")
