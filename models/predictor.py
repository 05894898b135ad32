"""Labels for photos, from a model directory or a preset."""

import dataclasses
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from absl import logging

from devise_tf.images.photo_batches import PhotoBatches, listed_images
from devise_tf.labels import LabelSet, LabelTable, WordSpace
from devise_tf.labels.senses import senses_by_name
from devise_tf.models.label_model import LabelModel
from devise_tf.models.model_source import ModelSource

_BATCH = 64
# Lists of labels whose tables are kept.
_LISTS = 3


class Answer(NamedTuple):
    """A label for an image.

    Attributes:
        label: str. The label's first term, or the requested text.
        score: float. The cosine of the image's embedding and the label's vector, less the penalty on trained labels
            where it counts; of a softmax the label's probability.
        id: str. The label's id, or the requested text.
    """

    label: str
    score: float
    id: str


class Predictor:
    """A trained model that labels images; `devise_tf.models.load` makes one.

    ```
    score(image, label) = cosine(embedding(image), label vector)              DeViSE and its like, ConSE
                        = cosine(embedding(image), label vector) - penalty    of trained labels beside others
                        = p(label | image)                                    softmax
    ```

    Trained labels win almost always, so that the model's penalty is taken from their scores, if the list has labels
    that were not trained as well. A label counts as trained if its vector is made of terms of trained labels alone.

    Images are prepared and scored as in evaluation and by the clients of exports.
    Vectors of other labels are made of the same things as those of the trained labels. A label that is given as a text
    is a single term: it has the vector of the whole term, else the mean of its words' vectors. A softmax looks labels
    up by id, else by term, among those that it was trained on, and knows no others.

    A list of labels takes 4 bytes for each label and dimension, beside its texts: 100,000 labels take 400 MB in the
    default preset's `profiles`, whose vectors have 1,000 dimensions, and 120 MB at 300 dimensions, there 300 MB while
    they are made. The last 3 lists are kept. Beside them are the vectors of all terms, 29 MB for 24,000 terms, and,
    while a batch is scored, 4 bytes for each of its images and each label. Methods may be called from several threads.

    Args:
        run: ModelSource. What the model comes from.
        model: str or None. One of `run.models()`: `"softmax"`, `"devise"`, `"conse"` or another one. By default what a
            preset says, else `"devise"`.
        penalty: float or None. In place of the model's penalty on trained labels, which is that of the preset, or of
            the run's evaluation; 0 for none. See `devise_tf.labels.Penalty`.

    Attributes:
        run: ModelSource. As given.
        model: str. The model's name.
        network: keras.Model. From pixels, float32 `[B, image_size, image_size, 3]` in 0..255, to embeddings that are
            not normalized; of a softmax to logits.
        labels: LabelSet. Its own labels: of a softmax the trained ones, of others the unseen ones, too.
        image_size: int. Side of the images that it sees, pixels.

    Raises:
        ValueError: There is no such model, `run` lacks something, or `penalty` is negative or not finite, or given for
            a softmax.

    Example:

    >>> predictor = devise_tf.models.load("efficientnet_lite0")
    >>> predictor.predict_labels("photo.jpg", ["tabby cat", "sports car", "snow leopard"], k=1)
    [[Answer(label='snow leopard', score=0.53, id='snow leopard')]]
    """

    def __init__(self, run: ModelSource, model: str | None = None, penalty: float | None = None):
        self.run, self._model = run, run.answering(model, penalty)
        self.model, self.network, self.labels = self._model.name, self._model.network, self._model.labels
        self.image_size = run.crop.image_size
        self._tables: list[tuple[object, LabelTable]] = []
        self._lock = threading.Lock()
        self._senses: Mapping[str, list[str]] | None = None
        self._embed, self._answer = _forward_pass(self._model, self.image_size)
        self._prepare = PhotoBatches(run.crop)

    def predict_labels(
        self, images: object, labels: LabelSet | Sequence[str] | None = None, k: int = 5
    ) -> list[list[Answer]]:
        """The best labels of images.

        Labels that the model does not know are never answers. They are logged once for each list, and are in
        `known(labels).unknown`.

        Args:
            images: One image or several: paths, `bytes` of files (`bytearray` and `memoryview` too), binary files that
                are open (`io.BytesIO` too), uint8 or float arrays `[height, width, 3]` in 0..255, images of Pillow.
            labels: LabelSet or sequence of str. Labels to choose from, or texts such as `"tabby cat"`; by default
                `self.labels`.
            k: int. Number of answers for each image; fewer if there are fewer labels.

        Returns:
            A list for each image, the best label first; labels with equal scores stay in order.

        Raises:
            ValueError: An image cannot be read, a label is empty, or the model knows none of them.
            OSError: A file cannot be read.
        """
        table, is_new = self._table(labels)
        if is_new and table.unknown:
            shown = ", ".join(table.unknown[:20]) + (", …" if len(table.unknown) > 20 else "")
            logging.warning("%s does not know %d of the labels: %s", self.model, len(table.unknown), shown)
        answers = []
        for pixels in self._pixels(images):
            answers += self.predict_pixels(pixels, labels, k)[0]
        return answers

    def embed(self, images: object) -> np.ndarray:
        """The embeddings of images.

        Args:
            images: As for `predict_labels`.

        Returns:
            float32 `[N, D]`, of unit norm; of a softmax the probabilities of its labels.
        """
        embeddings = [self._embed(tf.constant(pixels)).numpy() for pixels in self._pixels(images)]
        return np.concatenate([np.zeros((0, self._embed.output_shapes[-1]), np.float32), *embeddings])

    def known(self, labels: LabelSet | Sequence[str] | None = None) -> LabelTable:
        """What the model knows of a list of labels; see `predict_labels`.

        Raises:
            ValueError: A label is empty, or the model knows none of them.
        """
        return self._table(labels)[0]

    def senses(self, labels: Sequence[str]) -> dict[str, list[str]]:
        """The senses of texts that a described label has several of, or one that is named in brackets.

        Args:
            labels: Sequence of str. Texts, as for `predict_labels`.

        Returns:
            By text what it was taken for: one sense, or the mean of several. Each is a text that names it alone:
            `{"kite": ["kite (bird)", "kite (toy)"]}`.
        """
        space = self._model.space
        if not isinstance(space, WordSpace) or not space.described:
            return {}
        if self._senses is None:
            self._senses = senses_by_name(space, self.labels)
        found = {text: space.index.find(text).rows for text in labels}
        names = {text: space.terms[rows[0]] for text, rows in found.items() if len(rows) == 1}
        return {text: list(self._senses[name]) for text, name in names.items() if name in self._senses}

    def _table(self, labels: LabelSet | Sequence[str] | None) -> tuple[LabelTable, bool]:
        """The table of a list, its values a tensor, and whether the list is new; those of the last few are kept."""
        if labels is None:
            labels = self.labels
        elif not isinstance(labels, (LabelSet, str)):
            labels = list(labels)  # a list can change: what is kept is a copy
        with self._lock:
            for earlier, table in self._tables:
                if earlier is labels or earlier == labels:
                    return table, False
            table = self._model.space.table(labels)
            table = dataclasses.replace(table, values=tf.constant(table.values))
            self._tables = [*self._tables[1 - _LISTS :], (labels, table)]
        return table, True

    def prepared(
        self, images: Sequence[object], batch_size: int = _BATCH, names: Sequence[str] | None = None
    ) -> Iterator[list[np.ndarray | Exception]]:
        """Reads and crops images, several at once and up to a batch ahead.

        Args:
            images: As for `predict_labels`, always several.
            batch_size: Images of a batch.
            names: What errors call them; by default their paths, else their places.

        Yields:
            For each batch, in order, a list of float32 arrays `[image_size, image_size, 3]`, and for images that cannot
            be read of the `ValueError` or `OSError` that says why.
        """
        return self._prepare(images, batch_size, names)

    def predict_pixels(
        self, pixels: np.ndarray, labels: LabelSet | Sequence[str] | None = None, k: int = 5
    ) -> tuple[list[list[Answer]], np.ndarray]:
        """The best labels of images that are prepared.

        Args:
            pixels: float32 `[N, image_size, image_size, 3]` in 0..255, N at least 1.
            labels: As for `predict_labels`.
            k: As for `predict_labels`.

        Returns:
            Answers as of `predict_labels`, and embeddings as of `embed`.
        """
        if not isinstance(k, (int, np.integer)) or k < 1:
            raise ValueError(f"`k` must be an integer >= 1. Received: k={k!r}")
        table = self.known(labels)
        # Before it is a tensor: integers of Python have no bounds.
        k = min(k, len(table))
        inputs = tf.constant(pixels, tf.float32), table.values, tf.constant(table.offsets), tf.constant(k, tf.int32)
        embeddings, scores, entries = (value.numpy() for value in self._answer(*inputs))
        ids, terms = table.ids, table.labels.terms
        answers = [
            [Answer(terms[entry][0], score, ids[entry]) for score, entry in zip(*row, strict=True)]
            for row in zip(scores.tolist(), entries.tolist(), strict=True)
        ]
        return answers, embeddings

    def _pixels(self, images: object) -> Iterator[np.ndarray]:
        """Batches of prepared images; raises the error of the first that cannot be read."""
        for batch in self.prepared(listed_images(images)):
            for image in batch:
                if isinstance(image, Exception):
                    raise image
            yield np.stack([image for image in batch if not isinstance(image, Exception)])


def _forward_pass(model: LabelModel, image_size: int) -> tuple[Any, Any]:
    """The way up to the embeddings, and up to the best labels, each one graph for any number of images."""
    pixels = tf.TensorSpec([None, image_size, image_size, 3], tf.float32)
    embed = tf.function(model.embed, [pixels], autograph=False).get_concrete_function()
    shape, dtype = model.value_spec(embed.output_shapes[-1])
    inputs = [pixels, tf.TensorSpec(shape, dtype), tf.TensorSpec([None], tf.float32), tf.TensorSpec([], tf.int32)]
    answer = tf.function(
        lambda pixels, values, offsets, k: model.answer(pixels, values, offsets, k, embed), inputs, autograph=False
    )
    # Called as it is, a function looks for the right one of its graphs first, which takes half a millisecond.
    return embed, answer.get_concrete_function()
