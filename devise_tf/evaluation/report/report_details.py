"""What the HTML report shows beside the figures of `metrics.json`."""

import dataclasses
import importlib.util
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from absl import logging

from devise_tf.evaluation.report.label_plane import t_sne

MAX_POINTS = 2000  # t-SNE takes seconds for so many, and a page draws them at once.


@dataclasses.dataclass
class Sample:
    """An image and what models answer, as in the paper's Figure 2.

    Attributes:
        image_jpeg: A JPEG file's bytes, of at most 256 px a side: the page holds them whole.
        label_id: The true label.
        seen: Whether the label was trained.
        answers: For each model `[(label id, score)]`, best first; the page shows five.
        correct: Label ids that count as near the true one, such as its hCorrectSet at k = 5.
    """

    image_jpeg: bytes
    label_id: str
    seen: bool
    answers: Mapping[str, Sequence[tuple[str, float]]]
    correct: Collection[str] = frozenset()

    def __post_init__(self):
        if not self.image_jpeg.startswith(b"\xff\xd8"):
            raise ValueError(f"`image_jpeg` must be a JPEG file's bytes. Received: image_jpeg={self.image_jpeg[:16]}…")


@dataclasses.dataclass
class LabelRow:
    """A row of the table of labels.

    Attributes:
        label_id: The label.
        terms: Its terms.
        seen: Whether it was trained.
        images: Number of its images that were measured.
        found: How its vector was found: `"whole"`, `"other term"`, `"composed"` or `"missing"`.
        hits: For each model shares of these images, such as `{"hit@1": 0.4, "hit@5": 0.7}`.
    """

    label_id: str
    terms: Sequence[str]
    seen: bool
    images: int
    found: str
    hits: Mapping[str, Mapping[str, float]]


@dataclasses.dataclass
class LabelMap:
    """Label vectors in the plane, where near points have near vectors.

    Attributes:
        points: float `[N, 2]`, finite.
        ids: N label ids.
        seen: N flags, whether the label was trained.
        groups: N names of groups; labels of the group "other" are grey.
    """

    points: np.ndarray
    ids: Sequence[str]
    seen: Sequence[bool]
    groups: Sequence[str]

    def __post_init__(self):
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


@dataclasses.dataclass
class ReportDetails:
    """What the page shows of single labels and images. What is empty is left out.

    Attributes:
        names: Display names by label id; a label without one is shown by its id.
        curves: For each setting and model the shares hit@1, hit@2, … hit@K.
        generalized_curve: For each model two arrays `[n]`, accuracies of seen and of unseen labels over all penalties,
            in the order of the penalties.
        samples: Images with answers.
        confusions: For each model `[(true label, answered label, images, cosine of their label vectors)]`, most
            frequent first.
        label_rows: A row for each label.
        map: The label vectors in the plane.
    """

    names: Mapping[str, str] = dataclasses.field(default_factory=dict)
    curves: Mapping[str, Mapping[str, Sequence[float]]] = dataclasses.field(default_factory=dict)
    generalized_curve: Mapping[str, tuple[Sequence[float], Sequence[float]]] = dataclasses.field(default_factory=dict)
    samples: Sequence[Sample] = ()
    confusions: Mapping[str, Sequence[tuple[str, str, int, float]]] = dataclasses.field(default_factory=dict)
    label_rows: Sequence[LabelRow] = ()
    map: LabelMap | None = None


def label_map(
    vectors: np.ndarray, ids: Sequence[str], seen: Sequence[bool], groups: Sequence[str], seed: int = 0
) -> LabelMap | None:
    """Lays label vectors out in the plane by t-SNE.

    Args:
        vectors: float `[N, D]` of unit norm.
        ids: N label ids.
        seen: N flags, whether the label was trained.
        groups: N names of groups, such as those of `group_names`.
        seed: Seed of t-SNE, and of the choice of labels where there are more than 2,000.

    Returns:
        The map, of at most 2,000 labels; None, with a line in the log, where scikit-learn is not installed or there
        are fewer than four labels.

    Raises:
        ValueError: the arguments' lengths differ.
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
    rows = np.arange(len(vectors))
    if len(rows) > MAX_POINTS:
        rows = np.sort(np.random.default_rng(seed).choice(len(rows), MAX_POINTS, replace=False))
    points = t_sne(vectors[rows], seed)
    return LabelMap(points, [ids[i] for i in rows], [bool(seen[i]) for i in rows], [groups[i] for i in rows])
