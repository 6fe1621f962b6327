"""Takes the pictures of the picture model's records as a crowd for the region network, beside that of render_crowd.py.

    python tools/crowd_from_records.py --records data/people --output data/crowd --pictures 8000

Reads pairs of the train split until --pictures different ones are there, and writes them in shards as the other does,
named records_NUMBER.npz.
"""

import argparse
import io
import os
from pathlib import Path

import numpy as np
from PIL import Image

from input_pipeline.records import RecordSource

SHARD = 80


def views(source: RecordSource, pictures: int):
    """(image, labels, joints) of different pictures of a source, both sides of each pair."""
    seen = set()
    for index in np.random.default_rng(0).permutation(len(source)):
        pair = source.read(int(index))
        for side in ("source", "target"):
            name = getattr(pair, f"{side}_name")
            if name in seen:
                continue
            seen.add(name)
            image, labels = (getattr(pair, f"{side}_{kind}") for kind in ("image", "parsing"))
            pixels = [np.asarray(Image.open(io.BytesIO(data))) for data in (image, labels)]
            yield *pixels, getattr(pair, f"{side}_pose")
            if len(seen) == pictures:
                return


def main() -> None:
    """Writes the shards."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=8000)
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    kept, number = [], 0
    for view in views(RecordSource(args.records, "train"), args.pictures):
        kept.append(view)
        if len(kept) == SHARD:
            image, labels, joints = (np.stack(arrays) for arrays in zip(*kept, strict=True))
            part = args.output / f"records_{number:05d}.part"
            with part.open("wb") as stream:
                np.savez(stream, image=image, labels=labels, joints=joints)
            os.replace(part, part.with_suffix(".npz"))
            kept, number = [], number + 1


if __name__ == "__main__":
    main()
