"""Parameters in one small file: float16 arrays in an .npz, for models that come with the package."""

import io
from typing import Any

import jax
import numpy as np
from flax.traverse_util import unflatten_dict

from scrn_jax.runtime.arrays import arrays_in
from scrn_jax.runtime.file_bytes import PICTURE_BYTES

# Unpacked: files of at most PICTURE_BYTES are read, and float16 parameters hardly become smaller by being packed.
_MOST_BYTES = 2 * PICTURE_BYTES


def pack(params: Any) -> bytes:
    """Parameters as the bytes of an .npz of float16 arrays, named by their paths; the same for the same parameters."""
    arrays = {_name(path): np.asarray(leaf, np.float16) for path, leaf in jax.tree_util.tree_leaves_with_path(params)}
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def unpack(data: bytes, like: Any = None, besides: tuple[str, ...] = ()) -> Any:
    """The parameters of `pack` as float32 arrays in nested dicts.

    Raises ValueError when they are damaged, and when they are of another tree, or have other shapes, than `like`, if it
    is given: to know what a network has takes as long as to trace it. Branches named in `besides` are left out.
    """
    try:
        arrays = arrays_in(io.BytesIO(data), _MOST_BYTES)
    except ValueError as error:
        raise ValueError(f"damaged: {error}") from error
    found = {name: array.astype(np.float32) for name, array in arrays.items() if name.split("/")[0] not in besides}
    if like is not None:
        wanted = {_name(path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(like)}
        if set(found) != set(wanted):
            raise ValueError("other parameters than the model has")
        wrong = [name for name, shape in wanted.items() if found[name].shape != shape]
        if wrong:
            raise ValueError(f"{wrong[0]} has the shape {found[wrong[0]].shape}, not {wanted[wrong[0]]}")
    return unflatten_dict(found, sep="/")


def _name(path: tuple) -> str:
    return "/".join(str(key.key) for key in path)
