"""Who is in which picture of one's own set, who is held out, and which pictures are paired."""

import hashlib
import itertools
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from input_pipeline.formats.collection import name_inside
from input_pipeline.formats.deepfashion import item_key
from input_pipeline.formats.findings import ERROR, NOTE, WARNING, Findings
from input_pipeline.formats.names import Names, Pictures, match, tell_nobody
from scrn_jax.errors import UserError
from scrn_jax.person import pair_files
from scrn_jax.person.pair_files import ListedPair
from scrn_jax.runtime.files import Problems, meet, read_table

FILE_NAME = "people.toml"
# A pair takes some 100 bytes of memory.
MAX_PAIRS = 1 << 21

Identity = Callable[[str], str | None]


def read_pairs(
    root: Path, content: dict[str, Any], images: Pictures, findings: Findings, problems: Problems
) -> tuple[Identity, dict[str, list[ListedPair]]]:
    """Who is in a picture, and the pairs of each split, by the sections of a manifest's checked `content`.

    Raises UserError for more pairs than memory holds, for people who are not there, and for unreadable files.
    """
    if "pairs" in content:
        section = content["pairs"]
        files = {split: inside(root, section[split]) for split in ("train", "test") if split in section}
        if not files:
            raise UserError(f"{root / FILE_NAME}: [pairs] names no file; set train, test or both")
        listed = {split: pair_files.read_pairs(file, name_inside, problems) for split, file in files.items()}
        return item_key, listed
    section = content["identities"]
    identity = _identity(root, section, images, findings, problems)
    people = _people(identity, section, images, findings)
    for who in section.get("exclude", ()):
        if people.pop(who, None) is None:
            raise UserError(f"{root / FILE_NAME}: identities.exclude names {who!r}, of whom there is no picture")
    count = sum(len(names) * (len(names) - 1) for names in people.values())
    if count > MAX_PAIRS:
        raise UserError(
            f"{root / FILE_NAME}: [identities] makes {count:,} pairs, at most {MAX_PAIRS:,} are taken; is one "
            "folder many people? else list the pairs that you want with [pairs]"
        )
    held_out = _held_out(root, section, sorted(people))
    pairs: dict[str, list[ListedPair]] = {"train": [], "test": []}
    for who, names in people.items():
        if len(names) < 2:
            findings.add(NOTE, "single picture", f"{images[names[0]]}: the only picture of {who!r}, so in no pair")
        split, where = "test" if who in held_out else "train", f"pairs of {who}"
        pairs[split] += [ListedPair(where, *pair) for pair in itertools.permutations(names, 2)]
    for split, listed in pairs.items():
        if not listed:
            nobody = f"{root / FILE_NAME}: nobody in {split} has two pictures; mend [identities]"
            findings.add(ERROR, "empty split", nobody)
    return identity, pairs


def inside(root: Path, path: str) -> Path:
    """`path` below the manifest's folder, or as it is when absolute. Raises UserError for what is none."""
    if "\0" in path:
        raise UserError(f"{root / FILE_NAME}: {path!r} is no path; mend it")
    return root / Path(path).expanduser()


def _people(identity: Identity, section: dict[str, Any], images: Pictures, findings: Findings) -> dict[str, list[str]]:
    """The pictures of each person; a finding for each of nobody, or one for those that lie in no folder of a person.

    Raises UserError when none does.
    """
    people: dict[str, list[str]] = {}
    unknown = []
    for name in sorted(images):
        who = identity(name)
        people.setdefault(who, []).append(name) if who is not None else unknown.append(name)
    if unknown and section.get("by") == "folder":
        text = f"{images[unknown[0]]}: lies in no folder of a person, like {len(unknown) - 1:,} others"
        mend = "move each person's pictures into a folder, or say who they are with identities.file"
        if not people:
            raise UserError(f"{text}; {mend}")
        findings.add(WARNING, "person unknown", f"{text}, and is in no pair; {mend}")
    elif unknown:
        for name in unknown:
            findings.add(WARNING, "person unknown", f"{images[name]}: belongs to nobody in {section['file']}; add it")
    return people


def _identity(
    root: Path, section: dict[str, Any], images: Pictures, findings: Findings, problems: Problems
) -> Identity:
    if "file" in section:
        return _table(inside(root, section["file"]), images, findings, problems).get
    if section["by"] == "folder":
        return lambda name: str(PurePosixPath(name).parent) if "/" in name else None
    return lambda name: PurePosixPath(name).name.partition("_")[0]


def _table(file: Path, images: Pictures, findings: Findings, problems: Problems) -> dict[str, str]:
    """Picture -> person, from a table of the columns name,identity. Two people for one picture are an error."""
    table: dict[str, str] = {}
    for line, (name, who) in read_table(file, ("name", "identity"), problems):
        if table.setdefault(name, who) != who:
            twice = f"{file}, line {line}, {name}: is {who!r} here and {table[name]!r} above; remove one of the lines"
            meet(UserError(twice), problems)
    names = Names(images)
    matched = match({name: who for name, who in table.items() if who}, names, str(file), findings)
    tell_nobody(matched, names, "names", str(file), findings)
    return matched.values


def _held_out(root: Path, section: dict[str, Any], people: list[str]) -> set[str]:
    """Who is in the test split: those named, or the share whose names' digests come first, whoever else is there."""
    if "test" in section:
        for who in section["test"]:
            if who not in people:
                raise UserError(f"{root / FILE_NAME}: identities.test names {who!r}, of whom there is no picture")
        return set(section["test"])
    ordered = sorted(people, key=lambda who: hashlib.sha256(who.encode()).digest())
    count = int(np.clip(round(section.get("test_share", 0.1) * len(people)), 1, max(1, len(people) - 1)))
    return set(ordered[:count])
