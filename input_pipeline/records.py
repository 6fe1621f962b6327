"""The one record schema: an ordered pair of pictures of a person, kept in sharded files and read at random."""

import dataclasses
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from array_record.python.array_record_data_source import ArrayRecordDataSource
from google.protobuf import json_format

from input_pipeline import record_folder
from input_pipeline.pair import Pair
from scrn_jax.errors import UserError
from scrn_jax.person.image_headers import read_header
from scrn_jax.person.joints import NUM_JOINTS
from scrn_jax.person.regions import NAMES

MAX_FRAME = 4096  # pixels a side


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


def stored_frame(directory: Path) -> tuple[int, int]:
    """The (height, width) of the pictures in a prepared folder, whose features.json must be exactly ours for that size.

    It is compared as JSON values: building what it names would import modules of its choice. Raises UserError.
    """
    stored = record_folder.schema(directory)
    try:
        image = stored["featuresDict"]["features"]["source_image"]["image"]
        frame = tuple(int(side) for side in image["shape"]["dimensions"])
    except (LookupError, TypeError, ValueError, OverflowError):
        frame = ()
    possible = len(frame) == 3 and all(1 <= side <= MAX_FRAME for side in frame)
    if not possible or stored != json_format.MessageToDict(features(*frame[:2]).to_proto()):
        raise UserError(
            f"{directory / record_folder.SCHEMA_FILE}: another schema than this version's pairs of people; prepare the "
            "set again with python -m input_pipeline.prepare"
        )
    return frame[0], frame[1]


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
        self._directory = record_folder.find_prepared(Path(directory))
        self._split = split
        self.frame = stored_frame(self._directory)
        files, expected = record_folder.shards(self._directory, split)
        self._records = self._open([str(file) for file in files])
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
            header = read_header(getattr(pair, key), self.where(index, key))
            if max(header.height, header.width) > max(self.frame):
                raise UserError(
                    f"{self.where(index, key)}: {header.height} x {header.width} pixels, larger than the frame "
                    f"{self.frame[0]} x {self.frame[1]}; prepare the data set again"
                )
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
