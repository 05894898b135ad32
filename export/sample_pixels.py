"""Pixels of images, as an exported version sees them."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from devise_tf.export.manifest import read_manifest
from devise_tf.images import BadImages, Crop, ImageInput, ImageSource, image_dataset

_BATCH = 64


def sample_pixels(source: ImageSource, count: int, version_dir: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Some images of a source, prepared as an exported version does it: for `to_litert` and `compare`.

    Args:
        source: ImageSource. The images.
        count: int. Number of images, evenly spaced over the source's order; 0 means all. Those that cannot be read are
            logged and left out.
        version_dir: str. Directory of an exported version, local.

    Yields:
        Pairs of up to 64 images' pixels, float32 [N, S, S, 3], and labels, int32 [N].
    """
    manifest = read_manifest(version_dir)
    positions = np.linspace(0, len(source) - 1, min(count or len(source), len(source))).round().astype(np.int64)
    images = ImageInput(source, Crop(manifest["image_size"], manifest["resize_size"]), BadImages(source))
    dataset = image_dataset(images, tf.data.Dataset.from_tensor_slices(positions), training=False)
    for batch in dataset.batch(_BATCH).as_numpy_iterator():
        good = batch["weight"] > 0
        yield batch["image"][good], batch["label"][good]
