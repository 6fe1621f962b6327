"""JAX as every test here sees it: four virtual CPU devices; and one tiny training step, compiled once for all files."""

import os
import shutil
import tempfile

import jax
import numpy as np
import pytest

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 4)
# Workers and subprocesses find what another of them has compiled; the first process makes the folder.
PROGRAMS, SECONDS = "JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"
OWNER = "SCRN_JAX_TESTS_OWNER"
if PROGRAMS not in os.environ:
    os.environ |= {PROGRAMS: tempfile.mkdtemp(prefix="programs-"), SECONDS: "1", OWNER: str(os.getpid())}
    jax.config.update("jax_compilation_cache_dir", os.environ[PROGRAMS])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 1)

from scrn_jax import programs, sharding, state  # noqa: E402
from scrn_jax import settings as settings_lib  # noqa: E402
from scrn_jax.features import weights  # noqa: E402

# Compiling is most of these tests' time and their arrays are tiny: optimise little.
from scrn_jax.restore import QUICK_COMPILE  # noqa: E402

HEIGHT, WIDTH, BATCH, STEPS = 32, 36, 4, 8


def pytest_unconfigure():
    """Remove the compiled programs when the process ends that made their folder."""
    if os.environ.get(OWNER) == str(os.getpid()):
        shutil.rmtree(os.environ[PROGRAMS], ignore_errors=True)


def tiny_config(**changes):
    """A config of the smallest model that has all parts; `changes` are updates of its sections or values."""
    config = {
        "data": {"name": "none"},
        "size": (HEIGHT, WIDTH),
        "model": {"width": 4, "blocks": 1, "discriminator_width": 2},
        "loss": {"cor": 0.1, "l1": 5.0, "adv": 2.0, "per": 3.0, "par": 1.0, "face": 1.0},
        "features": {"correspondence": "vgg16", "correspondence_source": "random", "perceptual_source": "random"},
        "optim": {"ema_decay": 0.9},
        "train": {"steps": STEPS, "batch_size": BATCH},
    }
    for key, value in changes.items():
        config[key] = {**config[key], **value} if isinstance(value, dict) else value
    return config


@pytest.fixture(scope="session")
def tiny_settings():
    """Builds the settings of `tiny_config`."""
    return lambda **changes: settings_lib.from_config(tiny_config(**changes))


@pytest.fixture(scope="session")
def quick_compile():
    """Options for `jax.jit(compiler_options=...)`."""
    return QUICK_COMPILE


@pytest.fixture(scope="session")
def make_batch():
    """A function of the step number alone: random images, labels, joints (some missing) and face boxes (one empty)."""

    def make(step: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(step)
        image, labels, pose = (BATCH, HEIGHT, WIDTH, 3), (BATCH, HEIGHT, WIDTH), (BATCH, 18, 2)
        batch = {}
        for side in ("source", "target"):
            batch[f"{side}_image"] = rng.integers(0, 256, image, dtype=np.uint8)
            batch[f"{side}_parsing"] = rng.integers(0, 8, labels, dtype=np.uint8)
            joints = rng.uniform(0, HEIGHT - 1, pose).astype(np.float32)
            batch[f"{side}_pose"] = np.where(rng.uniform(size=(BATCH, 18, 1)) < 0.2, np.float32(-1), joints)
        batch["face_box"] = np.array([[4, 4, 12, 12], [0, 0, 0, 0], [1, 20, 9, 30], [8, 8, 9, 9]], np.float32)
        return batch

    return make


@pytest.fixture(scope="session")
def frozen():
    """Random weights of the frozen networks, as the step takes them."""
    return {"vgg": weights.load("vgg16", "random"), "alexnet": weights.load("alexnet", "random")}


@pytest.fixture(scope="session")
def first_state(tiny_settings):
    """The state before the first step, in host memory, so that donation cannot eat it."""
    settings = tiny_settings()
    return jax.device_get(jax.jit(lambda: state.init_state(settings), compiler_options=QUICK_COMPILE)())


@pytest.fixture(scope="session")
def adam_of():
    """Adam's running means inside an optimizer state."""

    def find(optimizer_state):
        def is_adam(part):
            return hasattr(part, "mu")

        return next(filter(is_adam, jax.tree.leaves(optimizer_state, is_leaf=is_adam)))

    return find


class Trainer:
    """The tiny training step over the first `devices` virtual devices, jitted as the training loop does."""

    def __init__(self, settings, frozen, devices: int):
        self.mesh = sharding.make_mesh(jax.devices()[:devices], settings.fsdp)
        self.frozen = jax.device_put(frozen, sharding.replicated(self.mesh))
        self.jitted = programs.jit_step(settings, self.mesh, compiler_options=QUICK_COMPILE)

    def put(self, state_on_host):
        """A state from host memory to the devices."""
        # A copy: on a CPU the devices may otherwise share the host's memory, which donation overwrites.
        state_on_host = jax.tree.map(np.array, state_on_host)
        return jax.device_put(state_on_host, sharding.parameters(state_on_host, self.mesh))

    def step(self, state_on_devices, batch):
        """One step; the state given is donated."""
        return self.jitted(state_on_devices, self.frozen, sharding.put_batch(batch, self.mesh))

    def run(self, state_on_devices, batches):
        """Many steps: (state, list of metrics in host memory)."""
        metrics = []
        for batch in batches:
            state_on_devices, step_metrics = self.step(state_on_devices, batch)
            metrics.append(jax.device_get(step_metrics))
        return state_on_devices, metrics


@pytest.fixture(scope="session")
def trainer_of(frozen):
    """Builds the step of some settings on one device, or on more; each compiles anew."""
    return lambda settings, devices=1: Trainer(settings, frozen, devices)


@pytest.fixture(scope="session")
def trainer(tiny_settings, frozen):
    """The step on one device."""
    return Trainer(tiny_settings(), frozen, devices=1)


@pytest.fixture(scope="session")
def trainer_on_four(tiny_settings, frozen):
    """The same step on four devices."""
    return Trainer(tiny_settings(), frozen, devices=4)
