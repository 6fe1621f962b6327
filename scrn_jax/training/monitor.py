"""What a run says: its size at the start; then a line on the screen, metrics.jsonl, TensorBoard; a profile if asked."""

import contextlib
import json
import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np

from scrn_jax.models import base
from scrn_jax.runtime import devices
from scrn_jax.settings import Settings
from scrn_jax.training import state

log = logging.getLogger(__name__)

METRICS_FILE = "metrics.jsonl"
SCREEN = ("loss/generator", "loss/discriminator", "loss/l1", "loss/per")

PROFILE = "profile"
WARM_UP = 3  # steps, so that the profile shows none that is still filling queues


class Monitor:
    """Averages scalars between two reports and writes them out; the time left is a guess from this run's own pace.

    Of several processes only the first writes.
    """

    def __init__(self, workdir: Path, *, first_step: int, last_step: int, batch_size: int):
        self._writes = jax.process_index() == 0
        if self._writes:
            from clu import metric_writers  # imports TensorFlow, for its event files

            self._tensorboard = metric_writers.SummaryWriter(str(workdir / "tensorboard"))
            self._lines = open(workdir / METRICS_FILE, "a", encoding="utf-8")  # noqa: SIM115 (closed in __exit__)
        self._step, self._last_step, self._batch_size = first_step, last_step, batch_size
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._reported = time.monotonic()

    def __enter__(self) -> "Monitor":
        return self

    def __exit__(self, *_):
        if self._writes:
            self._lines.close()
            self._tensorboard.close()

    def add(self, metrics: Mapping[str, float]) -> None:
        """Take in one step's scalars; one that only some steps have is averaged over those.

        A value that is not finite counts only as long as there is none that is: a single skipped step, which is counted
        elsewhere, would take away all that the others of its interval say.
        """
        for name, value in metrics.items():
            before, now = self._sums.get(name), float(value)
            finite = math.isfinite(now)
            if before is None or (finite and not math.isfinite(before)):
                self._sums[name], self._counts[name] = now, 1
            elif finite or not math.isfinite(before):
                self._sums[name] += now
                self._counts[name] += 1

    def report(self, step: int) -> dict[str, float]:
        """Write the means since the last report under `step` and print a line; returns what was written."""
        now = time.monotonic()
        pace = (step - self._step) / max(now - self._reported, 1e-9)
        means = {name: total / self._counts[name] for name, total in self._sums.items()}
        means["images_per_second"] = pace * self._batch_size
        means["seconds/step"] = 1 / max(pace, 1e-9)
        self._write(step, means)
        left = (self._last_step - step) / pace
        shown = "  ".join(f"{name.removeprefix('loss/')} {means[name]:.3f}" for name in SCREEN if name in means)
        log.info(
            "step %d/%d  %s  %.3g images/s  %s left",
            step, self._last_step, shown, means["images_per_second"], format_duration(left),
        )  # fmt: skip
        self._sums, self._counts, self._step, self._reported = {}, {}, step, now
        return means

    def picture(self, step: int, name: str, image_HxWx3: np.ndarray) -> None:
        """A uint8 picture to TensorBoard."""
        self._tensorboard.write_images(step, {name: image_HxWx3[None]})
        self._tensorboard.flush()

    def _write(self, step: int, scalars: Mapping[str, float]) -> None:
        if not self._writes:
            return
        line = {"step": step, "time": round(time.time(), 3), **{k: _json_number(v) for k, v in scalars.items()}}
        self._lines.write(json.dumps(line) + "\n")
        self._lines.flush()
        self._tensorboard.write_scalars(step, scalars)


def _json_number(value: float) -> float | None:
    """Six digits; JSON has no word for NaN or infinity, so they become null."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def format_duration(seconds: float) -> str:
    """Seconds as h:mm:ss, or m:ss below an hour."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def forward_gigaflops(settings: Settings) -> float:
    """Floating-point operations (10^9, a multiply-add counts as two) of the generator for one image."""
    # By XLA's convolutions: what the model asks for, however it is computed.
    model, inputs = base.make(settings, convolutions="plain"), base.example_inputs(settings.size)
    return jax.jit(model.generate).lower(model.generator_shapes(), inputs).cost_analysis()["flops"] / 1e9


def describe(settings: Settings, mesh, train_pairs: int, test_pairs: int) -> None:
    """Log devices, data and the model's size: parameters by part, and operations per image."""
    shapes = state.shapes(settings)
    parts = {name: _millions(part) for name, part in shapes.generator.items()}
    device = jax.devices()[0].device_kind
    log.info("%d x %s; %d training pairs, %d test pairs", mesh.size, device, train_pairs, test_pairs)
    devices.warn_of_unused_accelerator()
    size, work = _millions(shapes.generator), forward_gigaflops(settings)
    log.info("generator: %.2f M parameters, %.1f GFLOP forward per image", size, work)
    log.info("  %s", ", ".join(f"{name} {size:.2f} M" for name, size in parts.items()))
    log.info("discriminator: %.2f M parameters", _millions(shapes.discriminator))
    if log.isEnabledFor(logging.DEBUG):
        from clu import parameter_overview  # absent where only benchmarks run

        log.debug("%s", parameter_overview.get_parameter_overview(shapes.generator, include_stats=False))


def describe_memory(compiled) -> None:
    """Log what a compiled training step needs on each device, by XLA's account, beside what there is where known."""
    memory = compiled.memory_analysis()
    if memory is None:
        return
    held = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    total, working = (held + memory.temp_size_in_bytes) / 1e9, memory.temp_size_in_bytes / 1e9
    limit = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    there = f" of {limit / 1e9:.1f} GB" if limit else ""
    log.info("memory a device: %.2f GB%s, %.2f GB of it to compute in", total, there, working)


def _millions(tree) -> float:
    return sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(tree)) / 1e6


class Pace:
    """Seconds spent in named parts of the loop since they were last taken."""

    def __init__(self):
        self._seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def of(self, part: str):
        """Count the time of a `with` block to `part`."""
        start = time.monotonic()
        try:
            yield
        finally:
            self._seconds[part] = self._seconds.get(part, 0.0) + time.monotonic() - start

    def take(self) -> dict[str, float]:
        """`seconds/PART` of every part seen so far, which start at 0 again."""
        taken = {f"seconds/{part}": seconds for part, seconds in self._seconds.items()}
        self._seconds = dict.fromkeys(self._seconds, 0.0)
        return taken


class Profile:
    """Records `steps` steps of a run that starts after step `first`, `WARM_UP` steps later; 0 records none."""

    def __init__(self, workdir: Path, first: int, steps: int):
        self._folder = workdir / PROFILE
        self._begin = first + WARM_UP if steps else None
        self._end = first + WARM_UP + steps
        self._recording = False

    def __enter__(self) -> "Profile":
        return self

    def __exit__(self, *_):
        if self._recording:
            self._stop()

    def after(self, step: int, result) -> None:
        """Start or end the recording where it is due; `result` is what the step computes, waited for at the end."""
        if step == self._begin:
            jax.profiler.start_trace(str(self._folder))
            self._recording = True
        elif self._recording and step == self._end:
            jax.block_until_ready(result)
            self._stop()

    def _stop(self) -> None:
        self._recording = False
        jax.profiler.stop_trace()
        log.info(
            "profile: %s (tensorboard --logdir %s, with the plugin tensorboard-plugin-profile)", *[self._folder] * 2
        )
