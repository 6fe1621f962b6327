"""Which file belongs to which picture, however both are spelled: nothing in a data set's folder vanishes in silence."""

import collections
import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Generic, TypeVar

from input_pipeline.formats.findings import ERROR, WARNING, Findings
from scrn_jax.errors import UserError
from scrn_jax.person.image_files import OTHER_SUFFIXES, SUFFIXES
from scrn_jax.runtime.files import Stored, open_archive
from scrn_jax.runtime.folders import list_files, shown, tidy

_Value = TypeVar("_Value")


class Pictures(dict[str, Stored]):
    """Pictures by their tidy names. `left_out` says what else lies there and was not read, and why."""

    def __init__(self):
        super().__init__()
        self.left_out: list[str] = []
        self._unread: dict[str, list[str]] = collections.defaultdict(list)

    def enter(self, name: str, stored: Stored, rename: Callable[[str], str]) -> None:
        """Notes a file, under the name that `rename` makes of its tidy one. Raises UserError for doubles."""
        suffix = PurePosixPath(name).suffix.lower()
        if suffix in OTHER_SUFFIXES:
            self._unread[suffix].append(name)
        if suffix not in SUFFIXES:
            return
        key = rename(tidy(name))
        if key in self:
            raise UserError(f"{stored}: has the same name {key} as {self[key]}; remove one of them")
        self[key] = stored

    def tell(self, place: str, findings: Findings) -> None:
        """Adds a finding for every sort of file that was left out."""
        for text in self.left_out:
            findings.add(WARNING, "left out", text)
        for suffix, names in sorted(self._unread.items()):
            text = f"{place}: {len(names):,} files {suffix} are not read, {names[0]} for one; save them as JPEG or PNG"
            findings.add(WARNING, "unread pictures", text)


def index_folder(folder: Path, rename: Callable[[str], str] = str) -> Pictures:
    """The pictures in and below a folder by their path in it, as `rename` changes it. Raises UserError for doubles."""
    found, listing = Pictures(), list_files(folder)
    found.left_out += listing.left_out
    for name, path in listing.files:
        found.enter(name, Stored(path), rename)
    return found


def index_archive(file: Path, rename: Callable[[str], str] = str) -> Pictures:
    """The pictures in a zip archive, likewise. Raises UserError for a damaged or encrypted archive."""
    found = Pictures()
    for info in open_archive(str(file)).infolist():
        path = PurePosixPath(info.filename.replace("\\", "/"))
        hidden = any(part.startswith(".") and part != "." or part == "__MACOSX" for part in path.parts)
        if info.is_dir() or hidden:
            continue
        if info.flag_bits & 1 and path.suffix.lower() in SUFFIXES:
            raise UserError(f"{file}: encrypted; unpack it with the password that came with the set")
        found.enter(path.as_posix(), Stored(str(file), info.filename), rename)
    return found


def stem(name: str) -> str:
    """The name of a picture without .jpg and the like."""
    suffix = PurePosixPath(name).suffix
    return name[: -len(suffix)] if suffix.lower() in (*SUFFIXES, *OTHER_SUFFIXES) else name


class Names:
    """The names of a set's pictures, found by any spelling that means one of them alone."""

    def __init__(self, names: Iterable[str]):
        self.all = dict.fromkeys(names)
        self._by_stem: dict[str, list[str]] = collections.defaultdict(list)
        for name in self.all:
            self._by_stem[stem(name)].append(name)

    def find(self, name: str) -> str | None:
        """The picture's own name: the same, or the only one that differs in suffix, slashes or composed accents."""
        name = tidy(name)
        if name in self.all:
            return name
        alike = self._by_stem.get(stem(name), ())
        return alike[0] if len(alike) == 1 else None

    def first(self) -> str:
        """One of them, to show."""
        return next(iter(self.all))

    def tell_doubles(self, findings: Findings) -> None:
        """Adds a finding for pictures that differ in their suffix alone: they share what is named without one."""
        for alike in self._by_stem.values():
            if len(alike) > 1:
                text = f"{' and '.join(alike)}: differ in the suffix alone, so a map or joints without one fit both"
                findings.add(WARNING, "names alike", text)


@dataclasses.dataclass(frozen=True)
class Matched(Generic[_Value]):
    """Values by the pictures' own names, and the keys that belong to none."""

    values: dict[str, _Value]
    nobody: list[str]


def match(values: Mapping[str, _Value], names: Names, where: str, findings: Findings) -> Matched[_Value]:
    """Gives every picture its value: the one of its own name, or the only one whose name differs in suffix alone.

    Of several that do, the only PNG counts, as a map among pictures does; otherwise they are an error, and so are two
    spellings of one name.
    """
    keys: dict[str, str] = {}
    by_stem: dict[str, list[str]] = collections.defaultdict(list)
    for key in values:
        plain = tidy(key)
        if keys.setdefault(plain, key) != key:
            findings.add(ERROR, "ambiguous name", f"{where}: {key!r} and {keys[plain]!r} are one name; remove one")
        else:
            by_stem[stem(plain)].append(key)
    found, used = {}, set()
    for name in names.all:
        alike = [keys[name]] if name in keys else by_stem.get(stem(name), [])
        if len(alike) > 1:
            alike = [key for key in alike if key.lower().endswith(".png")] or alike
        if len(alike) > 1:
            text = f"{where}: {' and '.join(alike)} may belong to {name}; remove or rename all but one"
            findings.add(ERROR, "ambiguous name", text)
        if alike:
            found[name] = values[alike[0]]
            used.update(alike)
    return Matched(found, [key for key in values if key not in used])


def tell_nobody(matched: Matched, names: Names, what: str, where: str, findings: Findings) -> bool:
    """Adds a finding when some, or all, values belong to no picture; returns whether any belongs to one."""
    if not matched.nobody:
        return bool(matched.values)
    key = shown(matched.nobody[0])
    if matched.values:
        text = f"{where}: {len(matched.nobody):,} {what} belong to no picture and are left out, {key!r} for one"
        findings.add(WARNING, "belongs to nobody", text)
    elif names.all:
        text = f"{where}: none of its {len(matched.nobody):,} {what} belongs to a picture"
        alike = f"they are called like {key!r}, pictures like {names.first()!r}; name them alike"
        findings.add(ERROR, "nothing matches", f"{text}: {alike}")
    return bool(matched.values)
