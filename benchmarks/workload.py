"""What is timed: a config, a random batch of it, and our compiled step and forward pass beside the mirror's."""

import argparse
import time
from typing import Any

import jax
import numpy as np

from scrn_jax import settings as settings_lib
from scrn_jax.models import base
from scrn_jax.models.pretrained import weights
from scrn_jax.models.scrn import settings as scrn_settings
from scrn_jax.training import state as state_lib
from scrn_jax.training import step as step_lib

SMALL_LOSSES = {"cor": 0.02, "l1": 10.0, "adv": 0.1, "per": 0.5}
PEOPLE_LOSSES = {**SMALL_LOSSES, "per": 2.0}
BEST_LOSSES = {"cor": 1.0, "l1": 10.0, "adv": 0.5, "per": 1.0}
PAPERS_SIZE = {"width": 64, "blocks": 6, "discriminator_width": 32}
PAPERS_OPTIM = {"learning_rate": 1e-3, "discriminator_ratio": 0.1}
# As configs/demo.py:people_v1, people.py and deepfashion.py, which need ml_collections, but for the sources of data and
# weights, and how often something is logged, drawn or saved; the batch of the last two is what this CPU can take.
PRESETS: dict[str, dict[str, Any]] = {
    "demo": {
        "size": (64, 44), "batch_size": 4, "loss": SMALL_LOSSES, "parsing": "cross_entropy",
        "model": {"width": 16, "blocks": 3, "discriminator_width": 8, "parsing_multiples": (2, 4),
                  "style_multiples": (2, 4, 4, 4), **scrn_settings.BETTER_PICTURES},
        "features": {"correspondence": "vgg16", "perceptual_scale": 2}, "steps": 2400,
        "optim": {"learning_rate": 2e-3, "muon_learning_rate": 0.02, "discriminator_ratio": 0.1, "ema_decay": 0.99},
    },
    "people": {
        "size": (128, 88), "batch_size": 4, "loss": PEOPLE_LOSSES, "parsing": "cross_entropy",
        "model": {"width": 16, "blocks": 3, "discriminator_width": 8, "parsing_multiples": (1, 2, 4),
                  "style_multiples": (1, 2, 4, 4, 4), **scrn_settings.BETTER_PICTURES, "background": "kept"},
        "features": {"correspondence": "vgg16", "perceptual_scale": 2}, "steps": 7000,
        "optim": {"learning_rate": 2e-3, "muon_learning_rate": 0.02, "discriminator_ratio": 0.1, "ema_decay": 0.995},
    },
    "people_large": {
        "size": (256, 176), "batch_size": 16, "loss": PEOPLE_LOSSES, "parsing": "cross_entropy",
        "model": {"width": 24, "blocks": 3, "discriminator_width": 8, "parsing_multiples": (1, 2, 4, 4),
                  "style_multiples": (1, 2, 4, 4, 4), **scrn_settings.BETTER_PICTURES, "background": "kept"},
        "features": {"correspondence": "vgg16", "perceptual_scale": 1}, "steps": 7700,
        "optim": {"learning_rate": 2e-3, "muon_learning_rate": 0.02, "discriminator_ratio": 0.1, "ema_decay": 0.995,
                  "constant_steps": 2200},
    },
    "full": {"size": (256, 176), "batch_size": 2, "loss": {}, "parsing": "l1", "model": PAPERS_SIZE, "features": {},
             "steps": 120_000, "optim": PAPERS_OPTIM},
    "best": {"size": (256, 176), "batch_size": 2, "loss": BEST_LOSSES, "parsing": "cross_entropy",
             "model": {**PAPERS_SIZE, **scrn_settings.BETTER_PICTURES}, "features": {}, "steps": 120_000,
             "optim": {**PAPERS_OPTIM, "muon_learning_rate": 0.02, "constant_steps": 20_000}},
}  # fmt: skip

# What XLA tries on the GPU while it compiles (a CPU ignores all of it): the algorithms of cuDNN and cuBLAS, kernels of
# its own as well, or nothing: then convolutions take the first algorithm there is, 100 times as slow on an H100.
SEARCHES: dict[str, dict[str, bool | int]] = {
    "libraries": {"xla_gpu_enable_triton_gemm": False, "xla_gpu_experimental_enable_fusion_autotuner": False},
    "all": {},
    "none": {"xla_gpu_autotune_level": 0},
}

# Of configs/methods.py, which is read where one is asked for.
METHODS = tuple(f"{name}{size}" for name in ("patn", "pise", "adgan", "pona", "pinet") for size in ("", "_small"))


def add_flags(parser: argparse.ArgumentParser, repeats: int) -> argparse.ArgumentParser:
    """--preset, and what may differ from it."""
    parser.add_argument("--preset", choices=(*PRESETS, *METHODS), default="demo", help="a config's name")
    parser.add_argument("--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--batch_size", type=int)
    parser.add_argument("--width", type=int)
    parser.add_argument("--blocks", type=int)
    parser.add_argument("--repeats", type=int, default=repeats, help="rounds; a round times each side once")
    return parser


def settings_of(
    preset: str = "demo", dtype: str = "float32", small_losses: bool = False, **changes
) -> settings_lib.Settings:
    """The settings of a preset, with size, batch_size, steps, width or blocks changed where they are not None.

    `steps` are those over which the learning rate falls to 0. `small_losses` takes the demo's losses, which short runs
    need, whatever the preset.
    """
    if preset in METHODS:
        return _method(preset, dtype, changes)
    chosen = PRESETS[preset]
    losses = PRESETS["demo" if small_losses else preset]
    changes = {name: value for name, value in changes.items() if value is not None}
    size, batch_size, steps = (changes.pop(name, chosen[name]) for name in ("size", "batch_size", "steps"))
    return settings_lib.from_config({
        "data": {"name": "random"}, "size": tuple(size), "loss": losses["loss"], "parsing": losses["parsing"],
        "model": {**chosen["model"], "dtype": dtype, **changes}, "features": chosen["features"],
        "optim": chosen["optim"], "train": {"batch_size": batch_size, "steps": steps},
    })  # fmt: skip


def _method(preset: str, dtype: str, changes) -> settings_lib.Settings:
    """The settings of a variant of configs/methods.py, on random data and with VGG16 in VGG19's place."""
    from configs import methods  # ml_collections, which a GPU's machine may lack

    config = methods.get_config(preset)
    config.data = {"name": "random"}
    config.features.perceptual = "vgg16"  # as `frozen_networks`
    changes = {name: value for name, value in changes.items() if value is not None}
    config.size = tuple(changes.pop("size", config.size))
    config.train.update({name: changes.pop(name) for name in ("batch_size", "steps") if name in changes})
    config.model.update({"dtype": dtype, **changes})
    return settings_lib.from_config(config)


def from_flags(flags: argparse.Namespace, **changes) -> settings_lib.Settings:
    """The settings of the flags of `add_flags`."""
    given = {name: getattr(flags, name) for name in ("size", "batch_size", "width", "blocks")}
    return settings_of(flags.preset, **{**given, **changes})


def describe(settings: settings_lib.Settings) -> str:
    """A line that says what is timed."""
    model, batch_size = settings.model, settings.train.batch_size
    size = "x".join(map(str, settings.size))
    blocks = f", {model.blocks} blocks" if hasattr(model, "blocks") else ""
    return f"{model.name}, {size}, batch {batch_size}, width {model.width}{blocks}, {model.dtype}"


def random_batch(settings: settings_lib.Settings, seed: int = 0) -> dict[str, np.ndarray]:
    """A batch as the input pipeline gives it: bytes, labels, joints of which a tenth is missing, face boxes."""
    rng = np.random.default_rng(seed)
    (height, width), count = settings.size, settings.train.batch_size
    batch = {"face_box": np.tile(np.array([0, 0, height // 4, width // 4], np.float32), (count, 1))}
    for side in ("source", "target"):
        batch[f"{side}_image"] = rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8)
        batch[f"{side}_parsing"] = rng.integers(0, 8, (count, height, width), dtype=np.uint8)
        joints = rng.uniform(0, (height - 1, width - 1), (count, 18, 2)).astype(np.float32)
        batch[f"{side}_pose"] = np.where(rng.uniform(size=(count, 18, 1)) < 0.1, np.float32(-1), joints)
    return batch


def frozen_networks() -> dict[str, Any]:
    """Random weights for VGG16, which is VGG19 as far as conv3_1, and AlexNet: speed does not depend on them."""
    return {"vgg": weights.load("vgg16", "random"), "alexnet": weights.load("alexnet", "random")}


def fresh_state(settings: settings_lib.Settings) -> state_lib.TrainState:
    """The state before the first step, in host memory; computed there, as a GPU's compiler takes a minute for it."""
    with jax.default_device(jax.devices("cpu")[0]):
        init = jax.jit(lambda: state_lib.init_state(settings), compiler_options={"xla_backend_optimization_level": 0})
        return jax.device_get(init())


def _lowered_for_cpu(function, arguments):
    """The function lowered for the processor, for arguments of these shapes."""
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), arguments)
    with jax.default_device(jax.devices("cpu")[0]):
        return jax.jit(function).lower(*shapes)


class Compiled:
    """One of our functions compiled ahead of time, with XLA's own account of it.

    Operations are counted before compiling: of what a GPU's libraries compute in a compiled program, XLA knows none.
    A GPU's backend does not count those of a program that is only lowered (JAX 0.11), so the processor's does. On a GPU
    XLA tries its libraries' algorithms alone: see SEARCHES.
    """

    def __init__(self, function, *arguments, **jit_options):
        lowered = jax.jit(function, **jit_options).lower(*arguments)
        start = time.perf_counter()
        self.call = lowered.compile(compiler_options=SEARCHES["libraries"])
        self.compile_seconds = time.perf_counter() - start
        cost, memory = self.call.cost_analysis(), self.call.memory_analysis()
        counted = lowered.cost_analysis() or _lowered_for_cpu(function, arguments).cost_analysis()
        self.gigaflops = counted["flops"] / 1e9
        self.gigabytes_moved = (cost or {}).get("bytes accessed", float("nan")) / 1e9
        needed = memory.temp_size_in_bytes + memory.argument_size_in_bytes + memory.output_size_in_bytes
        self.memory_mb = (needed - memory.alias_size_in_bytes) / 1e6

    def figures(self) -> dict[str, float]:
        """What does not depend on timing."""
        return {
            "GFLOP": self.gigaflops, "GB moved before fusion": self.gigabytes_moved, "memory MB": self.memory_mb,
            "compile s": self.compile_seconds,
        }  # fmt: skip


class Ours:
    """The training step and the forward pass of `settings` on random data, ready to be timed."""

    def __init__(self, settings: settings_lib.Settings, state, frozen):
        self.settings, self.host_state = settings, state
        self.batch = jax.device_put(random_batch(settings))
        self.frozen = jax.device_put(frozen)

    def training_step(self):
        """(function that runs some steps and waits for the last, `Compiled`); each step is given the state for good."""
        # A copy: on a CPU the device may share the host's memory, which donation overwrites.
        self.state = jax.device_put(jax.tree.map(np.array, self.host_state))
        step = Compiled(step_lib.make_train_step(self.settings), self.state, self.frozen, self.batch, donate_argnums=0)

        def run(steps: int = 1):
            for _ in range(steps):
                self.state, metrics = step.call(self.state, self.frozen, self.batch)
            return jax.block_until_ready(metrics)

        return run, step

    def forward(self):
        """(function that generates some batches of images and waits for the last, `Compiled`)."""
        model, params = base.make(self.settings), jax.device_put(self.host_state.generator)
        images = Compiled(lambda p, batch: model.generate(p, batch)["image"], params, self.batch)

        def run(batches: int = 1):
            for _ in range(batches):
                image = images.call(params, self.batch)
            return image.block_until_ready()

        return run, images
