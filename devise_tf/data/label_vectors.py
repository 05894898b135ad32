"""From labels and term vectors to label vectors."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from devise_tf.data.label_set import LabelSet
from devise_tf.text.term_vectors import term_rows

MISSING = ("compose", "drop", "stop")


@dataclasses.dataclass(frozen=True)
class LabelVectors:
    """Unit-norm vectors of labels, and how they came about.

    Attributes:
        ids: Label ids, those that have a vector.
        vectors: float32 [N, D], unit norm.
        rows: int32 [N, M]. The terms whose mean each vector is, as rows of the term vectors, padded with -1.
        whole: Ids of labels one of whose terms has a vector of its own.
        composed: Ids of labels whose vector is the mean of the words of a term.
        missing: Ids of labels without a vector; not in `ids`.
    """

    ids: list[str]
    vectors: np.ndarray
    rows: np.ndarray
    whole: list[str]
    composed: list[str]
    missing: list[str]

    def coverage(self) -> str:
        """One line that says how the labels were found."""
        return (
            f"Label vectors: {len(self.whole)} labels found whole, {len(self.composed)} composed from words, "
            f"{len(self.missing)} missing."
        )


def make_label_vectors(
    labels: LabelSet, terms: Sequence[str], vectors: np.ndarray, missing: str = "compose"
) -> LabelVectors:
    """Finds the vector of each label: of its first term, else of the first other term that has one.

    Args:
        labels: The labels.
        terms: Terms that have vectors, multi-word terms joined by "_".
        vectors: float [V, D], their vectors.
        missing: What to do about a label none of whose terms has a vector. `"compose"` takes the mean of the words of
            its first term whose words all have one, and stops where no term can be composed; `"drop"` composes too,
            and leaves out what cannot be composed; `"stop"` composes nothing.

    Returns:
        The label vectors.

    Raises:
        ValueError: Labels are left without a vector; they are named with the choices.
    """
    if missing not in MISSING:
        raise ValueError(f"`missing` must be one of {MISSING}. Received: missing={missing!r}")
    index = {term: i for i, term in enumerate(terms)}
    found: dict[str, list[int]] = {}
    whole, composed, lost = [], [], []
    for label, names in zip(labels.ids, labels.normalized_terms(), strict=True):
        rows = term_rows(names, index)
        if not rows or (len(rows) > 1 and missing == "stop"):
            lost.append(label)
            continue
        found[label] = rows
        (whole if len(rows) == 1 else composed).append(label)
    if lost and missing != "drop":
        listed = ", ".join(f"{label} ({labels.terms[labels.index[label]][0]})" for label in lost[:20])
        choices = (
            "choose 'drop' to leave them out"
            if missing == "compose"
            else ("choose 'compose' to take the mean of their words, or 'drop' to leave out what cannot be composed")
        )
        raise ValueError(
            f"{len(lost)} of {len(labels)} labels have no vector: {listed}{', …' if len(lost) > 20 else ''}. Train on "
            f"text that has these terms, or {choices} (--missing_labels). Received: missing={missing!r}"
        )
    ids = [label for label in labels.ids if label in found]
    if not ids:
        raise ValueError(f"None of the {len(labels)} labels has a vector. Received: labels={labels.ids[:10]}")
    rows = np.full((len(ids), max(len(found[label]) for label in ids)), -1, np.int32)
    for i, label in enumerate(ids):
        rows[i, : len(found[label])] = found[label]
    sums = np.where(rows[:, :, None] >= 0, np.asarray(vectors, np.float32)[rows], 0.0).sum(axis=1)
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    if not norms.all():
        raise ValueError(
            f"Label vectors must not be zero. Received: {[ids[i] for i in np.flatnonzero(norms == 0)][:20]}"
        )
    return LabelVectors(ids, (sums / norms).astype(np.float32), rows, whole, composed, lost)


def random_label_vectors(count: int, dimension: int, seed: int) -> np.ndarray:
    """Unit-norm vectors in random directions, float32 [count, dimension]: the random-embedding baseline."""
    vectors = np.random.default_rng(seed).standard_normal((count, dimension))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
