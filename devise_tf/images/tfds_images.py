"""Image classification sets of TensorFlow Datasets."""

from typing import Any

import numpy as np
import tensorflow as tf

from devise_tf.images.image_source import ImageSource


class TFDSImages(ImageSource):
    """The images of a TensorFlow Datasets builder that has features `image` and `label`.

    Images stay encoded until they are used, and are read in any order; for this the set must be prepared as
    `array_record`. All records are read once at the start, for their labels.

    Args:
        builder: tfds.core.DatasetBuilder. It must be prepared.
        split: String. `"train"`, or `"val"`, which stands for the set's `validation`, or `test` if there is none.

    Raises:
        ValueError: The set has no image and label, images of floats, no such split, or another file format.
    """

    def __init__(self, builder: Any, split: str):
        import tensorflow_datasets as tfds

        name = builder.info.full_name
        features = dict(builder.info.features) if isinstance(builder.info.features, tfds.features.FeaturesDict) else {}
        is_image = isinstance(features.get("image"), tfds.features.Image)
        if not is_image or not isinstance(features.get("label"), tfds.features.ClassLabel):
            raise ValueError(
                "The set must have an `image` and a `label` that is one class. "
                f"Received: {name} with {builder.info.features}"
            )
        _require_pixels_of_bytes(name, features["image"])
        _require_array_record(builder)
        names = ("train",) if split == "train" else ("validation", "test")
        self._split = next((candidate for candidate in names if candidate in builder.info.splits), None)
        if self._split is None:
            splits = list(builder.info.splits)
            raise ValueError(f"The set must have a split {' or '.join(names)}. Received: {name}, {splits}")
        # The records below `as_data_source`, whose parsing takes several times as long as TensorFlow's.
        self._records = builder.as_data_source(self._split).data_source
        super().__init__(features["label"].names, self._read_labels(), f"{name}:{self._split}")

    def _read_labels(self) -> np.ndarray:
        labels = np.zeros(len(self._records), "int32")
        for start in range(0, len(labels), 1024):
            serialized = self._records.__getitems__(range(start, min(start + 1024, len(labels))))
            parsed = tf.io.parse_example(serialized, {"label": tf.io.FixedLenFeature([], tf.int64)})
            labels[start : start + 1024] = parsed["label"]
        return labels

    def _read(self, row: tf.Tensor) -> tf.Tensor:
        return self._read_many(row[tf.newaxis])[0]

    def _read_many(self, rows: tf.Tensor) -> tf.Tensor:
        def records(rows):
            return np.array(self._records.__getitems__(rows.tolist()), object)

        # Not stateful: the same rows give the same bytes, whatever else is read beside them.
        serialized = tf.numpy_function(records, [rows], tf.string, stateful=False)
        serialized = tf.ensure_shape(serialized, rows.shape)
        return tf.io.parse_example(serialized, {"image": tf.io.FixedLenFeature([], tf.string)})["image"]

    def _describe(self, row: int) -> str:
        return f"{self.name}[{row}]"


def _require_pixels_of_bytes(name: str, image: Any) -> None:
    dtype = np.dtype(image.np_dtype)
    if dtype not in (np.uint8, np.uint16):
        raise ValueError(
            "The set's `image` must be of uint8 or uint16: floats have no range that is known here. Prepare the set "
            f"with tfds.features.Image(dtype=np.uint8). Received: {name} with dtype={dtype}"
        )


def _require_array_record(builder: Any) -> None:
    file_format = builder.info.file_format.value
    # Of a set that is read without its code, `data_dir_root` is the folder of the version.
    data_dir = builder.data_path.parents[builder.info.full_name.count("/")]
    if file_format != "array_record":
        raise ValueError(
            "The set must be prepared as array_record, to be read in any order; prepare it again with "
            f"`tfds build {builder.info.full_name.rpartition('/')[0]} --file_format=array_record --overwrite "
            f"--data_dir={data_dir}`, in the folder of its code if it is "
            f"a set of your own. Received: file_format={file_format} in {builder.data_path}"
        )
