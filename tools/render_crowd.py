"""Renders the crowd that the region network learns from and is tested on: varied people, in shards that resume.

    python tools/render_crowd.py --output data/crowd --people 2000 --seed 11 --before_body 0.3
    python tools/render_crowd.py --output data/crowd_test --people 40 --seed 90011

Each shard is an .npz of 20 people with `image` (N, H, W, 3) uint8, `labels` (N, H, W) uint8 and `joints` (N, 18, 2)
float32. A core takes about 0.15 s a person.
"""

import argparse
import functools
from pathlib import Path

from crowd import SHARD, write

from scrn_jax.runtime.workers import ordered_map


def main() -> None:
    """Writes the shards that are not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--people", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--size", type=int, nargs=2, default=(256, 176))
    parser.add_argument("--before_body", type=float, default=0.0, help="share of views with both hands before the body")
    parser.add_argument("--processes", type=int, default=0, help="that render; 0: this one")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    make = functools.partial(
        write, folder=args.output, seed=args.seed, views=args.views, size=tuple(args.size), before_body=args.before_body
    )
    missing = [first for first in range(0, args.people, SHARD) if not (args.output / f"{first:05d}.npz").exists()]
    for first in ordered_map(make, missing, args.processes):
        print(f"{first + SHARD} people", flush=True)


if __name__ == "__main__":
    main()
