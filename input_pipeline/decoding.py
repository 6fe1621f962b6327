"""Encoded pictures to arrays of one size, streamed or held in memory; how TensorFlow runs beside JAX."""

from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from input_pipeline.pair import Source
from scrn_jax.errors import UserError
from scrn_jax.person import face, joints
from scrn_jax.person.face import face_box_at_size
from scrn_jax.person.image_files import open_picture
from scrn_jax.person.joints import pose_at_size
from scrn_jax.person.regions import NUM_REGIONS, label_map_from_bytes
from scrn_jax.runtime.workers import cores

_MAX_THREADS = 16


def _without_bars(image: tf.Tensor, frame: tuple[int, int]) -> tf.Tensor:
    """The middle columns of a square image when the frame is not square (40..216 of 256), else the image itself."""
    height, width = frame
    if height == width:
        return image
    rows, columns = tf.shape(image)[0], tf.shape(image)[1]
    kept = columns * width // height
    first = (columns - kept) // 2
    return tf.cond(rows == columns, lambda: image[:, first : first + kept], lambda: image)


def _resized(image: tf.Tensor, size: tuple[int, int], *, labels: bool) -> tf.Tensor:
    """`image` uint8 (H, W, C) at `size`: labels by nearest, photos by area when they shrink, else bilinearly."""

    def by_area() -> tf.Tensor:
        return tf.image.resize(image, size, method="area")

    def bilinearly() -> tf.Tensor:
        return tf.image.resize(image, size, method="bilinear", antialias=True)

    def resize() -> tf.Tensor:
        if labels:
            return tf.image.resize(image, size, method="nearest")
        resized = tf.cond(tf.reduce_all(now >= size), by_area, bilinearly)
        return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)

    now = tf.shape(image)[:2]
    same = tf.cond(tf.reduce_all(now == size), lambda: image, resize)
    return tf.ensure_shape(same, (*size, image.shape[-1]))


def decode_photo(data: tf.Tensor, frame: tuple[int, int], size: tuple[int, int]) -> tf.Tensor:
    """JPEG or PNG bytes as uint8 (*size, 3), the frame alone; grey becomes RGB.

    JPEGs are decoded with exact arithmetic, as Pillow does everywhere else: TensorFlow's default is darker by 0.75 grey
    levels. Raises tf.errors.InvalidArgumentError for damaged bytes.
    """
    image = tf.cond(
        tf.io.is_jpeg(data),
        lambda: tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_png(data, channels=3),
    )
    image.set_shape((None, None, 3))
    return _resized(_without_bars(image, frame), size, labels=False)


def decode_labels(data: tf.Tensor, frame: tuple[int, int], size: tuple[int, int]) -> tf.Tensor:
    """PNG bytes of a label map as uint8 `size`, the frame alone.

    Raises tf.errors.InvalidArgumentError for damaged bytes and for labels above 7.
    """
    labels = tf.io.decode_png(data, channels=1)
    with tf.control_dependencies([tf.debugging.assert_less(labels, tf.constant(NUM_REGIONS, tf.uint8))]):
        labels = tf.identity(labels)
    return _resized(_without_bars(labels, frame), size, labels=True)[..., 0]


def explain(source: Source, indices: Iterable[int], error: Exception) -> UserError:
    """The UserError that names the broken file or record among the pairs `indices`, whose batch failed with `error`."""
    for index in indices:
        try:
            pair = source.read(index)
            for key in ("source_parsing", "target_parsing"):
                label_map_from_bytes(getattr(pair, key), source.where(index, key))
        except UserError as found:
            return found
        for key in ("source_image", "source_parsing", "target_image", "target_parsing"):
            try:
                open_picture(getattr(pair, key), source.where(index, key))
            except UserError as found:
                return found
    return UserError(f"a batch could not be read: {error}")


def cpu_only() -> None:
    """Keeps TensorFlow off the accelerators, whose memory belongs to JAX. Call before any TensorFlow op."""
    tf.config.set_visible_devices([], "GPU")


def parallel_calls() -> int:
    """How many pictures are worked on at a time: one per core that this process may use."""
    return min(cores(), _MAX_THREADS)


def with_options(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The data set in order, with a private pool of threads, so that it does not crowd out JAX.

    Nothing is tuned while it runs: all numbers here are given, and the thread that tunes sleeps up to a minute at a
    time, for which the end of the data set would wait (TensorFlow 2.21).
    """
    options = tf.data.Options()
    options.deterministic = True
    options.autotune.enabled = False
    options.threading.private_threadpool_size = parallel_calls()
    options.threading.max_intra_op_parallelism = 1
    return dataset.with_options(options)


def mirror(batch: dict[str, np.ndarray], which: np.ndarray) -> dict[str, np.ndarray]:
    """The batch with the examples `which` (bool (B,)) mirrored: pictures, labels, joints with their sides, face box.

    Arrays are written in place, so they must belong to the caller.
    """
    for key, values in batch.items():
        width = batch["target_image"].shape[2]
        if key.endswith("_pose"):
            values[which] = joints.flip(values[which], width)
        elif key == "face_box":
            values[which] = face.flip_box(values[which], width)
        else:
            values[which] = values[which][:, :, ::-1]
    return batch


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
