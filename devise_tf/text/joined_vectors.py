"""Term vectors of several files of one space."""

from collections.abc import Container, Sequence

import numpy as np

from devise_tf.text.npz_vectors import load_npz
from devise_tf.text.vector_file import load_vectors
from devise_tf.text.vector_source import is_npz


def load_joined_vectors(paths: Sequence[str], names: Container[str] | None = None) -> tuple[list[str], np.ndarray]:
    """Loads terms and vectors of one file, or of several of one space; of a term in several the first one's vector."""
    terms, vectors = load_vectors(paths[0], terms=names)
    for path in paths[1:]:
        others, rows = load_vectors(path, terms=names)
        if rows.shape[1] != vectors.shape[1]:
            raise ValueError(
                "Vector files that are used together must be of one space, and so of one dimension. Received: "
                f"{vectors.shape[1]} in {paths[0]!r}, {rows.shape[1]} in {path!r}"
            )
        known = set(terms)
        new = [row for row, term in enumerate(others) if term not in known]
        terms, vectors = [*terms, *(others[row] for row in new)], np.concatenate([vectors, rows[new]])
    return terms, vectors


def term_shares(paths: Sequence[str], terms: Sequence[str]) -> np.ndarray:
    """The share of each term among all of them in the text that their vectors were trained on.

    Args:
        paths: Paths of the vector files that the terms are of, as of `load_joined_vectors`.
        terms: Strings. The terms.

    Returns:
        float64 `[V]`, the sum is 1. Where a file has no counts, by Zipf's law: in proportion to 1 / rank.
    """
    counts: dict[str, int] = {}
    for path in paths:
        if is_npz(path):
            names, _, numbers = load_npz(path)
            if numbers is not None:
                counts = dict(zip(names, numbers.tolist(), strict=True)) | counts
    if all(term in counts for term in terms):
        values = np.array([counts[term] for term in terms], np.float64)
    else:
        values = 1 / np.arange(1, len(terms) + 1)
    return values / values.sum()
