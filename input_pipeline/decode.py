"""From encoded pictures to uint8 arrays of the wanted size, in TensorFlow graphs, and the naming of broken ones."""

from collections.abc import Iterable

import tensorflow as tf

from input_pipeline.pair import Source
from scrn_jax.errors import UserError
from scrn_jax.person.regions import NUM_REGIONS, label_map_from_bytes


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
    """JPEG or PNG bytes as uint8 (*size, 3), the frame alone; grey and CMYK become RGB.

    Raises tf.errors.InvalidArgumentError for damaged bytes.
    """
    image = tf.io.decode_image(data, channels=3, expand_animations=False)
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
                tf.io.decode_image(getattr(pair, key), expand_animations=False)
            except tf.errors.InvalidArgumentError:
                return UserError(
                    f"{source.where(index, key)}: truncated or damaged image; replace the file or remove its pairs"
                )
    return UserError(f"a batch could not be read: {error}")
