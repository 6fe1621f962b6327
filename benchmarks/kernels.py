"""What a GPU did in a profile: its kernels by kind, how long it was busy, and how long it waited for the next one.

    python -m benchmarks.gpu_training --profile profile ...       # three steps, after the training
    python -m benchmarks.kernels profile --steps 3

Reads the xplane.pb that JAX's profiler wrote (`jax.profiler.trace`, --profile_steps of the program); needs no GPU.
"""

import argparse
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import jax

from benchmarks import machine

# By the first that a kernel's name matches.
KINDS = {
    "layouts and workspaces": r"convertTensor|init_device_workspace|ReduceSplitK|nchwToNhwc|nhwcToNchw",
    "products": r"splitKreduce|xmma_gemm|sgemm|cublas|gemv|cutlass::Kernel2",
    "convolutions": r"fprop|dgrad|wgrad|[cC]onv|cudnn",
    "fusions with a reduction": r"reduce",
    "other fusions": r"fusion|loop",
    "copies and fills": r"[mM]em(cpy|set)",
    "the rest": r"",
}


class Kernel(NamedTuple):
    """A kernel's run: its name, start and end in nanoseconds."""

    name: str
    start: float
    end: float


def kind_of(name: str) -> str:
    """The kind of a kernel."""
    return next(kind for kind, pattern in KINDS.items() if re.search(pattern, name))


def busy_nanoseconds(kernels: Iterable[Kernel]) -> float:
    """For how long at least one kernel ran."""
    total, until = 0.0, float("-inf")
    for kernel in sorted(kernels, key=lambda kernel: kernel.start):
        total += max(0.0, kernel.end - max(kernel.start, until))
        until = max(until, kernel.end)
    return total


def read(path: Path) -> list[Kernel]:
    """The kernels of all GPUs' streams. Raises SystemExit where there is none."""
    files = sorted(path.rglob("*.xplane.pb")) if path.is_dir() else [path]
    found = [
        Kernel(event.name, event.start_ns, event.start_ns + event.duration_ns)
        for file in files
        for plane in jax.profiler.ProfileData.from_file(str(file)).planes
        if "GPU" in plane.name
        for line in plane.lines
        if "Stream" in line.name
        for event in line.events
    ]
    if not found:
        raise SystemExit(f"error: {path} holds no profile of a GPU; give the folder of --profile")
    return found


def main(arguments=None) -> None:
    """Read, sum, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("profile", type=Path, help="its folder, or an xplane.pb")
    parser.add_argument("--steps", type=int, default=1, help="how many it holds; figures are for one")
    flags = parser.parse_args(arguments)
    kernels = read(flags.profile)
    times, counts = Counter(), Counter(kind_of(kernel.name) for kernel in kernels)
    for kernel in kernels:
        times[kind_of(kernel.name)] += (kernel.end - kernel.start) / 1e6 / flags.steps
    rows = [
        {"kernels": kind, "ms": time, "share": time / times.total(), "count": counts[kind] / flags.steps}
        for kind, time in times.most_common()
    ]
    machine.print_table(rows)
    span = max(kernel.end for kernel in kernels) - min(kernel.start for kernel in kernels)
    busy, span, count = (each / flags.steps for each in (busy_nanoseconds(kernels), span, len(kernels)))
    print(f"\nbusy {busy / 1e6:.1f} of {span / 1e6:.1f} ms, {count:.0f} kernels")


if __name__ == "__main__":
    main()
