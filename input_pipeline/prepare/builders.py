"""The TFDS builders of folders of people: DeepFashion as users have it, and one's own, see `input_pipeline.formats`.

A preparation first examines every picture, as `python -m input_pipeline.check` does, and refuses what is broken; then
it writes sharded records of the schema in `records`, on all cores, each picture fitted once.
"""

import collections
import dataclasses
import hashlib
import importlib.metadata
import logging
import platform
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import tensorflow_datasets as tfds

from input_pipeline import record_folder, records
from input_pipeline.check.dataset import Report, examine_collection
from input_pipeline.formats.collection import Collection, Split, make_pair
from input_pipeline.formats.deepfashion import DEFAULTS, FRAME, Options
from input_pipeline.formats.findings import ERROR, OF_THE_SET
from input_pipeline.formats.folder import read_folder
from input_pipeline.formats.manifest import FILE_NAME
from input_pipeline.prepare.once import prepare_once
from scrn_jax.errors import UserError
from scrn_jax.person.fitting import Fitted, Person, Rules, fit_task
from scrn_jax.person.pair_files import ListedPair
from scrn_jax.runtime.workers import cores, ordered_map

_LIBRARIES = ("scrn-jax", "tensorflow-datasets", "array-record", "numpy", "pillow")
_LOG_EVERY = 10_000
# Of what `fingerprint` covers; earlier versions put nothing before the digest, and took files of one size for equal.
_FINGERPRINT = "2:"

log = logging.getLogger(__name__)


@dataclasses.dataclass(eq=False)
class FolderConfig(tfds.core.BuilderConfig):
    """How a folder is read: `frame` (height, width) in pixels, `options` of a DeepFashion layout, worker `processes`
    (0: none), `skip_broken`: leave out the pairs of broken pictures instead of refusing, `samples` for the page."""

    frame: tuple[int, int] = FRAME
    options: Options = DEFAULTS
    processes: int = dataclasses.field(default_factory=cores)
    skip_broken: bool = False
    samples: int = 0


class DeepFashion(tfds.core.GeneratorBasedBuilder):
    """DeepFashion's in-shop pairs of one person in two poses, with joints, parsing maps of 8 regions and face boxes."""

    name = "deepfashion"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First records."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    DeepFashion is given out on request by its authors. `manual_dir` holds the images (train/ and test/, or img/,
    img_highres/, img.zip, img_highres.zip), trainSPL8/ and testSPL8/, and the annotation and pairs files: docs/data.md.
    """
    code_path = None  # see mannequins.builder
    report: Report | None = None

    @property
    def folder_config(self) -> FolderConfig:
        """The config, or the defaults when TFDS was asked for none."""
        return self.builder_config or FolderConfig(name="pairs")

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=type(self).__doc__,
            features=records.features(*self.folder_config.frame),
            metadata=tfds.core.MetadataDict(),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[tuple[str, dict]]]:
        config = self.folder_config
        collection = read_folder(Path(dl_manager.manual_dir), config.options)
        if not config.skip_broken:
            collection.findings.raise_errors()
        marks = fingerprint(collection, config)
        self.report = examine_collection(collection, config.processes, config.samples)
        skipped = _without_broken(collection, self.report, config.skip_broken)
        made = {"skip_broken": config.skip_broken, "fingerprint": marks}
        self.info.metadata.update(_provenance(collection, self.report, skipped) | made)
        return {name: self._generate_examples(part, collection.rules, name) for name, part in collection.splits.items()}

    def _generate_examples(self, part: Split, rules: Rules, split: str) -> Iterator[tuple[str, dict]]:
        # Pairs of one person together, so that few pictures wait in memory for their next pair.
        pairs = sorted(part.pairs, key=lambda pair: (pair.source, pair.target))
        last_use = {name: number for number, pair in enumerate(pairs) for name in (pair.source, pair.target)}
        order = dict.fromkeys(name for pair in pairs for name in (pair.source, pair.target))
        fitted = ordered_map(fit_task, ((part.person(name), rules) for name in order), self.folder_config.processes)
        held: dict[str, Fitted] = {}
        for number, (key, pair) in enumerate(_keyed(pairs)):
            for name in (pair.source, pair.target):
                if name not in held:
                    held[name] = next(fitted)
            yield key, records.encode(make_pair(pair.source, held[pair.source], pair.target, held[pair.target]))
            for name in {pair.source, pair.target}:
                if last_use[name] == number:
                    del held[name]
            if (number + 1) % _LOG_EVERY == 0:
                log.info("%s: %d of %d pairs", split, number + 1, len(pairs))


class OwnPictures(DeepFashion):
    """Pairs of pictures of one person by a manifest, with joints, parsing maps of 8 regions and face boxes."""

    name = "own_pictures"
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"`manual_dir` holds {FILE_NAME}, see docs/data.md."


def _keyed(pairs: list[ListedPair]) -> Iterator[tuple[str, ListedPair]]:
    """(unique key, pair); a pair that is listed twice stays in twice, as its list says."""
    times: collections.Counter = collections.Counter()
    for pair in pairs:
        key = f"{pair.source} {pair.target}"
        yield f"{key} {times[key]}", pair
        times[key] += 1


def _without_broken(collection: Collection, report: Report, skip: bool) -> dict[str, list[str]]:
    """Takes the pairs of broken pictures out, if that is wanted, and returns the pictures' names by split.

    Raises UserError for errors that leaving pictures out does not mend, and for all when it is not wanted.
    """
    errors = report.findings.of(ERROR)
    if errors and not skip:
        for error in errors[1:]:
            log.error("%s", error.text)
        more = f" (and {len(errors) - 1} more, listed above)" if errors[1:] else ""
        mend = "nothing was written: mend this, or leave pairs of broken pictures out with --skip_broken"
        raise UserError(f"{errors[0].text}{more}; {mend}")
    for error in errors:
        if error.kind in OF_THE_SET:
            raise UserError(error.text)
    skipped = {}
    for name, part in collection.splits.items():
        gone = set(report.broken.get(name, ()))
        skipped[name] = sorted(gone.union(part.dropped))
        part.pairs = [pair for pair in part.pairs if not gone & {pair.source, pair.target}]
        if not part.pairs:
            raise UserError(f"{collection.root}, {name}: no pair is left without the broken pictures; mend them")
    return {split: names for split, names in skipped.items() if names}


def _provenance(collection: Collection, report: Report, skipped: dict[str, list[str]]) -> dict[str, object]:
    """What the records' metadata say of where they come from; a function of files, options and libraries alone."""
    rules = collection.rules
    return {
        "kind": collection.kind,
        "frame": list(rules.frame),
        "fit": rules.fit,
        "merge_table": list(rules.merge),
        "image_shapes": {f"{height} x {width} {mode}": n for (height, width, mode), n in sorted(report.shapes.items())},
        "pictures": report.pictures,
        "pairs": {split: len(part.pairs) for split, part in collection.splits.items()},
        "region_shares": {name: round(share, 6) for name, share, _ in report.histogram()},
        "skipped": skipped,
        "skipped_for": dict(collections.Counter(error.kind for error in report.findings.of(ERROR))),
        "libraries": {name: importlib.metadata.version(name) for name in _LIBRARIES}
        | {"python": platform.python_version()},
        **collection.provenance,
    }


def fingerprint(collection: Collection, config: FolderConfig) -> str:
    """A digest of rules, options, pairs, annotations, and the contents of all files that pairs use.

    Files are read for it, members of archives are not: their checksums stand in the archive.
    """
    digest = hashlib.sha256(repr((collection.rules, config.skip_broken)).encode())
    with ThreadPoolExecutor(2 * cores()) as threads:
        for split, part in collection.splits.items():
            listed = sorted((pair.source, pair.target) for pair in part.pairs)
            digest.update(repr((split, part.pose_size, listed)).encode())
            people = [part.person(name) for name in part.names()]
            for person, marks in zip(people, threads.map(_marks, people), strict=True):
                box = b"" if person.face_box is None else person.face_box.tobytes()
                digest.update(repr((person.name, person.pose.tobytes(), box, marks)).encode())
    return f"{_FINGERPRINT}{digest.hexdigest()}"


def _marks(person: Person) -> list[str]:
    """What tells the contents of a picture's two files from others."""
    marks = []
    for stored in (person.image, person.labels):
        try:
            marks.append(stored.mark())
        except UserError:
            marks.append("unreadable")  # as the examination tells
    return marks


def _check_fresh(folder: Path, collection: Collection, config: FolderConfig) -> None:
    """Raises UserError when the records in `folder` were not prepared from these files with these options."""
    said, mend = record_folder.metadata(folder), "give another --output, or remove it to prepare anew"
    mark = str(said.get("fingerprint", ""))
    as_it_is = "or open it as it is with config.data.name = 'records'"
    if not mark.startswith(_FINGERPRINT):
        reason = "by an earlier version, which did not look into the files"
    elif said.get("skip_broken") is not config.skip_broken:
        reason = f"{'without' if config.skip_broken else 'with'} --skip_broken"
    elif mark != fingerprint(collection, config):
        reason = "from other files or options"
    else:
        return
    raise UserError(f"{folder}: was prepared {reason}; {mend}, {as_it_is}")


def prepare(source: Path, output: Path, config: FolderConfig | None = None) -> tuple[Path, Report | None]:
    """The folder of records below `output` of the data set in `source`, and the report of its examination.

    What is there already and came from the same files and options is left as it is (then the report is None). An
    interrupted preparation leaves a folder named incomplete.*, which never counts as prepared and is removed by the
    next one. Raises UserError for a broken data set, for records of other files or options in `output`, and when
    `output` cannot be written.
    """
    config = config or FolderConfig(name="pairs")
    own = (source / FILE_NAME).is_file()
    collection = read_folder(source, config.options)
    if not config.skip_broken:
        collection.findings.raise_errors()
    config.frame = collection.rules.frame
    builders: list[DeepFashion] = []

    def builder() -> DeepFashion:
        kind = OwnPictures if own else DeepFashion
        builders.append(kind(data_dir=str(output), config=config, file_format="array_record"))
        return builders[-1]

    announce = "Preparing %s into %s with %d processes"
    folder = prepare_once(
        output, builder, lambda to: log.info(announce, source, to, config.processes), manual_dir=str(source)
    )
    report = builders[-1].report
    if report is None:
        _check_fresh(folder, collection, config)
    return folder, report
