"""From labels and term vectors to label vectors."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from devise_tf.choices import LABEL_TERMS, MISSING_LABELS
from devise_tf.labels.label_set import LabelSet
from devise_tf.labels.similarity_profile import SimilarityProfile
from devise_tf.text.term_vectors import term_rows


@dataclasses.dataclass(frozen=True)
class LabelVectors:
    """Unit-norm vectors of labels, and how they came about.

    Attributes:
        ids: Label ids, those that have a vector.
        vectors: float32 [N, D], unit norm.
        rows: int32 [N, M]. The first term that has a vector, or the words that it is composed of, as rows of the term
            vectors, padded with -1.
        term_vectors: For each of `ids` the unit-norm vectors float32 [D] of all its terms that have one, by normalized
            term, the first one first; of the composed term where none is found whole.
        whole: Ids of labels one of whose terms has a vector of its own.
        composed: Ids of labels whose vector is the mean of the words of a term.
        missing: Ids of labels without a vector; not in `ids`.
        profile: What turned vectors of words into these vectors, or None.
    """

    ids: list[str]
    vectors: np.ndarray
    rows: np.ndarray
    term_vectors: dict[str, dict[str, np.ndarray]]
    whole: list[str]
    composed: list[str]
    missing: list[str]
    profile: SimilarityProfile | None = None

    def by_label(self) -> dict[str, np.ndarray]:
        """The vectors by label id."""
        return dict(zip(self.ids, self.vectors, strict=True))


def make_label_vectors(
    labels: LabelSet,
    terms: Sequence[str],
    vectors: np.ndarray,
    missing: str = "compose",
    label_terms: str = "first",
    profile: SimilarityProfile | None = None,
) -> LabelVectors:
    """Finds the vector of each label: of its first term, else of the first other term that has one.

    Args:
        labels: The labels.
        terms: Terms that have vectors, multi-word terms joined by "_".
        vectors: float [V, D], their vectors.
        missing: What to do about a label none of whose terms has a vector. `"compose"` takes the mean of the words of
            its first term whose words all have one, and stops where no term can be composed; `"drop"` composes too,
            and leaves out what cannot be composed; `"stop"` composes nothing.
        label_terms: `"first"`, as in the paper (appendix A.2); `"mean"`, the mean of the unit-norm vectors of all terms
            that have one; `"heads"`, the same where to each term of several words the vector of the last of them is
            added, which says what kind of thing it is; or `"random"`, whose `vectors` are those of `"first"`: training
            draws among `term_vectors`.
        profile: Turns the vectors, those of labels and of their terms, into profiles of similarities.

    Returns:
        The label vectors.

    Raises:
        ValueError: Labels are left without a vector; they are named with the choices.
    """
    for name, value, known in (("missing", missing, MISSING_LABELS), ("label_terms", label_terms, LABEL_TERMS)):
        if value not in known:
            raise ValueError(f"`{name}` must be one of {known}. Received: {name}={value!r}")
    index = {term: i for i, term in enumerate(terms)}
    found: dict[str, list[int]] = {}
    entries: dict[str, dict[str, list[int]]] = {}
    whole, composed, lost = [], [], []
    for label, names in zip(labels.ids, labels.normalized_terms(), strict=True):
        rows = term_rows(names, index)
        if not rows or (len(rows) > 1 and missing == "stop"):
            lost.append(label)
            continue
        found[label] = rows
        (whole if len(rows) == 1 else composed).append(label)
        entries[label] = {name: [index[name]] for name in names if name in index} or {
            "_".join(terms[row] for row in rows): rows
        }
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
    of_term: dict[str, np.ndarray] = {}
    for label in ids:
        for name, its_rows in entries[label].items():
            if name not in of_term:
                vector = _unit(np.asarray(vectors, np.float32)[its_rows].sum(axis=0), label)
                head = index.get(name.rpartition("_")[2]) if "_" in name and label_terms == "heads" else None
                if head is not None:
                    vector = _unit(vector + _unit(np.asarray(vectors[head], np.float32), label), label)
                of_term[name] = vector
    made = []
    for label in ids:
        units = [of_term[name] for name in entries[label]]
        vector = _unit(np.mean(units, axis=0), label) if label_terms in ("mean", "heads") else units[0]
        made.append(vector)
    made = np.stack(made).astype(np.float32)
    if profile is not None:
        made = profile(made)
        of_term = dict(zip(of_term, profile(np.stack(list(of_term.values()))), strict=True))
    return LabelVectors(
        ids,
        made,
        rows,
        {label: {name: of_term[name] for name in entries[label]} for label in ids},
        whole,
        composed,
        lost,
        profile,
    )


def _unit(vector: np.ndarray, name: str) -> np.ndarray:
    norm = np.linalg.norm(vector)
    if not norm:
        raise ValueError(f"Label vectors must not be zero. Received: {[name]}")
    return (vector / norm).astype(np.float32)


def random_label_vectors(ids: Sequence[str], dimension: int, seed: int) -> np.ndarray:
    """Unit-norm vectors in random directions, float32 [N, dimension]: the random-embedding baseline.

    A label's vector depends on its id and the seed alone, so that any list of labels has the vectors that it had.
    """
    seeds = [np.random.SeedSequence([seed, *label.encode()]) for label in ids]
    vectors = np.stack([np.random.default_rng(each).standard_normal(dimension) for each in seeds])
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
