"""Which machine this is, how fast it multiplies matrices, and where results of it are kept."""

import datetime
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

if TYPE_CHECKING:  # not needed to run, and absent from many GPU machines
    from ml_collections import ConfigDict

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("jax", "jaxlib", "flax", "torch")


def describe() -> dict[str, Any]:
    """The machine, the versions, the date, and how busy the processor is with other work right now."""
    gpus = [device.device_kind for device in jax.devices() if device.platform != "cpu"]
    return {
        "name": gpus[0] if gpus else f"{_processor()}, {os.cpu_count()} cores",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "gpus": gpus,
        "system": platform.platform(terse=True),
        "versions": {"python": platform.python_version(), **_versions()},
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes"),
        "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY", "default"),
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def _processor() -> str:
    try:
        return re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text("utf-8")).group(1).strip()
    except (OSError, AttributeError):
        return platform.processor() or platform.machine()


def _versions() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "absent"
    return versions


def matrix_product_peak(size: int = 2048, seconds: float = 2.0, dtype=jnp.float32) -> float:
    """The best GFLOP/s that JAX reaches on products of `size` x `size` matrices within some seconds."""
    a = jnp.ones((size, size), dtype)
    product = jax.jit(jnp.matmul)
    product(a, a).block_until_ready()
    return _best_rate(lambda: product(a, a).block_until_ready(), 2 * size**3, seconds)


def memory_bandwidth(megabytes: int = 256, seconds: float = 2.0) -> float:
    """The best GB/s, read and written, of a pass over an array that no cache holds."""
    a = jnp.ones(megabytes * 250_000, jnp.float32)
    add = jax.jit(lambda x: x + 1)
    add(a).block_until_ready()
    return _best_rate(lambda: add(a).block_until_ready(), 2 * a.nbytes, seconds)


def _best_rate(run, operations: int, seconds: float) -> float:
    best, end = np.inf, time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        run()
        best = min(best, time.perf_counter() - start)
    return operations / best / 1e9


def save(question: str, results: Any, folder: Path | None = None) -> Path:
    """Write results and the machine to `folder`/QUESTION-MACHINE.json, replacing an older one; returns the path."""
    machine = describe()
    path = _place(question, machine["name"], folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine, "results": results}, indent=2) + "\n", "utf-8")
    return path


def saved(question: str, folder: Path | None = None) -> dict[str, Any]:
    """The results that `save` wrote on a machine of this name; empty where there are none."""
    path = _place(question, describe()["name"], folder)
    return json.loads(path.read_text("utf-8"))["results"] if path.exists() else {}


def _place(question: str, name: str, folder: Path | None) -> Path:
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return (folder or RESULTS) / f"{question}-{slug}.json"


def fingerprint(config: "ConfigDict") -> str:
    """Twelve digits that differ where configs do, but for the data's folder; results of another config do not count."""
    sections = config.to_dict()
    sections["data"].pop("dir", None)
    return hashlib.sha256(json.dumps(sections, sort_keys=True, default=str).encode()).hexdigest()[:12]


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows under their first row's keys, as Markdown; numbers with three significant digits, absent values empty."""
    keys = list(rows[0])
    cells = [keys, *([_cell(row.get(key)) for key in keys] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(keys))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    print("\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]), flush=True)


def _cell(value) -> str:
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return "" if value is None else str(value)
