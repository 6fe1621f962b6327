"""Which images a folder holds, under names that do not depend on file extensions or on how the folder is laid out."""

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from scrn_jax.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg")

# Some code keeps the extensions of both images inside a generated image's name: a.jpg___b.jpg_vis.png.
_INNER_SUFFIX = re.compile(r"\.(?:png|jpe?g)(?=_|$)", re.IGNORECASE)


@dataclass(frozen=True)
class ImageFolder:
    """The images of a folder and of the folders inside it.

    Attributes:
      root: the folder.
      files: name (see `key_of`) -> path relative to the root, with slashes; in the order of the names.
      ignored: how many other files are there.
    """

    root: Path
    files: dict[str, str]
    ignored: int


def key_of(path: str) -> str:
    """The name under which an image is matched: its file name without folders and extensions.

    In DeepFashion's original tree, whose file names are not unique, it is the flat name that the field gives it:
    MEN/Denim/id_00000080/01_1_front.jpg is fashionMENDenimid0000008001_1front.
    """
    parts = PurePosixPath(path).parts
    stem = _INNER_SUFFIX.sub("", parts[-1])
    if len(parts) >= 4 and parts[-2].startswith("id_") and parts[-4] in ("MEN", "WOMEN"):
        first, _, rest = stem.partition("_")
        stem = f"fashion{parts[-4]}{parts[-3]}{parts[-2].replace('_', '')}{first}_{rest.replace('_', '')}"
    return stem


def list_images(folder: Path, what: str) -> ImageFolder:
    """The images in `folder`; hidden files and folders are not looked at.

    Args:
      what: what the folder should hold, for messages.

    Raises:
      UserError: no such folder, no image in it, or two images of one name.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give the folder of the {what} images")
    files: dict[str, str] = {}
    ignored = 0
    for path in _walk(folder):
        if not path.lower().endswith(SUFFIXES):
            ignored += 1
            continue
        key = key_of(path)
        if key in files:
            raise UserError(f"{folder}: {files[key]} and {path} have the same name; remove one of them")
        files[key] = path
    if not files:
        raise UserError(f"{folder}: holds no {what} image, neither PNG nor JPEG; give the folder of the images")
    return ImageFolder(folder, dict(sorted(files.items())), ignored)


def _walk(folder: Path) -> list[str]:
    """Every file that is not hidden, relative to the folder, sorted."""
    found = []
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        relative = Path(root).relative_to(folder)
        found += [(relative / name).as_posix() for name in names if not name.startswith(".")]
    return sorted(found)
