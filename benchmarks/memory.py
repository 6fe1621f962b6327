"""What a training step gains when freed memory stays with the process (`workers.keep_memory`), on a CPU.

    python -m benchmarks.memory [--preset people] [--steps 40] [--rounds 3]

Programs with and without take turns, each in a process of its own, because the C library is told once. Without, the
kernel clears the step's working memory anew in every step: the processor's time in the kernel, and page faults.
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

from benchmarks import machine
from scrn_jax.runtime import workers

KEPT, GIVEN_BACK = "kept", "given back"


def measure(preset: str, steps: int) -> dict[str, float]:
    """Of a step, in this process: ms on the clock, of the processor in the program and in the kernel, page faults."""
    from benchmarks import workload  # imports JAX, after the C library was told

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
    parser.add_argument("--side", choices=(KEPT, GIVEN_BACK), help="measure this one here and print JSON")
    flags = parser.parse_args()
    if flags.side:
        if flags.side == KEPT and not workers.keep_memory():
            raise SystemExit("this C library has nothing to be told")
        print(json.dumps(measure(flags.preset, flags.steps)))
        return
    found: dict[str, list[dict[str, float]]] = {KEPT: [], GIVEN_BACK: []}
    with tempfile.TemporaryDirectory() as programs:
        environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": programs}
        command = [sys.executable, "-m", "benchmarks.memory", "--preset", flags.preset, "--steps", str(flags.steps)]
        for number in range(flags.rounds):
            for side in list(found)[:: 1 if number % 2 else -1]:
                ended = subprocess.run(
                    [*command, "--side", side], env=environment, check=True, stdout=subprocess.PIPE, text=True
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
