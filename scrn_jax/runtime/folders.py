"""What lies in a folder and below it: links are followed without loops, hidden files passed over, oddities told."""

import dataclasses
import os
import unicodedata
from pathlib import Path


@dataclasses.dataclass
class Listing:
    """Files as (path in the folder, with slashes, as it is on disk; path to open), in the order of the names, and in
    `left_out` what was not looked into, and why."""

    files: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    left_out: list[str] = dataclasses.field(default_factory=list)


def list_files(folder: str | Path) -> Listing:
    """All files in and below `folder` whose names do not begin with a dot.

    Folders that are links are read under the name of the link, unless they have been read already: so a loop ends, and
    a folder that lies in `folder` keeps the name it has there.
    """
    found, seen = Listing(), set()
    waiting, links = [("", str(folder))], []
    while waiting or links:
        inside, path = waiting.pop() if waiting else links.pop(0)
        try:
            at = os.stat(path)
            entries = sorted(os.scandir(path), key=lambda entry: entry.name)
        except OSError as error:
            found.left_out.append(f"{shown(path)}: cannot be read ({error.strerror}); mend or remove it")
            continue
        if (at.st_dev, at.st_ino) in seen:
            found.left_out.append(f"{shown(path)}: is a link to a folder that is read already; it is not read twice")
            continue
        seen.add((at.st_dev, at.st_ino))
        for entry in entries:
            if entry.name.startswith("."):
                continue
            name = f"{inside}{entry.name}"
            if not is_text(entry.name):
                found.left_out.append(f"{shown(entry.path)}: its name is no UTF-8; rename it")
            elif entry.is_dir():
                (links if entry.is_symlink() else waiting).append((f"{name}/", entry.path))
            else:
                found.files.append((name, entry.path))
    found.files.sort()
    return found


def is_text(name: str) -> bool:
    """Whether a name can be written as UTF-8: the system hands on any bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(name: object) -> str:
    """A name that can be printed: bytes that are no UTF-8 as backslashes and numbers."""
    try:
        return str(name).encode(errors="surrogateescape").decode(errors="backslashreplace")
    except UnicodeEncodeError:  # half a character, as JSON can hold it
        return str(name).encode(errors="backslashreplace").decode()


def tidy(name: str) -> str:
    """A name as others write it: with slashes, without `./` before it, its accents composed (NFC)."""
    name = unicodedata.normalize("NFC", name.replace("\\", "/"))
    while name.startswith("./"):
        name = name[2:]
    return name
