"""Terms and their vectors: neighbors, similarities, analogies."""

import difflib
import os
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

import numpy as np

from devise_tf.choices import MAX_BAD_ROWS
from devise_tf.text.npz_vectors import check_term_vectors
from devise_tf.text.term_index import SPELLED, FoundTerm, TermIndex, core_words, folded_key, index_rows
from devise_tf.text.tokenizer import WORDS, Tokenizer
from devise_tf.text.vector_file import load_vectors
from devise_tf.text.vector_source import find_vectors
from devise_tf.text.vector_tokenizer import load_tokenizer


class TermVectors:
    """Terms with their vectors.

    Terms are looked up in any spelling, as those of labels are (see `TermIndex`): as they are, then folded ("Snow
    leopard", "snow-leopard" -> `snow_leopard`; "new york" -> `New_York`), then in parts: a term that has no vector of
    its own is composed, and its vector is the mean of its parts'.

    Args:
        terms: Strings. V different terms without white space; by decreasing frequency, if that is known.
        vectors: Floats [V, D]. Finite, stored as float32.
        tokenizer: `Tokenizer`. The rule by which terms become words.

    Attributes:
        terms: `list[str]` of length V.
        vectors: float32 `[V, D]`.
        index: `TermIndex`. Finds rows.

    Raises:
        ValueError: An argument is not as above; in methods: an unknown term, with near spellings.

    Example:

    >>> vectors = TermVectors.load("vectors.bin")
    >>> vectors.nearest("snow leopard", k=2)
    [('leopard', 0.71), ('lynx', 0.68)]
    >>> vectors.analogy("man", "king", "woman", k=1)
    [('queen', 0.62)]
    """

    def __init__(self, terms: Sequence[str], vectors: np.ndarray, tokenizer: Tokenizer = WORDS):
        vectors = np.asarray(vectors, np.float32)
        if vectors.ndim != 2 or not vectors.size:
            raise ValueError(
                f"`vectors` must have the shape [terms, D], neither of them 0. Received: shape {vectors.shape}"
            )
        check_term_vectors(terms, vectors)
        finite = np.isfinite(vectors).all(axis=1)
        if not finite.all():
            raise ValueError(f"`vectors` must be finite. Received: vector of {terms[int(np.argmin(finite))]!r}")
        self.terms = list(terms)
        self.vectors = vectors
        self.index = TermIndex(index_rows(self.terms), tokenizer)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike,
        progress: Callable[[int, int], None] | None = None,
        max_bad_rows: int = MAX_BAD_ROWS,
    ) -> "TermVectors":
        """Reads a vector file or packaged vectors, see `load_vectors`."""
        path = find_vectors(path)
        return cls(*load_vectors(path, progress=progress, max_bad_rows=max_bad_rows), load_tokenizer(path))

    def __len__(self) -> int:
        return len(self.terms)

    def __repr__(self) -> str:
        return f"<TermVectors of {len(self)} terms, dimension {self.vectors.shape[1]}>"

    @cached_property
    def norms(self) -> np.ndarray:
        """Norms of the vectors, float32 `[V]`; 1 for a vector of zeros, which is then unlike everything."""
        norms = np.sqrt(np.einsum("vd,vd->v", self.vectors, self.vectors))
        return np.where(norms > 0, norms, np.float32(1))

    def find(self, term: str) -> FoundTerm:
        """What the vector of a term is made of."""
        # A term that holds no word, such as "&", is found as it is.
        if term in self.index:
            return FoundTerm([self.index.rows[term]], SPELLED)
        found = self.index.find(term)
        if not found.rows:
            raise ValueError(self._unknown(term))
        return found

    def rows(self, term: str) -> list[int]:
        """The row of a term, or the rows of its parts where it has no vector of its own."""
        return self.find(term).rows

    def vector(self, term: str) -> np.ndarray:
        """The vector of a term, float32 `[D]`; the mean of its parts' vectors where it has none of its own."""
        return self.vectors[self.rows(term)].mean(axis=0)

    def nearest(self, term: str, k: int = 10, restrict: int | None = None) -> list[tuple[str, float]]:
        """The `k` terms with the largest cosine to `term`; itself, or the parts it is composed of, left out.

        With `restrict`, only the first so many terms are looked at: the most frequent, in most vector files.
        """
        return self._nearest(_unit(self.vector(term)), self.rows(term), k, restrict)

    def similarity(self, first: str, second: str) -> float:
        """The cosine of two terms."""
        return float(_unit(self.vector(first)) @ _unit(self.vector(second)))

    def analogy(self, a: str, b: str, c: str, k: int = 10, restrict: int | None = None) -> list[tuple[str, float]]:
        """What is to `c` as `b` is to `a`: 3CosAdd.

        The `k` terms with the largest cosine to `b - a + c`, each of unit norm, the three left out; `restrict` as for
        `nearest`.

        Reference:
            - [Levy and Goldberg, 2014](https://aclanthology.org/W14-1618/)
        """
        query = _unit(self.vector(b)) - _unit(self.vector(a)) + _unit(self.vector(c))
        return self._nearest(_unit(query), [row for term in (a, b, c) for row in self.rows(term)], k, restrict)

    def _nearest(
        self, query: np.ndarray, excluded: Iterable[int], k: int, restrict: int | None
    ) -> list[tuple[str, float]]:
        if k < 1 or (restrict is not None and restrict < 1):
            raise ValueError(f"`k` and `restrict` must be at least 1. Received: {k=}, {restrict=}")
        cosines = self.vectors[:restrict] @ query / self.norms[:restrict]
        others = {row for row in excluded if row < len(cosines)}
        cosines[list(others)] = -np.inf
        k = min(k, len(cosines) - len(others))
        if not k:
            return []
        best = np.argpartition(-cosines, k - 1)[:k]
        best = best[np.lexsort((best, -cosines[best]))]
        return [(self.terms[row], float(cosines[row])) for row in best]

    def _unknown(self, term: str) -> str:
        words = list(dict.fromkeys(core_words(term, self.index.tokenizer)))
        near = self._near(self.index.tokenizer.normalize_term(term))
        parts = [f"Near spellings: {', '.join(near)}." if near else "No term is spelled like it."]
        if len(words) > 1:
            known = [word for word in words if self.index.row(word) is not None]
            parts.append(f"Known of its words: {', '.join(known) or 'none'}; unknown:")
            unknown = [word for word in words if word not in known]
            parts.append(", ".join(f"{w} (near: {', '.join(self._near(w)) or 'none'})" for w in unknown) + ".")
        return (
            f"{term!r} is not among the {len(self)} terms, nor can it be composed from its words. {' '.join(parts)} "
            f"Received: {term=}"
        )

    @cached_property
    def _folded_terms(self) -> dict[str, int]:
        terms: dict[str, int] = {}
        for row, term in enumerate(self.terms):
            terms.setdefault(folded_key(term), row)
        terms.pop("", None)
        return terms

    def _near(self, name: str) -> list[str]:
        # Comparing takes 10 µs a term: only with those that begin or end alike and are about as long.
        likely = [
            term
            for term in self._folded_terms
            if abs(len(term) - len(name)) <= 2 and (term[0] == name[0] or term[-1] == name[-1])
        ]
        near = difflib.get_close_matches(name, likely, n=4, cutoff=0.75)
        return [self.terms[self._folded_terms[term]] for term in near]


def _unit(vector: np.ndarray) -> np.ndarray:
    norm = np.linalg.norm(vector)
    return vector / norm if norm > 0 else vector
