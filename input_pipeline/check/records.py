"""Examines prepared records: every picture in them once, however many pairs hold it."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from input_pipeline.check.dataset import Report, Tally, check_splits, examined
from input_pipeline.check.picture import Look
from input_pipeline.formats.collection import Collection, Split
from input_pipeline.formats.deepfashion import item_key
from input_pipeline.formats.findings import ERROR, Findings
from input_pipeline.pair import Pair
from input_pipeline.record_folder import find_prepared, metadata, split_names
from input_pipeline.records import RecordSource
from scrn_jax.errors import UserError
from scrn_jax.person.fitting import Person, Rules
from scrn_jax.person.pair_files import ListedPair
from scrn_jax.runtime.files import Held

_RENDERED = re.compile(r"(mannequin_\d+_\d+)_\d+$")


def examine_records(directory: Path, processes: int, samples: int = 0, seed: int = 0) -> Report:
    """Examines the prepared data set at or below `directory` as `dataset.examine_collection` does a folder.

    Raises UserError when there is none, or none of this schema.
    """
    directory = find_prepared(directory)
    findings = Findings()
    sources = {split: RecordSource(directory, split) for split in split_names(directory)}
    frame = next(iter(sources.values())).frame
    chosen = _choose({split: len(source) for split, source in sources.items()}, samples, seed)
    pairs: dict[str, list[ListedPair]] = {split: [] for split in sources}
    looks = (
        (split, look)
        for split, source in sources.items()
        for look in _looks(source, split, Rules(frame), chosen[split], pairs[split], findings)
    )
    tally = Tally(Rules(frame), findings)
    for split, seen in examined(looks, processes):
        tally.add(split, seen)
    kind = str(metadata(directory).get("kind", "records"))
    splits = {split: _bare_split(directory, split, listed) for split, listed in pairs.items()}
    check_splits(Collection(directory, kind, Rules(frame), splits, _identity, {}, findings))
    return tally.report(
        {split: len(part.names()) for split, part in splits.items()},
        {split: len(part.pairs) for split, part in splits.items()},
    )


def _identity(name: str) -> str | None:
    rendered = _RENDERED.match(name)
    return rendered.group(1) if rendered else item_key(name)


def _choose(lengths: dict[str, int], samples: int, seed: int) -> dict[str, set[int]]:
    """Record numbers by split."""
    everything = [(split, index) for split, length in lengths.items() for index in range(length)]
    picked = np.random.default_rng(seed).permutation(len(everything))[:samples]
    chosen: dict[str, set[int]] = {split: set() for split in lengths}
    for number in picked:
        split, index = everything[number]
        chosen[split].add(index)
    return chosen


def _looks(
    source: RecordSource, split: str, rules: Rules, chosen: set[int], pairs: list[ListedPair], findings: Findings
) -> Iterator[Look]:
    """One look per picture; targets first, because only they carry a face box. Fills `pairs` on the way."""
    seen: dict[str, bytes] = {}
    for side in ("target", "source"):
        for index in range(len(source)):
            try:
                pair = source.read(index)
            except UserError as error:
                if side == "target":
                    findings.add(ERROR, "unreadable record", error)
                continue
            if side == "target":
                pairs.append(ListedPair(f"split {split}, record {index}", pair.source_name, pair.target_name))
            person = _person(pair, side, index, source)
            digest = hashlib.sha256(person.image.data + person.labels.data + person.pose.tobytes()).digest()
            known = seen.setdefault(person.name, digest)
            if known != digest:
                text = f"{person.image}: {person.name} differs from the picture of that name in another record"
                findings.add(ERROR, "one name, two pictures", text)
            elif known is digest:
                yield Look(person, rules, keep=side == "target" and index in chosen)


def _person(pair: Pair, side: str, index: int, source: RecordSource) -> Person:
    return Person(
        name=getattr(pair, f"{side}_name"),
        image=Held(getattr(pair, f"{side}_image"), source.where(index, f"{side}_image")),
        labels=Held(getattr(pair, f"{side}_parsing"), source.where(index, f"{side}_parsing")),
        pose=getattr(pair, f"{side}_pose"),
        pose_size=source.frame,
        face_box=pair.face_box if side == "target" else None,
    )


def _bare_split(directory: Path, split: str, pairs: list[ListedPair]) -> Split:
    """A split of nothing but names and pairs."""
    return Split({}, {}, {}, None, {}, pairs, f"{directory}, {split}", "", "")
