"""Weights that a method's authors published, in PyTorch's layout, as the parameters of our generator.

The file `published.py` of a model says by name what becomes of what: `table(model)`, a `Recipe` for every parameter,
and `UNUSED`, patterns of the tensors that nothing takes.
"""

import dataclasses
import fnmatch
import importlib
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from scrn_jax.errors import UserError
from scrn_jax.models.base import PACKAGES
from scrn_jax.models.pretrained.catalogue import CONV_NAMES

METHODS = ("patn", "pise", "adgan", "pona")  # whose tables there are
PARALLEL = "module."  # before every name where the authors trained on several GPUs


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One of our parameters: `make` of these tensors."""

    tensors: tuple[str, ...]
    make: Callable[..., np.ndarray]


Table = dict[str, Recipe]  # by the path of the parameter, as encoder/Conv_0/kernel


def names(method: str) -> ModuleType:
    """The file `published.py` of a method."""
    return importlib.import_module(f"{PACKAGES[method]}.published")


def parameters(method: str, model: Any, shapes: Any, tensors: Mapping[str, np.ndarray], origin: str) -> Any:
    """The generator's tree of float32 arrays.

    Args:
      model: the config's section, which the file has to be of.
      shapes: the tree of the generator's parameters, arrays or `jax.ShapeDtypeStruct`.
      tensors: the file's, by name. origin: its name, for errors.

    Raises:
      UserError: a tensor is missing, misshapen, not finite, or is one that no network of this method has.
    """
    own = names(method)
    if tensors and all(name.startswith(PARALLEL) for name in tensors):
        tensors = {name.removeprefix(PARALLEL): tensor for name, tensor in tensors.items()}
    table, expected = own.table(model), flatten_dict(shapes, sep="/")
    if table.keys() != expected.keys():
        raise ValueError(f"{method}'s table and generator differ in {sorted(table.keys() ^ expected.keys())}")
    _check_names({name for recipe in table.values() for name in recipe.tensors}, own.UNUSED, tensors, origin, method)
    made = {path: _made(path, recipe, expected[path].shape, tensors, origin) for path, recipe in table.items()}
    return unflatten_dict(made, sep="/")


def _check_names(needed: set[str], unused: tuple[str, ...], tensors, origin: str, method: str) -> None:
    """Raises UserError for the first tensor that is missing or that nobody knows."""
    mend = f"give the generator's weights that {method}'s authors published, of the settings in configs/methods.py"
    for name in sorted(needed - tensors.keys()):
        raise UserError(f"{origin}: holds no tensor {name}; {mend}")
    for name in sorted(tensors.keys() - needed):
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in unused):
            raise UserError(f"{origin}: holds a tensor {name}, which is none of {method}'s generator; {mend}")


def _made(path: str, recipe: Recipe, shape: tuple[int, ...], tensors, origin: str) -> np.ndarray:
    given = [np.asarray(tensors[name], np.float64) for name in recipe.tensors]
    said = ", ".join(f"{name} of {array.shape}" for name, array in zip(recipe.tensors, given, strict=True))
    if not all(np.isfinite(array).all() for array in given):
        raise UserError(f"{origin}: not all numbers of {' and '.join(recipe.tensors)} are finite; get the file anew")
    try:
        made = recipe.make(*given)
        fits = made.shape == shape
    except ValueError:  # of axes that are not there
        fits = False
    if not fits:
        raise UserError(
            f"{origin}: {said}: from that no {path} of {shape} can be made; it is of a network of another size than "
            "the config says"
        )
    return np.ascontiguousarray(made, np.float32)


def _as_is(array):
    return array


def conv(ours: str, theirs: str, bias: bool = True) -> Table:
    """A convolution."""
    return {f"{ours}/kernel": Recipe((f"{theirs}.weight",), hwio)} | _bias(ours, theirs, bias)


def up_conv(ours: str, theirs: str) -> Table:
    """A transposed convolution, whose kernel has the inputs before the outputs in PyTorch."""
    return {f"{ours}/kernel": Recipe((f"{theirs}.weight",), transposed_hwio)} | _bias(ours, theirs, True)


def dense(ours: str, theirs: str) -> Table:
    """A fully connected layer."""
    return {f"{ours}/kernel": Recipe((f"{theirs}.weight",), np.transpose)} | _bias(ours, theirs, True)


def weight(ours: str, theirs: str) -> Table:
    """A parameter of its own, taken as it is."""
    return {ours: Recipe((theirs,), _as_is)}


def norm(ours: str, theirs: str, scale: str = "weight", bias: str = "bias") -> Table:
    """A norm with a scale and a shift a channel."""
    return {
        f"{ours}/scale": Recipe((f"{theirs}.{scale}",), _as_is),
        f"{ours}/bias": Recipe((f"{theirs}.{bias}",), _as_is),
    }


def vgg19(theirs: str, deepest: str) -> Table:
    """Torchvision's VGG19 as far as a convolution, under `vgg` here."""
    found: Table = {}
    for ours, place in CONV_NAMES["vgg19"].items():
        found |= conv(f"vgg/{ours}", place.replace("features", theirs))
        if ours == deepest:
            break
    return found


def _bias(ours: str, theirs: str, bias: bool) -> Table:
    return {f"{ours}/bias": Recipe((f"{theirs}.bias",), _as_is)} if bias else {}


def hwio(kernel):
    """(out, in, row, column) as (row, column, in, out)."""
    return kernel.transpose(2, 3, 1, 0)


def transposed_hwio(kernel):
    """(in, out, row, column) as (row, column, in, out)."""
    return kernel.transpose(2, 3, 0, 1)
