"""The correct answers of hierarchical precision for many labels, searched and looked up in bulk."""

import bisect
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from devise_tf.metrics.hierarchical_precision import Node, hop_rings, undirected_links


class CorrectSets:
    """hCorrectSet of each label at each `k`, as positions among the candidates.

    The sets are those of `devise_tf.metrics.hierarchical_correct_sets`, less the labels that are no candidates: these
    can never be answered. The sets of rising `k` are nested, so what is kept is the smallest `k` at which a candidate
    is correct for a label: five bytes a pair (nine from 2 ** 31 pairs of labels and candidates on).

    Args:
        neighbors: Mapping. For each node of the hierarchy the nodes that it is linked with: parents, children or both.
            Hops go both ways. A node without links may be absent.
        label_ids: Sequence of hashable, length L. Labels, each one of `valid_ids`.
        candidate_ids: Sequence of hashable, length C. Different labels, those that may be answered.
        valid_ids: Iterable of hashable. The labels that are counted; hops through other nodes count none.
        ks: Iterable of int. Different integers `>= 1`, at most 255.

    Attributes:
        NEVER: An integer above every `k`.

    Raises:
        ValueError: A label is not among the valid ones, candidates repeat, or `ks` are not as above.

    Example:

    >>> sets = CorrectSets({"cat": ["pet"], "dog": ["pet"]}, ["cat", "dog"], ["dog", "cat"], ["cat", "dog"], ks=[1, 2])
    >>> sets.smallest_k([0, 1], [[1, 0], [1, -1]])  # the cat's image: cat, dog; the dog's: cat, no answer
    array([[1, 2], [2, 2147483647]], dtype=int32)

    Reference:
        - Frome et al., DeViSE: A Deep Visual-Semantic Embedding Model, 2013, appendix A.3.
    """

    NEVER = np.iinfo(np.int32).max

    def __init__(
        self,
        neighbors: Mapping[Node, Iterable[Node]],
        label_ids: Sequence[Node],
        candidate_ids: Sequence[Node],
        valid_ids: Iterable[Node],
        ks: Iterable[int],
    ):
        ks = sorted(ks)
        if not 1 <= len(set(ks)) == len(ks) <= 255 or ks[0] < 1:
            raise ValueError(f"`ks` must hold from 1 to 255 different integers >= 1. Received: ks={ks}")
        candidates = {candidate: i for i, candidate in enumerate(candidate_ids)}
        if len(candidates) < len(candidate_ids):
            raise ValueError(
                "`candidate_ids` must differ. "
                f"Received: {len(candidate_ids)} candidates, {len(candidates)} of them different"
            )
        valid = set(valid_ids)
        unknown = [label for label in label_ids if label not in valid]
        if unknown:
            raise ValueError(
                f"`label_ids` must be among `valid_ids`, the labels that may be counted: add or remove them. "
                f"Received: {len(unknown)} of {len(label_ids)} that are not, label_ids={unknown[:10]}"
            )
        self._ks = np.array(ks)
        self._num_labels, self._num_candidates = len(label_ids), len(candidates)
        self._search(undirected_links(neighbors), label_ids, candidates, valid)

    def sizes(self, k: int) -> np.ndarray:
        """The number of candidates that are correct for each label at `k`, one of `ks`: int `[L]`."""
        if k not in self._ks:
            raise ValueError(f"`k` must be one of {self._ks.tolist()}. Received: k={k}")
        return self._sizes[np.searchsorted(self._ks, k)]

    def smallest_k(self, labels: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """The smallest `k` at which each answer is correct.

        Args:
            labels: int array, shape `[n]`. Positions among `label_ids`.
            answers: int array, shape `[n, K]`. Positions among `candidate_ids`, or -1 for no answer.

        Returns:
            int32 array, shape `[n, K]`. One of `ks`, or `NEVER` for what is wrong at each of them.
        """
        labels, answers = np.asarray(labels, np.int64), np.asarray(answers, np.int64)
        for name, values, least, size in (
            ("labels", labels, 0, self._num_labels),
            ("answers", answers, -1, self._num_candidates),
        ):
            if values.size and (values.min() < least or values.max() >= size):
                raise ValueError(
                    f"`{name}` must be from {least} to {size - 1}. Received: from {values.min()} to {values.max()}"
                )
        keys = np.where(answers < 0, self._keys[-1], labels[:, None] * self._num_candidates + answers)
        # Of the keys' own type: with another, NumPy would convert all of them.
        keys = keys.astype(self._keys.dtype)
        rows = np.searchsorted(self._keys, keys)
        never = len(self._ks)
        levels = np.where(self._keys[rows] == keys, self._levels[rows], never)
        return np.append(self._ks, self.NEVER).astype(np.int32)[levels]

    def _search(
        self,
        links: Mapping[Node, set[Node]],
        label_ids: Sequence[Node],
        candidates: Mapping[Node, int],
        valid: set[Node],
    ) -> None:
        # A label is correct at `k` if fewer than `k` valid labels are nearer than it; labels of the same ring, at
        # the same number of hops, do not count. Its level is the position of the smallest such `k`.
        ks = self._ks.tolist()
        pairs = self._num_labels * self._num_candidates
        dtype = np.int32 if pairs <= np.iinfo(np.int32).max else np.int64
        keys, levels, sizes = [], [], np.zeros((self._num_labels, len(ks)), np.int64)
        for row, label in enumerate(label_ids):
            packed: list[int] = []
            nearer = 0
            for ring in hop_rings(links, label):
                counted, level = ring & valid, bisect.bisect_right(ks, nearer)
                packed += [candidates[other] << 8 | level for other in counted if other in candidates]
                nearer += len(counted)
                if nearer >= ks[-1]:
                    break
            in_order = np.sort(np.array(packed, np.int64))
            keys.append((row * self._num_candidates + (in_order >> 8)).astype(dtype))
            levels.append((in_order & 255).astype(np.uint8))
            sizes[row] = np.bincount(levels[-1], minlength=len(ks))
        self._sizes = np.cumsum(sizes, axis=1).T
        # A key above all others ends the list, so that every search ends at a key.
        self._keys = np.concatenate([*keys, np.array([np.iinfo(dtype).max], dtype)])
        self._levels = np.concatenate([*levels, np.array([len(ks)], np.uint8)])
