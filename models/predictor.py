"""Labels for photos, from a model directory or a preset."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from absl import logging
from PIL import Image

from devise_tf.images.decode_image import resize_and_crop
from devise_tf.images.photo import photo_of_pillow, read_photo
from devise_tf.labels import LabelSet
from devise_tf.models.known_labels import KnownLabels, LabelTables
from devise_tf.models.trained_run import TrainedRun

_BATCH = 64


class Answer(NamedTuple):
    """A label for an image.

    Attributes:
        label: The label's first term, or the text that was asked for.
        score: The cosine of the image's embedding and the label's vector; of a softmax the label's probability.
        id: The label's id, or the text that was asked for.
    """

    label: str
    score: float
    id: str


class Predictor:
    """A trained model that labels images; `devise_tf.models.load` makes one.

    ```
    score(image, label) = cosine(embedding(image), label vector)    DeViSE and its like, ConSE
                        = p(label | image)                          softmax
    ```

    Images are prepared as for evaluation and exports, and scores are theirs; but a photo that its EXIF tag says is
    turned is turned back. What label vectors are made of in training, those of other labels are made of, too. A label
    that is given as a text is a single term: it has the vector of the whole term, else the mean of its words' vectors.
    A softmax finds labels by id, else by term, among those that it was trained on, and knows no others.

    A list takes 4 bytes a label and dimension, beside its texts: 100,000 labels 400 MB in the default preset's
    `profiles`, whose vectors have 1,000 dimensions, and 120 MB at 300 dimensions, there 300 MB while they are made. The
    last 3 lists are kept: up to three times that. Beside them are the vectors of all terms, 29 MB for 24,000 terms,
    and, while a batch is scored, 4 bytes for each of its images and each label. Methods may be called from several
    threads.

    Args:
        run: What the model comes from.
        model: `"softmax"`, `"devise"`, `"conse"` or another one that `run` has, random embeddings aside. By default
            what a preset says, else `"devise"`.

    Attributes:
        run: As given.
        model: The model's name.
        labels: `LabelSet` of its own labels: of a softmax the trained ones, of others the unseen ones, too.
        image_size: Side of the images that it sees, pixels.

    Raises:
        ValueError: There is no such model, or `run` lacks something.

    Example:

    >>> predictor = devise_tf.models.load("efficientnet_lite0")
    >>> predictor.predict_labels("photo.jpg", ["tabby cat", "sports car", "snow leopard"], k=1)
    [[Answer(label='snow leopard', score=0.53, id='snow leopard')]]
    """

    def __init__(self, run: TrainedRun, model: str | None = None):
        networks = run.networks()
        known = [name for name in networks if not name.startswith("random_")]
        known += ["conse"] if "softmax" in networks else []
        self.run, self.model = run, model or run.default_model
        if self.model not in known:
            raise ValueError(f"`model` must be one of {known}, the models of the run. Received: model={self.model!r}")
        # Kept: graphs do not keep the variables that they read.
        self._network = run.conse(run.network("softmax")) if self.model == "conse" else run.network(self.model)
        softmax = self.model == "softmax"
        self.labels = run.labels.select(run.seen) if softmax else run.labels
        self.image_size = run.size("image_size")
        self._tables = LabelTables(run, self.model, self._network, self.labels)
        self._embed, self._answer = _forward_pass(self._network, softmax, self.image_size)
        self._crop = {kind: _crop(kind, self.image_size, run.size("resize_size")) for kind in ("uint8", "float32")}

    def predict_labels(
        self, images: object, labels: LabelSet | Sequence[str] | None = None, k: int = 5
    ) -> list[list[Answer]]:
        """The best labels of images.

        Labels that the model does not know cannot be answered. They are logged when a list is asked for the first time,
        and are in `known(labels).unknown`.

        Args:
            images: An image or several: paths, `bytes` of files, uint8 or float arrays `[height, width, 3]` in 0..255,
                images of Pillow.
            labels: Those to choose from: texts such as `"tabby cat"`, or a `LabelSet`; by default the model's own.
            k: Number of answers for each image; there are fewer where there are fewer labels.

        Returns:
            A list for each image, the best label first; of equally good ones that which is listed first.

        Raises:
            ValueError: An image cannot be read, a label is empty, or the model knows none of them.
            OSError: A file cannot be read.
        """
        found, new = self._tables.find(labels)
        if new and found.unknown:
            shown = ", ".join(found.unknown[:20]) + (", …" if len(found.unknown) > 20 else "")
            logging.warning("%s does not know %d of the labels: %s", self.model, len(found.unknown), shown)
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

    def known(self, labels: LabelSet | Sequence[str] | None = None) -> KnownLabels:
        """What the model knows of a list of labels; see `predict_labels`.

        Raises:
            ValueError: A label is empty, or the model knows none of them.
        """
        return self._tables.find(labels)[0]

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

        def prepare(place):
            try:
                photo = _photo(images[place], names[place] if names else "", f"images[{place}]")
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
        found = self.known(labels)
        # Before it is a tensor: integers of Python have no bounds.
        k = min(k, len(found.labels))
        inputs = tf.constant(pixels, tf.float32), found.table, tf.constant(k, tf.int32)
        embeddings, scores, places = (value.numpy() for value in self._answer(*inputs))
        ids, terms = found.labels.ids, found.labels.terms
        answers = [
            [Answer(terms[place][0], score, ids[place]) for score, place in zip(*row, strict=True)]
            for row in zip(scores.tolist(), places.tolist(), strict=True)
        ]
        return answers, embeddings

    def _pixels(self, images: object) -> Iterator[np.ndarray]:
        """Batches of prepared images; raises the error of the first that cannot be read."""
        for batch in self.prepared(_listed(images)):
            for image in batch:
                if isinstance(image, Exception):
                    raise image
            yield np.stack(batch)


def _forward_pass(network: keras.Model, softmax: bool, image_size: int) -> tuple[Callable, Callable]:
    """The network up to the embeddings, and up to the best labels, each one graph for any number of images."""
    pixels = tf.TensorSpec([None, image_size, image_size, 3], tf.float32)

    @tf.function(input_signature=[pixels])
    def embed(pixels):
        outputs = tf.cast(network(pixels, training=False), tf.float32)
        if softmax:
            return tf.nn.softmax(outputs)
        return tf.math.divide_no_nan(outputs, tf.norm(outputs, axis=1, keepdims=True))

    embed = embed.get_concrete_function()
    table = tf.TensorSpec([None], tf.int32) if softmax else tf.TensorSpec([None, embed.output_shapes[-1]], tf.float32)

    @tf.function(input_signature=[pixels, table, tf.TensorSpec([], tf.int32)])
    def answer(pixels, table, k):
        embeddings = embed(pixels)
        if softmax:
            scores = tf.gather(embeddings, table, axis=1)
        else:
            scores = tf.matmul(embeddings, table, transpose_b=True)
        # Of equal scores it takes the first.
        scores, places = tf.math.top_k(scores, k)
        return embeddings, scores, places

    # Called as it is, a function looks for the right one of its graphs first, which takes half a millisecond.
    return embed, answer.get_concrete_function()


def _crop(kind: str, image_size: int, resize_size: int) -> Callable:
    """The crop of evaluation as a graph, for images of a dtype; on the CPU, where they are."""

    @tf.function(input_signature=[tf.TensorSpec([None, None, 3], kind)])
    def crop(image):
        with tf.device("CPU:0"):
            return resize_and_crop(image, image_size, resize_size)

    return crop


def _listed(images: object) -> Sequence[object]:
    """The images, of which there may be one alone, as a sequence."""
    if isinstance(images, (str, bytes, os.PathLike, Image.Image)) or len(getattr(images, "shape", ())) in (2, 3):
        return [images]
    return images if isinstance(images, (Sequence, np.ndarray)) else list(images)


def _photo(image: object, name: str, place: str) -> np.ndarray:
    """The pixels of an image of any kind, uint8 or float32."""
    if isinstance(image, (str, os.PathLike)):
        return read_photo(image, name)
    name = name or place
    if isinstance(image, bytes):
        return read_photo(image, name)
    if isinstance(image, Image.Image):
        return photo_of_pillow(image, name)
    pixels = np.asarray(image)
    numbers = pixels.dtype == np.uint8 or pixels.dtype.kind == "f"
    if not numbers or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise ValueError(
            f"{name}: an image must be a path, bytes, an image of Pillow, or an array [height, width, 3] of uint8 or "
            f"floats in 0..255. Received: {type(image).__name__}, shape {pixels.shape}, dtype={pixels.dtype}"
        )
    if pixels.dtype == np.uint8:
        return pixels
    low, high = pixels.min(), pixels.max()
    # Values that end at 1 are hardly ever meant to be black.
    if not (low >= 0 and high <= 255) or 0 < high <= 1:
        hint = "; multiply it by 255" if 0 <= low and high <= 1 else ""
        raise ValueError(f"{name}: an image of floats must be in 0..255{hint}. Received: values {low:g} to {high:g}")
    return np.asarray(pixels, np.float32)
