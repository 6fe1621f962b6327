"""How fast is scrn_jax on a GPU, beside PyTorch eager and compiled? Everything in one go, in under nine minutes.

    python -m benchmarks.gpu                 # on a GPU: the paper's model at 256x176, and the one that ships
    python -m benchmarks.gpu --smoke         # anywhere: a toy model, only to see that every measurement runs

Training steps in float32 (TF32 products) and bfloat16 over batches, inference at batches 1 and 32, attention on grids;
peak memory, compile time, achieved TFLOP/s and share of peak. Needs no TensorFlow, clu or ml_collections.

Each measurement is a process of its own. As many compile at the same time as the processor has cores for; when all are
ready, or three fifths of --minutes are over, they are timed one after the other, so that no two share the GPU, and one
that runs out of memory takes nothing along. What did not compile in time, or came to no turn, is recorded as such.
Prints a table and writes benchmarks/results/gpu-MACHINE.json after every measurement. Compiling is what takes long: on
16 cores beside an H100 none of five steps at a time was ready after two minutes.
"""

import argparse
import dataclasses
import json
import os
import queue
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

# Before JAX starts: it would take three quarters of the memory at once.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import jax
import jax.numpy as jnp
import torch

from benchmarks import attention, machine, torch_training, workload

# TFLOP/s of dense products, from NVIDIA's data sheets of the SXM cards; for others the measured product alone counts.
PEAKS = {"H100": {"bfloat16": 989.4, "float32": 494.7}, "H200": {"bfloat16": 989.4, "float32": 494.7}}
TARGETS = {"images/s in training, bfloat16": 600, "share of peak": 0.4, "of eager PyTorch": 3.0, "of compiled": 2.0}
MODES: dict[str, dict[str, bool]] = {
    "PyTorch compiled, bfloat16, channels_last": {"amp": True, "channels_last": True, "compiled": True},
    "PyTorch eager, bfloat16, channels_last": {"amp": True, "channels_last": True},
    "PyTorch eager, TF32": {},
}
OURS = "scrn_jax"
CORES_A_JOB = 4  # that compiling one of our steps keeps busy
READY, GO, RESULT = "ready", "go\n", "result "  # what a measuring process and its parent tell each other


@dataclasses.dataclass(frozen=True)
class Job:
    """One measurement: `what` is train, infer, attention or product; `model` a preset of `workload`, with its width."""

    side: str
    what: str
    dtype: str
    model: str = "full"
    batch: int = 0
    width: int | None = None
    grid: str = ""

    def row(self) -> dict[str, Any]:
        """What identifies it in the results."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value not in (None, "", 0)}


@dataclasses.dataclass(frozen=True)
class Effort:
    """How long is measured: steps between two looks at the clock, at most, and seconds; how many such looks."""

    smoke: bool = False
    steps: int = 10
    seconds: float = 1.0
    repeats: int = 5


def jobs(batches: Sequence[int], inference_batches: Sequence[int]) -> list[Job]:
    """Everything in the order of its worth; what takes longest to compile first among equals."""
    compiled, eager, tf32 = MODES
    first = batches[0]
    found = [Job(OURS, "product", dtype) for dtype in ("bfloat16", "float32")]
    found += [Job(compiled, "train", "bfloat16", batch=first), Job(OURS, "train", "bfloat16", batch=first)]
    found += [Job(eager, "train", "bfloat16", batch=first)]
    found += [Job(side, "infer", "bfloat16", batch=batch) for batch in inference_batches for side in (OURS, eager)]
    found += [Job(OURS, "train", "bfloat16", batch=batch) for batch in batches[1:]]
    found += [Job(eager, "train", "bfloat16", batch=batch) for batch in batches[1:]]
    found += [Job(tf32, "train", "float32", batch=first), Job(OURS, "train", "float32", batch=first)]
    found += [Job(OURS, "train", "bfloat16", "people", batch, width) for batch, width in ((32, 24), (32, 16), (32, 32))]
    found += [Job(compiled, "infer", "bfloat16", batch=inference_batches[-1])]
    found += [Job(OURS, "train", "float32", "people", 32, 24)]
    found += [Job("attention alone", "attention", "bfloat16", grid=grid) for grid in attention.GRIDS]
    found += [Job(OURS, "train", "float32", batch=batch) for batch in batches[1:]]
    return found


def smoke_jobs() -> list[Job]:
    """One of each kind, but for what PyTorch compiles, which takes minutes."""
    _, eager, tf32 = MODES
    return [
        Job(OURS, "product", "float32"),
        Job(eager, "train", "bfloat16", batch=2), Job(tf32, "train", "float32", batch=2),
        *(Job(OURS, what, "bfloat16", batch=2) for what in ("train", "infer")),
        Job("attention alone", "attention", "float32", grid="16x11"),
    ]  # fmt: skip


def median_seconds(run: Callable[[int], object], effort: Effort) -> float:
    """Seconds a step: the median over `repeats` of `run(steps)`, which waits at its end; two uncounted calls first."""
    run(1)
    start = time.perf_counter()
    run(1)
    steps = max(1, min(effort.steps, int(effort.seconds / (time.perf_counter() - start))))
    each = []
    for _ in range(effort.repeats):
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


def prepared(job: Job, effort: Effort) -> Callable[[], dict[str, Any]]:
    """Compiles what a job needs; gives the function that measures."""
    if job.what == "product":
        size = 512 if effort.smoke else 8192
        return lambda: {"TFLOP/s": machine.matrix_product_peak(size, 1.0, jnp.dtype(job.dtype)) / 1e3}
    if job.what == "attention":
        channels = 16 if effort.smoke else 256
        return lambda: attention.measure(job.grid, channels, effort.repeats, jnp.dtype(job.dtype))
    toy = {"preset": "demo", "width": 4, "blocks": 1}
    model = toy if effort.smoke else {"preset": job.model, "width": job.width}
    settings = workload.settings_of(**model, batch_size=job.batch, dtype=job.dtype)
    state, frozen = workload.fresh_state(settings), workload.frozen_networks()
    if job.side != OURS:
        return theirs(settings, state, frozen, job.what, MODES[job.side], effort)
    side = workload.Ours(settings, state, frozen)
    run, compiled = side.training_step() if job.what == "train" else side.forward()
    return lambda: {
        **rates(settings, median_seconds(run, effort), compiled.gigaflops), **compiled.figures(),
    }  # fmt: skip


def theirs(settings, state, frozen, what: str, mode: dict, effort: Effort) -> Callable[[], dict[str, Any]]:
    """The same of the mirror; `compile s` is the time of its first call, where it compiles."""
    cuda = torch.cuda.is_available()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
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

    first = {}
    if mode.get("compiled"):
        start = time.perf_counter()
        run(1)
        first = {"compile s": time.perf_counter() - start}
    if cuda:  # the others need the memory meanwhile
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()

    def measure():
        found = rates(settings, median_seconds(run, effort)) | first
        return found | ({"memory MB": torch.cuda.max_memory_allocated() / 1e6} if cuda else {})

    return measure


def serve(job: Job, effort: Effort) -> None:
    """What a measuring process does: compile, say so, wait for its turn, measure, tell the result."""
    try:
        measure = prepared(job, effort)
        print(READY, flush=True)
        if not sys.stdin.readline():
            return
        found = measure()
    except Exception as error:  # noqa: BLE001  whatever it is belongs into the results
        found = {"note": f"{type(error).__name__}: {str(error).strip().splitlines()[0][:160]}"}
    print(RESULT + json.dumps(found), flush=True)


class Process:
    """A job's process, as its parent sees it."""

    def __init__(self, job: Job, effort: Effort):
        self.job = job
        told = json.dumps([dataclasses.asdict(job), dataclasses.asdict(effort)])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.gpu", "--serve", told],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self._early: dict[str, Any] | None = None
        self.compiled = False

    def _read(self) -> None:
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _next(self, seconds: float) -> dict[str, Any] | None:
        """What it says next: {} for ready, a result; None when it says nothing in time."""
        end = time.monotonic() + seconds
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                return None
            if line is None:
                return {"note": f"ended with {self._process.wait()}"}
            if line.startswith(RESULT):
                return json.loads(line.removeprefix(RESULT))
            if line.strip() == READY:
                return {}

    def wait(self, seconds: float) -> bool:
        """Whether it is done compiling after at most so long; a failure counts as done."""
        if not self.compiled and (said := self._next(seconds)) is not None:
            self.compiled, self._early = True, said or None
        return self.compiled

    def measure(self, seconds: float) -> dict[str, Any]:
        """Its turn, once it is done compiling, if all that takes at most so long; its process is gone afterwards."""
        end = time.monotonic() + seconds
        try:
            if not self.wait(max(0.0, seconds)):
                return {"note": "not compiled in time"}
            if self._early:
                return self._early
            if time.monotonic() >= end:
                return {"note": "no time left"}
            self._process.stdin.write(GO)
            self._process.stdin.flush()
            return self._next(end - time.monotonic()) or {"note": "not measured in time"}
        except BrokenPipeError:
            return {"note": f"ended with {self._process.wait()}"}
        finally:
            self._process.kill()
            self._process.wait()


def measure_all(work: Sequence[Job], effort: Effort, seconds: float, at_once: int, keep) -> None:
    """Compile at most `at_once` jobs at the same time, then time one after the other; `keep(row)` takes each result."""
    end = time.monotonic() + seconds
    deadline = end - 0.4 * seconds
    waiting, compiling, ready = list(work), [], []
    while (waiting or compiling) and time.monotonic() < deadline:
        while waiting and len(compiling) < at_once:
            compiling.append(Process(waiting.pop(0), effort))
        done = [process for process in compiling if process.wait(0.05)]
        ready += done
        compiling = [process for process in compiling if process not in done]
    for process in [*sorted(ready, key=lambda process: work.index(process.job)), *compiling]:
        keep({**process.job.row(), **process.measure(end - time.monotonic())})
    for job in waiting:
        keep({**job.row(), "note": "no time left to compile"})


def main(arguments=None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a toy model in seconds, for machines without a GPU")
    parser.add_argument("--minutes", type=float, default=8.5)
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 32, 6, 64])
    parser.add_argument("--at_once", type=int, help="how many compile at the same time; the cores decide by default")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    flags = parser.parse_args(arguments)
    if flags.serve:
        job, effort = json.loads(flags.serve)
        return serve(Job(**job), Effort(**effort))
    at_once = flags.at_once or max(1, os.cpu_count() // CORES_A_JOB)
    effort, work = Effort(), jobs(flags.batches, (1, 32))
    if flags.smoke:
        effort, work = Effort(smoke=True, steps=1, repeats=2), smoke_jobs()
    question, rows = "gpu_smoke" if flags.smoke else "gpu", []
    facts = {"targets on an H100": TARGETS, "data sheet TFLOP/s": {dtype: peak_of(dtype) for dtype in PEAKS["H100"]}}

    def keep(row):
        rows.append(row)
        print({key: f"{value:.4g}" if isinstance(value, float) else value for key, value in row.items()}, flush=True)
        machine.save(question, {**facts, "rows": rows})

    measure_all(work, effort, 60 * flags.minutes, at_once, keep)
    print()
    keys = ("side", "model", "width", "what", "batch", "dtype", "images/s", "ms", "TFLOP/s", "share of peak",
            "memory MB", "compile s", "note")  # fmt: skip
    machine.print_table([{key: row.get(key) for key in keys} for row in rows if row["what"] != "attention"])
    print()
    if grids := [row for row in rows if row["what"] == "attention"]:
        machine.print_table(grids)
    print(f"\n{machine.save(question, {**facts, 'rows': rows})}")


if __name__ == "__main__":
    main()
