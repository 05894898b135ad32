import os
import re
import threading

import tensorflow as tf
from absl import logging

from devise_tf.images.decode_image import augment, check_sizes, decode_image, resize_and_crop
from devise_tf.images.image_source import ImageSource

# Images are tried this many at a time, and one at a time only where one of them is bad.
_CHUNK = 32


class BadImages:
    """Counts the images that cannot be read or decoded, names each once in a log, and stops a run that has too many.

    Safe to use from several threads; one object serves one source.

    Args:
        source: The `ImageSource`.
        path: File to which a line a bad image is appended: its name, a tab, the reason. Names that it already holds
            are not repeated. By default names go to the program's log only.
        max_share: Share of the source's images, from 0 to 1, above which `record` raises.

    Attributes:
        count: Number of bad images so far.
    """

    def __init__(self, source: ImageSource, path: str | None = None, max_share: float = 0.05):
        if not 0 <= max_share <= 1:
            raise ValueError(f"`max_share` must be between 0 and 1. Received: max_share={max_share}")
        self.source = source
        self.path = path
        self.max_share = max_share
        self._lock = threading.Lock()
        self._names = {}
        self._written = set()
        if path and os.path.exists(path):
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                self._written = {line.split("\t")[0] for line in file}

    @property
    def count(self) -> int:
        return len(self._names)

    def record(self, index: int) -> None:
        """Counts the image at `index`, if it is new, and logs why it is bad.

        Raises:
            ValueError: More than `max_share` of the source's images are bad.
        """
        index = int(index)
        if index not in self._names:
            name, reason = self.source.describe(index), self._reason(index)
            with self._lock:
                if index not in self._names:
                    self._names[index] = name
                    self._log(name, reason)
        self.check()

    def check(self) -> None:
        """Raises the `ValueError` of `record` where too many images were bad; `tf.data` gives it as another error."""
        if self.count > self.max_share * len(self.source):
            first = "".join(f"\n  {name}" for name in list(self._names.values())[:5])
            log = f"All are listed in {self.path}." if self.path else "The log names all."
            raise ValueError(
                f"{self.count} of the {len(self.source)} images of {self.source.name} cannot be used, more than the "
                f"allowed share of {self.max_share:g}. {log} The first:{first}"
            )

    def _reason(self, index):
        try:
            decode_image(self.source.encoded(tf.constant(index, tf.int64)))
        except tf.errors.OpError as error:
            message = re.sub(r"{{.*?}}|assertion failed:|\[Op:.*", "", error.message, flags=re.DOTALL)
            return " ".join(message.split())
        return "failed once, and could be read when tried again"

    def _log(self, name, reason):
        logging.warning("Skipped the image %s: %s", name, reason)
        if self.path and name not in self._written:
            self._written.add(name)
            with open(self.path, "a", encoding="utf-8", errors="surrogateescape") as file:
                file.write(f"{name}\t{reason}\n")


def image_dataset(
    source: ImageSource,
    examples: tf.data.Dataset,
    image_size: int,
    resize_size: int,
    training: bool,
    bad_images: BadImages,
) -> tf.data.Dataset:
    """Reads, decodes and crops the images of a dataset of indices, in its order.

    An image that cannot be read or decoded keeps its place, as zeros of weight 0, and is reported to `bad_images`; so
    every batch keeps its shape, whatever the files hold.

    Args:
        source: The images.
        examples: Dataset of `{"index": int64 scalar, "seed": int32 [2]}`, as `ExampleOrder.dataset` gives it, or of
            int64 scalars, such as `tf.data.Dataset.range(len(source))`, whose seeds are zeros.
        image_size: Side of the square images.
        resize_size: Length of the shorter side before cropping, at least `image_size`.
        training: Whether to crop at a random place and flip, by the example's seed; else the centre is cropped.
        bad_images: Is told of every bad image, and may stop the run.

    Returns:
        Unbatched `tf.data.Dataset` of `{"image": float32 [image_size, image_size, 3] in 0..255, "label": int32 scalar,
        "weight": float32 scalar (1, or 0 for a bad image), "seed": int32 [2]}`.
    """
    check_sizes(image_size, resize_size)  # here, since an error inside `map_fn` leaves its variable scope behind
    with tf.device("CPU:0"):
        labels = tf.constant(source.labels)

    def crop(image, seed):
        if training:
            return augment(image, image_size, resize_size, seed)
        return resize_and_crop(image, image_size, resize_size)

    def with_labels(example, image, weight):
        return {
            "image": image,
            "label": tf.gather(labels, example["index"]),
            "weight": weight,
            "seed": example["seed"],
        }

    def load_chunk(chunk):
        images = tf.map_fn(
            lambda example: crop(decode_image(example[0]), example[1]),
            (source.encoded_batch(chunk["index"]), chunk["seed"]),
            fn_output_signature=tf.TensorSpec([image_size, image_size, 3], tf.float32),
        )
        return with_labels(chunk, images, tf.ones_like(chunk["index"], tf.float32))

    def report(index):
        with tf.control_dependencies([tf.numpy_function(bad_images.record, [index], [])]):
            return tf.zeros([1, 1, 3], tf.uint8), tf.zeros([])

    def load_one(example):
        # Only reading and decoding may fail here: an error in the cropping is ours and must be seen.
        index = tf.data.Dataset.from_tensors(example["index"])
        good = index.map(lambda index: (decode_image(source.encoded(index)), 1.0)).ignore_errors()
        first = good.concatenate(index.map(report)).take(1)
        return first.map(lambda image, weight: with_labels(example, crop(image, example["seed"]), weight))

    def load(chunk):
        # `concatenate` and `take` reach the slow path only where the fast one gave nothing.
        fast = tf.data.Dataset.from_tensors(chunk).map(load_chunk).ignore_errors()
        slow = tf.data.Dataset.from_tensor_slices(chunk).flat_map(load_one).batch(_CHUNK)
        return fast.concatenate(slow).take(1).get_single_element()

    if not isinstance(examples.element_spec, dict):
        examples = examples.map(lambda index: {"index": index, "seed": tf.zeros([2], tf.int32)})
    count = examples.cardinality()
    dataset = examples.batch(_CHUNK).map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).unbatch()
    return dataset.apply(tf.data.experimental.assert_cardinality(count)) if count >= 0 else dataset
