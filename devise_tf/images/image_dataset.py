"""From an order of examples to batches of pixels."""

import os

import tensorflow as tf

from devise_tf.images.decode_image import augment, decode_image, resize_and_crop
from devise_tf.images.example_order import without_tuning
from devise_tf.images.image_input import ImageInput
from devise_tf.images.photo import decode_photo, need_pillow

# Images are tried this many at a time, and one at a time only where one of them is bad or needs Pillow: a condition for
# each image would cost as much as half of decoding a small one.
_CHUNK = 32
# Traced once a process: each dataset has them twice.
_decode = tf.function(decode_image, input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
_decode_photo = tf.function(
    decode_photo, input_signature=[tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.bool)], autograph=False
)


def image_dataset(images: ImageInput, examples: tf.data.Dataset, training: bool) -> tf.data.Dataset:
    """Reads, decodes and crops the images of a dataset of indices, in the same order.

    Images are read as `read_photo` reads them. One that cannot be read or decoded becomes zeros of weight 0 and is
    reported to `images.bad_images`, so that the shape of a batch does not depend on what the files hold.

    Args:
        images: ImageInput. The images, how they are cropped, and what counts the bad ones and may stop the run.
        examples: tf.data.Dataset of `{"index": int64 scalar, "seed": int32 [2]}`, as `ExampleOrder.dataset` gives it,
            or of int64 scalars, such as `tf.data.Dataset.range(len(source))`, whose seeds are zeros.
        training: Bool. Whether to crop at a random position and flip, by the example's seed, or to crop the center.

    Returns:
        Unbatched `tf.data.Dataset` of `{"image": float32 [image_size, image_size, 3] in 0..255, "label": int32 scalar,
        "weight": float32 scalar (1, or 0 for a bad image), "seed": int32 [2]}`.
    """
    source, image_size, resize_size = images.source, images.crop.image_size, images.crop.resize_size
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

    @tf.autograph.experimental.do_not_convert
    def load_chunk(chunk):
        encoded = source.encoded_batch(chunk["index"])
        plain = tf.raw_ops.Assert(condition=~tf.reduce_any(need_pillow(encoded)), data=["not for this path"])
        with tf.control_dependencies([plain]):
            encoded = tf.identity(encoded)
        pixels = tf.map_fn(
            lambda example: crop(_decode(example[0]), example[1]),
            (encoded, chunk["seed"]),
            fn_output_signature=tf.TensorSpec([image_size, image_size, 3], tf.float32),
        )
        return with_labels(chunk, pixels, tf.ones_like(chunk["index"], tf.float32))

    def report(index):
        with tf.control_dependencies([tf.numpy_function(images.bad_images.record, [index], [])]):
            return tf.zeros([1, 1, 3], tf.uint8), tf.zeros([])

    def decode_one(encoded):
        return _decode_photo(encoded, need_pillow(encoded[tf.newaxis])[0])

    @tf.autograph.experimental.do_not_convert
    def load_one(example):
        # Only reading and decoding may fail here: an error in the cropping is ours and must be seen.
        index = tf.data.Dataset.from_tensors(example["index"])
        good = index.map(lambda index: (decode_one(source.encoded(index)), 1.0)).ignore_errors()
        first = good.concatenate(index.map(report)).take(1)
        return first.map(lambda image, weight: with_labels(example, crop(image, example["seed"]), weight))

    @tf.autograph.experimental.do_not_convert
    def load(chunk):
        # `concatenate` and `take` reach the slow path only where the fast one gave nothing.
        fast = tf.data.Dataset.from_tensors(chunk).map(load_chunk).ignore_errors()
        slow = tf.data.Dataset.from_tensor_slices(chunk).flat_map(load_one).batch(_CHUNK)
        return fast.concatenate(slow).take(1).get_single_element()

    if not isinstance(examples.element_spec, dict):
        examples = examples.map(lambda index: {"index": index, "seed": tf.zeros([2], tf.int32)})
    count = examples.cardinality()
    dataset = examples.batch(_CHUNK).map(load, num_parallel_calls=os.cpu_count(), deterministic=True).unbatch()
    if count >= 0:
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(count))
    return without_tuning(dataset)
