"""How fast is scrn_jax on a GPU, beside PyTorch eager and compiled? Everything in one go, in under nine minutes.

    python -m benchmarks.gpu                 # on a GPU: the paper's model at 256x176
    python -m benchmarks.gpu --smoke         # anywhere: a toy model, only to see that every measurement runs

Training steps in float32 (TF32 products) and bfloat16 over batches, inference at batches 1 and 32, attention on grids;
peak memory, compile time, achieved TFLOP/s and share of peak. Needs no TensorFlow, clu or ml_collections. PyTorch goes
first and hands its memory back, so that neither side starves the other. What does not fit into memory or into --minutes
is recorded as such. Prints a table and writes benchmarks/results/gpu-MACHINE.json after every measurement.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

# Before JAX starts: it would take three quarters of the memory at once.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import jax
import jax.numpy as jnp
import torch

from benchmarks import attention, machine, torch_training, workload

# TFLOP/s of dense products, from NVIDIA's data sheets of the SXM cards; for others the measured product alone counts.
PEAKS = {"H100": {"bfloat16": 989.4, "float32": 494.7}, "H200": {"bfloat16": 989.4, "float32": 494.7}}
# 40% of an H100's peak are 600 images/s of the paper's model, 200 would be 13%: the first two are one goal.
TARGETS = {"images/s in training, bfloat16": 600, "share of peak": 0.4, "of eager PyTorch": 2.0, "of compiled": 1.3}
# The compiled one first, which else finds no time left: it compiles anew for every batch.
MODES = {
    "PyTorch compiled, bfloat16, channels_last": {"amp": True, "channels_last": True, "compiled": True},
    "PyTorch eager, bfloat16, channels_last": {"amp": True, "channels_last": True},
    "PyTorch eager, TF32": {},
}


class Record:
    """Results that are on disk after every measurement, and the time that is left for more."""

    def __init__(self, question: str, minutes: float):
        self.question, self.rows, self.facts = question, [], {}
        self.start, self.seconds = time.monotonic(), 60 * minutes

    def spent(self) -> float:
        """Share of the time that is over."""
        return (time.monotonic() - self.start) / self.seconds

    def attempt(self, row: dict[str, Any], measure: Callable[[], dict[str, Any]], until: float = 1.0) -> None:
        """Add what `measure` finds to `row` and keep it; or why there is nothing: no time, no memory, no support."""
        if self.spent() > until:
            row["note"] = "no time left"
        else:
            try:
                row.update(measure())
            except Exception as error:  # noqa: BLE001  a failing variant must not cost the others
                row["note"] = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:120]}"
        self.rows.append(row)
        print({key: f"{value:.4g}" if isinstance(value, float) else value for key, value in row.items()}, flush=True)
        self.save()

    def save(self):
        """Write what there is; the path."""
        return machine.save(self.question, {**self.facts, "rows": self.rows})


def median_seconds(run: Callable[[int], object], steps: int, repeats: int) -> float:
    """Seconds a step: the median over `repeats` of `run(steps)`, which waits at its end; two uncounted calls first."""
    run(1)
    run(1)
    each = []
    for _ in range(repeats):
        start = time.perf_counter()
        run(steps)
        each.append((time.perf_counter() - start) / steps)
    return statistics.median(each)


def peak_of(dtype: str) -> float | None:
    """TFLOP/s of the data sheet, None for a device that is not in PEAKS."""
    kind = jax.devices()[0].device_kind
    return next((peaks[dtype] for name, peaks in PEAKS.items() if name in kind), None)


def rates(settings, seconds: float, gigaflops: float | None = None) -> dict[str, Any]:
    """images/s, and what they mean in operations where those are known."""
    found: dict[str, Any] = {"ms": 1e3 * seconds, "images/s": settings.train.batch_size / seconds}
    if gigaflops:
        found["TFLOP/s"] = gigaflops / seconds / 1e3
        if peak := peak_of(settings.model.dtype):
            found["share of peak"] = found["TFLOP/s"] / peak
    return found


def ours(settings, state, frozen, what: str, flags) -> dict[str, Any]:
    """One of our functions ("train" or "infer") timed."""
    side = workload.Ours(settings, state, frozen)
    run, compiled = side.training_step() if what == "train" else side.forward()
    seconds = median_seconds(run, flags.steps, flags.repeats)
    return {**rates(settings, seconds, compiled.gigaflops), **compiled.figures()}


def theirs(settings, state, frozen, what: str, mode: dict, flags) -> dict[str, Any]:
    """The same of the mirror; `compile s` is the time of its first call."""
    cuda = torch.cuda.is_available()
    mirror = torch_training.Mirror(settings, state, frozen, "cuda" if cuda else "cpu", **mode)
    batch = mirror.put(workload.random_batch(settings))

    @torch.inference_mode()
    def infer():
        return mirror.outputs(batch)

    def run(steps: int):
        for _ in range(steps):
            mirror.step(batch) if what == "train" else infer()
        if cuda:
            torch.cuda.synchronize()

    if cuda:
        torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    run(1)
    first = time.perf_counter() - start
    found = rates(settings, median_seconds(run, flags.steps, flags.repeats))
    found["compile s"] = first
    if cuda:
        found["memory MB"] = torch.cuda.max_memory_allocated() / 1e6
    return found


def hand_memory_back() -> None:
    """PyTorch's, to the driver."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def measure_all(record: Record, flags) -> None:
    """Every measurement in the order of its worth: PyTorch until half of the time, then ours, then attention."""
    model = {"preset": "demo", "width": 4, "blocks": 1} if flags.smoke else {"preset": "full"}
    frozen, state = workload.frozen_networks(), workload.fresh_state(workload.settings_of(**model))

    def settings(batch: int, dtype: str):
        return workload.settings_of(**model, batch_size=batch, dtype=dtype)

    work = [("train", batch) for batch in flags.batches] + [("infer", batch) for batch in flags.inference_batches]
    for side, mode in MODES.items():
        # Compiling takes minutes: the first batch of training, and the last of inference, have to do.
        chosen = [("train", flags.batches[0]), ("infer", flags.inference_batches[-1])] if "compiled" in mode else work
        for what, batch in chosen:
            row = {"side": side, "what": what, "batch": batch, "dtype": "bfloat16" if mode else "float32"}
            of_mode = settings(batch, row["dtype"])
            record.attempt(row, lambda s=of_mode, w=what, m=mode: theirs(s, state, frozen, w, m, flags), until=0.5)
            hand_memory_back()
            torch.compiler.reset()
    for dtype in ("bfloat16", "float32"):
        for what, batch in work:
            row = {"side": "scrn_jax", "what": what, "batch": batch, "dtype": dtype}
            of_dtype = settings(batch, dtype)
            record.attempt(row, lambda s=of_dtype, w=what: ours(s, state, frozen, w, flags))
    for grid in flags.grids:
        for dtype in (jnp.bfloat16, jnp.float32):
            row = {"side": "attention alone", "dtype": jnp.dtype(dtype).name}
            record.attempt(row, lambda g=grid, d=dtype: attention.measure(g, flags.channels, flags.repeats, d))


def main(arguments=None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a toy model in seconds, for machines without a GPU")
    parser.add_argument("--minutes", type=float, default=8.5)
    parser.add_argument("--batches", type=int, nargs="+")
    flags = parser.parse_args(arguments)
    flags.batches = flags.batches or ([2] if flags.smoke else [16, 32, 6, 64])
    flags.inference_batches, flags.steps, flags.repeats = ([1], 1, 2) if flags.smoke else ([1, 32], 10, 5)
    flags.grids, flags.channels = (["16x11"], 16) if flags.smoke else (attention.GRIDS, 256)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    record = Record("gpu_smoke" if flags.smoke else "gpu", flags.minutes)
    size = 512 if flags.smoke else 8192
    record.facts = {
        "targets on an H100": TARGETS, "data sheet TFLOP/s": {dtype: peak_of(dtype) for dtype in PEAKS["H100"]},
        "measured matrix product TFLOP/s": {
            dtype: machine.matrix_product_peak(size, 1.0, jnp.dtype(dtype)) / 1e3 for dtype in PEAKS["H100"]
        },
    }  # fmt: skip
    measure_all(record, flags)
    print()
    keys = ("side", "what", "batch", "dtype", "images/s", "ms", "TFLOP/s", "share of peak", "memory MB", "note")
    machine.print_table([{key: row.get(key) for key in keys} for row in record.rows if "what" in row])
    print()
    machine.print_table([row for row in record.rows if "what" not in row])
    print(f"\n{record.save()}")


if __name__ == "__main__":
    main()
