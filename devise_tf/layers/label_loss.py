"""What the losses between projected images and label vectors share."""

from typing import Any

import keras
import numpy as np
from keras import ops

from devise_tf.layers.unfilled import UNFILLED, check_filled


class LabelLoss(keras.layers.Layer):
    """Base of the losses that hold label vectors: one call for all of them, one value an example.

    `loss_i = label_loss(embedding_i, label_i, label_vectors)`, which subclasses define; all label vectors of unit norm

    The layer computes in its variable dtype, which is float32 under mixed precision: a small margin leaves no room
    for half precision. The label vectors are a weight that is not trained; files of weights restore it, the config
    holds only its shape. Until something fills it, it is NaN: calling the layer is an error then, or, within a compiled
    function, where values are not known, gives NaN.

    Args:
        label_vectors: Float array, `[N, D]`. One vector a label; each is scaled to unit norm. Without it and without a
            shape the layer has none until `set_label_vectors`, or takes those of the call.
        seed: Integer. Of the draws of a loss that makes some.
        num_labels: Integer. `N`, without `label_vectors`; these must be set, or loaded as weights, before the first
            call.
        dimension: Integer. `D`, likewise.
        **kwargs: `name`, `dtype` of `keras.layers.Layer`.

    Call arguments:
        embeddings: Float tensor, `[B, D]`. The projected images.
        labels: Integer tensor of any dtype, `[B]` or `[B, 1]`. Rows of the label vectors. One outside of 0 to `N - 1`
            is an error, or, within a compiled function, makes the loss of its example NaN.
        uniforms: Float tensor, `[B]` or `[B, 1]`, in `[0, 1)`. For a loss that draws false labels; drawn if not given.
        label_vectors: Float tensor, `[N, D]`, of unit norm. In place of the layer's, such as vectors being trained.

    Input shape:
        `[B, D]`, `[B]` or `[B, 1]`, and optionally `[B]` or `[B, 1]`, and `[N, D]`.

    Output shape:
        `[B]`.

    Raises:
        ValueError: `label_vectors` is not a matrix of finite numbers, holds rows of zeros, or contradicts the shape
            that is given; the call's arguments are not as above; or nothing filled the label vectors.
    """

    def __init__(
        self,
        label_vectors: Any = None,
        seed: int | None = None,
        num_labels: int | None = None,
        dimension: int | None = None,
        **kwargs: Any,
    ):
        shape = (num_labels, dimension)
        if label_vectors is not None:
            label_vectors = _unit_rows(label_vectors)
            if any(size not in (None, actual) for size, actual in zip(shape, label_vectors.shape, strict=True)):
                raise ValueError(
                    "`num_labels` and `dimension` must agree with `label_vectors`. Received: "
                    f"num_labels={num_labels}, dimension={dimension}, label_vectors.shape={label_vectors.shape}"
                )
            shape = label_vectors.shape
        elif (num_labels is None) != (dimension is None):
            raise ValueError(
                "Either `label_vectors` or both `num_labels` and `dimension` must be given. "
                f"Received: label_vectors=None, num_labels={num_labels}, dimension={dimension}"
            )
        super().__init__(autocast=False, **kwargs)
        self.seed, (self.num_labels, self.dimension) = seed, shape
        self.seed_generator = keras.random.SeedGenerator(seed) if self._has_generator() else None
        self.label_vectors = None
        if self.dimension is not None:
            self._add_label_vectors(label_vectors)

    def _has_generator(self) -> bool:
        # Losses that draw nothing have one, too: first weights of seeded runs, and checkpoints, count on it.
        return True

    def set_label_vectors(self, label_vectors: Any) -> None:
        """Takes label vectors, float `[N, D]`; where the layer has some already, of the same shape."""
        vectors = _unit_rows(label_vectors)
        if self.label_vectors is None:
            self.num_labels, self.dimension = vectors.shape
            self._add_label_vectors(vectors)
        elif vectors.shape != tuple(self.label_vectors.shape):
            raise ValueError(
                f"`label_vectors` must have the shape {tuple(self.label_vectors.shape)} of those that the loss has. "
                f"Received: label_vectors.shape={vectors.shape}"
            )
        else:
            self.label_vectors.assign(vectors)

    def _add_label_vectors(self, vectors: np.ndarray | None) -> None:
        self.label_vectors = self.add_weight(
            name="label_vectors",
            shape=(self.num_labels, self.dimension),
            initializer=UNFILLED
            if vectors is None
            else lambda shape, dtype: ops.convert_to_tensor(vectors, dtype=dtype),
            trainable=False,
            autocast=False,
        )

    def build(
        self,
        embeddings_shape: Any,
        labels_shape: Any = None,
        uniforms_shape: Any = None,
        label_vectors_shape: Any = None,
    ) -> None:
        if len(embeddings_shape) != 2 or self.dimension not in (None, embeddings_shape[-1]):
            raise ValueError(
                "`embeddings` must have the shape [B, D], and the dimension of the label vectors, "
                f"{self.dimension}. Received: embeddings.shape={embeddings_shape}"
            )

    def call(self, embeddings: Any, labels: Any, uniforms: Any = None, label_vectors: Any = None) -> Any:
        if label_vectors is None:
            self.check_label_vectors()
        vectors = self.label_vectors if label_vectors is None else label_vectors
        return self.label_loss(
            ops.cast(embeddings, self.variable_dtype), labels, ops.convert_to_tensor(vectors), uniforms
        )

    def check_label_vectors(self) -> None:
        """Raises a `ValueError` if the layer has no label vectors yet; passes where values are not known."""
        message = "`label_vectors` must be given, to the layer or to its call, or be loaded as weights."
        if self.label_vectors is None:
            raise ValueError(f"{message} Received: label_vectors=None")
        check_filled(self.label_vectors, message)

    def label_loss(self, embeddings: Any, labels: Any, label_vectors: Any, uniforms: Any) -> Any:
        """The loss of each example, `[B]`, of the dtype of `embeddings`; arguments as of the call."""
        raise NotImplementedError

    def load_own_variables(self, store: Any) -> None:
        # In files from before every loss was a layer, a `DeViSE` has its label vectors by this name.
        if self.label_vectors is not None and not store.keys():
            store = store.get("layers/hinge_rank_loss") or store
        super().load_own_variables(store)

    def compute_output_shape(
        self,
        embeddings_shape: Any,
        labels_shape: Any = None,
        uniforms_shape: Any = None,
        label_vectors_shape: Any = None,
    ) -> tuple[int | None]:
        return (embeddings_shape[0],)

    def compute_output_spec(
        self, embeddings: Any, labels: Any, uniforms: Any = None, label_vectors: Any = None
    ) -> keras.KerasTensor:
        return keras.KerasTensor(self.compute_output_shape(embeddings.shape), dtype=self.variable_dtype)

    def get_config(self) -> dict[str, Any]:
        own = {"seed": self.seed, "num_labels": self.num_labels, "dimension": self.dimension}
        return {**super().get_config(), **own}


def _unit_rows(label_vectors: Any) -> np.ndarray:
    vectors = np.asarray(label_vectors, np.float64)
    if vectors.ndim != 2 or 0 in vectors.shape:
        raise ValueError(f"`label_vectors` must have the shape [N, D]. Received: label_vectors.shape={vectors.shape}")
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    bad = np.flatnonzero(~np.isfinite(norms[:, 0]) | (norms[:, 0] == 0))
    if len(bad):
        raise ValueError(
            "`label_vectors` must be finite and none of them zero, which has no direction. "
            f"Received: {len(bad)} such rows, label ids={bad[:20].tolist()}"
        )
    return vectors / norms
