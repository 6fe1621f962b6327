"""Renders the crowd that the region network learns from and is tested on: varied people, in shards that resume.

    python tools/render_crowd.py --output data/crowd --people 2000 --seed 11
    python tools/render_crowd.py --output data/crowd_test --people 40 --seed 90011

Each shard is an .npz of 20 people with `image` (N, H, W, 3) uint8, `labels` (N, H, W) uint8 and `joints` (N, 18, 2)
float32. It takes about a second a person on one core.
"""

import argparse
import os
from pathlib import Path

import numpy as np

from input_pipeline.mannequins.people import Person

SHARD = 20


def render(seed: int, first: int, views: int, height: int, width: int) -> dict[str, np.ndarray]:
    """The arrays of the shard that starts with person `first`; a function of its arguments."""
    people = [Person.sample(seed, identity, varied=True) for identity in range(first, first + SHARD)]
    seen = [person.view(index, height, width) for person in people for index in range(views)]
    return {name: np.stack([getattr(view, name) for view in seen]) for name in ("image", "labels", "joints")}


def main() -> None:
    """Writes the shards that are not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--people", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--size", type=int, nargs=2, default=(256, 176))
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    for first in range(0, args.people, SHARD):
        path = args.output / f"{first:05d}.npz"
        if path.exists():
            continue
        # Under another name until it is whole.
        part = path.with_suffix(".part")
        with part.open("wb") as stream:
            np.savez(stream, **render(args.seed, first, args.views, *args.size))
        os.replace(part, path)
        print(f"{first + SHARD} people", flush=True)


if __name__ == "__main__":
    main()
