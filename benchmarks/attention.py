"""What does criss-cross attention save against full attention, in time and memory, as the grid grows?

    python -m benchmarks.attention
    python -m benchmarks.attention --channels 64 --grids 32x22 64x44

The paper's feature grid is 64x44 with 256 channels. Times are of the attention alone (queries, keys and values given),
forward and with its gradient; memory is XLA's own account of a compiled function. Prints a table and writes
benchmarks/results/attention-MACHINE.json.
"""

import argparse
import math

import jax
import jax.numpy as jnp

from benchmarks import machine, timing, workload
from scrn_jax.models.scrn.attention import criss_cross

GRIDS = ("32x22", "64x44", "96x66", "128x88")


def full(query_BxHxWxK, key_BxHxWxK, value_BxHxWxC):
    """Attention of every pixel over every pixel, softmax in float32."""
    b, h, w, c = value_BxHxWxC.shape
    query, key, value = (x.reshape(b, h * w, -1) for x in (query_BxHxWxK, key_BxHxWxK, value_BxHxWxC))
    scores = jnp.einsum("bnk,bmk->bnm", query, key, preferred_element_type=jnp.float32)
    weights = jax.nn.softmax(scores, axis=-1).astype(value.dtype)
    return jnp.einsum("bnm,bmc->bnc", weights, value).reshape(b, h, w, c)


def measure(grid: str, channels: int, repeats: int, dtype=jnp.float32) -> dict:
    """A row: milliseconds and megabytes of both on one grid."""
    height, width = (int(side) for side in grid.split("x"))
    keys = jax.random.split(jax.random.key(0), 3)
    sizes = max(channels // 8, 1), max(channels // 8, 1), channels
    inputs = [jax.random.normal(key, (1, height, width, size), dtype) for key, size in zip(keys, sizes, strict=True)]
    sides, compiled = {}, {}
    for name, attend in {"criss-cross": criss_cross, "full": full}.items():
        gradient = jax.grad(lambda inputs, attend=attend: jnp.sum(attend(*inputs).astype(jnp.float32) ** 2))
        for what, function in {
            "forward": lambda inputs, attend=attend: attend(*inputs), "gradient": gradient,
        }.items():  # fmt: skip
            compiled[name, what] = workload.Compiled(function, inputs)
            call = compiled[name, what].call
            sides[name, what] = lambda call=call: jax.block_until_ready(call(inputs))
    seconds = timing.alternate(sides, repeats)
    row = {"grid": grid, "HW(H+W)": height * width * (height + width), "(HW)^2": (height * width) ** 2}
    for name, what in sides:
        row[f"{name} {what} ms"] = 1e3 * sorted(seconds[name, what])[repeats // 2]
    for name in ("criss-cross", "full"):
        row[f"{name} gradient MB"] = compiled[name, "gradient"].memory_mb
    row["full / criss-cross time"] = timing.median_ratio(
        seconds["full", "gradient"], seconds["criss-cross", "gradient"]
    )
    return row


def growth(rows: list[dict], key: str, of: str) -> float:
    """The power p with which column `key` grows from the first to the last row, as `of`^p."""
    first, last = rows[0], rows[-1]
    return math.log(last[key] / first[key]) / math.log(last[of] / first[of])


def main(arguments=None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grids", nargs="+", default=GRIDS, metavar="HEIGHTxWIDTH")
    parser.add_argument("--channels", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=7)
    flags = parser.parse_args(arguments)
    rows = [measure(grid, flags.channels, flags.repeats) for grid in flags.grids]
    print(f"attention alone, batch 1, {flags.channels} channels, float32\n")
    machine.print_table(rows)
    powers = {
        f"criss-cross {what}": growth(rows, f"criss-cross {what}", "HW(H+W)")
        for what in ("forward ms", "gradient ms", "gradient MB")
    } if len(rows) > 1 else {}  # fmt: skip
    print("\n" + "\n".join(f"{name} grows as HW(H+W) to the power of {power:.2f}" for name, power in powers.items()))
    results = {"channels": flags.channels, "rounds": flags.repeats, "rows": rows, "powers of HW(H+W)": powers}
    print(f"\n{machine.save('attention', results)}")


if __name__ == "__main__":
    main()
