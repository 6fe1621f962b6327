"""How long does a film take, and does it flicker more than the truth?

    python -m benchmarks.film                       # the model that comes with the package
    python -m benchmarks.film --model DIR --people 4

Rendered people walk, 16 pictures each, with exact joints and regions. The model paints the same walk, in 32, from the
first one. Prints the seconds of the last film (the first one compiles), of writing it, and the mean difference of
neighbouring pictures, of 255, of the painted and of the true film.
"""

import argparse
import importlib.util
import time
from pathlib import Path

import numpy as np

from scrn_jax.inference import video
from scrn_jax.inference.in_between import in_between
from scrn_jax.inference.photo import PhotoTransfer
from scrn_jax.runtime import devices

SEED = 77  # of people whom no model was trained on
_TOOL = Path(__file__).parents[1] / "tools/make_poses.py"


def walks(people: int, height: int, width: int):
    """(pictures, labels, joints) of rendered people along the walk, 16 pictures each."""
    spec = importlib.util.spec_from_file_location("make_poses", _TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)

    class Filmed(tool.Model):
        """A model of which every shot is kept."""

        def shoot(self, *pose, **options):
            self.shots.append(super().shoot(*pose, **options))
            return self.shots[-1]

    for identity in range(people):
        model = Filmed(identity, SEED)
        model.shots = []
        tool.walk(model)
        developed = [model._person._develop(shot, height, width) for shot in model.shots]
        joints = np.stack([np.where(s.joints[:, :1] >= 0, s.joints * height - 0.5, -1) for s in model.shots])
        yield np.stack([p for p, _ in developed]), np.stack([m for _, m in developed]), joints.astype(np.float32)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="an exported model; the package's own by default")
    parser.add_argument("--people", type=int, default=4)
    args = parser.parse_args()
    devices.keep_programs(devices.AUTO, least_seconds=0.3)
    transfer = PhotoTransfer.load(args.model)
    height, width = transfer.size
    painted, true, copied = [], [], []
    for pictures, labels, joints in walks(args.people, height, width):
        targets = in_between(joints, video.FRAMES, closed=True)
        started = time.monotonic()
        film = transfer.paint(pictures[0], labels[0], joints[0], targets)
        seconds = time.monotonic() - started
        # The true film has every other picture: neighbours of 16, and so those of 16 painted ones beside them.
        painted.append(video.flicker(film[::2]))
        true.append(video.flicker(pictures))
        still = np.abs(film.astype(float) - np.roll(film, 1, axis=0)).mean(-1)
        copied.append(still[:, labels.max(0) == 0].mean())
    print(f"{len(film)} pictures of {height}x{width} in {seconds:.2f} s")
    for suffix in video.FORMATS:
        started = time.monotonic()
        data = video.encode(film, suffix)
        print(f"  {suffix}: {len(data) / 1000:.0f} kB in {time.monotonic() - started:.2f} s")
    print(
        f"neighbouring pictures differ by {np.mean(painted):.2f} of 255, those of the true film by {np.mean(true):.2f}"
    )
    print(f"where nobody ever walks, neighbours of the painted film differ by {np.mean(copied):.3f}")


if __name__ == "__main__":
    main()
