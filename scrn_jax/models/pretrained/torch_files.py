"""PyTorch's weight files, read without running what is pickled in them: those of frozen networks become .npz."""

import importlib.util
from pathlib import Path

import numpy as np

from scrn_jax.errors import UserError
from scrn_jax.models.pretrained.catalogue import from_torch, network, networks
from scrn_jax.runtime import arrays as arrays_lib
from scrn_jax.runtime import files

# How PyTorch's file of each network begins.
FILE_BEGINNINGS = {"vgg19": "vgg19-", "vgg16": "vgg16-", "alexnet": "alexnet-", "inception": "pt_inception-"}


def network_of(path: Path) -> str:
    """The network whose PyTorch file is called like that. Raises UserError when none is."""
    for name, beginning in FILE_BEGINNINGS.items():
        if path.name.startswith(beginning):
            return name
    raise UserError(f"{path}: its name does not tell the network; say it with --network {{{','.join(networks())}}}")


def convert(source: Path, destination: Path, name: str) -> None:
    """Writes the weights of network `name` from PyTorch's `source` to an .npz, whole or not at all.

    The SHA-256 must begin with the digits in the file's name, where it carries some, and is kept in the .npz.

    Raises:
      UserError: no such file, wrong digest, PyTorch not installed, an unreadable file or one of another network.
    """
    network(name)
    digest = checked(source)
    tensors = read_torch(source)
    arrays = from_torch(name, tensors, str(source))
    with files.written_whole(destination) as temporary, temporary.open("wb") as stream:
        np.savez(stream, source_sha256=np.array(digest), **arrays)


def checked(source: Path) -> str:
    """The SHA-256 of a file, which must begin with the digits in its name, where it carries some; UserError."""
    if not source.is_file():
        raise UserError(f"{source}: no such file; download PyTorch's weights first")
    return arrays_lib.check_sha256(source, arrays_lib.digest_in_name(source) or "", "download it anew")


def read_torch(path: Path) -> dict[str, np.ndarray]:
    """PyTorch's state dict as arrays, read with weights_only=True so that no code in it runs; UserError otherwise."""
    check_torch(str(path))
    import torch

    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
        return {key: value.numpy() for key, value in tensors.items()}
    except Exception as error:
        raise UserError(f"{path}: PyTorch cannot read it as plain weights ({error}); download it anew") from error


def check_torch(where: str) -> None:
    """Raises UserError naming PyTorch's file `where` when PyTorch is not installed."""
    if importlib.util.find_spec("torch") is None:
        raise UserError(f"{where}: reading it needs PyTorch: pip install 'scrn-jax[convert]'")
