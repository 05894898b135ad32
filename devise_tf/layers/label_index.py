"""Nearest labels of a query."""

from typing import Any

import keras
import numpy as np
from keras import ops

from devise_tf.layers.unfilled import UNFILLED, check_filled


def search_labels(
    queries: Any, values: Any, k: Any, candidates: Any = None, recall_target: float | None = None, offsets: Any = None
) -> tuple[Any, Any]:
    """The best entries of a table for each query: exhaustive search.

    Everything in the package that ranks labels does it here: `LabelIndex`, prediction, evaluation and exports. A
    search that is faster than exhaustive belongs here, too.

    Args:
        queries: float tensor `[B, D]`.
        values: float tensor `[N, D]`, whose dot products with a query are the scores; or integer tensor `[N]`, the
            positions in a query that hold the scores, as for the outputs of a softmax.
        k: integer, or integer tensor where the backend takes one. How many entries to return.
        candidates: bool tensor `[N]` or `[B, N]`, the entries to choose from, or None for all.
        recall_target: None: the search is exact. Nothing else is supported yet.
        offsets: float tensor `[N]`, added to the scores, or None for none; see `LabelTable`.

    Returns:
        Scores `[B, min(k, N)]`, the best first; and rows of `values`, int32, -1 where there are no more candidates.
        Among equal scores the first row comes first, wherever the backend's `top_k` is stable (TensorFlow, JAX).
        Scores that are not numbers are never among the best.
    """
    if recall_target is not None:
        raise ValueError(f"Only exact search is supported: leave `recall_target` out. Received: {recall_target=}")
    if len(values.shape) == 1:
        scores = ops.take(queries, values, axis=1)
    else:
        # In TensorFlow's graphs this is one product, without a transposed copy.
        scores = ops.einsum("bd,nd->bn", queries, values)
    if offsets is not None:
        scores = scores + offsets
    excluded = ops.isnan(scores)
    if candidates is not None:
        excluded = ops.logical_or(excluded, ops.logical_not(candidates))
    scores = ops.where(excluded, ops.cast(-np.inf, scores.dtype), scores)
    total = ops.shape(scores)[-1]
    both_static = isinstance(k, int) and isinstance(total, int)
    scores, rows = ops.top_k(scores, min(k, total) if both_static else ops.minimum(k, total))
    return scores, ops.where(scores == -np.inf, -1, ops.cast(rows, "int32"))


@keras.saving.register_keras_serializable(package="devise_tf")
class LabelIndex(keras.layers.Layer):
    """The `k` labels whose vectors have the largest dot products with a query.

    `score_j = query . vector_j`

    Vectors and ids are weights that are not trained, so that saved and exported models carry them; the config holds
    only their size. Scores are computed in the variable dtype, float32 under mixed precision. Nothing is normalized.
    Among equal scores the label indexed first comes first, wherever the backend's `top_k` is stable (TensorFlow, JAX).

    Args:
        k: integer. How many labels to return.
        recall_target: None. The search is exhaustive, and so exact; nothing else is supported yet.
        num_labels: integer. The number of indexed labels; with `dimension`, makes room for them, which loading a saved
            layer needs. `index` sets both. Calling the layer before `index` or loaded weights have filled the room is
            an error; within a compiled function, where values are not known, all ids are -1 then.
        dimension: integer. The dimension of the vectors.
        **kwargs: `name`, `dtype` of `keras.layers.Layer`.

    Call arguments:
        queries: float tensor `[B, D]`.
        k: integer, or integer tensor in TensorFlow graphs. How many labels to return, in place of the layer's `k`.
        candidates: The labels to choose from: integer tensor `[M]` of their ids, or bool tensor `[N]` or `[B, N]` over
            the indexed labels. All by default.

    Input shape:
        `[B, D]`.

    Output shape:
        `[B, k]` scores, float32, the best first; and `[B, k]` label ids, int32. Where there are fewer candidates than
        `k`, the scores of the rest are minus infinity, and the ids -1.

    Raises:
        ValueError: `k` is below 1 or above the number of labels, only one of `num_labels` and `dimension` is given, or
            the layer is called before `index`.

    Example:

    >>> index = LabelIndex(k=1)
    >>> index.index(np.array([[1.0, 0.0], [0.0, 1.0]]), labels=[7, 9])
    >>> index(np.array([[0.2, 0.8]]))
    ([[0.8]], [[9]])
    >>> index(np.array([[0.2, 0.8]]), candidates=[7])
    ([[0.2]], [[7]])
    """

    def __init__(
        self,
        k: int = 10,
        recall_target: float | None = None,
        num_labels: int | None = None,
        dimension: int | None = None,
        **kwargs: Any,
    ):
        _check_k(k)
        if recall_target is not None:
            raise ValueError(f"Only exact search is supported: leave `recall_target` out. Received: {recall_target=}")
        if (num_labels is None) != (dimension is None):
            raise ValueError(
                "`num_labels` and `dimension` must be given together. "
                f"Received: num_labels={num_labels}, dimension={dimension}"
            )
        super().__init__(autocast=False, **kwargs)
        self.k = int(k)
        self.recall_target = recall_target
        self.num_labels: int | None = None
        self.dimension: int | None = None
        self.vectors: Any = None
        self.labels: Any = None
        if num_labels is not None and dimension is not None:
            self._make_room(num_labels, dimension)

    def _make_room(self, num_labels: int, dimension: int) -> None:
        if self.vectors is not None:
            self._untrack_variable(self.vectors)
            self._untrack_variable(self.labels)
        self._tracker.unlock()
        self.num_labels = int(num_labels)
        self.dimension = int(dimension)
        arguments = {"trainable": False, "autocast": False}
        shape = (self.num_labels, self.dimension)
        self.vectors = self.add_weight(name="vectors", shape=shape, initializer=UNFILLED, **arguments)
        self.labels = self.add_weight(name="labels", shape=shape[:1], initializer="zeros", dtype="int32", **arguments)
        if self.built:
            self._tracker.lock()

    def index(self, vectors: Any, labels: Any = None) -> "LabelIndex":
        """Takes over the labels to search, in place of those indexed before, of which there may be another number.

        Functions that were compiled before, such as that of `Model.predict`, see the change only if the number of
        labels is the same; else compile them again.

        Args:
            vectors: float array `[N, D]`, finite.
            labels: integers `[N]` to return for them, not negative; `0 … N - 1` by default.

        Returns:
            The layer itself.

        Raises:
            ValueError: The shapes do not fit, a vector is not finite, an id is no int32, or the layer was called with
                queries of another dimension.
        """
        vectors = np.asarray(vectors)
        labels = np.arange(len(vectors)) if labels is None else np.asarray(labels)
        if vectors.ndim != 2 or labels.shape != vectors.shape[:1]:
            raise ValueError(
                "`vectors` must have the shape [N, D] and `labels` the shape [N]. "
                f"Received: vectors.shape={vectors.shape}, labels.shape={labels.shape}"
            )
        bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(bad):
            raise ValueError(f"`vectors` must be finite. Received: other values in rows {bad[:20].tolist()}")
        if labels.dtype.kind not in "iu" or np.any(labels != labels.astype(np.int32)):
            raise ValueError(f"`labels` must be 32-bit integers. Received: {labels[:5]}…, dtype={labels.dtype}")
        if self.built and vectors.shape[1] != self.dimension:
            raise ValueError(
                f"`vectors` must keep the dimension {self.dimension} of the queries that the layer was called with. "
                f"Received: vectors.shape={vectors.shape}"
            )
        if vectors.shape != (self.num_labels, self.dimension):
            self._make_room(*vectors.shape)
        self.vectors.assign(vectors)
        self.labels.assign(labels.astype(np.int32))
        return self

    def build(self, queries_shape: tuple[int | None, ...]) -> None:
        if self.vectors is None:
            raise ValueError("`index` must be called before the layer is. Received: num_labels=None")
        if len(queries_shape) != 2 or queries_shape[-1] != self.dimension:
            raise ValueError(
                f"`queries` must have the shape [B, D], and the dimension of the indexed vectors, {self.dimension}. "
                f"Received: queries.shape={queries_shape}"
            )

    def call(self, queries: Any, k: Any = None, candidates: Any = None) -> tuple[Any, Any]:
        k = self._count(k)
        check_filled(self.vectors, "`index` must be called, or weights be loaded, before the layer is called.")
        if candidates is not None:
            candidates = self._mask(ops.convert_to_tensor(candidates))
        queries = ops.cast(queries, self.variable_dtype)
        scores, rows = search_labels(queries, self.vectors, k, candidates, self.recall_target)
        ids = ops.take(self.labels, ops.maximum(rows, 0), axis=0)
        return ops.cast(scores, "float32"), ops.where(rows < 0, -1, ids)

    def _count(self, k: Any) -> Any:
        """`k`, or the layer's; checked if it is a number."""
        k = self.k if k is None else k
        if isinstance(k, (int, np.integer)):
            _check_k(k)
            if k > (self.num_labels or 0):
                raise ValueError(
                    f"`k` must not exceed the number of indexed labels. Received: k={k}, num_labels={self.num_labels}"
                )
            k = int(k)
        return k

    def _mask(self, candidates: Any) -> Any:
        """Which of the indexed labels are candidates."""
        dtype = keras.backend.standardize_dtype(candidates.dtype)
        if dtype == "bool":
            return candidates
        if "int" not in dtype or len(candidates.shape) != 1:
            raise ValueError(
                "`candidates` must be integers of the shape [M], or booleans. "
                f"Received: candidates.shape={tuple(candidates.shape)}, candidates.dtype={dtype}"
            )
        candidates = ops.sort(ops.cast(candidates, "int32"))
        positions = ops.searchsorted(candidates, self.labels)
        last = ops.shape(candidates)[0] - 1
        return ops.take(candidates, ops.minimum(positions, last), axis=0) == self.labels

    def compute_output_shape(self, queries_shape: Any, k: Any = None, candidates: Any = None) -> Any:
        k = self.k if k is None else k
        return (queries_shape[0], k), (queries_shape[0], k)

    def compute_output_spec(self, queries: Any, k: Any = None, candidates: Any = None) -> Any:
        scores_shape, ids_shape = self.compute_output_shape(queries.shape, self._count(k))
        return keras.KerasTensor(scores_shape, dtype="float32"), keras.KerasTensor(ids_shape, dtype="int32")

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "k": self.k,
            "recall_target": self.recall_target,
            "num_labels": self.num_labels,
            "dimension": self.dimension,
        }


def _check_k(k: Any) -> None:
    if not isinstance(k, (int, np.integer)) or k < 1:
        raise ValueError(f"`k` must be an integer >= 1. Received: k={k}")
