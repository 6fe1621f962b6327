"""How do a training step's time and memory grow with batch, resolution, width and blocks?

    python -m benchmarks.scaling

One of the four varies at a time around the demo's model; the variants of one question run in turn in one process.
Memory is XLA's own account of the compiled step, its state included. Prints a table and writes
benchmarks/results/scaling_PRESET-MACHINE.json.
"""

import argparse

from benchmarks import machine, timing, workload

VARIED = {
    "batch_size": (1, 2, 4, 8),
    "size": ((64, 44), (96, 64), (128, 88)),
    "width": (8, 16, 32),
    "blocks": (1, 3, 6),
}


def measure(settings_list, values, what: str, repeats: int) -> list[dict]:
    """A row a variant of one question; the ratios are to the first."""
    frozen = workload.frozen_networks()
    sides, compiled = {}, {}
    for value, settings in zip(values, settings_list, strict=True):
        # The default binds: every side keeps its own state.
        ours = workload.Ours(settings, workload.fresh_state(settings), frozen)
        sides[value], compiled[value] = ours.training_step()
    seconds = timing.alternate(sides, repeats)
    first = values[0]
    return [
        {
            "varied": what, "value": "x".join(map(str, value)) if isinstance(value, tuple) else value,
            "median ms": 1e3 * sorted(seconds[value])[repeats // 2],
            "time ratio": timing.median_ratio(seconds[value], seconds[first]),
            "GFLOP": compiled[value].gigaflops, "memory MB": compiled[value].memory_mb,
            "memory ratio": compiled[value].memory_mb / compiled[first].memory_mb,
            "compile s": compiled[value].compile_seconds,
        }
        for value in values
    ]  # fmt: skip


def main(arguments=None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=VARIED, default=list(VARIED))
    flags = workload.add_flags(parser, repeats=7).parse_args(arguments)
    rows = []
    for what in flags.only:
        variants = [workload.from_flags(flags, **{what: value}) for value in VARIED[what]]
        rows += measure(variants, VARIED[what], what, flags.repeats)
    base = workload.describe(workload.from_flags(flags))
    print(f"one training step, varied around {base}\n")
    machine.print_table(rows)
    results = {"around": base, "rounds": flags.repeats, "rows": rows}
    print(f"\n{machine.save(f'scaling_{flags.preset}', results)}")


if __name__ == "__main__":
    main()
