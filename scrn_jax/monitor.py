"""What a run says while it runs: a line on the screen, metrics.jsonl, TensorBoard."""

import json
import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np

log = logging.getLogger(__name__)

METRICS_FILE = "metrics.jsonl"
SCREEN = ("loss/generator", "loss/discriminator", "loss/l1", "loss/per")


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
        """Take in one step's scalars; one that only some steps have is averaged over those."""
        for name, value in metrics.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(value)
            self._counts[name] = self._counts.get(name, 0) + 1

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
