"""Parameters between Flax's trees and the mirror's modules, whose sub-modules carry Flax's names."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from flax.traverse_util import flatten_dict, unflatten_dict
from torch import nn

HALVES = ("features", "gate")  # of a gated convolution, which is one of twice the width in Flax
LEAVES = {
    nn.Conv2d: {"weight": "kernel", "weight_orig": "kernel", "bias": "bias"},
    nn.ConvTranspose2d: {"weight": "kernel", "weight_orig": "kernel", "bias": "bias"},
    nn.InstanceNorm2d: {"weight": "scale", "bias": "bias"},
    nn.GroupNorm: {"weight": "scale", "bias": "bias"},
    nn.BatchNorm2d: {"weight": "scale", "bias": "bias"},
}
# From Flax's axes: (row, column, in, out) to (out, in, row, column), and to a transposed convolution's (in, out, ...).
AXES = {nn.Conv2d: (3, 2, 0, 1), nn.ConvTranspose2d: (2, 3, 0, 1)}
BACK = {nn.Conv2d: (2, 3, 1, 0), nn.ConvTranspose2d: (2, 3, 0, 1)}


def _places(module: nn.Module):
    """(mirror's name, its parameter, kind of its module, Flax's path, half of the last axis or None) a parameter."""
    kinds = {name: type(part) for name, part in module.named_modules()}
    for name, parameter in module.named_parameters():
        owner, leaf = name.rsplit(".", 1) if "." in name else ("", name)
        path = owner.split(".") if owner else []
        half = path.pop() if path and path[-1] in HALVES else None
        yield name, parameter, kinds[owner], (*path, LEAVES.get(kinds[owner], {}).get(leaf, leaf)), half


def _statistics(module: nn.Module):
    """(buffer, Flax's path) of every batch norm's mean and variance."""
    for name, part in module.named_modules():
        if isinstance(part, nn.BatchNorm2d):
            for leaf, buffer in (("mean", part.running_mean), ("var", part.running_var)):
                yield buffer, ("batch_stats", *name.split("."), leaf)


def _in_tree(path: tuple[str, ...], flat: Mapping[tuple[str, ...], Any]) -> tuple[str, ...]:
    """The path in Flax's tree: its first layers over poses are no Conv but PoseConv."""
    return path if path in flat else tuple("PoseConv_0" if part == "Conv_0" else part for part in path)


def load(module: nn.Module, params: Mapping[str, Any]) -> nn.Module:
    """Copy Flax's parameters, batch norms' statistics among them, into the module, which is returned.

    Raises:
      ValueError: the tree has a parameter that the module has not.
    """
    flat, used = flatten_dict(params), set()
    for _, parameter, kind, path, half in _places(module):
        path = _in_tree(path, flat)
        value = np.asarray(flat[path])
        if half:
            value = np.split(value, 2, axis=-1)[HALVES.index(half)]
        if value.ndim == 4:
            value = value.transpose(AXES[kind])
        parameter.data.copy_(torch.from_numpy(np.array(value, order="C")))
        used.add(path)
    for buffer, path in _statistics(module):
        buffer.copy_(torch.from_numpy(np.array(flat[path])))
        used.add(path)
    if left := set(flat) - used:
        raise ValueError(f"the mirror has no {sorted('/'.join(path) for path in left)}")
    return module


def load_some(module: nn.Module, params: Mapping[str, Any]) -> nn.Module:
    """As `load`, of a tree that goes on where the module ends."""
    return load(module, {name: params[name] for name, _ in module.named_children() if name in params})


def singular_vectors(spectral: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The vectors u of the collection 'spectral' by the mirror's names of their buffers."""
    vectors = {}
    for (*path, _, _, leaf), value in flatten_dict(spectral).items():
        conv, _, name = leaf.split("/")
        if name == "u":
            vectors[".".join([*path, conv, "weight_u"])] = np.array(value[0])
    return vectors


def load_singular_vectors(discriminator: nn.Module, spectral: Mapping[str, Any]) -> None:
    """Copy the collection 'spectral' into the buffers of torch's spectral norm."""
    buffers = dict(discriminator.named_buffers())
    for name, vector in singular_vectors(spectral).items():
        buffers[name].copy_(torch.from_numpy(vector))


def to_flax(module: nn.Module, tensors: Mapping[str, torch.Tensor], like: Mapping[str, Any]) -> Any:
    """A tree in Flax's shapes from tensors (gradients, say) by the mirror's parameter names; `like` gives the paths."""
    flat = {}
    paths = flatten_dict(like)
    for name, _, kind, path, half in _places(module):
        value = tensors[name].detach().cpu().numpy()
        value = value.transpose(BACK[kind]) if value.ndim == 4 else value
        path = _in_tree(path, paths)
        flat[path] = np.concatenate([flat[path], value], axis=-1) if half == "gate" else value
    return unflatten_dict(flat)
