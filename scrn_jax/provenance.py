"""What produced a result: versions, the source's git revision, the devices."""

import importlib.metadata
import platform
import subprocess
from pathlib import Path

import jax

PACKAGES = ("scrn-jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


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


def devices() -> dict[str, object]:
    """Kind and number of the devices of all processes, and the number of processes."""
    return {
        "kind": jax.devices()[0].device_kind,
        "platform": jax.default_backend(),
        "count": jax.device_count(),
        "processes": jax.process_count(),
    }
