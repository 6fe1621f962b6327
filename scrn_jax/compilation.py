"""Compiled programs kept on disk, so that the next start of the same run need not compile them again."""

import logging
import os
import tempfile
from pathlib import Path

import jax
from jax.experimental.compilation_cache import compilation_cache

from scrn_jax.features.weights import cache_folder

log = logging.getLogger(__name__)

AUTO, FOLDER = "auto", "compiled"
MIN_SECONDS = 5  # Programs that compile faster are not worth their file.


def keep_programs(where: str, least_seconds: float = MIN_SECONDS) -> None:
    """Keep what takes `least_seconds` or longer to compile in a folder; call it before anything is computed.

    JAX's key of a program covers its code, the versions, the flags of XLA and the kind of processor, so that several
    machines may share a folder. Anyone who can write into it can run code here: let it be nobody else.

    Args:
      where: a folder, which is made; "auto" for `compiled` in the user's cache folder (`weights.cache_folder`), or
        what JAX_COMPILATION_CACHE_DIR already says; "" to leave JAX as it is. A folder that cannot be written is a
        warning: the run only starts more slowly without it.
    """
    if not where or (where == AUTO and jax.config.jax_compilation_cache_dir):
        return
    folder = cache_folder() / FOLDER if where == AUTO else Path(where).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        log.warning("compiled programs are not kept: %s cannot be written (%s)", folder, error.strerror or error)
        return
    jax.config.update("jax_compilation_cache_dir", str(folder.resolve()))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", least_seconds)
    # JAX asks for its folder once, at the first thing that it compiles, and that may have been before.
    compilation_cache.reset_cache()
