"""The old name of `scrn_jax.inference.transfer`, for one release."""

import warnings

from scrn_jax.inference.transfer import PoseTransfer

__all__ = ["PoseTransfer"]

warnings.warn(
    "scrn_jax.transfer is now scrn_jax.inference: from scrn_jax.inference import PoseTransfer",
    DeprecationWarning,
    stacklevel=2,
)
