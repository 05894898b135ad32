"""Hierarchical precision@k, the DeViSE paper's measure of sensible mistakes."""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

import keras
import numpy as np
from keras import ops


def hierarchical_correct_set(
    neighbors: Mapping[Hashable, Iterable[Hashable]], label: Hashable, k: int, valid_labels: Iterable[Hashable]
) -> set:
    """Returns the labels that count as correct for `label` at `k`.

    Starting from the label, whole rings of valid labels at 0, 1, 2, … hops are added while there are fewer than `k`,
    or until the hierarchy is exhausted. So the set may be larger than `k`; at `k = 1` it is the label alone.

    Args:
        neighbors: for each node the nodes it is linked with: parents, children or both. Hops go both ways.
            A node that is in no link may be left out.
        label: a node, one of `valid_labels`.
        k: integer, `>= 1`.
        valid_labels: the nodes that may be counted: the data set's labels, for zero-shot sets the test and training
            labels. Other nodes are walked through.

    Returns:
        A set of labels.

    Raises:
        ValueError: if `label` is not one of `valid_labels` or `k < 1`.

    Example:

    >>> hierarchical_correct_set({"cat": ["feline"], "lion": ["feline"]}, "cat", 2, ["cat", "lion"])
    {'cat', 'lion'}

    Reference:
        - Frome et al., DeViSE: A Deep Visual-Semantic Embedding Model, 2013, appendix A.3.
    """
    return hierarchical_correct_sets(neighbors, [label], [k], valid_labels)[k][0]


def hierarchical_correct_sets(
    neighbors: Mapping[Hashable, Iterable[Hashable]],
    labels: Sequence[Hashable],
    ks: Iterable[int],
    valid_labels: Iterable[Hashable],
) -> dict[int, list[set]]:
    """Returns `hierarchical_correct_set` of every label at every `k`, with one search a label.

    Args:
        neighbors: as in `hierarchical_correct_set`.
        labels: the labels to start from.
        ks: integers, `>= 1`.
        valid_labels: as in `hierarchical_correct_set`.

    Returns:
        For each `k` a list of sets, one for each of `labels`.

    Raises:
        ValueError: if a label is not one of `valid_labels` or a `k < 1`.
    """
    ks = sorted(set(ks))
    if not ks or ks[0] < 1:
        raise ValueError(f"`ks` must hold integers >= 1. Received: ks={ks}")
    valid_labels = frozenset(valid_labels)
    unknown = [label for label in labels if label not in valid_labels]
    if unknown:
        raise ValueError(f"`labels` must be among `valid_labels`. Received: {len(unknown)} others, {unknown[:5]}")
    links = undirected_links(neighbors)
    result: dict[int, list[set]] = {k: [] for k in ks}
    for label in labels:
        rings, found = hop_rings(links, label), set()
        for k in ks:
            while len(found) < k and (ring := next(rings, None)):
                found |= ring & valid_labels
            result[k].append(set(found))
    return result


def undirected_links(neighbors: Mapping[Hashable, Iterable[Hashable]]) -> dict[Hashable, set]:
    """Returns the nodes one hop from each node, whichever way the links are given."""
    links = {node: set(others) for node, others in neighbors.items()}
    for node, others in list(links.items()):
        for other in others:
            links.setdefault(other, set()).add(node)
    return links


def hop_rings(links: Mapping[Hashable, set], node: Hashable) -> Iterator[set]:
    """Yields the nodes at 0, 1, 2, … hops from `node`, as far as there are any; each ring is searched when asked for.

    Args:
        links: for each node all that are one hop away, as `undirected_links` gives them.
        node: where to start; it may be in no link.
    """
    ring, inner = {node}, set()
    while ring:
        yield ring
        # What is one hop from a ring lies in the next one, in itself or in the one before.
        ring, inner = set().union(*(links.get(near, ()) for near in ring)) - ring - inner, ring


@keras.saving.register_keras_serializable(package="devise_tf")
class HierarchicalPrecisionAtK(keras.metrics.Mean):
    """The mean over examples of the share of the `k` best-scored candidates that are in the label's correct set.

    `hp@k = mean of |top k ∩ correct set(label, k)| / k`

    A random ranker scores the mean size of the correct sets divided by the number of candidates. Among equal scores
    the lower candidate id comes first, wherever the backend's `top_k` is stable; NaN ranks last.

    Args:
        k: integer, `>= 1`.
        correct_sets: for each label id the candidate ids that count as correct; see `hierarchical_correct_set`.
        name: string, `"hp@{k}"` by default.
        dtype: the dtype of the result.

    Raises:
        ValueError: if `k` is not an integer `>= 1`, or the sets hold anything but ids `>= 0`.

    Example:

    >>> metric = HierarchicalPrecisionAtK(k=2, correct_sets=[{0, 1}, {0, 1}, {2}])
    >>> metric.update_state([2, 0], [[0.1, 0.7, 0.2], [0.1, 0.7, 0.0]])
    >>> metric.result()
    0.75

    Reference:
        - Frome et al., DeViSE: A Deep Visual-Semantic Embedding Model, 2013, appendix A.3.
    """

    def __init__(self, k, correct_sets, name=None, dtype=None):
        if not isinstance(k, int) or k < 1:
            raise ValueError(f"`k` must be an integer >= 1. Received: k={k}")
        ids = [sorted(set(correct)) for correct in correct_sets]
        if not ids or any(not isinstance(i, (int, np.integer)) or i < 0 for correct in ids for i in correct):
            raise ValueError(f"`correct_sets` must hold sets of candidate ids >= 0. Received: {ids[:5]}…")
        super().__init__(name=name or f"hp@{k}", dtype=dtype)
        self.k = k
        self.correct_sets = np.full((len(ids), max(1, *map(len, ids))), -1, np.int32)
        for row, correct in zip(self.correct_sets, ids, strict=True):
            row[: len(correct)] = correct

    def update_state(self, labels, scores, sample_weight=None):
        """Adds a batch: integer `labels` `[B]`, `scores` `[B, C]` and, if given, weights `[B]`."""
        scores = ops.convert_to_tensor(scores)
        if scores.shape[1] is not None and scores.shape[1] < self.k:
            raise ValueError(
                f"`scores` must rank at least k={self.k} candidates. Received: scores.shape={scores.shape}"
            )
        scores = ops.where(ops.isnan(scores), ops.full_like(scores, -np.inf), scores)
        _, best = ops.top_k(scores, self.k)
        correct = ops.take(ops.convert_to_tensor(self.correct_sets), ops.cast(labels, "int32"), axis=0)
        is_correct = ops.any(ops.cast(best, "int32")[:, :, None] == correct[:, None, :], axis=2)
        super().update_state(ops.mean(ops.cast(is_correct, self.dtype), axis=1), sample_weight)

    def get_config(self):
        correct_sets = [row[row >= 0].tolist() for row in self.correct_sets]
        return {**super().get_config(), "k": self.k, "correct_sets": correct_sets}
