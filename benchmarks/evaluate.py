"""How many seconds does the evaluation of two folders take, beside the scripts that the field uses? Both in one run.

    python -m benchmarks.evaluate --pairs 1000

Both sides read the same files (generated PNGs and true JPEGs of drawn people, 256x176) and use the same weights:
ImageNet's AlexNet for LPIPS, random ones for FID's Inception. Ours includes loading weights, compiling, the first look
at all files, and the report; "later" has Inception's program compiled already, as the command finds it from the second
time on, and "same references" has their statistics, too. The scripts, which go through the files one by one, include
loading weights. Seconds by the clock suffer from other work on the machine, and so do PyTorch's CPU seconds, for its
threads wait actively. Writes benchmarks/results/evaluate-MACHINE.json.
"""

import argparse
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict
from PIL import Image, ImageDraw

from benchmarks import machine, usual_scripts
from scrn_jax.evaluation.folders import evaluate
from scrn_jax.evaluation.folders.passes import Shelf
from scrn_jax.evaluation.report import folders
from scrn_jax.metrics import protocols
from scrn_jax.models.pretrained import weights
from scrn_jax.runtime import devices

HEIGHT, WIDTH = 256, 176
LATER = ("with FID, later", "with FID, same references")


def draw_person(rng: np.random.Generator) -> Image.Image:
    """A figure of ellipses and limbs with a patterned dress on a plain background."""
    image = Image.new("RGB", (WIDTH, HEIGHT), tuple(int(c) for c in rng.integers(200, 256, 3)))
    pen = ImageDraw.Draw(image)
    colours = [tuple(int(c) for c in rng.integers(30, 220, 3)) for _ in range(4)]
    x = 88 + int(rng.integers(-10, 11))
    pen.ellipse((x - 15, 20, x + 15, 58), fill=colours[0])
    for side in (-1, 1):
        hand = (x + side * int(rng.integers(25, 60)), int(rng.integers(110, 160)))
        pen.line([(x + side * 18, 70), hand], fill=colours[0], width=10)
        pen.line([(x + side * 8, 170), (x + side * int(rng.integers(8, 25)), 246)], fill=colours[1], width=14)
    pen.polygon([(x - 20, 64), (x + 20, 64), (x + 30, 185), (x - 30, 185)], fill=colours[2])
    for y in range(70, 185, int(rng.integers(6, 16))):
        pen.line([(x - 22, y), (x + 22, y)], fill=colours[3], width=3)
    return image


def make_folders(root: Path, pairs: int) -> tuple[Path, Path]:
    """Folders of `pairs` generated images (moved and noisy) and of their references."""
    made, true = root / "made", root / "true"
    made.mkdir()
    true.mkdir()
    for i in range(pairs):
        rng = np.random.default_rng(i)
        person = draw_person(rng)
        person.save(true / f"p{i:05d}.jpg", quality=95)
        moved = np.roll(np.asarray(person, np.float32), int(rng.integers(-3, 4)), 1) + rng.normal(
            0, 8, (HEIGHT, WIDTH, 3)
        )
        Image.fromarray(moved.clip(0, 255).astype(np.uint8)).save(made / f"source___p{i:05d}_vis.png")
    return made, true


def ours(made: Path, true: Path, output: Path, protocol: str, inception: str) -> dict[str, float | None]:
    """Our evaluation and its report; returns the figures."""
    chosen = protocols.protocol(protocol)
    training = true if chosen.fid_reference == "train" else None
    request = evaluate.Request({"generated": made}, true, chosen, output, training=training, inception=inception)
    written = folders.write(evaluate.evaluate(request), comparing=False)
    Shelf(output).clear()
    return written["metrics"]


def usual(made: Path, true: Path, protocol: str) -> tuple[dict[str, float], dict[str, float]]:
    """The usual scripts; returns the figures and the seconds of each script."""
    generated, reference = sorted(made.iterdir()), sorted(true.iterdir())
    seconds, figures = {}, {}
    rows = timed(seconds, "SSIM and PSNR", lambda: usual_scripts.ssim_and_psnr(protocol, generated, reference))
    figures |= {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    params = {"trunk": weights.load("alexnet"), **weights.load("lpips_alex")}

    def distances() -> list[float]:
        return usual_scripts.lpips(usual_scripts.lpips_network(params), generated, reference)

    figures["lpips_alex"] = float(np.mean(timed(seconds, "LPIPS", distances)))
    params = weights.load("inception", "random")

    def distance() -> float:
        return usual_scripts.fid(usual_scripts.inception_network(params), generated, reference)

    figures["fid"] = timed(seconds, "FID", distance)
    return figures, seconds


def timed(seconds: dict[str, float], name: str, work: Callable[[], Any]) -> Any:
    """Runs `work` and notes its seconds by the clock under `name`, and those of the processor under "`name`, CPU"."""
    start, cpu = time.perf_counter(), time.process_time()
    result = work()
    seconds[name] = round(time.perf_counter() - start, 2)
    seconds[f"{name}, CPU"] = round(time.process_time() - cpu, 2)
    return result


def peak_megabytes() -> int:
    """The most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def measure(pairs: int, protocol: str) -> dict[str, Any]:
    """Everything that the results file holds."""
    seconds: dict[str, float] = {}
    memory: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        os.environ["SCRN_JAX_CACHE"] = str(root / "cache")  # empty: "auto" finds no Inception, the run without FID
        inception = root / "inception.npz"  # a file, because statistics by random weights are not kept
        np.savez(inception, **flatten_dict(weights.load("inception", "random"), sep="/"))
        (root / "few").mkdir()
        few, (made, true) = make_folders(root / "few", max(pairs // 4, 2)), make_folders(root, pairs)
        ours(*few, root / "few" / "out", protocol, "auto")
        memory["a quarter of the pairs"] = peak_megabytes()
        timed(seconds, "without FID", lambda: ours(made, true, root / "a", protocol, "auto"))
        memory["all pairs"] = peak_megabytes()
        found = timed(seconds, "with FID", lambda: ours(made, true, root / "b", protocol, str(inception)))
        memory["all pairs, with FID"] = peak_megabytes()
        shutil.rmtree(root / "cache")
        timed(seconds, "with FID, later", lambda: ours(made, true, root / "c", protocol, str(inception)))
        timed(seconds, "with FID, same references", lambda: ours(made, true, root / "d", protocol, str(inception)))
        expected, theirs = usual(made, true, protocol)
    for suffix in ("", ", CPU"):
        theirs[f"without FID{suffix}"] = round(theirs[f"SSIM and PSNR{suffix}"] + theirs[f"LPIPS{suffix}"], 2)
        theirs[f"with FID{suffix}"] = round(theirs[f"without FID{suffix}"] + theirs[f"FID{suffix}"], 2)
        for name in LATER:  # they compile nothing and keep nothing
            theirs[f"{name}{suffix}"] = theirs[f"with FID{suffix}"]
    return {
        "pairs": pairs,
        "protocol": protocol,
        "seconds": {"ours": seconds, "usual scripts": theirs},
        "times faster": {key: round(theirs[key] / seconds[key], 2) for key in seconds},
        "seconds per 1,000 pairs": {
            name: {key: round(side[key] * 1000 / pairs, 1) for key in ("without FID", "with FID", *LATER)}
            for name, side in (("ours", seconds), ("usual scripts", theirs))
        },
        "figures": {"ours": found, "usual scripts": {name: round(value, 6) for name, value in expected.items()}},
        "peak megabytes of this process": memory,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--protocol", choices=["scrn", "cfld"], default="scrn")
    parser.add_argument("--results", type=Path, default=machine.RESULTS, help="folder of the results file")
    options = parser.parse_args()
    usual_scripts.provide_torchvision()
    devices.one_device_each()  # as the command does
    result = measure(options.pairs, options.protocol)
    path = machine.save("evaluate", result, options.results)
    sides = result["seconds"]
    machine.print_table(
        [
            {"seconds": key, **{name: side[key] for name, side in sides.items()}, "times faster": ratio}
            for key, ratio in result["times faster"].items()
        ]
    )
    print(path)


if __name__ == "__main__":
    main()
