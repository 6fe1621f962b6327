"""What do the convolution's own gradients (scrn_jax/models/conv_gradients.py) give on the shapes of the models?

    python -m benchmarks.convolutions            # the demo's shapes, batch 4
    python -m benchmarks.convolutions --full     # the paper's, batch 1

Times the weight gradient as XLA does it and in each of our ways, and, on tiny grids, the convolution with gradients;
all ways of a shape run in turn. Prints the least and median milliseconds and writes
benchmarks/results/convolutions_PRESET-MACHINE.json.
"""

import argparse
import statistics

import jax
import numpy as np

from benchmarks import machine, timing
from scrn_jax.models import conv_gradients

# (what, input, kernel, dilation), all with the padding that keeps the grid.
DEMO = (
    ("decoder's last", (4, 64, 44, 16), (7, 7, 16, 3), 1),
    ("pose encoder's first, maps", (4, 64, 44, 16), (7, 7, 16, 16), 1),
    ("image encoder's first", (4, 64, 44, 3), (7, 7, 3, 16), 1),
    ("parsing's last", (4, 64, 44, 16), (3, 3, 16, 8), 1),
    ("discriminator's first", (12, 64, 44, 3), (3, 3, 3, 8), 1),
    ("RefineArea's first, maps", (4, 64, 44, 8), (7, 7, 8, 32), 1),
    ("coarse block", (4, 16, 11, 64), (3, 3, 64, 64), 2),
    ("coarse block's first", (4, 16, 11, 128), (3, 3, 128, 64), 2),
    ("decoder's middle", (4, 32, 22, 32), (3, 3, 32, 32), 1),
)
FULL = (
    ("decoder's last", (1, 256, 176, 64), (7, 7, 64, 3), 1),
    ("parsing's last", (1, 256, 176, 64), (3, 3, 64, 8), 1),
    ("image encoder's first", (1, 256, 176, 3), (7, 7, 3, 64), 1),
    ("decoder's middle", (1, 128, 88, 128), (3, 3, 128, 128), 1),
    ("coarse block", (1, 64, 44, 256), (3, 3, 256, 256), 2),
    ("coarse block's first", (1, 64, 44, 512), (3, 3, 512, 256), 2),
)
# AlexNet's last three at 64x44.
TINY = tuple((f"AlexNet's conv{i}", (4, 3, 1, a), (3, 3, a, b), 1) for i, a, b in ((3, 192, 384), (4, 384, 256)))


def _arrays(shape, kernel, gradient_like: bool):
    rng = np.random.default_rng(0)
    last = (*shape[:-1], kernel[-1]) if gradient_like else kernel
    return [jax.device_put(rng.standard_normal(each).astype(np.float32)) for each in (shape, last)]


def weight_gradients(x, kernel, padding, dilation) -> dict:
    """Each way to the weight gradient, as a compiled function of (input, output's gradient)."""
    kernel = jax.ShapeDtypeStruct(kernel, x.dtype)

    def xla(x, g):
        plain = lambda kernel: conv_gradients.plain(x, kernel, padding, dilation)  # noqa: E731
        return jax.linear_transpose(plain, kernel)(g)[0]

    def nine(x, g):
        """A product per tap."""
        plain = lambda kernel: conv_gradients.patches(x, kernel, padding, dilation)  # noqa: E731
        return jax.linear_transpose(plain, kernel)(g)[0]

    ways = {
        "XLA": xla,
        "patches": nine,
        "swapped": lambda x, g: conv_gradients.swapped(x, g, kernel, padding, dilation),
    }
    if dilation == (1, 1) and x.shape[1] % 2 == x.shape[2] % 2 == 0:
        ways["packed"] = lambda x, g: conv_gradients.packed(x, g, kernel, padding, dilation)
    return ways


def tiny_grids(padding, dilation) -> dict:
    """The whole convolution with both gradients, as XLA does it and by patches."""
    ways = {"XLA": conv_gradients.plain, "patches": conv_gradients.patches}

    def with_gradients(way):
        return jax.value_and_grad(lambda x, w: (way(x, w, padding, dilation) ** 2).sum(), (0, 1))

    return {name: with_gradients(way) for name, way in ways.items()}


def measure(shapes, repeats: int, tiny: bool) -> list[dict]:
    """A row a shape: least and median milliseconds of each way."""
    rows = []
    for what, shape, kernel, rate in shapes:
        padding, dilation = ((rate * (kernel[0] // 2),) * 2,) * 2, (rate, rate)
        arrays = _arrays(shape, kernel, gradient_like=not tiny)
        ways = tiny_grids(padding, dilation) if tiny else weight_gradients(arrays[0], kernel, padding, dilation)
        compiled = {name: jax.jit(way).lower(*arrays).compile() for name, way in ways.items()}
        sides = {name: lambda c=call, a=arrays: jax.block_until_ready(c(*a)) for name, call in compiled.items()}
        row = {"what": what, "shape": f"{'x'.join(map(str, shape))}, {kernel[0]}x{kernel[1]} to {kernel[3]}"}
        seconds = timing.alternate(sides, repeats)
        for name in ("XLA", "swapped", "packed", "patches"):
            each = seconds.get(name)
            row[f"{name} ms"] = each and f"{1e3 * min(each):.3g} ({1e3 * statistics.median(each):.3g})"
        rows.append(row)
    return rows


def main(arguments=None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--repeats", type=int, default=15)
    flags = parser.parse_args(arguments)
    rows = measure(FULL if flags.full else DEMO, flags.repeats, tiny=False)
    print("weight gradient, least (median) ms\n")
    machine.print_table(rows)
    results = {"rounds": flags.repeats, "weight gradients": rows}
    if not flags.full:
        results["tiny grids, with gradients"] = measure(TINY, flags.repeats, tiny=True)
        print("\ntiny grids: convolution with both gradients\n")
        machine.print_table(results["tiny grids, with gradients"])
    print(f"\n{machine.save('convolutions_full' if flags.full else 'convolutions_demo', results)}")


if __name__ == "__main__":
    main()
