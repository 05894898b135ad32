"""Hierarchical precision@k, the DeViSE paper's measure of sensible mistakes."""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import keras
import numpy as np
from keras import ops

from devise_tf.label_ids import label_ids
from devise_tf.metrics.hit_at_k import checked_ranking

Node = TypeVar("Node", bound=Hashable)


def hierarchical_correct_set(
    neighbors: Mapping[Node, Iterable[Node]], label: Node, k: int, valid_labels: Iterable[Node]
) -> set[Node]:
    """The labels that count as correct for `label` at `k`.

    Starting from the label, whole rings of valid labels at 0, 1, 2, … hops are added while there are fewer than `k`,
    or until the hierarchy is exhausted. So the set may be larger than `k`; at `k = 1` it is the label alone.

    Args:
        neighbors: Mapping. For each node the nodes that it is linked with: parents, children or both. Hops go both
            ways. A node without links may be absent.
        label: Hashable. A node, one of `valid_labels`.
        k: int, `>= 1`.
        valid_labels: Iterable of hashable. The nodes that may be counted: the data set's labels, for zero-shot sets the
            test and training labels. Hops through other nodes are not counted as labels.

    Returns:
        A set of labels.

    Raises:
        ValueError: `label` is not one of `valid_labels`, or `k < 1`.

    Example:

    >>> hierarchical_correct_set({"cat": ["feline"], "lion": ["feline"]}, "cat", 2, ["cat", "lion"])
    {'cat', 'lion'}

    Reference:
        - Frome et al., DeViSE: A Deep Visual-Semantic Embedding Model, 2013, appendix A.3.
    """
    return hierarchical_correct_sets(neighbors, [label], [k], valid_labels)[k][0]


def hierarchical_correct_sets(
    neighbors: Mapping[Node, Iterable[Node]],
    labels: Sequence[Node],
    ks: Iterable[int],
    valid_labels: Iterable[Node],
) -> dict[int, list[set[Node]]]:
    """`hierarchical_correct_set` of every label at every `k`, with one search a label.

    Args:
        neighbors: Mapping. See `hierarchical_correct_set`.
        labels: Sequence of hashable. The labels to start from.
        ks: Iterable of int, `>= 1`.
        valid_labels: Iterable of hashable. See `hierarchical_correct_set`.

    Returns:
        For each `k` a list of sets, one for each of `labels`.

    Raises:
        ValueError: A label is not one of `valid_labels`, or a `k < 1`.
    """
    ks = sorted(set(ks))
    if not ks or ks[0] < 1:
        raise ValueError(f"`ks` must hold integers >= 1. Received: ks={ks}")
    valid_labels = frozenset(valid_labels)
    unknown = [label for label in labels if label not in valid_labels]
    if unknown:
        raise ValueError(f"`labels` must be among `valid_labels`. Received: {len(unknown)} others, {unknown[:5]}")
    links = undirected_links(neighbors)
    result: dict[int, list[set[Node]]] = {k: [] for k in ks}
    for label in labels:
        rings, correct = hop_rings(links, label), set[Node]()
        for k in ks:
            while len(correct) < k and (ring := next(rings, None)):
                correct |= ring & valid_labels
            result[k].append(set(correct))
    return result


def undirected_links(neighbors: Mapping[Node, Iterable[Node]]) -> dict[Node, set[Node]]:
    """The nodes one hop from each node, whichever way the links are given."""
    links = {node: set(others) for node, others in neighbors.items()}
    for node, others in list(links.items()):
        for other in others:
            links.setdefault(other, set()).add(node)
    return links


def hop_rings(links: Mapping[Node, set[Node]], node: Node) -> Iterator[set[Node]]:
    """Yields the nodes at 0, 1, 2, … hops from `node`, as far as there are any; rings are searched when needed.

    Args:
        links: Mapping. For each node all that are one hop away, see `undirected_links`.
        node: Hashable. Where to start; it may have no links.
    """
    ring, inner = {node}, set[Node]()
    while ring:
        yield ring
        # What is one hop from a ring lies in the next one, in itself or in the one before.
        ring, inner = set[Node]().union(*(links.get(near, ()) for near in ring)) - ring - inner, ring


def correct_answers(correct_from: Any, ks: Sequence[int]) -> Any:
    """Counts the correct ones among the first `k` answers; divided by `k` it is the precision@k.

    Args:
        correct_from: int tensor, shape `[B, K]`. For each answer the smallest `k` at which it is among the first `k`
            and correct; a number above all `ks` for none.
        ks: Sequence of int, `>= 1`.

    Returns:
        int32 tensor, shape `[B, len(ks)]`.

    Example:

    >>> correct_answers([[1, 5, 3], [9, 9, 3]], ks=[2, 3])
    [[1, 2], [0, 1]]
    """
    is_correct = ops.cast(correct_from, "int32")[:, :, None] <= ops.convert_to_tensor(list(ks), "int32")
    return ops.sum(ops.cast(is_correct, "int32"), axis=1)


def best_ids(scores: Any, k: int) -> Any:
    """The ids of the `k` best-scored candidates, best first.

    Args:
        scores: float tensor, shape `[B, C]`, `C >= k`.
        k: int, `>= 1`.

    Returns:
        int32 tensor, shape `[B, k]`. Among equal scores the lower id comes first, wherever the backend's `top_k` is
        stable. NaN ranks last, and -1 stands in its place.
    """
    _, ids = ops.top_k(ops.where(ops.isnan(scores), ops.full_like(scores, -np.inf), scores), k)
    is_answer = ops.logical_not(ops.isnan(ops.take_along_axis(scores, ids, axis=1)))
    return ops.where(is_answer, ops.cast(ids, "int32"), -1)


@keras.saving.register_keras_serializable(package="devise_tf")
class HierarchicalPrecisionAtK(keras.metrics.Mean):
    """The mean over examples of the share of the `k` best-ranked candidates that are in the label's correct set.

    `hp@k = mean of |top k ∩ correct set(label, k)| / k`

    A random ranker scores the mean size of the correct sets divided by the number of candidates. Among equal scores
    the lower candidate id comes first, wherever the backend's `top_k` is stable; NaN ranks last and is never correct.
    A label without a set, such as -1 for "no label", is an error. Within a compiled function, where values are not
    known, it makes the result NaN. Give padding any id, and the weight 0.

    Args:
        k: int, `>= 1`.
        correct_sets: sequence of sets of int. For each label id the candidate ids that count as correct; see
            `hierarchical_correct_set`.
        name: str. `"hp@{k}"` by default.
        dtype: str or `keras.DTypePolicy`. The dtype of the result.
        from_sorted_ids: bool. Whether `update_state` gets sorted candidate ids, as in
            `keras.metrics.SparseTopKCategoricalAccuracy`; scores by default.

    Raises:
        ValueError: `k` is not an integer `>= 1`, or the sets hold anything but ids `>= 0`; or a label is not as above.

    Example:

    >>> metric = HierarchicalPrecisionAtK(k=2, correct_sets=[{0, 1}, {0, 1}, {2}])
    >>> metric.update_state([2, 0], [[0.1, 0.7, 0.2], [0.1, 0.7, 0.0]])
    >>> metric.result()
    0.75

    Reference:
        - Frome et al., DeViSE: A Deep Visual-Semantic Embedding Model, 2013, appendix A.3.
    """

    def __init__(
        self,
        k: int,
        correct_sets: Iterable[Iterable[int]],
        name: str | None = None,
        dtype: Any = None,
        from_sorted_ids: bool = False,
    ):
        if not isinstance(k, int) or k < 1:
            raise ValueError(f"`k` must be an integer >= 1. Received: k={k}")
        ids = [sorted(set(correct)) for correct in correct_sets]
        if not ids or any(not isinstance(i, (int, np.integer)) or i < 0 for correct in ids for i in correct):
            raise ValueError(f"`correct_sets` must hold sets of candidate ids >= 0. Received: {ids[:5]}…")
        super().__init__(name=name or f"hp@{k}", dtype=dtype)
        self.k = k
        self.from_sorted_ids = from_sorted_ids
        # -2 fills the rows up: -1 is no answer, and never correct.
        self.correct_sets = np.full((len(ids), max(1, *map(len, ids))), -2, np.int32)
        for row, correct in zip(self.correct_sets, ids, strict=True):
            row[: len(correct)] = correct

    def update_state(self, labels: Any, ranking: Any, sample_weight: Any = None) -> None:
        """Adds a batch: int labels `[B]` or `[B, 1]`, scores `[B, C]` or sorted ids `[B, K]`, weights `[B]` if any."""
        ranking = checked_ranking(ranking, self.from_sorted_ids)
        if ranking.shape[1] is not None and ranking.shape[1] < self.k and not self.from_sorted_ids:
            raise ValueError(
                f"`ranking` must rank at least k={self.k} candidates. Received: ranking.shape={ranking.shape}"
            )
        ids = ops.cast(ranking, "int32") if self.from_sorted_ids else best_ids(ranking, self.k)
        labels, is_label = label_ids(labels, ids.shape[:1], len(self.correct_sets))
        correct = ops.take(ops.convert_to_tensor(self.correct_sets), labels, axis=0)
        is_correct = ops.any(ids[:, :, None] == correct[:, None, :], axis=2)
        position = 1 + ops.arange(ops.shape(ids)[1], dtype="int32")
        counts = correct_answers(ops.where(is_correct, position, self.k + 1), [self.k])[:, 0]
        super().update_state(ops.where(is_label, ops.cast(counts, self.dtype) / self.k, np.nan), sample_weight)

    def get_config(self) -> dict[str, Any]:
        correct_sets = [row[row >= 0].tolist() for row in self.correct_sets]
        config = {"k": self.k, "correct_sets": correct_sets, "from_sorted_ids": self.from_sorted_ids}
        return {**super().get_config(), **config}
