"""The folder of a run: claimed, with the config and a record of every start and what produced it."""

import contextlib
import dataclasses
import datetime
import importlib.metadata
import json
import logging
import platform
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import jax

from scrn_jax.errors import UserError
from scrn_jax.inference import model_folder
from scrn_jax.runtime import file_bytes, files
from scrn_jax.settings import Settings, from_config, to_config
from scrn_jax.training import mismatch

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
    """Keep a line on this start from `step`: its config, what of it changed, versions, revision, devices.

    What changed since the last start that made a step is logged. The config of a fresh run becomes the workdir's at
    once; that of another start only when it makes a step, by `write_config`: until then its results are of the old one.
    """
    if jax.process_index():
        return
    before = _config_before(workdir)
    changes = {} if before is None else changed(before, settings)
    for line in _said(changes, before, settings, step):
        log.warning("%s", line)
    if before is None:
        write_config(workdir, settings)
    start = {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "step": step,
        "versions": versions(),
        "revision": revision(),
        "devices": devices_in_use(),
        "changed": changes,
        "config": to_config(settings),
    }
    with open(workdir / STARTS_FILE, "a", encoding="utf-8") as stream:
        stream.write(json.dumps(start) + "\n")


def _config_before(workdir: Path) -> Settings | None:
    """The settings in the workdir; None when there are none, or none that this version can read."""
    if not (workdir / CONFIG_FILE).exists():
        return None
    try:
        return read_config(workdir)
    except UserError as error:
        log.warning("what changed since the last start cannot be told: %s", error)
        return None


def changed(before: Settings, now: Settings) -> dict[str, list]:
    """Key -> [value before, value now] for each key of the config that has not the same value in both."""
    old, new = (mismatch.flat(to_config(settings)) for settings in (before, now))
    return {key: [old.get(key), new.get(key)] for key in sorted({*old, *new}) if old.get(key) != new.get(key)}


def trained_with(workdir: Path, settings: Settings) -> Settings:
    """`settings` with what says how a run was trained as its workdir, or an exported model in its place, has it.

    What is left of `settings` says on what and how the model is evaluated: data, frame, `eval`, and of the model how it
    is computed. The same when the workdir has no config that can be read.
    """
    exported = model_folder.is_exported(workdir)
    before = read_config(workdir) if exported else _config_before(workdir)
    if before is None:
        return settings
    kept = {name: getattr(settings, name) for name in ("data", "size", "model", "eval", "compilation_cache", "fsdp")}
    found = dataclasses.replace(before, **kept)
    for key, (given, was) in changed(settings, found).items():
        log.warning(
            "config.%s is %r for what %s was trained with; %r changes nothing of that", key, was, workdir, given
        )
    return found


def _said(changes: Mapping[str, list], before: Settings | None, settings: Settings, step: int) -> list[str]:
    """The lines on what changed, and on what follows from it."""
    lines = [f"config.{key} was {was!r} and is {now!r} from step {step} on" for key, (was, now) in changes.items()]
    if changes and step >= settings.train.steps:
        return [
            f"the run is at step {step} of {settings.train.steps} and trains no further, so that what is different in "
            f"its config ({', '.join(f'config.{key}' for key in changes)}) changes nothing that it has learned; "
            f"{CONFIG_FILE} stays. Give more config.train.steps, or start a new --workdir with config.init_from"
        ]
    if changes.keys() & {"train.steps", "optim.learning_rate"}:
        was, now = (each.optim.learning_rate * max(0.0, 1 - step / each.train.steps) for each in (before, settings))
        lines.append(
            f"so the learning rate at step {step} is {now:.3g} instead of {was:.3g}, and falls to 0 from there"
        )
    return lines


def write_config(workdir: Path, settings: Settings) -> None:
    """Put the config into the workdir, whole or not at all, for `read_config`; only the first process does so.

    One that is there already stays, with its date.
    """
    path, text = workdir / CONFIG_FILE, json.dumps(to_config(settings), indent=2) + "\n"
    if jax.process_index() or (path.is_file() and file_bytes.read_bytes(path) == text.encode()):
        return
    with files.written_whole(path) as unfinished:
        unfinished.write_text(text, "utf-8")


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
    try:
        return from_config(config)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


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
