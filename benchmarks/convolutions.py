"""What do the convolution's own gradients (scrn_jax/models/ops/convolutions.py) give on the shapes of the models?

    python -m benchmarks.convolutions            # the demo's shapes, batch 4
    python -m benchmarks.convolutions --full     # the paper's, batch 1
    python -m benchmarks.convolutions --step     # the demo's training step (with --full the paper's), with each way
                                                 # of ours in turn left to XLA

Times the weight gradient as XLA does it and in each of our ways, the convolution itself by XLA and by Winograd, and,
for stride 2 and on tiny grids, the convolution with gradients; all ways of a shape run in turn. Prints the least and
median milliseconds and writes benchmarks/results/convolutions_PRESET-MACHINE.json, or convolutions_step_PRESET.
"""

import argparse
import statistics
from functools import partial
from unittest import mock

import jax
import numpy as np

from benchmarks import machine, timing, workload
from scrn_jax.models.ops import algorithms, convolutions
from scrn_jax.runtime import devices
from scrn_jax.training import step as step_lib

WAYS = ("winograd", "packed", "swapped", "in_pieces", "framed", "folded", "patches")

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
    ("RefineArea's first, maps", (1, 256, 176, 8), (7, 7, 8, 128), 1),
    ("RefineArea's last", (1, 64, 44, 512), (3, 3, 512, 512), 1),
    ("coarse block", (1, 64, 44, 256), (3, 3, 256, 256), 2),
    ("coarse block's first", (1, 64, 44, 512), (3, 3, 512, 256), 2),
)
# Stride 2: the encoders' and the discriminator's.
DEMO_STRIDED = (
    ("encoder's second", (4, 64, 44, 16), (4, 4, 16, 32), 1),
    ("discriminator's first", (12, 64, 44, 8), (4, 4, 8, 8), 1),
)
FULL_STRIDED = (
    ("encoder's second", (1, 256, 176, 64), (4, 4, 64, 128), 1),
    ("discriminator's first", (3, 256, 176, 32), (4, 4, 32, 32), 1),
)
# AlexNet's last three at 64x44.
TINY = tuple((f"AlexNet's conv{i}", (4, 3, 1, a), (3, 3, a, b), 1) for i, a, b in ((3, 192, 384), (4, 384, 256)))


def _arrays(shape, kernel, gradient_like: bool):
    rng = np.random.default_rng(0)
    last = (*shape[:-1], kernel[-1]) if gradient_like else kernel
    return [jax.device_put(rng.standard_normal(each).astype(np.float32)) for each in (shape, last)]


def weight_gradients(x, kernel, window: algorithms.Window) -> dict:
    """Each way to the weight gradient, as a compiled function of (input, output's gradient)."""
    shape = jax.ShapeDtypeStruct(kernel, x.dtype)

    def by_patches(x, g, kernel, window):
        return jax.linear_transpose(lambda kernel: algorithms.patches(x, kernel, window), kernel)(g)[0]

    ways = {"XLA": algorithms.plain_weight_gradient, "patches": by_patches, "swapped": algorithms.swapped}
    if window.dilation == (1, 1) and x.shape[1] % 2 == x.shape[2] % 2 == 0:
        ways["packed"] = algorithms.packed
    if kernel[-1] % algorithms.PIECE == 0 and kernel[-1] > algorithms.PIECE:
        ways["pieces"] = algorithms.in_pieces
    if kernel[:2] == (3, 3):
        ways["winograd"] = convolutions.WINOGRAD.weight_gradient
    return {name: partial(way, kernel=shape, window=window) for name, way in ways.items()}


def convolutions_alone(x, kernel, window: algorithms.Window) -> dict:
    """The convolution itself, by XLA and by Winograd, as a compiled function of (input, kernel)."""
    ways = {"XLA": algorithms.plain}
    if kernel[:2] == (3, 3):
        ways["winograd"] = convolutions.WINOGRAD.forward
    return {name: partial(way, window=window) for name, way in ways.items()}


def with_gradients(x, kernel, window: algorithms.Window) -> dict:
    """The whole convolution with both gradients, as XLA does it and in the way for its shape."""
    ways = {"XLA": algorithms.plain, "patches": algorithms.patches}
    if window.strides != (1, 1):
        ways = {
            "XLA": algorithms.plain,
            "folded": convolutions.choose(x, jax.ShapeDtypeStruct(kernel, x.dtype), window),
        }

    def gradients(way):
        return jax.value_and_grad(lambda x, w: (way(x, w, window) ** 2).sum(), (0, 1))

    return {name: gradients(way) for name, way in ways.items()}


def measure(shapes, repeats: int, ways_of, of_kernel: bool, stride: int = 1) -> list[dict]:
    """A row a shape: least and median milliseconds of each way that `ways_of` names, a function of input and kernel
    (`of_kernel`) or of input and output's gradient.
    """
    rows = []
    for what, shape, kernel, rate in shapes:
        margin = (kernel[0] - stride) // 2 * rate
        window = algorithms.Window(((margin, margin),) * 2, (stride, stride), (rate, rate))
        arrays = _arrays(shape, kernel, gradient_like=not of_kernel)
        ways = ways_of(arrays[0], kernel, window)
        compiled = {name: jax.jit(way).lower(*arrays).compile() for name, way in ways.items()}
        sides = {name: lambda c=call, a=arrays: jax.block_until_ready(c(*a)) for name, call in compiled.items()}
        row = {"what": what, "shape": f"{'x'.join(map(str, shape))}, {kernel[0]}x{kernel[1]} to {kernel[3]}"}
        for name, each in timing.alternate(sides, repeats).items():
            row[f"{name} ms"] = f"{1e3 * min(each):.3g} ({1e3 * statistics.median(each):.3g})"
        rows.append(row)
    names = list(dict.fromkeys(name for row in rows for name in row))
    return [{name: row.get(name) for name in names} for row in rows]


def name_of(way) -> str:
    """Which of WAYS `convolutions.choose` has chosen, or "plain"."""
    if way in (algorithms.plain, algorithms.patches):
        return way.__name__
    chosen = way.keywords["way"]
    if chosen is convolutions.WINOGRAD:
        return "winograd"
    (name,) = {part.__name__ for part in vars(chosen).values()} & set(WAYS)
    return name


def steps_without(preset: str, repeats: int) -> list[dict]:
    """A row a way: the training step without it beside the step with all, by the clock and by the processor's time."""
    settings = workload.settings_of(preset)
    mesh = devices.make_mesh(jax.local_devices()[:1])
    frozen, batch = jax.device_put((workload.frozen_networks(), workload.random_batch(settings)))
    choose = convolutions.choose

    def step_of(left_out: str | None):
        """(the compiled step as a function without arguments, how many convolutions lost their way)"""
        lost = []

        def chosen(x, kernel, window):
            way = choose(x, kernel, window)
            if name_of(way) != left_out:
                return way
            lost.append(kernel.shape)
            return algorithms.plain

        state = [workload.fresh_state(settings)]
        with mock.patch.object(convolutions, "choose", chosen):
            compiled = step_lib.jit_step(settings, mesh).lower(state[0], frozen, batch).compile()

        def run():
            state[0], metrics = compiled(state[0], frozen, batch)
            jax.block_until_ready(metrics)

        return run, len(lost)

    rows, (with_all, _) = [], step_of(None)
    for name in WAYS:
        without, lost = step_of(name)
        if lost:
            wall, processor = timing.alternate_both({"all": with_all, "without": without}, repeats)
            rows.append({
                "without": name, "convolutions": lost, "ms with all": 1e3 * statistics.median(wall["all"]),
                "ms without": 1e3 * statistics.median(wall["without"]),
                "times as long": timing.median_ratio(wall["without"], wall["all"]),
                "by the processor": timing.median_ratio(processor["without"], processor["all"]),
            })  # fmt: skip
    return rows


def main(arguments=None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--step", action="store_true")
    parser.add_argument("--repeats", type=int, default=15)
    flags = parser.parse_args(arguments)
    shapes, strided, preset = (FULL, FULL_STRIDED, "full") if flags.full else (DEMO, DEMO_STRIDED, "demo")
    if flags.step:
        rows = steps_without(preset, flags.repeats)
        machine.print_table(rows)
        print(f"\n{machine.save(f'convolutions_step_{preset}', rows)}")
        return
    tables = {
        "weight gradients": measure(shapes, flags.repeats, weight_gradients, of_kernel=False),
        "convolutions alone": measure(shapes, flags.repeats, convolutions_alone, of_kernel=True),
        "stride 2, with gradients": measure(strided, flags.repeats, with_gradients, of_kernel=True, stride=2),
    }
    if not flags.full:
        tables["tiny grids, with gradients"] = measure(TINY, flags.repeats, with_gradients, of_kernel=True)
    for what, rows in tables.items():
        print(f"\n{what}, least (median) ms\n")
        machine.print_table(rows)
    print(f"\n{machine.save(f'convolutions_{preset}', {'rounds': flags.repeats, **tables})}")


if __name__ == "__main__":
    main()
