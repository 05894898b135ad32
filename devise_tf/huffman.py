"""Huffman coding of a vocabulary, the tree that hierarchical softmax walks."""

import dataclasses
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class HuffmanTree:
    """A binary tree over the `V` terms of a vocabulary, stored as one root-to-leaf path per term.

    The tree has `V - 1` inner nodes, numbered as word2vec numbers them: in the order in which they were merged, so
    that a node comes after its children and the root is inner node `V - 2`. Build one with `from_counts`.

    Args:
        nodes: int32 array `[V, L]`. The inner nodes on each term's path, root first, padded with 0. `L` is the longest
            path's length.
        codes: int8 array `[V, L]`. The branch (0 or 1) at each of those nodes, padded with 0.
        lengths: int32 array `[V]`. The number of inner nodes on each path.

    Raises:
        ValueError: The shapes do not fit together, or a path is empty, leaves the tree or does not start at the root.

    Example:

    >>> tree = HuffmanTree.from_counts([5, 2, 1])
    >>> tree.lengths
    array([1, 2, 2], dtype=int32)

    Reference:
        - Mikolov et al., Efficient Estimation of Word Representations in Vector Space, 2013 (and its C code).
    """

    nodes: np.ndarray
    codes: np.ndarray
    lengths: np.ndarray

    def __post_init__(self):
        nodes, codes, lengths = np.asarray(self.nodes), np.asarray(self.codes), np.asarray(self.lengths)
        if nodes.ndim != 2 or codes.shape != nodes.shape or lengths.shape != nodes.shape[:1] or len(nodes) < 2:
            raise ValueError(
                "`nodes` and `codes` must have the same shape [V, L] and `lengths` the shape [V], with V >= 2. "
                f"Received: nodes.shape={nodes.shape}, codes.shape={codes.shape}, lengths.shape={lengths.shape}"
            )
        if lengths.min() < 1 or lengths.max() > nodes.shape[1]:
            raise ValueError(
                f"`lengths` must lie in [1, {nodes.shape[1]}]. "
                f"Received: minimum={lengths.min()}, maximum={lengths.max()}"
            )
        if nodes.min() < 0 or nodes.max() > len(nodes) - 2 or np.any(nodes[:, 0] != len(nodes) - 2):
            raise ValueError(
                f"`nodes` must lie in [0, {len(nodes) - 2}] and every path must start at the root, {len(nodes) - 2}. "
                f"Received: minimum={nodes.min()}, maximum={nodes.max()}, first nodes={np.unique(nodes[:, 0])[:5]}"
            )
        object.__setattr__(self, "nodes", nodes.astype(np.int32, copy=False))
        object.__setattr__(self, "codes", codes.astype(np.int8, copy=False))
        object.__setattr__(self, "lengths", lengths.astype(np.int32, copy=False))

    def __len__(self) -> int:
        """Returns the number of terms, `V`."""
        return len(self.lengths)

    @classmethod
    def from_counts(cls, counts: Sequence[int] | np.ndarray) -> "HuffmanTree":
        """Builds the tree whose mean path length under `counts` is the smallest possible.

        word2vec's construction: sort once, then merge from two queues, the terms and the inner nodes so far. The
        second of two merged nodes gets code 1. Among terms of equal count the later one is merged first. One thing
        differs from word2vec: a term goes before an inner node of equal count. The cost is the same and the longest
        path is the shortest possible, where word2vec's choice would string terms of count zero on a chain.

        Args:
            counts: Integers >= 0 `[V]`, V >= 2, in any order.

        Returns:
            A `HuffmanTree`, its rows in the order of `counts`.

        Raises:
            ValueError: `counts` is not a one-dimensional array of at least two whole numbers `>= 0`.
        """
        counts = check_counts(counts)
        size = len(counts)
        order = np.argsort(-counts, kind="stable")[::-1]
        # A sentinel ends each queue, so that the loop needs no bounds checks.
        infinity = int(counts.sum()) + 1
        terms = counts[order].tolist() + [infinity]
        inner = [infinity] * size
        first, second = [0] * (size - 1), [0] * (size - 1)
        next_term = next_inner = 0
        for merged in range(size - 1):
            if terms[next_term] <= inner[next_inner]:
                total, first[merged] = terms[next_term], next_term
                next_term += 1
            else:
                total, first[merged] = inner[next_inner], size + next_inner
                next_inner += 1
            if terms[next_term] <= inner[next_inner]:
                total, second[merged] = total + terms[next_term], next_term
                next_term += 1
            else:
                total, second[merged] = total + inner[next_inner], size + next_inner
                next_inner += 1
            inner[merged] = total
        children = np.stack([first, second], axis=1)
        is_term = children < size
        children[is_term] = order[children[is_term]]
        return cls._from_children(children)

    @classmethod
    def _from_children(cls, children: np.ndarray) -> "HuffmanTree":
        size = len(children) + 1
        parent: np.ndarray = np.empty(2 * size - 1, np.int32)
        code = np.empty(2 * size - 1, np.int8)
        for branch in (0, 1):
            parent[children[:, branch]] = np.arange(size - 1, dtype=np.int32)
            code[children[:, branch]] = branch
        root = 2 * size - 2

        # All terms climb to the root together, one level a step: once to measure, once to write.
        lengths = np.zeros(size, np.int32)
        terms, at = np.arange(size), np.arange(size)
        while len(terms):
            lengths[terms] += 1
            at = parent[at] + size
            below = at != root
            terms, at = terms[below], at[below]
        nodes = np.zeros((size, lengths.max()), np.int32)
        codes = np.zeros((size, lengths.max()), np.int8)
        terms, at, depth = np.arange(size), np.arange(size), lengths - 1
        while len(terms):
            nodes[terms, depth] = parent[at]
            codes[terms, depth] = code[at]
            below = depth > 0
            terms, at, depth = terms[below], parent[at[below]] + size, depth[below] - 1
        return cls(nodes, codes, lengths)

    def children(self) -> np.ndarray:
        """Returns the tree as an int32 array `[V - 1, 2]`: what lies on branch 0 and on branch 1 of each inner node.

        Numbers below `V` are terms; `V + i` is inner node `i`.
        """
        size, longest = self.nodes.shape
        children = np.full((size - 1, 2), -1, np.int32)
        ends = np.arange(size), self.lengths - 1
        children[self.nodes[ends], self.codes[ends]] = np.arange(size)
        for depth in range(longest - 1):
            terms = self.lengths > depth + 1
            children[self.nodes[terms, depth], self.codes[terms, depth]] = size + self.nodes[terms, depth + 1]
        return children

    def inner_counts(self, counts: Sequence[int] | np.ndarray) -> np.ndarray:
        """Returns how many term occurrences pass through each inner node.

        Args:
            counts: Integers `[V]`. The occurrences of each term.

        Returns:
            int64 array `[V - 1]`; the last entry, the root's, is the sum of `counts`.

        Raises:
            ValueError: `counts` is not a one-dimensional array of `V` whole numbers `>= 0`.
        """
        counts = check_counts(counts)
        if len(counts) != len(self):
            raise ValueError(f"`counts` must hold one count for each of {len(self)} terms. Received: {len(counts)}")
        totals = np.zeros(len(self) - 1, np.int64)
        for depth in range(self.nodes.shape[1]):
            terms = self.lengths > depth
            np.add.at(totals, self.nodes[terms, depth], counts[terms])
        return totals

    def to_config(self) -> dict:
        """Returns the tree as a dict of plain numbers, `2 (V - 1)` of them: `{"children": [...]}`."""
        return {"children": self.children().ravel().tolist()}

    @classmethod
    def from_config(cls, config: dict) -> "HuffmanTree":
        """Builds the tree that `to_config` described.

        Raises:
            ValueError: `config["children"]` is not a tree: every term and every inner node but the root is the
                child of exactly one inner node, which has a higher number.
        """
        children = np.asarray(config["children"], np.int64).reshape(-1, 2)
        size = len(children) + 1
        is_tree = size > 1 and np.array_equal(np.sort(children, axis=None), np.arange(2 * size - 2))
        if not is_tree or np.any(children - size >= np.arange(size - 1)[:, None]):
            raise ValueError(f"`config` must describe a tree. Received: children={children[:5].tolist()}…")
        return cls._from_children(children)


def check_counts(counts: Sequence[int] | np.ndarray) -> np.ndarray:
    """Returns `counts` as an int64 array, or raises a `ValueError` that says what is wrong with them."""
    values = np.asarray(counts)
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(
            f"`counts` must be one-dimensional and hold at least two terms. Received: counts.shape={values.shape}"
        )
    if values.dtype.kind not in "iuf" or np.any(values != np.floor(values)) or not np.all(np.isfinite(values)):
        raise ValueError(f"`counts` must be whole numbers. Received: counts={values[:5]}…, dtype={values.dtype}")
    if np.any(values < 0):
        where = np.flatnonzero(values < 0)[:5]
        raise ValueError(f"`counts` must not be negative. Received: counts[{where.tolist()}]={values[where].tolist()}")
    return values.astype(np.int64)
