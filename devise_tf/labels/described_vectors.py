"""Label vectors made of what is known of a label: its names, a description of its looks, what kind of thing it is."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from devise_tf.labels.descriptions import Descriptions
from devise_tf.labels.hierarchy import Hierarchy
from devise_tf.labels.label_set import LabelSet
from devise_tf.labels.word_space import WordSpace
from devise_tf.text.term_index import folded_key, spelled_key

# SIF's: a word of the share p counts a / (a + p).
SIF = 1e-4
# Of the names of ancestors: each step up counts so much of the one before, over so many steps.
STEP_SHARE, MOST_STEPS = 0.7, 5
# Of the labels below in a general label's vector, beside its names.
GENERAL_WEIGHT = 2.0


@dataclasses.dataclass(frozen=True)
class PartWeights:
    """Weights of the parts of a label vector: its names, its description, and its kinds, the names of its ancestors."""

    names: float = 1.0
    descriptions: float = 2.0
    kinds: float = 1.0


def describe_labels(
    words: WordSpace,
    shares: np.ndarray,
    descriptions: Descriptions,
    hierarchy: Hierarchy | None = None,
    kinds: LabelSet | None = None,
) -> tuple[list[str], np.ndarray, list[str]]:
    """The vectors of described labels, and of general ones above them, by what they are called.

    Args:
        words, shares, descriptions, hierarchy, kinds: As of `described_vectors`.

    Returns:
        Terms and vectors as of `described_terms`, of the labels and of `general_labels`; and the ids of labels of which
        nothing is known.
    """
    labels, vectors = descriptions.labels, described_vectors(words, shares, descriptions, hierarchy, kinds)
    unknown = [label for label, vector in zip(labels.ids, vectors, strict=True) if not vector.any()]
    if hierarchy is not None and kinds is not None:
        general, general_vectors = general_labels(words, labels, vectors, hierarchy, kinds)
        labels, vectors = labels.merged_with(general), np.concatenate([vectors, general_vectors])
    return *described_terms(labels, vectors), unknown


def described_vectors(
    words: WordSpace,
    shares: np.ndarray,
    descriptions: Descriptions,
    hierarchy: Hierarchy | None = None,
    kinds: LabelSet | None = None,
    part_weights: PartWeights | None = None,
) -> np.ndarray:
    """Vectors of described labels, in the space of the words that describe them.

    A vector is the sum of three, each of unit norm and weighted (1, 2 and 1 by default):

    - the label's names, as `WordSpace` makes it with `label_terms="heads"`;
    - the words of its description: the mean of their unit-norm vectors, rare words counting more (SIF);
    - the names of its ancestors, over five steps, each counting 0.7 of the one below.

    What all descriptions have in common, their mean, is taken from the second, and so from the third. A part of which
    nothing is known is left out.

    Args:
        words: WordSpace. Vectors of terms.
        shares: float [V]. The share of each term in the text that they were trained on.
        descriptions: Descriptions. N labels.
        hierarchy: Hierarchy or None. Ancestors of the labels whose ids it has.
        kinds: LabelSet or None. The names of these ancestors.
        part_weights: PartWeights or None. The weights of the three.

    Returns:
        float32 [N, D], of unit norm; zero for a label of which nothing is known.

    Reference:
        - Arora, Liang and Ma, [A Simple but Tough-to-Beat Baseline for Sentence Embeddings](
          https://openreview.net/forum?id=SyK00v5xx), ICLR 2017: SIF
    """
    words = dataclasses.replace(words, label_terms="heads", profile=None, missing="drop")
    part_weights = part_weights or PartWeights()
    weights = SIF / (SIF + np.asarray(shares, np.float64))
    parts = [
        (part_weights.names, _name_vectors(words, descriptions.labels)),
        (
            part_weights.descriptions,
            _centered(np.stack([_text_vector(words, weights, text) for text in descriptions.texts])),
        ),
    ]
    if hierarchy is not None and kinds is not None:
        parts.append((part_weights.kinds, _centered(_kind_vectors(words, descriptions.labels, hierarchy, kinds))))
    total = np.sum([weight * unit_rows(vectors) for weight, vectors in parts], axis=0)
    return unit_rows(total).astype(np.float32)


def general_labels(
    words: WordSpace, labels: LabelSet, vectors: np.ndarray, hierarchy: Hierarchy, kinds: LabelSet
) -> tuple[LabelSet, np.ndarray]:
    """General labels (dog, vehicle, fruit), whose vectors lie among those of the labels that they stand for.

    A vector is the sum of two, of unit norm and weighted 1 and 2: the label's names, as of `described_vectors`, and the
    mean of the vectors of all given labels below it.

    Args:
        words: WordSpace. Vectors of terms.
        labels: LabelSet. N labels, of which the hierarchy has some.
        vectors: float [N, D]. Their vectors; those that are zero do not count.
        hierarchy: Hierarchy. What is above them.
        kinds: LabelSet. Names of what is there.

    Returns:
        The G labels of `kinds` above two or more of the given ones, and not among these; and their vectors, float32
        [G, D], of unit norm.
    """
    words = dataclasses.replace(words, label_terms="heads", profile=None, missing="drop")
    below: dict[str, list[int]] = {}
    for row, label in enumerate(labels.ids):
        if label in hierarchy and vectors[row].any():
            for kind in hierarchy.ancestors(label):
                below.setdefault(kind, []).append(row)
    general = kinds.select([kind for kind in kinds.ids if len(below.get(kind, ())) > 1 and kind not in labels])
    means = np.zeros((len(general), words.dimension))
    for mean, label in zip(means, general.ids, strict=True):
        mean[:] = vectors[below[label]].mean(axis=0)
    total = unit_rows(_name_vectors(words, general)) + GENERAL_WEIGHT * unit_rows(means)
    return general, unit_rows(total).astype(np.float32)


def described_terms(labels: LabelSet, vectors: np.ndarray) -> tuple[list[str], np.ndarray]:
    """What described labels are called, and the vectors that this stands for.

    A label is called by its id (`n01608432`, `kite_(bird)`) and by its terms. Of a term of several labels those count
    whose first term it is, if there are any; it stands for the mean of their vectors.

    Args:
        labels: LabelSet. N labels.
        vectors: float [N, D]. Their vectors; labels whose vector is zero are left out.

    Returns:
        T different terms without white space, and their vectors, float32 [T, D] of unit norm.
    """
    firsts: dict[str, list[int]] = {}
    others: dict[str, list[int]] = {}
    called: dict[str, list[int]] = {}
    for row, (label, terms) in enumerate(zip(labels.ids, labels.terms, strict=True)):
        if not vectors[row].any():
            continue
        called[spelled_key(label)] = [row]
        for position, term in enumerate(terms):
            (others if position else firsts).setdefault(folded_key(term), []).append(row)
    for term, rows in (others | firsts).items():
        called.setdefault(term, rows)
    # Names of one label stand together: equal rows, which a file need not hold twice.
    items = sorted(called.items(), key=lambda item: item[1])
    means = np.stack([vectors[rows].mean(axis=0) for _, rows in items])
    return [term for term, _ in items], unit_rows(means).astype(np.float32)


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Rows brought to unit norm; zeros stay zero."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(norms > 0, norms, 1)


def _name_vectors(words: WordSpace, labels: LabelSet) -> np.ndarray:
    result = np.zeros((len(labels), words.dimension))
    table = words.table(labels, some_known=False)
    for label, vector in table.by_label().items():
        result[labels.index[label]] = vector
    return result


def _text_vector(words: WordSpace, weights: np.ndarray, text: str) -> np.ndarray:
    rows = [row for word in words.tokenizer.tokenize(text) if (row := words.index.row(word)) is not None]
    if not rows:
        return np.zeros(words.dimension)
    return weights[rows] @ unit_rows(np.asarray(words.vectors[rows], np.float64))


def _kind_vectors(words: WordSpace, labels: LabelSet, hierarchy: Hierarchy, kinds: LabelSet) -> np.ndarray:
    names = dict(zip(kinds.ids, _name_vectors(words, kinds), strict=True))
    return np.stack([_kind_vector(label, hierarchy.parents, names, words.dimension) for label in labels.ids])


def _kind_vector(
    label: str, parents: Mapping[str, Sequence[str]], names: Mapping[str, np.ndarray], dimension: int
) -> np.ndarray:
    result, seen, level = np.zeros(dimension), {label}, [label]
    for step in range(1, MOST_STEPS + 1):
        level = sorted({parent for child in level for parent in parents.get(child, ())} - seen)
        seen.update(level)
        known = [names[parent] for parent in level if parent in names and names[parent].any()]
        if known:
            result += STEP_SHARE**step * np.mean(known, axis=0)
    return result


def _centered(vectors: np.ndarray) -> np.ndarray:
    """Unit-norm rows less the mean of those that are not zero, which stay zero."""
    unit = unit_rows(vectors)
    known = unit.any(axis=1)
    if known.sum() < 2:
        return unit
    unit[known] -= unit[known].mean(axis=0)
    return unit
