"""The TFDS builder of the embedded people: renders them on all cores and writes the records of the common schema."""

import dataclasses
import itertools
import logging
from collections.abc import Iterator
from pathlib import Path

import tensorflow_datasets as tfds

from input_pipeline import records
from input_pipeline.decoding import parallel_calls
from input_pipeline.mannequins import variety
from input_pipeline.mannequins.people import EncodedView, PersonTask, render_people
from input_pipeline.pair import Pair
from input_pipeline.prepare.once import prepare_once
from scrn_jax.errors import UserError

_LOG_EVERY = 50

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class PeopleConfig:
    """Which people to render; no one is in both splits.

    Attributes: numbers of identities and of views per identity (at least 2); `height` and `width` of the pictures in
    pixels; `seed` of everything random; `varied`: as photos show people, see `variety`; `test_from`: the number of the
    first test identity, which the train identities, numbered from 0, leave out: so that the same people test whatever
    is trained on; None: the test identities follow the train identities. Raises UserError for numbers that make no
    data set.
    """

    train_identities: int = 300
    test_identities: int = 40
    views: int = 5
    height: int = 64
    width: int = 44
    seed: int = 0
    varied: bool = False
    test_from: int | None = None

    def __post_init__(self):
        lowest = {"train_identities": 1, "test_identities": 1, "views": 2, "height": 16, "width": 16, "seed": 0}
        given = {} if self.test_from is None else {"test_from": 0}
        for key, least in {**lowest, **given}.items():
            value = getattr(self, key)
            if not isinstance(value, int) or value < least:
                raise UserError(f"config.data.{key} is {value!r}; it must be an integer of at least {least}")
        if not isinstance(self.varied, bool):
            raise UserError(f"config.data.varied is {self.varied!r}; it must be True or False")

    def name(self) -> str:
        """The name of the folder of records: other numbers get another folder."""
        name = f"{self.train_identities}-{self.test_identities}x{self.views}_{self.height}x{self.width}_seed{self.seed}"
        name += f"_varied{variety.VERSION}" if self.varied else ""
        return name if self.test_from is None else f"{name}_test{self.test_from}"

    def identities(self) -> dict[str, list[int]]:
        """The numbers of the identities of each split."""
        first = self.train_identities if self.test_from is None else self.test_from
        test = range(first, first + self.test_identities)
        everyone = range(self.train_identities + self.test_identities)
        return {"train": [who for who in everyone if who not in test][: self.train_identities], "test": list(test)}


@dataclasses.dataclass(eq=False)
class MannequinsConfig(tfds.core.BuilderConfig):
    """The TFDS form of `PeopleConfig`."""

    people: PeopleConfig = dataclasses.field(default_factory=PeopleConfig)


class Mannequins(tfds.core.GeneratorBasedBuilder):
    """Rendered people with exact joints, parsing maps and face boxes: all ordered pairs of views of each identity."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First people."}
    # Nothing is downloaded, so there are no checksums to look for beside the code. TFDS would do so by means of the
    # package importlib_resources, which it does not declare.
    code_path = None

    def _info(self) -> tfds.core.DatasetInfo:
        people = self.builder_config.people
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.__doc__,
            features=records.features(people.height, people.width),
            metadata=tfds.core.MetadataDict(dataclasses.asdict(people)),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[tuple[str, dict]]]:
        identities = self.builder_config.people.identities()
        return {split: self._generate_examples(chosen) for split, chosen in identities.items()}

    def _generate_examples(self, identities: list[int]) -> Iterator[tuple[str, dict]]:
        people = self.builder_config.people
        tasks = [_task(people, who) for who in identities]
        processes = min(parallel_calls(), len(tasks))
        for number, (task, views) in enumerate(zip(tasks, render_people(tasks, processes), strict=True), start=1):
            if number % _LOG_EVERY == 0 or number == len(tasks):
                log.info("Rendered %d of %d people", number, len(tasks))
            for source, target in itertools.permutations(range(people.views), 2):
                pair = _pair(task, views, source, target)
                yield f"{pair.source_name}-{pair.target_name}", records.encode(pair)


def _task(people: PeopleConfig, identity: int) -> PersonTask:
    return PersonTask(people.seed, identity, people.views, people.height, people.width, people.varied)


def _pair(task: PersonTask, views: list[EncodedView], source: int, target: int) -> Pair:
    """The ordered pair of two views of one person."""
    names = [f"mannequin_{task.seed}_{task.identity:05d}_{number:02d}" for number in (source, target)]
    return Pair(
        source_image=views[source].image,
        source_pose=views[source].joints,
        source_parsing=views[source].labels,
        target_image=views[target].image,
        target_pose=views[target].joints,
        target_parsing=views[target].labels,
        face_box=views[target].face_box,
        source_name=names[0],
        target_name=names[1],
    )


def prepare(directory: Path, people: PeopleConfig) -> Path:
    """The folder below `directory` with the records of `people`, rendered now unless they are there.

    See `once.prepare_once`. Raises UserError when `directory` cannot be written.
    """
    target = directory / Mannequins.name / people.name() / str(Mannequins.VERSION)
    if (target / "dataset_info.json").is_file():
        return target
    config = MannequinsConfig(name=people.name(), people=people)
    count = people.train_identities + people.test_identities
    return prepare_once(
        directory,
        lambda: Mannequins(data_dir=str(directory), config=config, file_format="array_record"),
        lambda folder: log.info("Rendering %d people into %s", count, folder),
    )
