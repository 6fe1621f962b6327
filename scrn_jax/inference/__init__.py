"""A trained model in use: `PoseTransfer`, a function of arrays, from an exported folder."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scrn_jax.inference.transfer import PoseTransfer

__all__ = ["PoseTransfer"]


def __getattr__(name: str):
    """Imports what computes at its first use only, so that the commands of this room answer --help at once."""
    if name != "PoseTransfer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from scrn_jax.inference.transfer import PoseTransfer

    return PoseTransfer
