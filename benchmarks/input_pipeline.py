"""How fast do pairs reach the device, at what cost in memory and bytes? Records and folders against two usual ways.

    python -m benchmarks.input_pipeline --images 400

Makes a DeepFashion-like tree of embedded people (256x176 JPEG), prepares its records, and reads pairs in five ways,
each in a process of its own:
  records, folder   this project's batches.train_batches without its cache in memory
  pil               a plain loop: Pillow and NumPy, the same uint8 batches
  peers             the same files as the field's code does it: float images, heat maps, one-hot maps, all on the host
  dataloader        `peers` in torch.utils.data.DataLoader with one worker process per core
Pairs per core-second count the CPU time of the process and its children, so that other work on the machine distorts
them less; pairs per second are by the clock. Writes benchmarks/results/input_pipeline-MACHINE.json.
"""

import argparse
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

import numpy as np
import psutil
from PIL import Image

from scrn_jax.runtime.workers import cores

HEIGHT, WIDTH, JOINTS, REGIONS, SIGMA = 256, 176, 18, 8, 6.0
SHOWN = ("pairs_per_core_second", "pairs_per_second", "megabytes_per_pair_to_device")
WAYS = ("records", "folder", "pil", "peers", "dataloader")

Batches = Iterator[dict[str, np.ndarray]]


class Files:
    """The pairs of the tree's train split as a map-style data set, read by Pillow."""

    def __init__(self, tree: str, as_peers: bool):
        from input_pipeline.formats.folder import read_folder

        self.split = read_folder(tree, split="train").splits["train"]
        self.as_peers = as_peers

    def __len__(self) -> int:
        return len(self.split.pairs)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        pair = self.split.pairs[index]
        example = {}
        for side, name in (("source", pair.source), ("target", pair.target)):
            person = self.split.person(name)
            image = np.array(Image.open(person.image.path).convert("RGB"))
            labels = np.array(Image.open(person.labels.path))
            pose = person.pose
            if self.as_peers:
                image = image.transpose(2, 0, 1).astype(np.float32) / 127.5 - 1
                labels = np.eye(REGIONS, dtype=np.float32)[labels].transpose(2, 0, 1)
                pose = heat_maps(pose)
            example |= {f"{side}_image": image, f"{side}_pose": pose, f"{side}_parsing": labels}
        return example


def heat_maps(pose: np.ndarray) -> np.ndarray:
    """A Gaussian per joint on the full grid, float32 (18, H, W), as PATN's loader and its heirs draw them."""
    columns, rows = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    maps = np.zeros((JOINTS, HEIGHT, WIDTH), np.float32)
    for index, (y, x) in enumerate(pose):
        if y != -1:
            maps[index] = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * SIGMA**2))
    return maps


def ours(source, batch_size: int, seed: int) -> Batches:
    """This project's batches, without the cache in memory."""
    from input_pipeline import batches as batches_lib

    options = {"batch_size": batch_size, "size": (HEIGHT, WIDTH), "seed": seed}
    return batches_lib.train_batches(source, flip=True, cache_bytes=0, **options)


def looped(files: Files, batch_size: int, seed: int) -> Batches:
    """One example after the other, stacked."""
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(len(files))
        for start in range(0, len(order) - batch_size + 1, batch_size):
            examples = [files[index] for index in order[start : start + batch_size]]
            yield {key: np.stack([example[key] for example in examples]) for key in examples[0]}


def loaded(files: Files, batch_size: int, seed: int) -> Batches:
    """PyTorch's loader with one worker per core."""
    import torch

    torch.set_num_threads(1)
    options = {"num_workers": cores(), "drop_last": True, "persistent_workers": True}
    generator = torch.Generator().manual_seed(seed)
    loader = torch.utils.data.DataLoader(files, batch_size, shuffle=True, generator=generator, **options)
    while True:
        for batch in loader:
            yield {key: value.numpy() for key, value in batch.items()}


def open_way(way: str, tree: str, prepared: str) -> tuple[int, Callable[[int, int], Batches]]:
    """(number of pairs, function of batch size and seed that gives endless batches) of one of WAYS."""
    if way in ("records", "folder"):
        from input_pipeline.sources import open_source

        source = open_source({"name": way, "dir": prepared if way == "records" else tree}, "train")
        return len(source), lambda batch_size, seed: ours(source, batch_size, seed)
    files = Files(tree, as_peers=way != "pil")
    make = loaded if way == "dataloader" else looped
    return len(files), lambda batch_size, seed: make(files, batch_size, seed)


def cpu_seconds() -> float:
    """CPU time of this process and of its children, living and gone."""
    gone = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    living = (child.cpu_times() for child in psutil.Process().children(recursive=True))
    return gone + sum(times.user + times.system for times in living)


def resident() -> int:
    """Bytes in memory of this process and its children."""
    process = psutil.Process()
    return sum(each.memory_info().rss for each in (process, *process.children(recursive=True)))


def measure(way: str, tree: str, prepared: str, epochs: int, batch_size: int) -> dict[str, object]:
    """The figures of one way; the first batches, in which things are compiled and started, do not count."""
    total, make = open_way(way, tree, prepared)
    per_epoch = total // batch_size
    batches = make(batch_size, 0)
    for batch in itertools.islice(batches, 8):
        size = sum(values.nbytes for values in batch.values()) / batch_size
    memory = [resident()]
    start, start_cpu = time.perf_counter(), cpu_seconds()
    for _ in range(epochs):
        for _ in range(per_epoch):
            next(batches)
        memory.append(resident())
    seconds, cpu = time.perf_counter() - start, cpu_seconds() - start_cpu
    done = epochs * per_epoch * batch_size
    return {
        "pairs": done,
        "epochs": epochs,
        "pairs_per_core_second": round(done / cpu, 1),
        "pairs_per_second": round(done / seconds, 1),
        "cpu_seconds": round(cpu, 2),
        "megabytes_per_pair_to_device": round(size / 1e6, 3),
        "resident_megabytes_after_each_epoch": [round(value / 1e6) for value in memory],
    }


def main() -> None:
    """Makes the data, runs each way in a process, writes and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=20, help="of this project's ways; the others do 2")
    parser.add_argument("--way", nargs=3, metavar=("WAY", "TREE", "PREPARED"), help="used by the script itself")
    arguments = parser.parse_args()
    if arguments.way:
        way, tree, prepared = arguments.way
        epochs = arguments.epochs if way in ("records", "folder") else 2
        print(json.dumps(measure(way, tree, prepared, epochs, arguments.batch_size)))
        return
    ways = {}
    with tempfile.TemporaryDirectory() as scratch:
        tree, prepared = f"{scratch}/tree", f"{scratch}/records"
        make = [sys.executable, "-m", "input_pipeline.mannequins.lookalike", "--output", tree]
        subprocess.run([*make, "--images", str(arguments.images)], check=True)
        prepare = [sys.executable, "-m", "input_pipeline.prepare", "--source", tree, "--output", prepared]
        subprocess.run(prepare, check=True, stdout=subprocess.DEVNULL)
        for way in WAYS:
            again = [
                sys.executable,
                "-m",
                "benchmarks.input_pipeline",
                "--way",
                way,
                tree,
                prepared,
                "--epochs",
                str(arguments.epochs),
            ]
            again += ["--batch_size", str(arguments.batch_size)]
            done = subprocess.run(again, check=True, stdout=subprocess.PIPE, text=True)
            ways[way] = json.loads(done.stdout.splitlines()[-1])
    from benchmarks import machine  # JAX, which the measured processes do without

    rows = [{"way": way, **{key: figures[key] for key in SHOWN}} for way, figures in ways.items()]
    machine.print_table(rows)
    what = f"{arguments.images} pictures of {HEIGHT}x{WIDTH}, batches of {arguments.batch_size}"
    print(f"{machine.save('input_pipeline', {'what': what, 'ways': ways})} written")


if __name__ == "__main__":
    main()
