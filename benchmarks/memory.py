"""What a training step gains on a CPU when its memory comes in large pages (`workers.ask_for_large_pages`).

    python -m benchmarks.memory [--preset people] [--steps 40] [--rounds 3]

Programs with and without take turns, each in a process of its own, because the C library asks for them from a program's
start or not at all. With small pages the kernel clears the step's working memory page by page, in every step: see the
processor's time in the kernel, and the page faults.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

from benchmarks import machine, workload
from scrn_jax.runtime import workers

SIDES = {"large pages": {workers.TUNABLES: workers.LARGE_PAGES}, "small pages": {}}


def measure(preset: str, steps: int) -> dict[str, float]:
    """Of a step, in this process: ms on the clock, of the processor in the program and in the kernel, page faults."""
    settings = workload.settings_of(preset)
    run, _ = workload.Ours(settings, workload.fresh_state(settings), workload.frozen_networks()).training_step()
    run(3)
    before, seconds = resource.getrusage(resource.RUSAGE_SELF), []
    for _ in range(steps):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "ms": 1e3 * statistics.median(seconds),
        "program ms": 1e3 * (after.ru_utime - before.ru_utime) / steps,
        "kernel ms": 1e3 * (after.ru_stime - before.ru_stime) / steps,
        "page faults": (after.ru_minflt - before.ru_minflt) / steps,
        "peak MB": after.ru_maxrss / 1e3,
    }


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="demo")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--here", action="store_true", help="measure in this process, as it is, and print JSON")
    flags = parser.parse_args()
    if flags.here:
        print(json.dumps(measure(flags.preset, flags.steps)))
        return
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    what = ["--preset", flags.preset, "--steps", str(flags.steps)]
    command = [sys.executable, "-m", "benchmarks.memory", "--here", *what]
    with tempfile.TemporaryDirectory() as programs:
        environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": programs}
        for number in range(flags.rounds):
            for side in list(SIDES)[:: 1 if number % 2 else -1]:
                ended = subprocess.run(
                    command, env=environment | SIDES[side], check=True, stdout=subprocess.PIPE, text=True
                )
                found[side].append(json.loads(ended.stdout.splitlines()[-1]))
    rows = [
        {"memory": side, **{name: statistics.median(each[name] for each in rounds) for name in rounds[0]}}
        for side, rounds in found.items()
    ]
    machine.print_table(rows)
    print(f"\n{machine.save(f'memory_{flags.preset}', found)}")


if __name__ == "__main__":
    main()
