"""Where arrays live and programs stay: a mesh of `data` x `fsdp` devices, both of which split the batch;
compiled programs kept on disk; a device for each core of a processor."""

import contextlib
import logging
import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.experimental.compilation_cache import compilation_cache
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from scrn_jax.errors import UserError
from scrn_jax.runtime.files import cache_folder
from scrn_jax.runtime.workers import cores

log = logging.getLogger(__name__)

DATA_AXIS, FSDP_AXIS = "data", "fsdp"
SMALL = 1024  # numbers; an array of fewer is not worth the messages that splitting it costs

_ACCELERATORS = ("nvidia[0-9]*", "kfd", "accel[0-9]*")  # NVIDIA's, AMD's, Google's

AUTO, COMPILED = "auto", "compiled"
MIN_COMPILE_SECONDS = 5  # Programs that compile faster are not worth their file.

MOST_CPU_DEVICES = 8  # each has a copy of the networks' parameters, about 100 MB


def make_mesh(devices=None, fsdp: int = 1) -> Mesh:
    """A mesh over `devices` (default: all of them, of every process), `fsdp` of which share a copy of the parameters.

    Raises:
      UserError: `fsdp` does not divide the number of devices.
    """
    devices = jax.devices() if devices is None else devices
    if len(devices) % fsdp:
        raise UserError(f"config.fsdp is {fsdp}, which {len(devices)} devices cannot be grouped by; choose a divisor")
    shape = len(devices) // fsdp, fsdp
    return jax.make_mesh(shape, (DATA_AXIS, FSDP_AXIS), devices=devices, axis_types=(AxisType.Auto,) * 2)


def unused_accelerator(system: Path = Path("/dev")) -> str | None:
    """The device file of a GPU or TPU that the system shows while JAX computes on the processor; None otherwise.

    None, too, where JAX_PLATFORMS or `jax_platforms` asks for the processor.
    """
    if jax.default_backend() != "cpu" or (jax.config.jax_platforms or "").split(",")[0] == "cpu":
        return None
    found = (path for pattern in _ACCELERATORS for path in sorted(system.glob(pattern)))
    return next(map(str, found), None)


def warn_of_unused_accelerator() -> None:
    """Says it loudly when JAX computes on the processor of a machine that has an `unused_accelerator`."""
    if unused := unused_accelerator():
        log.warning(
            "COMPUTING ON THE CPU, although this machine has %s: that takes many times as long. Install JAX for it, as "
            "in pip install -U 'jax[cuda12]', or set JAX_PLATFORMS=cpu if that is meant", unused,
        )  # fmt: skip


def replicated(mesh: Mesh) -> NamedSharding:
    """The same on every device."""
    return NamedSharding(mesh, PartitionSpec())


def data(mesh: Mesh) -> NamedSharding:
    """Split along the first axis, the batch."""
    return NamedSharding(mesh, PartitionSpec((DATA_AXIS, FSDP_AXIS)))


def parameters(tree, mesh: Mesh):
    """The sharding of every array (or its shape) of `tree`: in equal parts over `fsdp`, or replicated.

    Split is the largest dimension that divides evenly, of equal ones the last. Arrays without one, arrays of fewer
    than `SMALL` numbers, and with one device a copy all of them, are replicated.
    """
    parts = mesh.shape[FSDP_AXIS]

    def place(leaf) -> NamedSharding:
        fitting = [axis for axis, size in enumerate(leaf.shape) if size % parts == 0]
        if parts == 1 or math.prod(leaf.shape) < SMALL or not fitting:
            return replicated(mesh)
        split = max(fitting, key=lambda axis: (leaf.shape[axis], axis))
        return NamedSharding(mesh, PartitionSpec(*(FSDP_AXIS if axis == split else None for axis in range(leaf.ndim))))

    return jax.tree.map(place, tree)


def gathered(tree, mesh: Mesh):
    """Arrays placed by `parameters` as a whole on every device; the same arrays where they are so already."""
    if mesh.shape[FSDP_AXIS] == 1:
        return tree
    return jax.jit(lambda tree: tree, out_shardings=replicated(mesh))(tree)


def check_batch_size(batch_size: int, mesh: Mesh, name: str) -> None:
    """Raise UserError unless the global batch divides evenly over the mesh."""
    if batch_size % mesh.size:
        raise UserError(f"{name} is {batch_size}, which {mesh.size} devices cannot share equally; choose a multiple")


def check_batch_parts(batch_size: int, parts: int, mesh: Mesh) -> None:
    """Raise UserError unless each of the `parts` of a global training batch divides evenly over the mesh."""
    if parts == 1:
        return check_batch_size(batch_size, mesh, "config.train.batch_size")
    if batch_size % (parts * mesh.size):
        raise UserError(
            f"config.train.batch_size is {batch_size}, which config.train.accumulate = {parts} parts on {mesh.size} "
            f"devices cannot share equally; choose a multiple of {parts * mesh.size}"
        )


def put_batch(batch: Mapping[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """This process's share of a batch onto its devices, as one global array a key."""
    sharding = data(mesh)
    return {key: jax.make_array_from_process_local_data(sharding, array) for key, array in batch.items()}


def wait_for_all(what: str) -> None:
    """Return once every process of the job has come here; at once when there is one."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(what)


def of_the_first(numbers: Sequence[int]) -> list[int]:
    """Whole numbers of the first process, the same in every process of the job, each of which has to call this."""
    if jax.process_count() == 1:
        return list(numbers)
    count = int(multihost_utils.broadcast_one_to_all(np.int32(len(numbers))))
    own = np.zeros(count, np.int32)
    if jax.process_index() == 0:
        own[:] = numbers
    return [int(number) for number in multihost_utils.broadcast_one_to_all(own)]


def worst_of_all(code: int) -> int:
    """The largest of the whole numbers that the processes of the job call this with, the same in each of them."""
    if jax.process_count() == 1:
        return code
    return int(np.max(multihost_utils.process_allgather(np.int32(code))))


def keep_programs(where: str, least_seconds: float = MIN_COMPILE_SECONDS) -> None:
    """Keep what takes `least_seconds` or longer to compile in a folder; call it before anything is computed.

    JAX's key of a program covers its code, the versions, the flags of XLA and the kind of processor, so that several
    machines may share a folder. Anyone who can write into it can run code here: let it be nobody else.

    Args:
      where: a folder, which is made; "auto" for `compiled` in the user's cache folder (`files.cache_folder`), or
        what JAX_COMPILATION_CACHE_DIR already says; "" to leave JAX as it is. A folder that cannot be written is a
        warning: the run only starts more slowly without it.
    """
    if not where or (where == AUTO and jax.config.jax_compilation_cache_dir):
        return
    folder = cache_folder() / COMPILED if where == AUTO else Path(where).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        log.warning("compiled programs are not kept: %s cannot be written (%s)", folder, error.strerror or error)
        return
    jax.config.update("jax_compilation_cache_dir", str(folder.resolve()))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", least_seconds)
    # JAX asks for its folder once, at the first thing that it compiles, and that may have been before.
    compilation_cache.reset_cache()


def one_device_each() -> None:
    """Make every core a device, as long as nothing has been computed and nobody has said how many devices to make.

    XLA spreads a large operation over all cores, but the many small ones of an evaluation use one of them: Inception
    takes 109 ms an image with one device on two cores of an AMD EPYC, 69 ms with two.

    Says nothing about accelerators: where there are some, they are used as ever.
    """
    if jax.config.jax_num_cpu_devices >= 0 or "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", ""):
        return
    with contextlib.suppress(RuntimeError):  # JAX has its devices already
        jax.config.update("jax_num_cpu_devices", min(cores(), MOST_CPU_DEVICES))
