"""Where arrays live: one mesh axis `data` over every device; the batch is split, everything else replicated."""

from collections.abc import Mapping

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from scrn_jax.errors import UserError

DATA_AXIS = "data"


def make_mesh(devices=None) -> Mesh:
    """One axis over `devices` (default: all of them, of every process)."""
    devices = jax.devices() if devices is None else devices
    return jax.make_mesh((len(devices),), (DATA_AXIS,), devices=devices, axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """The same on every device."""
    return NamedSharding(mesh, PartitionSpec())


def data(mesh: Mesh) -> NamedSharding:
    """Split along the first axis, the batch."""
    return NamedSharding(mesh, PartitionSpec(DATA_AXIS))


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
