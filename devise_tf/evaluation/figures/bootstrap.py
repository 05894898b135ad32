"""Bootstrap intervals."""

from collections.abc import Sequence

import numpy as np

SAMPLES = 1000  # of the intervals in reports


def bootstrap_means(
    columns: np.ndarray, labels: np.ndarray | None = None, samples: int = 2000, seed: int | Sequence[int] = 0
) -> np.ndarray:
    """Means of columns over images that are drawn anew, with replacement, from the same images.

    Images with equal rows are drawn together, by a multinomial distribution over the different rows, and so are labels
    with the same counts of these: the same bootstrap, in far less time.

    Args:
        columns: float array, shape `[n, C]`. What is averaged, a row an image. Columns of one image are drawn together,
            so that differences of columns are paired.
        labels: int array, shape `[n]`. With it each label's images are drawn anew among themselves, and the means are
            over labels of the means over their images (per-class figures).
        samples: int. How many times all is drawn.
        seed: int or sequence of int. Of the draws; to draw other images independently, take another one.

    Returns:
        float64 array, shape `[samples, C]`.

    Raises:
        ValueError: `columns` has another number of dimensions, or none of a dimension.

    Reference:
        - Efron and Tibshirani, An Introduction to the Bootstrap, 1993
    """
    columns = np.asarray(columns, np.float64)
    if columns.ndim != 2 or not columns.size:
        raise ValueError(f"`columns` must have the shape [n, C], neither of them 0. Received: shape {columns.shape}")
    rows, row = _different_rows(columns)
    labels = np.zeros(len(columns), np.int64) if labels is None else np.unique(labels, return_inverse=True)[1]
    size = labels.max() + 1
    counts = np.bincount(labels * len(rows) + row, minlength=size * len(rows)).reshape(size, len(rows))
    rng, sums = np.random.default_rng(seed), np.zeros((samples, columns.shape[1]))
    # Draws of labels with the same counts add up to one draw of as many times the images.
    for row_counts, times in zip(*np.unique(counts, axis=0, return_counts=True), strict=True):
        images = row_counts.sum()
        sums += rng.multinomial(times * images, row_counts / images, size=samples) @ rows / images
    return sums / size


def _different_rows(columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different rows, and for each row which of them it is; by numbers, as sorting rows takes ten times as long."""
    numbers = np.zeros(len(columns), np.int64)
    for column in columns.T:
        values, positions = np.unique(column, return_inverse=True)
        numbers = np.unique(numbers * len(values) + positions, return_inverse=True)[1]
    first = np.zeros(numbers.max() + 1, np.int64)
    first[numbers] = np.arange(len(columns))
    return columns[first], numbers


def interval(means: np.ndarray, share: float = 0.95) -> list[float]:
    """The interval that holds the middle `share` of bootstrapped values."""
    return [float(value) for value in np.quantile(means, [(1 - share) / 2, (1 + share) / 2])]
