"""Term vectors of several files of one space."""

from collections.abc import Container

import numpy as np

from devise_tf.text import load_vectors


def load_joined_vectors(paths: list[str], names: Container[str] | None) -> tuple[list[str], np.ndarray]:
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
