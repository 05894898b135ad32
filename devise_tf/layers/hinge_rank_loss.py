"""The hinge rank loss as a layer that holds the label vectors."""

import keras
import numpy as np
from keras import ops

from devise_tf.choices import MARGIN
from devise_tf.losses.hinge_rank import check_hinge_arguments, hinge_rank_loss


@keras.saving.register_keras_serializable(package="devise_tf")
class HingeRankLoss(keras.layers.Layer):
    """Hinge rank loss between projected images and a fixed table of label vectors.

    `loss = sum over false labels j of max(0, margin - t_label . e + t_j . e)`, all `t` of unit norm

    where `violations` says which false labels count; see `devise_tf.losses.hinge_rank_loss`.

    The layer computes in its variable dtype, which is float32 under mixed precision: a margin of 0.1 leaves no room
    for half precision. The table is a weight that is not trained; files of weights restore it, the config holds only
    its size.

    Args:
        label_vectors: float array `[N, D]`, one vector a label; each is scaled to unit norm. May be left out if
            `num_labels` and `dimension` are given: the table is zero then, until weights are loaded.
        margin: float, `>= 0`.
        violations: `"one"` (the paper), `"sum"` or `"hardest"`.
        seed: integer, the seed of the draws that `"one"` makes.
        num_labels: integer, `N`; only without `label_vectors`.
        dimension: integer, `D`; only without `label_vectors`.
        **kwargs: `name`, `dtype` of `keras.layers.Layer`.

    Call arguments:
        embeddings: float tensor `[B, D]`.
        labels: integer tensor `[B]`, rows of the table.
        uniforms: float tensor `[B]` in `[0, 1)`, or `None` to draw them; which violating label `"one"` takes.

    Input shape:
        `[B, D]`, `[B]` and `[B]`.

    Output shape:
        `[B]`.

    Raises:
        ValueError: if `label_vectors` is not a matrix of finite numbers, holds rows of zeros, or is given together
            with another size; if `margin` or `violations` cannot be used; if the labels are not integers.

    Example:

    >>> layer = HingeRankLoss(np.eye(2), margin=1.5, violations="sum")
    >>> layer(np.array([[1.0, 0.0]]), np.array([0]))
    [0.5]

    Reference:
        - Frome et al., DeViSE: A Deep Visual-Semantic Embedding Model, 2013.
    """

    def __init__(
        self, label_vectors=None, margin=MARGIN, violations="one", seed=None, num_labels=None, dimension=None, **kwargs
    ):
        check_hinge_arguments(margin, violations)
        if label_vectors is not None:
            unit_vectors = _unit_rows(label_vectors)
            if num_labels not in (None, unit_vectors.shape[0]) or dimension not in (None, unit_vectors.shape[1]):
                raise ValueError(
                    "`num_labels` and `dimension` must agree with `label_vectors`. Received: "
                    f"num_labels={num_labels}, dimension={dimension}, label_vectors.shape={unit_vectors.shape}"
                )
            num_labels, dimension = unit_vectors.shape
        elif num_labels is None or dimension is None:
            raise ValueError(
                "Either `label_vectors` or both `num_labels` and `dimension` must be given. "
                f"Received: label_vectors=None, num_labels={num_labels}, dimension={dimension}"
            )
        super().__init__(autocast=False, **kwargs)
        self.margin = margin
        self.violations = violations
        self.seed = seed
        self.num_labels = num_labels
        self.dimension = dimension
        if violations == "one":
            self.seed_generator = keras.random.SeedGenerator(seed)
        self.label_vectors = self.add_weight(
            name="label_vectors",
            shape=(num_labels, dimension),
            initializer="zeros"
            if label_vectors is None
            else lambda shape, dtype: ops.convert_to_tensor(unit_vectors, dtype=dtype),
            trainable=False,
            autocast=False,
        )

    def build(self, embeddings_shape, labels_shape=None, uniforms_shape=None, label_vectors_shape=None):
        if embeddings_shape[-1] != self.dimension:
            raise ValueError(
                f"`embeddings` must have the dimension of the label vectors, {self.dimension}. "
                f"Received: embeddings.shape={embeddings_shape}"
            )

    def call(self, embeddings, labels, uniforms=None, label_vectors=None):
        dtype = keras.backend.standardize_dtype(labels.dtype)
        if "int" not in dtype:
            raise ValueError(f"`labels` must be integers. Received: labels.dtype={dtype}")
        if uniforms is None and self.violations == "one":
            uniforms = keras.random.uniform((ops.shape(embeddings)[0],), dtype="float32", seed=self.seed_generator)
        return hinge_rank_loss(
            ops.cast(embeddings, self.variable_dtype),
            labels,
            ops.convert_to_tensor(self.label_vectors if label_vectors is None else label_vectors),
            self.margin,
            self.violations,
            uniforms,
        )

    def compute_output_shape(self, embeddings_shape, labels_shape=None, uniforms_shape=None, label_vectors_shape=None):
        return (embeddings_shape[0],)

    def compute_output_spec(self, embeddings, labels, uniforms=None, label_vectors=None):
        return keras.KerasTensor(self.compute_output_shape(embeddings.shape), dtype=self.variable_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "margin": self.margin,
            "violations": self.violations,
            "seed": self.seed,
            "num_labels": self.num_labels,
            "dimension": self.dimension,
        }


def _unit_rows(label_vectors):
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
