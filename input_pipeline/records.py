"""The one record schema: an ordered pair of pictures of a person, kept in sharded files and read at random."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from array_record.python.array_record_data_source import ArrayRecordDataSource

from input_pipeline.pair import Pair
from scrn_jax.errors import UserError
from scrn_jax.person.formats import read_json
from scrn_jax.person.images import read_header
from scrn_jax.person.joints import NUM_JOINTS
from scrn_jax.person.regions import NAMES


def features(height: int, width: int) -> tfds.features.FeaturesDict:
    """The schema for pictures of `height` x `width` pixels, which is also the frame of joints and face box.

    Images are JPEG or PNG bytes as they came, label maps 8-bit PNG; joints float32 (18, 2) and the target's face box
    float32 (4,) are in pixels (see `scrn_jax.person.joints`).
    """
    image = {"shape": (height, width, 3), "encoding_format": None}
    labels = {"shape": (height, width, 1), "labels": list(NAMES), "encoding_format": "png"}
    schema = {}
    for side in ("source", "target"):
        schema[f"{side}_image"] = tfds.features.Image(**image)
        schema[f"{side}_pose"] = tfds.features.Tensor(shape=(NUM_JOINTS, 2), dtype=np.float32)
        schema[f"{side}_parsing"] = tfds.features.LabeledImage(**labels)
        schema[f"{side}_name"] = tfds.features.Text()
    schema["face_box"] = tfds.features.Tensor(shape=(4,), dtype=np.float32)
    return tfds.features.FeaturesDict(schema)


def encode(pair: Pair) -> dict[str, object]:
    """The pair as an example of `features`, for a TFDS builder to write."""
    return dataclasses.asdict(pair)


def decode(record: bytes) -> Pair:
    """The pair in one serialised record. Raises KeyError or ValueError when the record has another schema."""
    values = tf.train.Example.FromString(record).features.feature

    def blob(key: str) -> bytes:
        return values[key].bytes_list.value[0]

    def numbers(key: str, shape: tuple[int, ...]) -> np.ndarray:
        return np.array(values[key].float_list.value, np.float32).reshape(shape)

    return Pair(
        source_image=blob("source_image"),
        source_pose=numbers("source_pose", (NUM_JOINTS, 2)),
        source_parsing=blob("source_parsing"),
        target_image=blob("target_image"),
        target_pose=numbers("target_pose", (NUM_JOINTS, 2)),
        target_parsing=blob("target_parsing"),
        face_box=numbers("face_box", (4,)),
        source_name=blob("source_name").decode(),
        target_name=blob("target_name").decode(),
    )


class RecordSource:
    """The pairs of one split of a prepared record directory, read at random.

    Attributes: `frame`, the (height, width) in pixels of images, joints and face boxes. Raises UserError when the
    directory holds no data set of this schema or lacks the split.
    """

    def __init__(self, directory: str | Path, split: str):
        self._directory = find_prepared(Path(directory))
        self._split = split
        try:
            _check_feature_classes(json.loads((self._directory / "features.json").read_text("utf-8")))
            info = tfds.builder_from_directory(str(self._directory)).info
        except Exception as error:  # info files can be broken in any way, and TFDS lets every library's errors through
            raise UserError(f"{self._directory}: not a readable data set ({error}); prepare it again") from error
        if split not in info.splits:
            known = ", ".join(sorted(info.splits)) or "none"
            raise UserError(f"{self._directory}: has no split {split!r} (it has {known}); prepare it again")
        self.frame = _frame(info.features, self._directory)
        files = [str(path) for path in info.splits[split].filepaths]
        self._records = self._open(files)
        expected = info.splits[split].num_examples
        if len(self._records) != expected or expected == 0:
            raise UserError(
                f"{self._directory}: split {split!r} holds {len(self._records)} records, its info file says "
                f"{expected}; prepare it again"
            )

    def _open(self, files: list[str]) -> ArrayRecordDataSource:
        for file in files:
            if not Path(file).is_file():
                raise UserError(f"{file}: this shard is missing; prepare the data set again")
        try:
            return ArrayRecordDataSource(files)
        except (ValueError, RuntimeError, OSError) as error:
            broken = next((file for file in files if not _opens(file)), self._directory)
            reason = " ".join(str(error).split()) or "it was cut off"
            raise UserError(f"{broken}: a damaged shard ({reason}); prepare the data set again") from error

    def __len__(self) -> int:
        return len(self._records)

    def read(self, index: int) -> Pair:
        """Pair `index`. Raises UserError naming the record when it cannot be read or has another schema."""
        try:
            pair = decode(self._records[index])
        except Exception as error:  # the record reader raises its own undocumented types
            where = self.where(index, "every key")
            raise UserError(f"{where}: unreadable ({error}); prepare the data set again") from error
        for key in ("source_image", "source_parsing", "target_image", "target_parsing"):
            read_header(getattr(pair, key), self.where(index, key))
        return pair

    def names(self, index: int) -> tuple[str, str]:
        """Source and target name of pair `index`."""
        pair = self.read(index)
        return pair.source_name, pair.target_name

    def where(self, index: int, key: str) -> str:
        """How an error message names the entry `key` of pair `index`."""
        return f"{self._directory}, split {self._split}, record {index}, {key}"


def _opens(file: str) -> bool:
    """Whether a shard can be opened at all, which reads its index from its end."""
    try:
        ArrayRecordDataSource([file])
    except (ValueError, RuntimeError, OSError):
        return False
    return True


def find_prepared(directory: Path) -> Path:
    """The one folder with a dataset_info.json at or below `directory`. Raises UserError for none or several."""
    if not directory.is_dir():
        raise UserError(f"{directory}: no such folder; prepare the data set first or mend config.data.dir")
    found = [directory] if (directory / "dataset_info.json").is_file() else []
    # A folder named incomplete.* is what an interrupted preparation left: it never counts as prepared.
    found = found or sorted(
        path.parent
        for path in directory.rglob("dataset_info.json")
        if not any(part.startswith("incomplete") for part in path.relative_to(directory).parts)
    )
    if not found:
        raise UserError(f"{directory}: holds no prepared data set (no dataset_info.json); prepare it first")
    if len(found) > 1:
        names = ", ".join(str(path.relative_to(directory)) for path in found)
        raise UserError(f"{directory}: holds several data sets ({names}); point config.data.dir at one of them")
    return found[0]


def split_names(directory: Path) -> list[str]:
    """The splits of the prepared data set in `directory`, train first. Raises UserError for a broken info file."""
    names = [split.get("name") for split in _info_file(directory).get("splits", []) if isinstance(split, dict)]
    known = [name for name in names if isinstance(name, str)]
    if not known:
        raise UserError(f"{directory / 'dataset_info.json'}: names no splits; prepare the data set again")
    return sorted(known, key=lambda name: (name != "train", name))


def metadata(directory: Path) -> dict[str, object]:
    """Where the prepared data set in `directory` comes from; empty when that was not written down."""
    file = directory / "metadata.json"
    if not file.is_file():
        return {}
    content = read_json(file)
    return content if isinstance(content, dict) else {}


def _info_file(directory: Path) -> dict[str, object]:
    content = read_json(directory / "dataset_info.json")
    if not isinstance(content, dict) or not isinstance(content.get("splits", []), list):
        raise UserError(f"{directory / 'dataset_info.json'}: not TFDS's info; prepare the data set again")
    return content


def _check_feature_classes(node: object) -> None:
    """Raises ValueError when a features.json names classes outside TFDS, which would import whatever module it says."""
    if isinstance(node, dict):
        name = node.get("pythonClassName", "")
        if name and not str(name).startswith("tensorflow_datasets.core.features."):
            raise ValueError(f"features.json names the foreign class {name!r}")
        for value in node.values():
            _check_feature_classes(value)


def _frame(schema: tfds.features.FeaturesDict, directory: Path) -> tuple[int, int]:
    """The (height, width) of a data set's pictures; raises UserError when its schema is not `features`."""
    shape = schema["source_image"].shape if "source_image" in schema else (None,)
    if len(shape) == 3 and None not in shape:
        wanted = features(*shape[:2])
        if set(schema) == set(wanted) and all(schema[key].shape == wanted[key].shape for key in wanted):
            return shape[0], shape[1]
    raise UserError(f"{directory}: its records have another schema than pairs of people; prepare it with this project")
