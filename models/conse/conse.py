"""Convex combination of semantic embeddings: zero-shot answers from any softmax, without training."""

import copy
from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="devise_tf")
class ConSE(keras.Model):
    """A softmax classifier that embeds an image as the weighted average of its most probable labels' vectors.

    ```
    embedding(image) = unit(sum over the T most probable labels j of p(j | image) t_j)
    ```

    with unit-norm label vectors `t`. An image is labeled by the label vectors that have the largest dot product with
    its embedding, whether the classifier knows those labels or not.

    Args:
        classifier: Keras model. From pixels, float32 `[B, S, S, 3]` in 0 to 255, to logits `[B, N]`.
        label_vectors: Float array, `[N, D]`. Vectors of the classifier's labels, scaled to unit norm; a label with a
            row of zeros has no vector and is ignored. None if weights will be loaded.
        top: Integer, 1 to N. T, or None for all labels.
        dimension: Integer. D, if there are no `label_vectors`.

    Call arguments:
        pixels: Float32 tensor, `[B, S, S, 3]` in 0 to 255.
        training: Bool.

    Output shape:
        Float32, `[B, D]`. The embeddings, of unit norm.

    Raises:
        ValueError: `top` is not 1 to N, or `label_vectors` do not fit the classifier or are not finite.

    Example:

    >>> classifier = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(4)])
    >>> ConSE(classifier, label_vectors=np.eye(4), top=2)(np.zeros((2, 8, 8, 3))).shape
    TensorShape([2, 4])

    Reference:
        - Norouzi et al., 2014, [Zero-Shot Learning by Convex Combination of Semantic Embeddings](
          https://arxiv.org/abs/1312.5650).
    """

    def __init__(
        self,
        classifier: keras.Model,
        label_vectors: Any = None,
        top: int | None = 10,
        dimension: int | None = None,
        name: str = "conse",
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        labels = classifier.output_shape[-1]
        if top is not None and not 1 <= top <= labels:
            raise ValueError(f"`top` must be from 1 to the {labels} labels, or None for all. Received: top={top}")
        if label_vectors is None and dimension is None:
            raise ValueError("Either `label_vectors` or `dimension` must be given. Received: neither")
        if label_vectors is not None:
            vectors = np.asarray(label_vectors, np.float64)
            if vectors.ndim != 2 or len(vectors) != labels or not np.isfinite(vectors).all() or not vectors.any():
                raise ValueError(
                    f"`label_vectors` must be finite, of the shape [{labels}, D] and not all zero. "
                    f"Received: label_vectors.shape={vectors.shape}"
                )
            norms = np.linalg.norm(vectors, axis=1, keepdims=True)
            vectors = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
            dimension = vectors.shape[1]
        self.classifier, self.top, self.dimension = classifier, top, dimension
        self.label_vectors = self.add_weight(
            name="label_vectors",
            shape=(labels, dimension),
            initializer="zeros",
            dtype="float32",
            trainable=False,
            autocast=False,
        )
        if label_vectors is not None:
            self.label_vectors.assign(vectors)
        self.built = True

    def call(self, pixels: Any, training: bool | None = None) -> Any:
        return self.combine(self.classifier(pixels, training=training))

    def combine(self, logits: Any) -> Any:
        """The embeddings of logits, float `[B, N]`, as float32 `[B, D]`."""
        logits = ops.cast(logits, "float32")
        has_vector = ops.any(self.label_vectors != 0, axis=1)
        # Relative probabilities are all that the direction depends on.
        logits = ops.where(has_vector, logits, ops.full_like(logits, -np.inf))
        weights = ops.softmax(logits, axis=-1)
        if self.top is not None and self.top < weights.shape[-1]:
            best, labels = ops.top_k(weights, self.top)
            sums = ops.sum(best[:, :, None] * ops.take(self.label_vectors, labels, axis=0), axis=1)
        else:
            sums = ops.matmul(weights, self.label_vectors)
        return ops.normalize(sums, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "classifier": keras.saving.serialize_keras_object(self.classifier),
            "top": self.top,
            "dimension": self.dimension,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ConSE":
        config = copy.deepcopy(config)  # Keras empties the configs that it reads
        return cls(**{**config, "classifier": keras.saving.deserialize_keras_object(config["classifier"])})
