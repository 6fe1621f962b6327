"""Statistics of image sets that FID compares with, kept in the user's cache folder for the next evaluation.

The references stay while methods and checkpoints change, and Inception's pass over them is nearly half of the time. A
key covers whatever the statistics depend on: the files' contents, the network's weights, the frame, versions.
"""

import logging
from pathlib import Path

from scrn_jax.errors import UserError
from scrn_jax.metrics import fid
from scrn_jax.metrics.fid import Gaussian, Origin
from scrn_jax.runtime.files import cache_folder

log = logging.getLogger(__name__)

FOLDER = "statistics"
MOST = 8  # sets; each takes 34 MB


def kept(key: str, origin: Origin) -> Gaussian | None:
    """The statistics under that key; None when there are none, when they say another origin, or are damaged."""
    path = _path(key)
    if not path.is_file():
        return None
    try:
        gaussian = fid.load(path)
        if gaussian.origin != origin:
            return None
        path.touch()  # the most recently used stay
    except (UserError, OSError):
        return None
    log.info("statistics of this set are kept from an earlier evaluation: %s", path)
    return gaussian


def keep(key: str, gaussian: Gaussian) -> None:
    """Keep statistics, and of all sets the `MOST` that were used last. A folder that cannot be written is a warning."""
    path = _path(key)
    try:
        fid.save(path, gaussian)
        for old in sorted(path.parent.glob("*.npz"), key=lambda each: each.stat().st_mtime)[:-MOST]:
            old.unlink(missing_ok=True)
    except (UserError, OSError) as error:
        log.warning("statistics are not kept for the next evaluation: %s", error)


def _path(key: str) -> Path:
    return cache_folder() / FOLDER / f"{key[:32]}.npz"
