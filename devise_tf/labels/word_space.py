"""Labels as vectors made of the vectors of their terms."""

import dataclasses
import itertools
from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from functools import cached_property
from typing import ClassVar

import numpy as np

from devise_tf.choices import LABEL_TERMS, MISSING_LABELS
from devise_tf.labels.label_rows import is_synset_id
from devise_tf.labels.label_set import LabelSet
from devise_tf.labels.label_space import LabelSpace
from devise_tf.labels.label_table import LabelTable
from devise_tf.labels.penalty import Penalty
from devise_tf.labels.similarity_profile import SimilarityProfile
from devise_tf.text.term_index import NOT_FOUND, FoundTerm, TermIndex, folded_key
from devise_tf.text.tokenizer import WORDS, Tokenizer

# Vectors made at once: profiles take eight bytes a value on the way.
_CHUNK = 4096


@dataclasses.dataclass(frozen=True, eq=False)
class WordSpace(LabelSpace):
    """Labels as unit-norm vectors made of the vectors of their terms.

    A label has the vector of its first term; if that has none, of the first other term that has one; else it is
    composed: the mean of the parts of its first term whose parts all have vectors. `TermIndex` says how terms are
    found. Terms whose vector is zero count as unknown: they have no direction.

    Args:
        terms: Sequence of V str. Terms that have vectors, multi-word terms joined by "_".
        vectors: float array, shape `[V, W]`. Their vectors.
        label_terms: str. `"first"`, as above and in the paper (appendix A.2); `"mean"`, the mean of the unit-norm
            vectors of all terms that have one; `"heads"`, the same where to each term of several words the vector of
            the last of them is added, which says what kind of thing it is; or `"random"`, the same as `"first"` for
            models whose training draws one of the terms at every step.
        profile: SimilarityProfile or None. Turns vectors into profiles of similarities.
        missing: str. What to do about labels none of whose terms has a vector: a key of
            `devise_tf.choices.MISSING_LABELS`.
        tokenizer: Tokenizer. The rule by which the text that the vectors were trained on became words.
        described: Collection of str. Those of `terms` whose vectors are made of all that is known of a label (see
            `described_vectors`), and are taken as they are. Ids of synsets may be among them: they count before terms.
        penalty: Penalty or None. What entries of trained labels lose of their scores.

    Raises:
        ValueError: An argument is not one of its choices. By `table`: labels are left without a vector, they are named
            with the choices; or a vector is zero.

    Example:

    >>> space = WordSpace(["snow_leopard", "cat"], np.array([[3.0, 4.0], [0.0, 1.0]]))
    >>> space.table(["Snow leopard", "cat"]).values
    array([[0.6, 0.8], [0. , 1. ]], dtype=float32)
    """

    NO_HEAD: ClassVar[int] = -2

    terms: Sequence[str]
    vectors: np.ndarray
    label_terms: str = "first"
    profile: SimilarityProfile | None = None
    missing: str = "compose"
    tokenizer: Tokenizer = WORDS
    described: Collection[str] = frozenset()
    penalty: Penalty | None = None

    def __post_init__(self) -> None:
        for name, choices in (("missing", MISSING_LABELS), ("label_terms", LABEL_TERMS)):
            if getattr(self, name) not in choices:
                raise ValueError(f"`{name}` must be one of {tuple(choices)}. Received: {name}={getattr(self, name)!r}")

    @cached_property
    def index(self) -> TermIndex:
        """Rows of `vectors` by term; without those that are zero."""
        nonzero = np.any(self.vectors, axis=1)
        return TermIndex({term: row for row, term in enumerate(self.terms) if nonzero[row]}, self.tokenizer)

    @property
    def dimension(self) -> int:
        """The dimension of label vectors."""
        return self.vectors.shape[1] if self.profile is None else len(self.profile.references)

    @property
    def of_several_terms(self) -> bool:
        """Whether a label's vector is made of all its terms that have one."""
        return self.label_terms in ("mean", "heads")

    @cached_property
    def trained(self) -> frozenset[tuple[int, ...]]:
        """What terms of trained labels are made of, each term's rows of `vectors`; nothing where there is no penalty.

        Of a label these are the terms that are found whole, and its id if it is described; else the composed term.
        """
        result: set[tuple[int, ...]] = set()
        if self.penalty is not None:
            labels = self.penalty.trained
            for label, terms in zip(labels.ids, labels.terms, strict=True):
                found = [self._found_label(label, terms), *filter(_is_whole, map(self.index.find, terms))]
                result.update(tuple(term.rows) for term in found if term.rows)
        return frozenset(result)

    def trained_rows(self) -> np.ndarray:
        """Which rows of `vectors` are terms of trained labels, bool `[V]`; see `trained`."""
        result = np.zeros(len(self.terms), bool)
        result[[rows[0] for rows in self.trained if len(rows) == 1]] = True
        return result

    def with_profile(self, labels: LabelSet, temperature: float) -> "WordSpace":
        """The space in which labels are profiles of similarities to the vectors that `labels` have in this one."""
        references = self.table(labels).values
        return dataclasses.replace(self, profile=SimilarityProfile(references, temperature))

    def rows(self, labels: LabelSet) -> np.ndarray:
        """What the labels' vectors are made of where they are those of first terms.

        Returns:
            int32 array, shape `[N, most]`. Rows of `vectors`: of a term, or of the words that it is composed of, padded
            with -1. Only of labels that have a vector.
        """
        rows = [found.rows for found in self._found(labels) if found.rows]
        result = np.full((len(rows), max(map(len, rows))), -1, np.int32)
        for padded, row in zip(result, rows, strict=True):
            padded[: len(row)] = row
        return result

    def requestable_terms(self, wanted: Container[str], max_others: int) -> tuple[list[str], np.ndarray]:
        """Terms that the text of a request can name, and their vectors.

        Args:
            wanted: Container of str. Terms to take, beside those that a penalty needs to know.
            max_others: int. How many more to take, the first ones.
        """
        needed = () if self.penalty is None else self.penalty.trained.term_filter(self.tokenizer)
        rows = []
        for term, row in self.index.rows.items():
            is_wanted = term in wanted or term in needed
            if (is_wanted or max_others > 0) and self._can_be_named(term):
                rows.append(row)
                max_others -= not is_wanted
        return [self.terms[row] for row in rows], self.vectors[rows]

    def _can_be_named(self, term: str) -> bool:
        # A term without words is never looked up; by the earlier rule no term that is not folded either.
        return bool(folded_key(term)) if self.tokenizer.finds_parts else self.tokenizer.key(term) == term

    def facts(self) -> Mapping[str, object]:
        facts: dict[str, object] = {
            "missing_labels": self.missing,
            "label_terms": self.label_terms,
            "tokenizer": self.tokenizer.name,
        }
        if self.profile is not None:
            facts["profile_temperature"] = self.profile.temperature
        if self.penalty is not None:
            labels = self.penalty.trained
            facts["penalty"] = float(self.penalty.amount)
            facts["trained_labels"] = dict(zip(labels.ids, labels.terms, strict=True))
        return facts

    def _known_labels(self) -> str:
        return "none has a vector, nor a vector for each of its words"

    def _found(self, labels: LabelSet) -> list[FoundTerm]:
        """Of each label the first term with a vector, or the first that is composed."""
        choice = MISSING_LABELS[self.missing]
        found = [self._found_label(*pair) for pair in zip(labels.ids, labels.terms, strict=True)]
        if not choice.composes:
            found = [term if term.is_whole else NOT_FOUND for term in found]
        missing = [label for label, term in zip(labels.ids, found, strict=True) if not term.rows]
        if missing and not choice.leaves_out:
            raise ValueError(self._without_vector(labels, missing))
        return found

    def _found_label(self, label: str, terms: Sequence[str]) -> FoundTerm:
        if is_synset_id(label) and label in self.described:
            return self.index.find(label)
        return self.index.first(terms)

    def _without_vector(self, labels: LabelSet, missing: Sequence[str]) -> str:
        listed = ", ".join(f"{label} ({labels.terms[labels.index[label]][0]})" for label in missing[:20])
        composes, leaves_out, _ = MISSING_LABELS[self.missing]
        others = " or ".join(
            f"{name!r} ({choice.help})"
            for name, choice in MISSING_LABELS.items()
            if name != self.missing and choice.composes >= composes and choice.leaves_out >= leaves_out
        )
        return (
            f"{len(missing)} of {len(labels)} labels have no vector: {listed}{', …' if len(missing) > 20 else ''}. "
            f"Train on text that has these terms, or set --missing_labels to {others}. "
            f"Received: missing={self.missing!r}"
        )

    def _table(self, labels: LabelSet, answers: str) -> LabelTable:
        rows = [found.rows for found in self._found(labels)]
        terms = [self._terms_with_vectors(*pair) for pair in zip(labels.terms, rows, strict=True)]
        by_terms = answers == "terms"
        if by_terms:
            entries, values, made_of = self._by_terms(labels, terms)
        else:
            known = itertools.count()
            entries = [[next(known)] if row else [] for row in rows]
            made_of = [self._terms_taken(names) for names in terms if names]
            vectors = (self._label_vector(*pair) for pair in zip(labels.ids, terms, strict=True) if pair[1])
            values = self._stacked(vectors, next(known))
        return LabelTable(
            labels,
            entries,
            values,
            entries_per_answer=4 if by_terms else 1,
            composed=[label for label, row in zip(labels.ids, rows, strict=True) if len(row) > 1],
            unknown=[label for label, row in zip(labels.ids, rows, strict=True) if not row],
            penalties=self._penalties(made_of),
        )

    def _terms_with_vectors(self, names: Sequence[str], rows: list[int]) -> dict[str, list[int]]:
        """The terms of a label that have a vector, or the one that is composed, and the rows that each is made of."""
        if len(rows) != 1 or is_synset_id(self.terms[rows[0]]):
            return {"_".join(self.terms[row] for row in rows): rows} if rows else {}
        found = (self.index.find(name) for name in names)
        return {self.terms[term.rows[0]]: term.rows for term in found if term.is_whole}

    def _by_terms(
        self, labels: LabelSet, terms: Sequence[Mapping[str, list[int]]]
    ) -> tuple[list[list[int]], np.ndarray, list[list[list[int]]]]:
        """Entries for terms, a term of several labels being one; their vectors, and the rows that each is made of."""
        index: dict[str, int] = {}
        entries = [[index.setdefault(name, len(index)) for name in names] for names in terms]
        made_of: dict[str, tuple[str, str, list[int]]] = {}
        for label, names in zip(labels.ids, terms, strict=True):
            for name, rows in names.items():
                made_of.setdefault(name, (label, name, rows))
        vectors = (self._term_vector(*arguments) for arguments in made_of.values())
        return entries, self._stacked(vectors, len(index)), [[rows] for _, _, rows in made_of.values()]

    def _terms_taken(self, terms: Mapping[str, list[int]]) -> list[list[int]]:
        """The rows of each term that a label's vector is made of, out of its terms with vectors."""
        return list(terms.values()) if self.of_several_terms else [next(iter(terms.values()))]

    def _penalties(self, made_of: Sequence[Sequence[list[int]]]) -> np.ndarray | None:
        """What entries lose, float32 [T]: those all of whose terms are trained labels'."""
        if self.penalty is None:
            return None
        is_trained = [all(tuple(rows) in self.trained for rows in terms) for terms in made_of]
        return np.where(is_trained, np.float32(self.penalty.amount), np.float32(0))

    def _label_vector(self, label: str, terms: Mapping[str, list[int]]) -> np.ndarray:
        if self.of_several_terms:
            return _unit(np.mean([self._term_vector(label, *item) for item in terms.items()], axis=0), label)
        return self._term_vector(label, *next(iter(terms.items())))

    def _term_vector(self, label: str, name: str, rows: list[int]) -> np.ndarray:
        vector = _unit(np.asarray(self.vectors[rows], np.float32).sum(axis=0), label)
        head = self._head(rows) if self.label_terms == "heads" else None
        if head is None:
            return vector
        return _unit(vector + _unit(np.asarray(self.vectors[head], np.float32), label), label)

    def head_rows(self) -> np.ndarray:
        """The row of each term's last word, int32 `[V]`; -1 if that is unknown, `NO_HEAD` if none is to be added."""
        return np.array([self._head_row(term) for term in self.terms], np.int32)

    def _head_row(self, term: str) -> int:
        words = self.tokenizer.tokenize(term)
        if len(words) < 2 or term in self.described:
            return self.NO_HEAD
        row = self.index.row(words[-1])
        return -1 if row is None else row

    def _head(self, rows: Sequence[int]) -> int | None:
        """The row of what says what kind of thing a term is: its last word, of a composed one that of its last part."""
        head = self._head_row(self.terms[rows[-1]])
        if head == self.NO_HEAD and len(rows) > 1:
            return rows[-1]
        return head if head >= 0 else None

    def _stacked(self, vectors: Iterator[np.ndarray], total: int) -> np.ndarray:
        result = np.empty((total, self.dimension), np.float32)
        for start in range(0, total, _CHUNK):
            chunk = np.stack(list(itertools.islice(vectors, _CHUNK)))
            result[start : start + _CHUNK] = chunk if self.profile is None else self.profile(chunk)
        return result


def _is_whole(term: FoundTerm) -> bool:
    return term.is_whole


def _unit(vector: np.ndarray, name: str) -> np.ndarray:
    norm = np.linalg.norm(vector)
    if not norm:
        raise ValueError(f"Label vectors must not be zero. Received: {[name]}")
    return (vector / norm).astype(np.float32)
