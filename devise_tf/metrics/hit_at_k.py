"""Flat hit@k."""

from typing import Any

import keras
import numpy as np
from keras import ops

from devise_tf.label_ids import label_ids

NEVER = np.iinfo(np.int32).max


def label_rank(labels: Any, ranking: Any, from_sorted_ids: bool = False) -> Any:
    """The smallest `k` for which each true label is among the first `k` candidates.

    Scores are ranked as a stable sort ranks them: among equal scores the lower candidate id comes first, so that a
    scorer which gives every candidate the same score hits no more often than one that names `k` fixed labels. A score
    of NaN ranks last, and a label whose own score is NaN has no rank.

    Args:
        labels: int tensor of any dtype, shape `[B]` or `[B, 1]`. The true labels, as candidate ids. One below 0, or not
            below `C`, is an error, or, within a compiled function, where values are not known, has no rank.
        ranking: float tensor, shape `[B, C]`. A score for each candidate, higher is better. With `from_sorted_ids`: int
            tensor, shape `[B, K]`. Candidate ids, best first; a negative id stands for no answer.
        from_sorted_ids: bool. Whether `ranking` holds sorted ids.

    Returns:
        int32 tensor, shape `[B]`, from 1; `NEVER`, above every `k`, where the label has no rank.

    Raises:
        ValueError: `labels` or `ranking` are not as above.

    Example:

    >>> label_rank([2, 0], [[0.1, 0.7, 0.2], [0.1, 0.7, 0.2]])
    [2, 3]
    >>> label_rank([2, 0], [[1, 2], [1, 2]], from_sorted_ids=True)
    [2, 2147483647]
    """
    return _ranks(labels, ranking, from_sorted_ids)[0]


def _ranks(labels: Any, ranking: Any, from_sorted_ids: bool) -> tuple[Any, Any]:
    """The ranks, and which of the labels are candidate ids at all."""
    ranking = checked_ranking(ranking, from_sorted_ids)
    candidates = {} if from_sorted_ids else {"num_labels": ops.shape(ranking)[1]}
    labels, is_label = label_ids(labels, ranking.shape[:1], **candidates)
    labels = ops.expand_dims(labels, 1)
    if from_sorted_ids:
        matches = ops.cast(ops.equal(ops.cast(ranking, "int32"), labels), "int32")
        ranked, rank = ops.any(matches, axis=1), 1 + ops.cast(ops.argmax(matches, axis=1), "int32")
    else:
        true_scores = ops.take_along_axis(ranking, labels, axis=1)
        lower_id = ops.arange(ops.shape(ranking)[1], dtype="int32") < labels
        # Comparisons with NaN are false: such a candidate is ahead of none.
        ahead = ops.logical_or(ranking > true_scores, ops.logical_and(ranking == true_scores, lower_id))
        ranked = ops.logical_not(ops.isnan(true_scores[:, 0]))
        rank = 1 + ops.sum(ops.cast(ahead, "int32"), axis=1)
    return ops.where(ops.logical_and(ranked, is_label), rank, NEVER), is_label


def checked_ranking(ranking: Any, from_sorted_ids: bool) -> Any:
    """A ranking as a tensor: scores `[B, C]`, or integer ids `[B, K]`; raises a `ValueError` if it is another."""
    ranking = ops.convert_to_tensor(ranking)
    dtype = keras.backend.standardize_dtype(ranking.dtype)
    if len(ranking.shape) != 2 or (from_sorted_ids and "int" not in dtype):
        raise ValueError(
            "`ranking` must have the shape [B, C] or, with `from_sorted_ids`, be integers of the shape [B, K]. "
            f"Received: ranking.shape={tuple(ranking.shape)}, ranking.dtype={dtype}"
        )
    return ranking


def hit_at_k(labels: Any, ranking: Any, k: int, from_sorted_ids: bool = False) -> Any:
    """Tells for each example whether the true label is among the first `k` candidates.

    Args:
        labels: int tensor, shape `[B]` or `[B, 1]`. See `label_rank`; what has no rank is no hit.
        ranking: tensor. Scores, shape `[B, C]`, or sorted ids, shape `[B, K]`. See `label_rank`.
        k: int, `>= 1`.
        from_sorted_ids: bool. Whether `ranking` holds sorted ids.

    Returns:
        bool tensor, shape `[B]`.

    Raises:
        ValueError: As of `label_rank`.

    Example:

    >>> hit_at_k([2, 0], [[0.1, 0.7, 0.2], [0.1, 0.7, 0.2]], k=2)
    [True, False]
    """
    return label_rank(labels, ranking, from_sorted_ids) <= k


@keras.saving.register_keras_serializable(package="devise_tf")
class HitAtK(keras.metrics.Mean):
    """The share of examples whose true label is among the `k` best-ranked candidates.

    Ties and NaN go by the rules of `label_rank`: the lower candidate id first, NaN last and never a hit.
    A label that is no candidate id, such as -1 for "no label", is an error. Within a compiled function, where values
    are not known, it makes the result NaN. Give padding any id, and the weight 0.

    Args:
        k: int, `>= 1`.
        name: str. `"hit@{k}"` by default.
        dtype: str or `keras.DTypePolicy`. The dtype of the result.
        from_sorted_ids: bool. Whether `update_state` gets sorted candidate ids, as in
            `keras.metrics.SparseTopKCategoricalAccuracy`; scores by default.

    Raises:
        ValueError: `k` is not an integer `>= 1`; or as of `label_rank`.

    Example:

    >>> metric = HitAtK(k=2)
    >>> metric.update_state([2, 0], [[0.1, 0.7, 0.2], [0.1, 0.7, 0.2]])
    >>> metric.result()
    0.5
    """

    def __init__(self, k: int, name: str | None = None, dtype: Any = None, from_sorted_ids: bool = False):
        if not isinstance(k, int) or k < 1:
            raise ValueError(f"`k` must be an integer >= 1. Received: k={k}")
        super().__init__(name=name or f"hit@{k}", dtype=dtype)
        self.k = k
        self.from_sorted_ids = from_sorted_ids

    def update_state(self, labels: Any, ranking: Any, sample_weight: Any = None) -> None:
        """Adds a batch: int labels `[B]` or `[B, 1]`, scores `[B, C]` or sorted ids `[B, K]`, weights `[B]` if any."""
        ranks, is_label = _ranks(labels, ranking, self.from_sorted_ids)
        super().update_state(ops.where(is_label, ops.cast(ranks <= self.k, self.dtype), np.nan), sample_weight)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "k": self.k, "from_sorted_ids": self.from_sorted_ids}
