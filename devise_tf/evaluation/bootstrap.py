"""Bootstrap intervals."""

from collections.abc import Sequence

import numpy as np


def bootstrap_means(
    columns: np.ndarray, labels: np.ndarray | None = None, samples: int = 2000, seed: int | Sequence[int] = 0
) -> np.ndarray:
    """Means of columns over images that are drawn anew, with replacement, from the same images.

    Images with equal rows are drawn together, by a multinomial distribution over the different rows: the same
    bootstrap, in far less time.

    Args:
        columns: float [n, C]. What is averaged, a row an image. Columns of one image are drawn together, so that
            their differences keep what they have in common.
        labels: int [n]. With it each label's images are drawn anew among themselves, and the means are over labels of
            the means over their images (per-class figures).
        samples: How many times all is drawn.
        seed: Of the draws; columns of other images need another one, to be drawn independently.

    Returns:
        float64 [samples, C].

    Reference:
        - Efron and Tibshirani, An Introduction to the Bootstrap, 1993
    """
    columns = np.asarray(columns, np.float64)
    if columns.ndim != 2 or not columns.size:
        raise ValueError(f"`columns` must have the shape [n, C], neither of them 0. Received: shape {columns.shape}")
    rng = np.random.default_rng(seed)
    labels = np.zeros(len(columns), np.int64) if labels is None else np.unique(labels, return_inverse=True)[1]
    means = np.zeros((samples, columns.shape[1]))
    order = np.argsort(labels, kind="stable")
    for rows in np.split(columns[order], np.flatnonzero(np.diff(labels[order])) + 1):
        values, counts = np.unique(rows, axis=0, return_counts=True)
        # The draws of one row after another would be samples * n numbers; these are samples * different rows.
        drawn = rng.multinomial(len(rows), counts / len(rows), size=samples)
        means += drawn @ values / len(rows)
    return means / (labels.max() + 1)


def interval(means: np.ndarray, share: float = 0.95) -> list[float]:
    """The interval that holds the middle `share` of bootstrapped values."""
    return [float(value) for value in np.quantile(means, [(1 - share) / 2, (1 + share) / 2])]
