"""Examines a whole data set: every picture once, then what only all of them together show. No TensorFlow."""

import collections
import dataclasses
import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from input_pipeline.check.picture import Examined, Look, examine
from input_pipeline.check.sense import Senses
from input_pipeline.formats.collection import Collection, Split
from input_pipeline.formats.findings import ERROR, NOTE, OF_THE_SET, WARNING, Findings
from scrn_jax.errors import UserError
from scrn_jax.person.fitting import Rules
from scrn_jax.person.regions import NAMES, NUM_REGIONS
from scrn_jax.runtime.workers import ordered_map

log = logging.getLogger(__name__)

# DeepFashion's in-shop set as the field uses it.
KNOWN_IMAGES = {"train": 48_674, "test": 4_038}
KNOWN_PAIRS = {"train": 101_966, "test": 8_570}
_LOG_EVERY = 2000
_SOME = 200  # pictures tell what maps and joints mean
WORST = 12  # pictures with warnings that the page shows beside the samples


@dataclasses.dataclass
class Report:
    """What a data set showed: findings; counts of pictures and pairs by split; (height, width, mode) -> pictures;
    `pixels` (8,) of each region and `pictures_with` (8,) pictures that have it; pictures with a face; `samples` as
    (split, Examined) with their fitted bytes, those with the most warnings first; names of the `broken` pictures by
    split; `frame` in pixels."""

    frame: tuple[int, int]
    findings: Findings
    pictures: dict[str, int]
    pairs: dict[str, int]
    shapes: collections.Counter
    pixels: np.ndarray
    pictures_with: np.ndarray
    faces: int
    samples: list[tuple[str, Examined]]
    broken: dict[str, list[str]]

    def histogram(self) -> list[tuple[str, float, float]]:
        """(region, share of the pixels, share of the pictures that have it) of the 8 regions."""
        pixels = self.pixels / max(1, self.pixels.sum())
        pictures = self.pictures_with / max(1, sum(self.pictures.values()))
        return list(zip(NAMES, pixels.tolist(), pictures.tolist(), strict=True))


class Tally:
    """Adds up what single pictures showed, and turns it into a Report."""

    def __init__(self, rules: Rules, findings: Findings):
        self.rules, self.findings, self.senses = rules, findings, Senses()
        self.shapes: collections.Counter = collections.Counter()
        self.pixels = np.zeros(NUM_REGIONS, np.int64)
        self.pictures_with = np.zeros(NUM_REGIONS, np.int64)
        self.faces = 0
        self.samples: list[tuple[str, Examined]] = []
        self._worst: list[tuple[str, Examined]] = []
        self.broken: dict[str, list[str]] = {}
        self.digests: dict[bytes, tuple[str, str]] = {}

    def add(self, split: str, seen: Examined) -> None:
        """One picture of `split`; one with fitted bytes is kept for the page."""
        self.findings.extend(seen.findings)
        if any(finding.level == ERROR for finding in seen.findings):
            self.broken.setdefault(split, []).append(seen.name)
        if seen.size is not None:
            self.shapes[(*seen.size, seen.mode)] += 1
        self.pixels += seen.pixels
        self.pictures_with += seen.pixels > 0
        if seen.facts is not None:
            self.senses.add(seen.facts, seen.labels, len(self.rules.merge))
        self.faces += seen.has_face
        first_split, first = self.digests.setdefault(seen.digest, (split, seen.name))
        if seen.digest and (first_split, first) != (split, seen.name):
            level, kind = (
                (WARNING, "same image in train and test") if first_split != split else (NOTE, "same image twice")
            )
            text = f"{split}, {seen.name}: the same file as {first_split}, {first}"
            self.findings.add(level, kind, text)
        if seen.fitted is not None:
            self._keep(split, seen)

    def _keep(self, split: str, seen: Examined) -> None:
        """Those asked for, and of the others the `WORST` with the most warnings."""
        if seen.asked:
            self.samples.append((split, seen))
            return
        self._worst.append((split, seen))
        self._worst.sort(key=lambda kept: -len(kept[1].of(WARNING)))
        del self._worst[WORST:]

    def report(self, pictures: dict[str, int], pairs: dict[str, int]) -> Report:
        """The sums, with the findings that only they show."""
        self.senses.judge(self.findings, self.rules.merge)
        for name, count in zip(NAMES, self.pixels, strict=True):
            if count == 0 and self.pixels.sum():
                text = (
                    f"{NAMES.index(name)} ({name}): never occurs in any parsing map; is the merge table the right one?"
                )
                self.findings.add(WARNING, "absent region", f"region {text}")
        return Report(
            self.rules.frame,
            self.findings,
            pictures,
            pairs,
            self.shapes,
            self.pixels,
            self.pictures_with,
            self.faces,
            sorted(self._worst + self.samples, key=lambda kept: -len(kept[1].of(WARNING))),
            self.broken,
        )


def examine_collection(collection: Collection, processes: int, samples: int = 0, seed: int = 0) -> Report:
    """Examines every picture that a pair uses, in `processes` processes (0: this one); keeps `samples` for a page."""
    chosen = _choose(collection, samples, seed)
    tally = Tally(collection.rules, collection.findings)
    for split, seen in examined(_looks(collection, chosen), processes):
        tally.add(split, seen)
    check_splits(collection)
    return tally.report(
        {split: len(part.names()) for split, part in collection.splits.items()},
        {split: len(part.pairs) for split, part in collection.splits.items()},
    )


def check_meaning(part: Split, rules: Rules, root: Path) -> None:
    """Looks at some pictures of a split, spread over it, for whether maps and joints mean what they are read as.

    Raises UserError where they do not, with what else they would fit: numbers that fit a table may be of another one,
    and a model that is trained on them learns it in silence. What is wrong with single files shows when they are read.
    """
    names, findings, senses = part.names(), Findings(), Senses()
    for number in np.unique(np.linspace(0, len(names) - 1, min(_SOME, len(names))).astype(int)):
        seen = examine(Look(part.person(names[number]), rules))
        if seen.facts is not None:
            senses.add(seen.facts, seen.labels, len(rules.merge))
    senses.judge(findings, rules.merge)
    for finding in findings:
        if finding.kind in OF_THE_SET and finding.level == ERROR:
            raise UserError(f"{root}: {finding.text} (python -m input_pipeline.check shows pictures)")
        log.warning("%s: %s", root, finding.text)


def examined(looks: Iterable[tuple[str, Look]], processes: int) -> Iterator[tuple[str, Examined]]:
    """(split, what `examine` saw) for every (split, look), in order."""
    ours, theirs = itertools.tee(looks)
    seen = ordered_map(examine, (look for _, look in theirs), processes)
    for number, ((split, _), one) in enumerate(zip(ours, seen, strict=True), start=1):
        yield split, one
        if number % _LOG_EVERY == 0:
            log.info("Examined %d pictures", number)


def _choose(collection: Collection, samples: int, seed: int) -> set[tuple[str, str]]:
    everyone = [(split, name) for split, part in collection.splits.items() for name in part.names()]
    chosen = np.random.default_rng(seed).permutation(len(everyone))[:samples]
    return {everyone[index] for index in chosen}


def _looks(collection: Collection, chosen: set[tuple[str, str]]) -> Iterator[tuple[str, Look]]:
    for split, part in collection.splits.items():
        for name in part.names():
            yield split, Look(part.person(name), collection.rules, keep=(split, name) in chosen)


def check_splits(collection: Collection) -> None:
    """Adds what lists and pairs show: counts, doubles, pairs across people, unused pictures, people in both splits."""
    findings, splits = collection.findings, collection.splits
    for split, part in splits.items():
        if not part.pairs and not any(finding.kind == "nothing matches" for finding in findings):
            findings.add(ERROR, "empty split", f"{collection.root}, {split}: no usable pair; mend the errors above")
        if collection.kind == "deepfashion":
            _compare_counts(collection, split, part)
        _check_pairs(part, collection, findings)
    _check_unused(collection)
    if len(splits) > 1:
        _check_leaks(collection, findings)


def _check_unused(collection: Collection) -> None:
    """Adds a note for each folder of images of which some are in no pair of any split that reads it."""
    used: dict[str, set[str]] = {}
    for part in collection.splits.values():
        used.setdefault(part.images_at, set()).update(part.names())
    images = {part.images_at: part.images for part in collection.splits.values()}
    for place, names in used.items():
        unused = sorted(set(images[place]) - names)
        if unused:
            text = f"{place}: {len(unused):,} images are in no pair and are left out, {unused[0]} for one"
            collection.findings.add(NOTE, "unused images", text)


def _compare_counts(collection: Collection, split: str, part: Split) -> None:
    listed = len(part.listed) if part.listed is not None else len(part.names())
    found = ((listed, KNOWN_IMAGES[split], "images"), (len(part.pairs), KNOWN_PAIRS[split], "pairs"))
    for count, known, what in found:
        if count != known:
            text = f"{collection.root}, {split}: {count:,} {what}; the field's DeepFashion has {known:,}"
            collection.findings.add(NOTE, "other counts", text)


def _check_pairs(part: Split, collection: Collection, findings: Findings) -> None:
    seen: dict[tuple[str, str], str] = {}
    for pair in part.pairs:
        first = seen.setdefault((pair.source, pair.target), pair.where)
        if first != pair.where:
            findings.add(WARNING, "pair twice", f"{pair.where}: the same pair as {first}; remove one of them")
        if pair.source == pair.target:
            findings.add(WARNING, "pair of one picture", f"{pair.where}: {pair.source} with itself; remove the pair")
        people = collection.identity(pair.source), collection.identity(pair.target)
        if None not in people and people[0] != people[1]:
            text = f"{pair.where}: {pair.source} and {pair.target} show different people; remove the pair"
            findings.add(WARNING, "pair of different people", text)


def _check_leaks(collection: Collection, findings: Findings) -> None:
    """People, told by their names, and pictures that train and test share."""
    names = {split: collection.splits[split].names() for split in collection.splits}
    train, test = names.get("train", []), names.get("test", [])
    known = {split: _people(collection, listed) for split, listed in (("train", train), ("test", test))}
    shared = sorted(set(known["train"]) & set(known["test"]))
    for who in shared:
        text = f"{known['test'][who]}: {who} is in test and, with {known['train'][who]}, in train"
        findings.add(WARNING, "person in train and test", text)
    if shared:
        count = f"{len(shared)} of {len(known['test'])} people of test are also in train"
        findings.add(WARNING, "leak", f"{collection.root}: {count}; figures on test flatter the model")


def _people(collection: Collection, names: Iterable[str]) -> dict[str, str]:
    """Person -> the first picture of them."""
    people: dict[str, str] = {}
    for name in names:
        who = collection.identity(name)
        if who is not None:
            people.setdefault(who, name)
    return people


def summary(report: Report, shown: int = 10) -> Sequence[str]:
    """The report as lines of text, at most `shown` findings of each kind."""
    lines = [
        ", ".join(
            f"{split}: {report.pictures[split]:,} pictures in {report.pairs[split]:,} pairs" for split in report.pairs
        )
    ]
    shapes = (
        f"{count:,} of {height} x {width} {mode}" for (height, width, mode), count in report.shapes.most_common(5)
    )
    lines.append(f"images: {', '.join(shapes) or 'none readable'}; {report.faces:,} with a face")
    lines.append("regions, share of the pixels (share of the pictures that have it):")
    lines += [f"  {name:14} {pixels:7.2%}  ({pictures:.1%})" for name, pixels, pictures in report.histogram()]
    for (level, kind), findings in report.findings.by_kind().items():
        lines.append(f"{level}: {kind} ({len(findings):,})")
        lines += [f"  {finding.text}" for finding in findings[:shown]]
        if len(findings) > shown:
            lines.append(f"  ... and {len(findings) - shown:,} more in the page and in findings.csv")
    return lines
