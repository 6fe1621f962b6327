"""A small data set decoded once and held in memory: each picture once, however many pairs it is part of."""

import numpy as np
import tensorflow as tf

from input_pipeline.decode import decode_labels, decode_photo, explain
from input_pipeline.geometry import mirror
from input_pipeline.pair import Source
from input_pipeline.runtime import parallel_calls, with_options
from scrn_jax.person.face import face_box_at_size
from scrn_jax.person.joints import pose_at_size


def decoded_bytes(source: Source, size: tuple[int, int]) -> int:
    """How many bytes the images and parsing maps of all pairs take at `size` if no two pairs share a picture."""
    return len(source) * 2 * size[0] * size[1] * 4


class DecodedPairs:
    """All pairs of a source at `size`, ready to be gathered into batches that equal those of the stream.

    Raises UserError naming the first broken file or record.
    """

    def __init__(self, source: Source, size: tuple[int, int]):
        pictures: dict[tuple[bytes, bytes, bytes], int] = {}
        poses, first_pair = [], []
        self._of_pair = np.empty((len(source), 2), np.int64)
        self._face_boxes = np.empty((len(source), 4), np.float32)
        for index in range(len(source)):
            pair = source.read(index)
            sides = (
                (pair.source_image, pair.source_parsing, pair.source_pose),
                (pair.target_image, pair.target_parsing, pair.target_pose),
            )
            for side, (image, labels, pose) in enumerate(sides):
                # Told apart by content, not by name: names of foreign record files may repeat.
                number = pictures.setdefault((image, labels, pose.tobytes()), len(pictures))
                if number == len(poses):
                    poses.append(pose_at_size(pose, source.frame, size))
                    first_pair.append(index)
                self._of_pair[index, side] = number
            self._face_boxes[index] = face_box_at_size(pair.face_box, source.frame, size)
        self._poses = np.stack(poses)
        self._decode(source, size, [key[:2] for key in pictures], first_pair)

    def _decode(
        self, source: Source, size: tuple[int, int], encoded: list[tuple[bytes, bytes]], first_pair: list[int]
    ) -> None:
        """Fills `_images` and `_labels` from the encoded pictures; `first_pair` tells which pair to blame."""
        self._images = np.empty((len(encoded), *size, 3), np.uint8)
        self._labels = np.empty((len(encoded), *size), np.uint8)
        images, labels = zip(*encoded, strict=True)
        decoded = tf.data.Dataset.from_tensor_slices((np.array(images, object), np.array(labels, object))).map(
            lambda image, parsing: (
                decode_photo(image, source.frame, size),
                decode_labels(parsing, source.frame, size),
            ),
            num_parallel_calls=parallel_calls(),
        )
        number = 0
        try:
            for image, parsing in with_options(decoded).as_numpy_iterator():
                self._images[number], self._labels[number] = image, parsing
                number += 1
        except tf.errors.OpError as error:
            raise explain(source, [first_pair[number]], error) from error

    def batch(self, indices: np.ndarray, mirrored: np.ndarray) -> dict[str, np.ndarray]:
        """The pairs `indices` (B,), those with `mirrored` (bool (B,)) mirrored, as one batch of new arrays."""
        source, target = self._of_pair[indices].T
        gathered = {
            "source_image": self._images[source],
            "source_pose": self._poses[source],
            "source_parsing": self._labels[source],
            "target_image": self._images[target],
            "target_pose": self._poses[target],
            "target_parsing": self._labels[target],
            "face_box": self._face_boxes[indices],
        }
        return mirror(gathered, mirrored)
