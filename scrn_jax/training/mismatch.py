"""In what a checkpoint differs from what is asked for, and what an error met while reading or writing it says."""

import errno
import json
import os
import re
from collections.abc import Mapping
from typing import Any

import orbax.checkpoint as ocp
from flax.traverse_util import flatten_dict

from scrn_jax.errors import first_line


def flat(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Nested sections as "section.key", tuples as the lists that JSON gives back, so that the two sides compare."""
    return flatten_dict(json.loads(json.dumps(identity)), sep=".")


def of_values(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """A phrase for each key that has not the same value in both, in order."""
    return [
        f"{key} is {there.get(key)} there and {here.get(key)} in the config"
        for key in sorted({*there, *here}) if there.get(key) != here.get(key)
    ]  # fmt: skip


def of_arrays(stored, like) -> list[str]:
    """A phrase for each array that a stored tree (Orbax's metadata) and `like` do not have in the same shape, in order.

    Arrays are told apart by their places in the trees, as "generator.decoder.kernel".
    """

    def shapes(tree) -> dict[str, tuple[int, ...]]:
        leaves = ocp.tree.to_flat_dict(tree).items()
        return {".".join(map(str, path)): tuple(leaf.shape) for path, leaf in leaves if hasattr(leaf, "shape")}

    there, here = shapes(stored), shapes(like)
    return [
        f"{name} is {_shape(there.get(name))} there and {_shape(here.get(name))} here"
        for name in sorted({*there, *here}) if there.get(name) != here.get(name)
    ]  # fmt: skip


def _shape(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else "x".join(map(str, shape)) or "a number"


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or one that it was raised from, says that memory was short."""
    while error is not None:
        short = isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM
        if short or re.search(r"RESOURCE_EXHAUSTED|out of memory|cannot allocate memory", str(error), re.IGNORECASE):
            return True
        error = error.__cause__ or error.__context__
    return False


def reason(error: Exception) -> str:
    """The operating system's word for what went wrong, where TensorStore's long message has it, or the first line."""
    code = re.search(r"os_error_code='(\d+)'", str(error))
    return os.strerror(int(code[1])) if code else first_line(error)
