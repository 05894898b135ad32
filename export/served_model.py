"""A trained model behind the six signatures that an export serves."""

import dataclasses
from collections.abc import Callable

import keras
import tensorflow as tf

from devise_tf.export.label_graph import (
    MAX_REQUEST_LABELS,
    MAX_REQUEST_SCORES,
    LabelGraph,
    at_most,
)
from devise_tf.export.signatures import SIGNATURES, Signature
from devise_tf.images import Crop
from devise_tf.images.decode_image import decode_image, resize_and_crop

_MAX_REQUEST_PIXEL_BYTES = 2**26
_MAX_BATCHED_IMAGES = 65_536
Run = Callable[[tf.Tensor], tf.Tensor]  # from pixels to what the network gives


@dataclasses.dataclass(frozen=True)
class Batching:
    """In-graph batching: requests that run at the same time share a run of the network.

    It is round the network alone, after the images are decoded, so that a bad image fails alone and requests may ask
    for label lists of any length.

    Attributes:
        max_batch_size: int. Most images of one run.
        timeout_micros: int. How long the first image of a batch waits for others, microseconds.
        threads: int. Batches that run at the same time.

    Raises:
        ValueError: A setting is out of range.
    """

    max_batch_size: int = 32
    timeout_micros: int = 1_000
    threads: int = 2

    def __post_init__(self) -> None:
        if not 1 <= self.max_batch_size <= 4096 or self.timeout_micros < 0 or self.threads < 1:
            raise ValueError(
                "`max_batch_size` must be 1 to 4096, `threads` at least 1, `timeout_micros` at least 0. "
                f"Received: {self.max_batch_size=}, {self.timeout_micros=}, {self.threads=}"
            )


class ServedModel(tf.Module):
    """A visual model and its labels, to be saved by `tf.saved_model.save(model, path, model.signatures())`.

    `embedding` is DeViSE's or ConSE's, brought to unit norm, or a softmax model's probabilities; a label's score is
    the dot product of the two: a cosine, or the label's probability. Cosines of trained labels lose a penalty where a
    list has other labels, too (`devise_tf.labels.Penalty`).

    The signatures, with their inputs and outputs, are those of `devise_tf.export.signatures`.

    `norm` is the embedding's length before that (of the probabilities, for a softmax; 1 for ConSE). Labels that are not
    known score -1. Images are JPEG, PNG, GIF or BMP, prepared as for evaluation.

    Args:
        network: keras.Model. From pixels, float32 [N, S, S, 3] in 0..255, to embeddings or to logits.
        labels: LabelGraph. What labels are to the model.
        crop: Crop. The square of S pixels a side that is cut out of every image.
        k: int. Number of labels that `serving_default` answers; fewer if there are fewer labels.
        batching: Batching. In-graph batching, or None.

    Raises:
        ValueError: `k` is below 1.
    """

    def __init__(
        self,
        network: keras.Model,
        labels: LabelGraph,
        crop: Crop,
        k: int = 5,
        batching: Batching | None = None,
    ):
        super().__init__(name="served_model")
        if k < 1:
            raise ValueError(f"`k` must be at least 1. Received: k={k}")
        self.labels, self.crop, self.k = labels, crop, k
        size = crop.image_size
        self.max_request_images = max(64, _MAX_REQUEST_PIXEL_BYTES // (12 * size**2))
        spec = tf.TensorSpec([None, size, size, 3], tf.float32, name="pixels")

        # One function for all signatures: each would hold a copy of the network's graph otherwise.
        @tf.function(input_signature=[spec], autograph=False)
        def run(pixels: tf.Tensor) -> tf.Tensor:
            return tf.cast(network(pixels, training=False), tf.float32)

        traced = run.get_concrete_function()
        width = traced.structured_outputs.shape[-1]
        # A Keras model that is an attribute is saved in a way that TF Serving loads and then cannot run: its variables
        # have other names there. The function in a closure, and the variables that it reads, work.
        self.weights = list(traced.variables)
        self._run_alone = _if_any(run, width)
        self._run = _if_any(_in_batches(run, spec, batching), width) if batching else self._run_alone

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")], autograph=False)
        def prepare(image_bytes: tf.Tensor) -> tf.Tensor:
            with tf.control_dependencies([at_most(tf.size(image_bytes), self.max_request_images, "images")]):
                image_bytes = tf.identity(image_bytes)
            return tf.map_fn(
                lambda encoded: resize_and_crop(decode_image(encoded), size, crop.resize_size),
                image_bytes,
                fn_output_signature=tf.TensorSpec(spec.shape[1:], tf.float32),
            )

        self._prepare = prepare
        # For converters, which want no branches.
        self.embed = tf.function(lambda pixels: labels.embedding(run(pixels))[0], [spec], autograph=False)

    def signatures(self) -> dict[str, Callable]:
        """The signatures as functions, by name, for `tf.saved_model.save`."""
        functions = {
            "serving_default": self._serving_default,
            "embed_image": self._embed_image,
            "embed_label": self._embed_label,
            "classify": self._classify,
            "embed_pixels": self._embed_pixels,
            "classify_examples": self._classify_examples,
        }
        return {
            name: tf.function(functions[name], self._specs(signature), autograph=False)
            for name, signature in SIGNATURES.items()
        }

    def _specs(self, signature: Signature) -> list[tf.TensorSpec]:
        """The inputs of a signature; all sizes but those of pixels are free."""
        sizes = {"S": self.crop.image_size}
        return [
            tf.TensorSpec(
                [sizes.get(size) if isinstance(size, str) else size for size in type_.shape], type_.dtype, key
            )
            for key, type_ in signature.inputs.items()
        ]

    def _serving_default(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        labels, scores = self.labels.answers(self._embedding(self._prepare(image_bytes))[0], self.k)
        return {"labels": labels, "scores": scores}

    def _embed_image(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        embedding, norm = self._embedding(self._prepare(image_bytes))
        return {"embedding": embedding, "norm": norm}

    def _embed_label(self, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.control_dependencies([at_most(tf.size(labels), MAX_REQUEST_LABELS, "labels")]):
            embedding, known_tokens, num_tokens = self.labels.embed(tf.identity(labels))
        return {"embedding": embedding, "known_tokens": known_tokens, "num_tokens": num_tokens}

    def _embed_pixels(self, pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"embedding": self._embedding(pixels, self._run_alone)[0]}

    def _classify_examples(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        features = tf.io.parse_example(inputs, {"image/encoded": tf.io.FixedLenFeature([], tf.string)})
        answer = self._serving_default(features["image/encoded"])
        return {"classes": answer["labels"], "scores": answer["scores"]}

    def _embedding(self, pixels: tf.Tensor, run: Run | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        return self.labels.embedding((run or self._run)(pixels))

    def _classify(self, image_bytes: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        images, rows, columns = tf.shape(image_bytes)[0], tf.shape(labels)[0], tf.shape(labels)[1]
        fits = tf.raw_ops.Assert(
            condition=tf.equal(rows, images) | tf.equal(rows, 1),
            data=["`labels` must have one row an image, or one for all. Received: rows, images =", rows, images],
        )
        few_labels = at_most(tf.size(labels), MAX_REQUEST_LABELS, "labels")
        few_scores = at_most(images * columns, MAX_REQUEST_SCORES, "scores, which are images times labels")
        with tf.control_dependencies([fits, few_labels, few_scores]):
            labels = tf.identity(labels)
        embedding, _ = self._embedding(self._prepare(image_bytes))
        scores, known = self.labels.scores(embedding, labels)
        # Unknown labels come last, whatever others score: their zero vectors would beat some of these.
        scores, indices = tf.math.top_k(tf.where(known, scores, scores.dtype.min), columns)
        known, labels = (tf.broadcast_to(values, [images, columns]) for values in (known, labels))
        known = tf.gather(known, indices, batch_dims=1)
        return {
            "labels": tf.gather(labels, indices, batch_dims=1),
            "scores": tf.where(known, scores, -1.0),
            "known": known,
            "indices": indices,
        }


def _if_any(run: Run, width: int) -> Run:
    """`run` for any number of images: networks, and batches that wait for company, know no empty batch."""

    def run_if_any(pixels: tf.Tensor) -> tf.Tensor:
        outputs = tf.cond(tf.shape(pixels)[0] > 0, lambda: run(pixels), lambda: tf.zeros([0, width]))
        return tf.ensure_shape(outputs, [None, width])

    return run_if_any


def _in_batches(run: Run, spec: tf.TensorSpec, batching: Batching) -> Run:
    @tf.nondifferentiable_batch_function(
        num_batch_threads=batching.threads,
        # This bounds a request, which is split; the last of the allowed sizes bounds a batch. All are allowed, since a
        # batch is filled up to the next of them.
        max_batch_size=_MAX_BATCHED_IMAGES,
        allowed_batch_sizes=list(range(1, batching.max_batch_size + 1)),
        batch_timeout_micros=batching.timeout_micros,
        max_enqueued_batches=_MAX_BATCHED_IMAGES,
        enable_large_batch_splitting=True,
    )
    def run_batch(pixels: tf.Tensor) -> tf.Tensor:
        return run(tf.ensure_shape(pixels, spec.shape))

    return run_batch
