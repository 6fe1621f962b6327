"""What does saving cost? Segments of the training loop with a checkpoint and without, in turn, in one run.

    python -m benchmarks.saving [--steps 20] [--repeats 12]

A segment is so many steps of the demo's model, the first of them followed by a save in the one side; it ends when the
last step is computed and the checkpoint is on the disk, so all of the writing counts, in whichever thread. Says the
share of the training time at the demo's interval, how long the loop itself stood still, and the bytes of a checkpoint;
writes benchmarks/results/saving_PRESET-MACHINE.json.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import jax

from benchmarks import machine, timing, workload
from configs import demo
from scrn_jax.runtime import devices
from scrn_jax.training import checkpoints as checkpoints_lib
from scrn_jax.training import step as step_lib
from scrn_jax.training.checkpoints import Checkpoints

WITHOUT, WITH = "without", "with a save"


class Loop:
    """The training step on one random batch, its state carried from segment to segment, as `loop.run_steps` does."""

    def __init__(self, settings, checkpoints: Checkpoints):
        self._mesh, self._checkpoints = devices.make_mesh(jax.devices()[:1]), checkpoints
        self._state = jax.device_put(workload.fresh_state(settings), devices.replicated(self._mesh))
        self._frozen = jax.device_put(workload.frozen_networks(), devices.replicated(self._mesh))
        self._batch = devices.put_batch(workload.random_batch(settings), self._mesh)
        step = step_lib.jit_step(settings, self._mesh)
        self._step = step.lower(self._state, self._frozen, self._batch).compile()
        self._done = 0
        self.stood_still: list[float] = []

    def segment(self, steps: int, save: bool) -> None:
        """So many steps; the metrics of each are read while the next one runs."""
        unread = None
        for number in range(steps):
            self._state, metrics = self._step(self._state, self._frozen, self._batch)
            self._done += 1
            if unread:
                jax.device_get(unread)
            unread = metrics
            if save and number == 0:
                # The state is only there when its step is computed; that wait is not the save's.
                jax.block_until_ready(self._state)
                start = time.perf_counter()
                self._checkpoints.save(self._done, self._state)
                self.stood_still.append(time.perf_counter() - start)
        jax.block_until_ready(self._state)
        if save:
            self._checkpoints.wait()


def measure(settings, steps: int, repeats: int, every: int) -> dict[str, Any]:
    """The cost of a save in seconds, and as a share of the training time when every `every`-th step is saved."""
    with (
        tempfile.TemporaryDirectory() as folder,
        checkpoints_lib.open_checkpoints(settings, Path(folder)) as checkpoints,
    ):
        loop = Loop(settings, checkpoints)
        sides = {WITHOUT: lambda: loop.segment(steps, False), WITH: lambda: loop.segment(steps, True)}
        wall, processor = timing.alternate_both(sides, repeats)
        newest = Path(folder) / "checkpoints" / str(checkpoints.latest_step)
        size = sum(path.stat().st_size for path in newest.rglob("*") if path.is_file())

    def cost(seconds: dict[str, list[float]]) -> dict[str, float]:
        extra = statistics.median(b - a for a, b in zip(seconds[WITHOUT], seconds[WITH], strict=True))
        step = statistics.median(seconds[WITHOUT]) / steps
        return {"step s": step, "save s": extra, "share": extra / (every * step)}

    return {
        "what": workload.describe(settings),
        "rounds": repeats,
        "steps a segment": steps,
        "saved every": every,
        "wall": cost(wall),
        "processor": cost(processor),
        "segments, median ratio": timing.median_ratio(wall[WITH], wall[WITHOUT]),
        "loop stood still s": statistics.median(loop.stood_still),
        "checkpoint MB": size / 1e6,
        "seconds": wall,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20, help="steps a segment")
    parser.add_argument("--every", type=int, default=demo.get_config().train.checkpoint_every, help="steps a save")
    flags = workload.add_flags(parser, repeats=12).parse_args()
    results = measure(workload.from_flags(flags), flags.steps, flags.repeats, flags.every)
    path = machine.save(f"saving_{flags.preset}", results)
    print(f"saving: {results['what']}, a checkpoint of {results['checkpoint MB']:.0f} MB\n")
    machine.print_table([{"by": by, **results[by]} for by in ("wall", "processor")])
    print(f"\nthe loop stood still for {1e3 * results['loop stood still s']:.0f} ms a save")
    print(f"at one save every {flags.every} steps: {100 * results['wall']['share']:.2f}% of the training time\n{path}")


if __name__ == "__main__":
    main()
