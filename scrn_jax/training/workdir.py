"""The folder of a run: claimed, with the config and a record of every start and what produced it."""

import contextlib
import datetime
import importlib.metadata
import json
import logging
import platform
import subprocess
import tempfile
from pathlib import Path

import jax

from scrn_jax.errors import UserError
from scrn_jax.inference import model_folder
from scrn_jax.runtime import files
from scrn_jax.settings import Settings, from_config, to_config

log = logging.getLogger(__name__)

CONFIG_FILE, STARTS_FILE = "config.json", "starts.jsonl"
_MAX_CONFIG_BYTES = 1 << 20

PACKAGES = ("scrn-jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def claim_workdir(workdir: Path) -> None:
    """Make the workdir and see that it can be written; what is in it stays as it is. Only the first process does so.

    Raises:
      UserError: the folder cannot be made or written.
    """
    if jax.process_index():
        return
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=workdir):
            pass
    except OSError as error:
        raise UserError(
            f"cannot write into the workdir {workdir}: {error.strerror or error}; choose another --workdir"
        ) from error


@contextlib.contextmanager
def workdir_at_risk(workdir: Path):
    """Turns an OSError of what is written into the workdir while a run goes on into a UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write into the workdir {workdir} any more: {error.strerror or error}. Its checkpoints are as they "
            "were: make room or mend the folder and run the same command again"
        ) from error


def record(workdir: Path, settings: Settings, step: int) -> None:
    """Keep the config in the workdir, and a line on this start from `step`: versions, revision, devices."""
    if jax.process_index():
        return
    write_config(workdir, settings)
    start = {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "step": step,
        "versions": versions(),
        "revision": revision(),
        "devices": devices_in_use(),
    }
    with open(workdir / STARTS_FILE, "a", encoding="utf-8") as stream:
        stream.write(json.dumps(start) + "\n")


def write_config(workdir: Path, settings: Settings) -> None:
    """Put the config into the workdir, whole or not at all, for `read_config`."""
    with files.written_whole(workdir / CONFIG_FILE) as unfinished:
        unfinished.write_text(json.dumps(to_config(settings), indent=2) + "\n", "utf-8")


def read_config(workdir: Path) -> Settings:
    """The settings that a workdir's run was started with, or that an exported model in its place carries.

    Raises:
      UserError: no or no readable config.json there.
    """
    if model_folder.is_exported(workdir):
        return model_folder.read_settings(workdir)
    path = workdir / CONFIG_FILE
    if not path.exists():
        raise UserError(f"{path} does not exist; give the --workdir of a run, or its --config")
    try:
        config = files.read_json(path, _MAX_CONFIG_BYTES)
    except UserError as error:
        raise UserError(f"{path} cannot be read ({error}); give the run's --config") from error
    if not isinstance(config, dict):
        raise UserError(f"{path} holds no config; give the run's --config")
    return from_config(config)


def versions() -> dict[str, str]:
    """Python's and the packages' versions, by name; those that are not installed as packages are left out."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def revision() -> str | None:
    """The git commit of the source, with "+changes" when tracked files differ from it; None outside a checkout."""
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        # In an installed package, an enclosing repository would be somebody else's.
        if not git("ls-files", "--", Path(__file__).name):
            return None
        return f"{commit}+changes" if git("status", "--porcelain", "--untracked-files=no") else commit
    except (OSError, subprocess.SubprocessError):
        return None


def devices_in_use() -> dict[str, object]:
    """Kind and number of the devices of all processes, and the number of processes."""
    return {
        "kind": jax.devices()[0].device_kind,
        "platform": jax.default_backend(),
        "count": jax.device_count(),
        "processes": jax.process_count(),
    }
