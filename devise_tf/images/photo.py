"""Photos as people have them, read as training and evaluation read them."""

import os
import re

import numpy as np
import tensorflow as tf
from PIL import Image

from devise_tf.images.decode_image import decode_image
from devise_tf.photo_bytes import HEAD_BYTES, MAX_BYTES, needs_pillow, pixels_by_pillow, pixels_of_image


def read_photo(source: str | os.PathLike | bytes, name: str = "") -> np.ndarray:
    """Reads a photo as it is meant to be seen.

    Plain JPEG, PNG, GIF and BMP files go through `decode_image`, as in serving. Files that have an orientation or
    transparency, and those of other formats, go through Pillow: turned upright, and over white. 16 bits become 8, and
    of an animation the first frame counts. A broken EXIF block is ignored.

    Sizes are read from the header: an image with a side of more than 16,384 pixels or of more than 67,108,864 pixels in
    all is not decoded. A file of more than 512 MiB is not read to its end.

    Args:
        source: Path of the file, or bytes.
        name: String. Name of the photo in errors; by default the path.

    Returns:
        uint8 `[height, width, 3]`, RGB.

    Raises:
        ValueError: The photo is empty, too large, damaged or of another format; the message begins with the name.
        OSError: The file cannot be read.
    """
    if isinstance(source, bytes):
        encoded, name = source, name or "photo"
    else:
        name = name or os.fspath(source)
        with open(os.path.expanduser(source), "rb") as file:
            encoded = file.read(MAX_BYTES + 1)
    try:
        return decoded_photo(encoded)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def decoded_photo(encoded: bytes) -> np.ndarray:
    """The pixels of a file as `read_photo` gives them; errors say what is wrong without a name."""
    if not encoded or len(encoded) > MAX_BYTES:
        size = "empty" if not encoded else f"larger than {MAX_BYTES // 2**20} MiB"
        raise ValueError(f"it is {size}, and no photo. Received: {len(encoded)} bytes")
    if needs_pillow(encoded):
        return pixels_by_pillow(encoded)
    try:
        with tf.device("CPU:0"):
            return decode_image(encoded).numpy()
    except tf.errors.OpError as error:
        raise ValueError(f"it cannot be decoded: {_reason(error)}. Received: {len(encoded)} bytes") from error


def photo_of_pillow(image: Image.Image, name: str = "photo") -> np.ndarray:
    """The pixels of a Pillow image, as `read_photo` gives those of a file.

    Args:
        image: PIL.Image.Image. Any mode but those of 32 bits per channel (`I`, `F`), whose range is unknown.
        name: String. Name of the photo in errors.

    Returns:
        uint8 `[height, width, 3]`.

    Raises:
        ValueError: The image is too large, damaged, or has 32 bits per channel.
    """
    try:
        return pixels_of_image(image)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def need_pillow(encoded: tf.Tensor) -> tf.Tensor:
    """Which of the encoded images (string `[K]`) `decode_photo` has to give to Pillow: bool `[K]`, in a graph."""

    def ask(heads):
        return np.array([needs_pillow(head) for head in heads], bool)

    result = tf.numpy_function(ask, [tf.strings.substr(encoded, 0, HEAD_BYTES)], tf.bool, stateful=False)
    return tf.ensure_shape(result, encoded.shape)


def decode_photo(encoded: tf.Tensor, by_pillow: tf.Tensor) -> tf.Tensor:
    """`decoded_photo` in a graph.

    Args:
        encoded: String scalar tensor. The file.
        by_pillow: Bool scalar tensor. What `need_pillow` says of it.

    Returns:
        uint8 tensor `[height, width, 3]`.
    """

    def read():
        return tf.numpy_function(pixels_by_pillow, [encoded], tf.uint8, stateful=False)

    return tf.ensure_shape(tf.cond(by_pillow, read, lambda: decode_image(encoded)), [None, None, 3])


def _reason(error: tf.errors.OpError) -> str:
    """The message of an operation, without the operation's name."""
    message = re.sub(r"{{.*?}}|assertion failed:|\[Op:.*|[\[\]]", "", error.message, flags=re.DOTALL)
    return " ".join(message.split()).rstrip(".")
