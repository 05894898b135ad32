"""Images of any kind, read and cropped for a network."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from devise_tf.images.decode_image import resize_and_crop
from devise_tf.images.image_input import Crop
from devise_tf.images.photo import photo_of_pillow, read_photo
from devise_tf.photo_bytes import MAX_BYTES


class PhotoBatches:
    """Reads and crops images of any kind: paths, `bytes` of files, open files, arrays, images of Pillow.

    Args:
        crop: Crop. What is cut out of them.
    """

    def __init__(self, crop: Crop):
        self._crop = {kind: _crop_graph(kind, crop) for kind in ("uint8", "float32")}

    def __call__(
        self, images: Sequence[object], batch_size: int, names: Sequence[str] | None = None
    ) -> Iterator[list[np.ndarray | Exception]]:
        """Reads several images at once and up to a batch ahead.

        Args:
            images: Sequence. The images.
            batch_size: int. Images of a batch.
            names: Sequence of str or None. What errors call them; by default their paths, else their positions.

        Yields:
            For each batch, in order, a list of float32 arrays `[image_size, image_size, 3]`, and for images that cannot
            be read of the `ValueError` or `OSError` that says why.
        """

        def prepare(position):
            try:
                photo = _pixels(images[position], names[position] if names else "", f"images[{position}]")
                return self._crop[photo.dtype.name](photo).numpy()
            except (ValueError, OSError) as error:
                return error

        pool, ahead = ThreadPoolExecutor(os.cpu_count()), []
        try:
            for start in range(0, len(images), batch_size):
                ahead.append(pool.map(prepare, range(start, min(start + batch_size, len(images)))))
                if len(ahead) == 2:
                    yield list(ahead.pop(0))
            for batch in ahead:
                yield list(batch)
        finally:
            pool.shutdown(cancel_futures=True)


def listed_images(images: Any) -> Any:
    """The images, of which there may be one alone, as a sequence."""
    one = isinstance(images, (str, bytes, bytearray, memoryview, os.PathLike, Image.Image)) or hasattr(images, "read")
    if one or len(getattr(images, "shape", ())) in (2, 3):
        return [images]
    return images if isinstance(images, (Sequence, np.ndarray)) else list(images)


def _pixels(image: object, name: str, position: str) -> np.ndarray:
    """The pixels of an image of any kind, uint8 or float32."""
    if isinstance(image, (str, os.PathLike)):
        return read_photo(image, name)
    name = name or position
    if isinstance(image, Image.Image):
        return photo_of_pillow(image, name)
    if hasattr(image, "read"):
        image = image.read(MAX_BYTES + 1)
    if isinstance(image, (bytes, bytearray, memoryview)):
        return read_photo(bytes(image), name)
    if isinstance(image, str):
        raise ValueError(f"{name}: a file must be opened in binary mode, 'rb'. Received: a file of text")
    pixels = np.asarray(image)
    numbers = pixels.dtype == np.uint8 or pixels.dtype.kind == "f"
    if not numbers or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise ValueError(
            f"{name}: an image must be a path, bytes, a binary file, an image of Pillow, or an array [height, width, "
            f"3] of uint8 or floats in 0..255. Received: {type(image).__name__}, shape {pixels.shape}, "
            f"dtype={pixels.dtype}"
        )
    if pixels.dtype == np.uint8:
        return pixels
    low, high = pixels.min(), pixels.max()
    # Values that end at 1 are hardly ever meant to be black.
    if not (low >= 0 and high <= 255) or 0 < high <= 1:
        hint = "; multiply it by 255" if 0 <= low and high <= 1 else ""
        raise ValueError(f"{name}: an image of floats must be in 0..255{hint}. Received: values {low:g} to {high:g}")
    return np.asarray(pixels, np.float32)


def _crop_graph(kind: str, crop: Crop) -> Callable:
    """The crop of evaluation as a graph, for images of a dtype; on the CPU, where they are."""

    @tf.function(input_signature=[tf.TensorSpec([None, None, 3], kind)], autograph=False)
    def cropped(image):
        with tf.device("CPU:0"):
            return resize_and_crop(image, crop.image_size, crop.resize_size)

    return cropped
