"""Label vectors in the plane, for the report's page."""

import dataclasses
import importlib.util
from collections.abc import Sequence

import numpy as np
from absl import logging

from devise_tf.evaluation.report.label_plane import t_sne

MAX_POINTS = 2000  # t-SNE takes seconds for so many, and a page draws them at once.


@dataclasses.dataclass
class LabelMap:
    """Label vectors in the plane, where near points have near vectors.

    Attributes:
        points: float array, shape `[N, 2]`. Finite.
        ids: Sequence of str, length N. Label ids.
        seen: Sequence of bool, length N. Whether each label was trained.
        groups: Sequence of str, length N. Names of groups; labels of the group "other" are gray.
    """

    points: np.ndarray
    ids: Sequence[str]
    seen: Sequence[bool]
    groups: Sequence[str]

    def __post_init__(self) -> None:
        self.points = np.asarray(self.points, np.float64)
        count = len(self.ids)
        if self.points.shape != (count, 2) or not len(self.seen) == len(self.groups) == count:
            raise ValueError(
                "A map needs a point, a flag and a group for each label. Received: "
                f"points of shape {self.points.shape}, {count} ids, {len(self.seen)} flags, {len(self.groups)} groups"
            )
        if not np.isfinite(self.points).all():
            row = int(np.flatnonzero(~np.isfinite(self.points).all(axis=1))[0])
            raise ValueError(f"Points must be finite. Received: points[{row}]={self.points[row]} of {self.ids[row]!r}")


def label_map(
    vectors: np.ndarray, ids: Sequence[str], seen: Sequence[bool], groups: Sequence[str], seed: int = 0
) -> LabelMap | None:
    """Lays label vectors out in the plane by t-SNE.

    Args:
        vectors: float array, shape `[N, D]`. Label vectors of unit norm.
        ids: Sequence of str, length N. Label ids.
        seen: Sequence of bool, length N. Whether each label was trained.
        groups: Sequence of str, length N. Names of groups, see `group_names`.
        seed: int. Of t-SNE, and of the choice of labels where there are more than 2,000.

    Returns:
        The map, of at most 2,000 labels; None, with a line in the log, if scikit-learn is not installed or there are
        fewer than four labels.

    Raises:
        ValueError: The arguments' lengths differ.
    """
    vectors = np.asarray(vectors, np.float32)
    if vectors.ndim != 2 or not len(vectors) == len(ids) == len(seen) == len(groups):
        raise ValueError(
            "A map needs a vector, a flag and a group for each label. Received: "
            f"vectors of shape {vectors.shape}, {len(ids)} ids, {len(seen)} flags, {len(groups)} groups"
        )
    if len(vectors) < 4:
        logging.warning("No map of label vectors: t-SNE needs four or more, and there are %d.", len(vectors))
        return None
    if importlib.util.find_spec("sklearn") is None:
        logging.warning("No map of label vectors: it needs scikit-learn, pip install 'devise_tf[plots]'.")
        return None
    rows = list(range(len(vectors)))
    if len(rows) > MAX_POINTS:
        rows = sorted(np.random.default_rng(seed).choice(len(rows), MAX_POINTS, replace=False).tolist())
    points = t_sne(vectors[rows], seed)
    return LabelMap(points, [ids[i] for i in rows], [bool(seen[i]) for i in rows], [groups[i] for i in rows])
