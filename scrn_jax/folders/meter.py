"""The protocol's figures and Inception's features of a batch, computed over every local device."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from scrn_jax import sharding
from scrn_jax.features.inception import Inception
from scrn_jax.folders.networks import Networks
from scrn_jax.metrics.protocols import Protocol, make_measure

Item = dict[str, np.ndarray]
Work = Callable[[Any, dict[str, jax.Array]], dict[str, jax.Array]]


class Meter:
    """A protocol's figures and Inception's features of batches, over a mesh of the local devices.

    Attributes:
      batch_size: images a batch; a shorter one is padded up to it and what was padded is cut off again.
      devices: how many there are.
    """

    def __init__(self, chosen: Protocol, networks: Networks, batch_size: int | None = None):
        """`batch_size` None is 16, or the next multiple of the number of devices.

        Raises:
          UserError: a batch size that the devices cannot share equally.
        """
        self._mesh = sharding.make_mesh(jax.local_devices())
        self.devices = self._mesh.size
        self.batch_size = -(-16 // self.devices) * self.devices if batch_size is None else batch_size
        sharding.check_batch_size(self.batch_size, self._mesh, "--batch_size")
        replicated = sharding.replicated(self._mesh)
        self._lpips = None if networks.lpips is None else jax.device_put(networks.lpips, replicated)
        self._inception = None if networks.inception is None else jax.device_put(networks.inception, replicated)
        self._measure = _over(self._mesh, _measure_of(chosen))
        self._features = _features_over(self._mesh)

    @property
    def has_features(self) -> bool:
        """Whether Inception is there."""
        return self._inception is not None

    def start(self, batch: Item) -> dict[str, jax.Array]:
        """Begins to measure a batch and returns its figures, padded, which may not be ready yet.

        It holds "generated" and "reference", (B, H, W, 3) uint8, perhaps with a "mask" (B, H, W); "features" are then
        those of the generated images. Or it holds "images" (B, H, W, 3) alone, of which nothing but features is taken.
        """
        arrays = sharding.put_batch({name: self._padded(array) for name, array in batch.items()}, self._mesh)
        figures: dict[str, jax.Array] = {}
        if "generated" in arrays:
            figures |= self._measure(self._lpips, arrays)
        if self.has_features:
            figures |= self._features(self._inception, {"images": arrays.get("images", arrays.get("generated"))})
        return figures

    def _padded(self, array: np.ndarray) -> np.ndarray:
        rows = self.batch_size - len(array)
        return np.concatenate([array, np.zeros((rows, *array.shape[1:]), array.dtype)]) if rows else array


def _measure_of(chosen: Protocol) -> Work:
    """The protocol's measure as a function of LPIPS's parameters and a batch."""
    measure = make_measure(chosen)

    def figures(lpips_params: Any, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        return measure(batch["generated"], batch["reference"], lpips_params, batch.get("mask"))

    return figures


def _features(params: Any, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """Inception's features (B, 2048) of 8-bit images."""
    images_BxHxWx3 = 2 * (batch["images"].astype(jnp.float32) / 255) - 1
    return {"features": Inception().apply({"params": params}, images_BxHxWx3)}


@functools.cache
def _features_over(mesh: Mesh) -> Work:
    """Compiled once for every meter over these devices: Inception takes long."""
    return _over(mesh, _features)


def _over(mesh: Mesh, work: Work, one_by_one: bool | None = None) -> Work:
    """`work`, jitted, with each device doing its own share of the batch.

    A processor does its share image by image: what lies between the layers then stays in its caches (on two cores of an
    AMD EPYC, SSIM takes 2.8 ms a pair instead of 8.1). An accelerator wants the batch.

    Args:
      one_by_one: image by image or not; None tells by the mesh.
    """
    if one_by_one is None:
        one_by_one = mesh.devices.flat[0].platform == "cpu"

    def share(params: Any, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        if not one_by_one:
            return work(params, batch)

        def one(item: dict[str, jax.Array]) -> dict[str, jax.Array]:
            figures = work(params, {name: array[None] for name, array in item.items()})
            return {name: values[0] for name, values in figures.items()}

        return jax.lax.map(one, batch)

    split = jax.sharding.PartitionSpec(sharding.DATA_AXIS)
    everywhere = jax.sharding.PartitionSpec()
    return jax.jit(jax.shard_map(share, mesh=mesh, in_specs=(everywhere, split), out_specs=split))
