"""Parameters in one small file: float16 arrays in an .npz, for models that come with the package."""

import io
from typing import Any

import jax
import numpy as np


def pack(params: Any) -> bytes:
    """Parameters as the bytes of an .npz of float16 arrays, named by their paths; the same for the same parameters."""
    arrays = {_name(path): np.asarray(leaf, np.float16) for path, leaf in jax.tree_util.tree_leaves_with_path(params)}
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def unpack(data: bytes, like: Any) -> Any:
    """The parameters of `pack` as float32 arrays in the tree of `like`. Raises ValueError when they are of another."""
    wanted = {_name(path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(like)}
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        if set(arrays.files) != set(wanted):
            raise ValueError("other parameters than the model has")
        found = {name: arrays[name].astype(np.float32) for name in wanted}
    wrong = [name for name, shape in wanted.items() if found[name].shape != shape]
    if wrong:
        raise ValueError(f"{wrong[0]} has the shape {found[wrong[0]].shape}, not {wanted[wrong[0]]}")
    return jax.tree_util.tree_map_with_path(lambda path, _: found[_name(path)], like)


def _name(path: tuple) -> str:
    return "/".join(str(key.key) for key in path)
