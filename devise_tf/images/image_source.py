"""A list of images, each with a label, read in any order."""

import copy
from collections.abc import Sequence

import numpy as np
import tensorflow as tf


class ImageSource:
    """A list of encoded images, each with one label, read in any order.

    A subclass reads rows of a store: it implements `_read(row)`, which turns an int64 scalar tensor into a string
    scalar tensor and runs inside `tf.data`, and `_describe(row)`, which names the image. It may override `_read_many`.

    Args:
        label_ids: Sequence of at least two strings. The labels' ids.
        labels: int32 array `[N]`, N >= 1. The label of each image, as an index into `label_ids`.
        name: String. Name of the source in messages.

    Raises:
        ValueError: There are no images, or fewer than two labels.
    """

    def __init__(self, label_ids: Sequence[str], labels: np.ndarray, name: str):
        if len(labels) == 0:
            raise ValueError(f"An image source must have images; there are none. Received: {name}")
        if len(label_ids) < 2:
            raise ValueError(f"An image source must have at least two labels. Received: {name}, labels={label_ids}")
        self.name = name
        self._set(label_ids, labels, np.arange(len(labels)))

    def _set(self, label_ids: Sequence[str], labels: np.ndarray, rows: np.ndarray) -> None:
        self.label_ids = list(label_ids)
        self.labels = np.asarray(labels, "int32")
        self._rows = np.asarray(rows, "int64")
        # Not a constant of the graphs that read it: each would hold a copy.
        with tf.init_scope(), tf.device("CPU:0"):
            self._row_table = tf.constant(self._rows)

    def __len__(self) -> int:
        return len(self.labels)

    def present(self) -> list[str]:
        """Returns the ids of the labels that have images, in order."""
        return [label for label, count in self.counts().items() if count]

    def counts(self) -> dict[str, int]:
        """Returns the number of images of each label, by its id."""
        counts = np.bincount(self.labels, minlength=len(self.label_ids))
        return dict(zip(self.label_ids, counts.tolist(), strict=True))

    def encoded(self, index: tf.Tensor) -> tf.Tensor:
        """Returns the bytes of the image at `index` (int64 scalar) as a string scalar. Usable inside `tf.data`."""
        return self._read(tf.gather(self._row_table, index))

    def encoded_batch(self, indices: tf.Tensor) -> tf.Tensor:
        """Returns the bytes of the images at `indices` (int64 `[K]`) as strings `[K]`. Usable inside `tf.data`."""
        return self._read_many(tf.gather(self._row_table, indices))

    def describe(self, index: int) -> str:
        """Returns the path or the key of the image at `index`."""
        return self._describe(int(self._rows[index]))

    def select(self, label_ids: Sequence[str]) -> "ImageSource":
        """Returns a source of the images of these labels only, numbered in the order of `label_ids`.

        Args:
            label_ids: Sequence of strings, each once. The labels' ids.

        Raises:
            ValueError: An id is repeated, or a label has no images.
        """
        label_ids = list(label_ids)
        if len(set(label_ids)) < len(label_ids):
            repeated = sorted({i for i in label_ids if label_ids.count(i) > 1})
            raise ValueError(f"`label_ids` must name each label once. Received: repeated={repeated}")
        with_images = {self.label_ids[label] for label in np.unique(self.labels)}
        missing = [i for i in label_ids if i not in with_images]
        if missing:
            more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
            raise ValueError(
                f"`label_ids` must name labels that have images in {self.name}. "
                f"Received: without images={missing[:10]}{more}"
            )
        new_label = {label_id: label for label, label_id in enumerate(label_ids)}
        labels = np.array([new_label.get(label_id, -1) for label_id in self.label_ids], "int32")[self.labels]
        selected_rows = np.flatnonzero(labels >= 0)
        selected = copy.copy(self)
        selected._set(label_ids, labels[selected_rows], self._rows[selected_rows])
        return selected

    def _read(self, row):
        raise NotImplementedError

    def _read_many(self, rows):
        return tf.map_fn(self._read, rows, fn_output_signature=tf.TensorSpec([], tf.string))

    def _describe(self, row):
        raise NotImplementedError
