"""JAX as every test here sees it: four virtual CPU devices; and one tiny training step, compiled once for all files."""

import contextlib
import os
import shutil
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

# PyTorch's builds for GPUs bring Triton, which ends the process when it is imported after TensorFlow.
with contextlib.suppress(ImportError):
    import triton  # noqa: F401

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 4)
# Workers and subprocesses find what another of them has compiled; the first process makes the folder.
PROGRAMS, SECONDS = "JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"
OWNER = "SCRN_JAX_TESTS_OWNER"
if PROGRAMS not in os.environ:
    os.environ |= {PROGRAMS: tempfile.mkdtemp(prefix="programs-"), SECONDS: "1", OWNER: str(os.getpid())}
    jax.config.update("jax_compilation_cache_dir", os.environ[PROGRAMS])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 1)

# noqa: E402
from scrn_jax import settings as settings_lib  # noqa: E402
from scrn_jax.models import base  # noqa: E402
from scrn_jax.models.pretrained import weights  # noqa: E402

# Before `double_precision`: a module imported in it keeps float64 as the default of its functions for good.
from scrn_jax.models.scrn import model as scrn_model  # noqa: E402, F401
from scrn_jax.runtime import devices as devices_lib  # noqa: E402
from scrn_jax.runtime import workers  # noqa: E402
from scrn_jax.training import stages, state  # noqa: E402
from scrn_jax.training import step as step_lib  # noqa: E402
from scrn_jax.training.checkpoints import QUICK_COMPILE  # noqa: E402

workers.look_for_garbage_rarely()  # as the program does: a tenth of the tests' time

HEIGHT, WIDTH, BATCH, STEPS = 32, 36, 4, 8
# Two levels in each encoder are as good a test as the paper's four and five, and a step compiles in four fifths.
TINY_LEVELS = {"parsing_multiples": (1, 2), "style_multiples": (1, 2)}


def _is_known(option: str, value) -> bool:
    """Whether this XLA has an option."""
    try:
        jax.jit(lambda: 0, compiler_options={option: value}).lower().compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True


# Compiling is most of these tests' time and their arrays are tiny: optimise little. Without its emitters of fusions
# XLA compiles a training step in half the time; a later XLA may have no others.
EMITTERS = "xla_cpu_use_fusion_emitters"
QUICK = QUICK_COMPILE | ({EMITTERS: False} if _is_known(EMITTERS, False) else {})
QUICK_FLAGS = " ".join(f"--{option}={str(value).lower()}" for option, value in QUICK.items())


# The files that take longest go first, so that the workers end together; xdist would begin with those of most tests.
LONGEST = (
    "test_runs.py", "test_devices.py", "test_torch_mirror.py", "test_export_formats.py", "test_command.py",
    "test_step.py", "test_torch_methods.py", "test_parity.py", "test_init_from.py", "test_stages.py",
    "test_bfloat16.py", "test_protocols.py", "test_memory_savers.py", "test_term_norms.py", "test_web.py",
    "test_loop.py", "test_export.py",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    """Files of LONGEST first, in that order, and the others as they were."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


def pytest_unconfigure():
    """Remove the compiled programs when the process ends that made their folder."""
    if os.environ.get(OWNER) == str(os.getpid()):
        shutil.rmtree(os.environ[PROGRAMS], ignore_errors=True)


def tiny_config(**changes):
    """A config of the smallest model that has all parts; `changes` are updates of its sections or values."""
    config = {
        "data": {"name": "none"},
        "size": (HEIGHT, WIDTH),
        "model": {"width": 4, "blocks": 1, "discriminator_width": 2, **TINY_LEVELS},
        "loss": {"cor": 0.1, "l1": 5.0, "adv": 2.0, "per": 3.0, "par": 1.0, "face": 1.0},
        "features": {"correspondence": "vgg16", "correspondence_source": "random", "perceptual_source": "random"},
        "optim": {"ema_decay": 0.9},
        "train": {"steps": STEPS, "batch_size": BATCH},
    }
    for key, value in changes.items():
        config[key] = {**config[key], **value} if isinstance(value, dict) else value
    return config


@pytest.fixture(scope="session", autouse=True)
def memory_is_kept():
    """A run returns memory before it trains; here that would look for garbage among what all tests have traced."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "return_memory", lambda: None)
        yield


@pytest.fixture(scope="session")
def tiny_settings():
    """Builds the settings of `tiny_config`."""
    return lambda **changes: settings_lib.from_config(tiny_config(**changes))


@pytest.fixture(scope="session")
def quick_compile():
    """Options for `jax.jit(compiler_options=...)`."""
    return QUICK


@pytest.fixture(scope="session")
def quick_flags():
    """The same as XLA_FLAGS of a process, after those of this one."""
    return f"{os.environ.get('XLA_FLAGS', '')} {QUICK_FLAGS}".strip()


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
    return jax.device_get(jax.jit(lambda: state.init_state(settings), compiler_options=QUICK)())


@pytest.fixture(scope="session")
def adam_of():
    """Adam's running means inside an optimizer state."""

    def find(optimizer_state):
        def is_adam(part):
            return hasattr(part, "mu")

        return next(filter(is_adam, jax.tree.leaves(optimizer_state, is_leaf=is_adam)))

    return find


def as_double(tree):
    """The floating-point arrays of a tree as float64, in host memory; the others as they are."""
    return jax.tree.map(lambda x: np.float64(x) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree)


@contextlib.contextmanager
def double_precision():
    """While it lasts, what the code calls float32 is float64; states and weights go through `as_double`.

    Two ways to compute the same thing are compared in it. In float32 the tiny model makes up to 3e-5 of its gradient
    from one rounding, since its instance norms see as few as two cells, and 1e-3 where rounding moves one number to the
    other side of a ReLU's kink: which numbers are so near depends on the processor. In float64 both are gone.
    """
    before = jax.config.jax_enable_x64
    with pytest.MonkeyPatch.context() as patch:
        fresh = state.init_state
        patch.setattr(jnp, "float32", jnp.float64)
        patch.setitem(base.DTYPES, "float32", jnp.float64)
        # Flax took its default for parameters when it was imported.
        patch.setattr(state, "init_state", lambda settings: jax.tree.map(_widen, fresh(settings)))
        jax.config.update("jax_enable_x64", True)
        try:
            yield
        finally:
            jax.config.update("jax_enable_x64", before)


@pytest.fixture(scope="session", name="double_precision")
def double_precision_fixture():
    """`double_precision`, for parts of a test."""
    return double_precision


@pytest.fixture
def in_double_precision():
    """A whole test in `double_precision`."""
    with double_precision():
        yield


def _widen(x):
    return x.astype(jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else x


class Trainer:
    """The tiny training step over the first `devices` virtual devices, jitted as the training loop does.

    With `double` it computes in float64, and what works on its states has to do so in `self.precision()`.
    """

    def __init__(self, settings, frozen, devices: int, double: bool = False):
        self.precision = double_precision if double else contextlib.nullcontext
        self.cast = as_double if double else lambda tree: tree
        self.mesh = devices_lib.make_mesh(jax.devices()[:devices], settings.fsdp)
        with self.precision():
            self.frozen = jax.device_put(self.cast(frozen), devices_lib.replicated(self.mesh))
            self.jitted = step_lib.jit_step(settings, self.mesh, compiler_options=QUICK)
            self.first = stages.last_step(base.make(settings))
            if self.first:
                self.jitted_first = step_lib.jit_step(settings, self.mesh, compiler_options=QUICK, first=True)

    def put(self, state_on_host):
        """A state from host memory to the devices."""
        # A copy: on a CPU the devices may otherwise share the host's memory, which donation overwrites.
        state_on_host = jax.tree.map(np.array, self.cast(state_on_host))
        with self.precision():
            return jax.device_put(state_on_host, devices_lib.parameters(state_on_host, self.mesh))

    def step(self, state_on_devices, batch):
        """One step; the state given is donated."""
        first = self.first and int(state_on_devices.step) < self.first
        with self.precision():
            program = self.jitted_first if first else self.jitted
            return program(state_on_devices, self.frozen, devices_lib.put_batch(batch, self.mesh))

    def run(self, state_on_devices, batches):
        """Many steps: (state, list of metrics in host memory)."""
        metrics = []
        for batch in batches:
            state_on_devices, step_metrics = self.step(state_on_devices, batch)
            metrics.append(jax.device_get(step_metrics))
        return state_on_devices, metrics


@pytest.fixture(scope="session")
def trainer_of(frozen):
    """Builds the step of some settings on one device, or on more, or in float64; each compiles anew."""
    return lambda settings, devices=1, double=False: Trainer(settings, frozen, devices, double)


@pytest.fixture(scope="session")
def trainer(trainer_of, tiny_settings):
    """The step on one device."""
    return trainer_of(tiny_settings())


@pytest.fixture(scope="session")
def double_trainer(trainer_of, tiny_settings):
    """The same step in float64."""
    return trainer_of(tiny_settings(), double=True)


@pytest.fixture(scope="session")
def gradient_of(adam_of):
    """A network's gradient of the first step as one vector: Adam's running mean is a tenth of it."""

    def gradient(state_after_one_step, network: str) -> np.ndarray:
        mean = adam_of(getattr(state_after_one_step, f"{network}_optimizer")).mu
        return 10 * np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(jax.device_get(mean))])

    return gradient
