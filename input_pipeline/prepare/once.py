"""How a TFDS builder prepares records: once, by one process at a time, whole or not at all, without noise."""

import contextlib
import fcntl
import io
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import tensorflow_datasets as tfds

from scrn_jax.errors import UserError


def prepare_once(
    directory: Path, builder: Callable[[], tfds.core.DatasetBuilder], announce: Callable[[Path], None], **options
) -> Path:
    """The folder of the records of `builder`(), which writes below `directory`; prepared now unless they are there.

    An interrupted preparation leaves a folder named incomplete.*, which never counts as prepared and is removed by the
    next one. Several processes may call this at once: one prepares, the others wait. `announce` is called with the
    folder before the work begins, `options` are those of tfds.download.DownloadConfig. Raises UserError when
    `directory` cannot be written, and what the builder raises.
    """
    try:
        with _own_temporary_folder() as empty:
            made = builder()
            target = Path(made.data_path)
            if made.is_prepared():  # then nothing is written, not even a lock: the folder may be on read-only storage
                return target
            directory.mkdir(parents=True, exist_ok=True)
            with _locked(directory / f"{made.name}.lock"):
                made = builder()  # another process may have prepared it while this one waited
                if not made.is_prepared():
                    _remove_leftovers(target)
                    announce(target)
                    tfds.disable_progress_bar()
                    # TFDS wants a folder for downloads, of which there are none, and prints that it downloads.
                    with contextlib.redirect_stdout(io.StringIO()):
                        config = tfds.download.DownloadConfig(**options)
                        made.download_and_prepare(download_dir=empty, download_config=config)
    except OSError as error:
        raise UserError(f"{directory}: cannot hold the records ({error}); set config.data.dir") from error
    return target


@contextlib.contextmanager
def _own_temporary_folder() -> Iterator[str]:
    """Yields a folder that takes whatever TFDS leaves in the temporary folder, and is removed with it."""
    kept = tempfile.tempdir
    with tempfile.TemporaryDirectory() as empty:
        tempfile.tempdir = empty
        try:
            yield empty
        finally:
            tempfile.tempdir = kept


def _remove_leftovers(target: Path) -> None:
    """Removes what interrupted preparations left beside `target`. Call under the lock only."""
    for left in target.parent.glob("incomplete.*"):
        shutil.rmtree(left)


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Holds a lock that the system releases when the process dies, however it dies."""
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
