"""Fits the numbers of scrn_jax/inference/calibration.py on a rendered crowd, and measures joints on a test crowd.

    python tools/fit_joints.py --crowd data/crowd --test data/crowd_test

Reads the shards of tools/render_crowd.py and what tools/train_regions.py found in them (`.found` files, made here when
they are not there). Prints the shares of every kind of joint, and the error before and after, in pixels.
"""

import argparse
from pathlib import Path

import numpy as np
from train_regions import find_people

from scrn_jax.inference import calibration
from scrn_jax.inference.blazepose import BlazePose
from scrn_jax.person.joints import NAMES, present

# Errors larger than this are mistakes, left for right or another place, and say nothing of definitions.
MISTAKE, ROUNDS = 12.0, 20


def read(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """True and found joints (N, 18, 2) of all shards."""
    look = BlazePose(1)
    shards = [find_people(shard, look) for shard in sorted(folder.glob("*.npz"))]
    return tuple(np.concatenate([shard[name] for shard in shards]) for name in ("joints", "found"))


def fit(true: np.ndarray, found: np.ndarray, sides) -> np.ndarray:
    """Shares of trunk and limb (2,) that bring found joints nearest to the true ones: the least sum of errors."""
    rows, wanted = [], []
    for person, place in zip(found, true, strict=True):
        there, down = present(person), calibration.trunk(person)
        for joint, start in sides:
            error = place[joint] - person[joint]
            if down is None or not (there[joint] and there[start] and present(place)[joint]):
                continue
            if np.hypot(*error) < MISTAKE:
                scale = np.hypot(*down)
                rows.append(np.stack([down, person[joint] - person[start]], 1) / scale)
                wanted.append(error / scale)
    rows, wanted = np.concatenate(rows), np.concatenate(wanted)
    weight = np.ones(len(wanted))
    for _ in range(ROUNDS):  # least absolute deviations by weighted squares
        shares = np.linalg.lstsq(rows * weight[:, None], wanted * weight, rcond=None)[0]
        weight = 1 / np.sqrt(np.maximum(np.abs(wanted - rows @ shares), 1e-3))
    return shares


def report(name: str, true: np.ndarray, found: np.ndarray) -> None:
    """Prints the errors of joints that are both there and found, and how many are missed or made up."""
    both = present(true) & present(found)
    error = np.hypot(*np.moveaxis(true - found, -1, 0))
    print(f"{name}: median {np.median(error[both]):.2f} px, within 10 {(error[both] <= 10).mean():.1%}, of "
          f"{both.sum()} joints in {len(true)} pictures; missed {(present(true) & ~both).sum()}, made up "
          f"{(present(found) & ~both).sum()}")  # fmt: skip
    for joint, label in enumerate(NAMES):
        ours = error[both[:, joint], joint]
        print(f"  {label:15s} median {np.median(ours):.2f}  within 10 {(ours <= 10).mean():.1%}")


def main() -> None:
    """Fits and measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crowd", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    args = parser.parse_args()
    true, found = read(args.crowd)
    for kind, (sides, _) in calibration.KINDS.items():
        print(kind, fit(true, found, sides).round(3).tolist())
    true, found = read(args.test)
    report("as found", true, found)
    report("calibrated", true, np.stack([calibration.calibrated(person) for person in found]))


if __name__ == "__main__":
    main()
