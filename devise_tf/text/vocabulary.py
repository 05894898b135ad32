"""The terms of a corpus and how often they occur."""

import collections
import hashlib
import os
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from devise_tf.files import atomic_write
from devise_tf.text.bounded_counts import BoundedCounts
from devise_tf.text.corpus import Corpus
from devise_tf.text.id_matcher import IdMatcher, read_ids
from devise_tf.text.term_index import folded_key
from devise_tf.text.tokenizer import WORDS, Tokenizer
from devise_tf.text.word_index import MEAN_BYTES, WordIndex


class Vocabulary:
    """Single- and multi-word terms with their counts; a term's position is its id.

    `Vocabulary.build` orders by decreasing count and, where counts are equal, alphabetically. Multi-word terms are
    joined by "_" (`"snow_leopard"`).

    Args:
        terms: Strings. At least two different terms without white space.
        counts: Integers of at least 1, shape `[V]`, not increasing.
        phrases: Strings. Those multi-word terms that are joined only where no other multi-word term is (see `build`).

    Attributes:
        terms: `list[str]` of length V.
        counts: `np.int64`, shape `[V]`.
        index: `dict[str, int]`, term -> id.
        phrases: `frozenset[str]`.

    Raises:
        ValueError: Terms or counts are not as above.

    Example:

    >>> vocabulary = Vocabulary.build(Corpus("text/*.txt"), min_count=5, label_terms=["snow leopard"])
    >>> vocabulary.counts[vocabulary.index["snow_leopard"]]
    """

    def __init__(self, terms: Sequence[str], counts: Sequence[int] | np.ndarray, phrases: Iterable[str] = ()):
        self.terms = list(terms)
        self.phrases = frozenset(phrases)
        self.counts = np.array(counts, dtype=np.int64)
        self.index = {term: i for i, term in enumerate(self.terms)}
        if len(self.terms) < 2:
            raise ValueError(f"A vocabulary must hold at least two terms. Received: terms={self.terms}")
        if self.counts.shape != (len(self.terms),):
            raise ValueError(
                "`counts` must hold one count a term. "
                f"Received: {len(self.terms)} terms, counts of shape {self.counts.shape}"
            )
        if len(self.index) != len(self.terms):
            term, times = collections.Counter(self.terms).most_common(1)[0]
            raise ValueError(f"The terms of a vocabulary must differ. Received: {term!r} {times} times")
        for term in self.terms:
            if not term or len(term.split()) != 1 or term != term.strip():
                raise ValueError(f"A term must be non-empty and without white space. Received: {term!r}")
        for phrase in self.phrases:
            if phrase not in self.index or "_" not in phrase:
                raise ValueError(f"`phrases` must be multi-word terms of the vocabulary. Received: {phrase!r}")
        if self.counts[-1] < 1 or np.any(np.diff(self.counts) > 0):
            raise ValueError(f"`counts` must be at least 1 and not increase. Received: counts={self.counts}")

    def __len__(self) -> int:
        return len(self.terms)

    @classmethod
    def build(
        cls,
        corpus: Corpus,
        min_count: int = 5,
        max_size: int | None = None,
        label_terms: Iterable[str] = (),
        phrases: Iterable[str] = (),
        progress: Callable[[int, int | None], None] | None = None,
        max_entries: int = 20_000_000,
    ) -> "Vocabulary":
        """Counts the terms of a corpus in one pass.

        Every label term that occurs at least once is in the vocabulary, whatever `min_count` and `max_size` say, and
        multi-word ones are single entries: an occurrence of "snow leopard" counts for `snow_leopard` only, not for
        its words (see `TermMatcher`). So are phrases; they are joined in a second step, where words are left alone
        by the first, so that no occurrence of a label term counts for a phrase.

        Args:
            corpus: `Corpus`. The text.
            min_count: Integer. Other terms must occur at least this often.
            max_size: Integer, optional. The rarest of the other terms are dropped beyond this number of terms.
            label_terms: Strings. Terms of the labels, in any spelling.
            phrases: Strings. Further multi-word terms, as `find_phrases` gives them. A label term among them stays one.
            progress: Function, optional. Called with `(bytes_read, corpus.size_bytes)` now and then.
            max_entries: Integer. Bounds the memory (the default takes about 3 GB). When more different words than this
                have been met, those counted only once are forgotten, then those counted at most twice, and so on, so
                the counts of words that are about that rare may be too low. Label terms, phrases and their words are
                never forgotten. Checked behind each 1 MiB of text, and also when words take 32 bytes times this, as
                those of a file without any spaces would.

        Returns:
            The `Vocabulary`.

        Raises:
            ValueError: The corpus holds no words, or fewer than two terms survive.
        """
        if min_count < 1 or (max_size is not None and max_size < 2) or max_entries < 1:
            raise ValueError(
                "`min_count` and `max_entries` must be at least 1 and `max_size` at least 2. "
                f"Received: {min_count=}, {max_size=}, {max_entries=}"
            )
        labels = list(dict.fromkeys(map(corpus.tokenizer.normalize_term, label_terms)))
        # Phrases are of this corpus, and joined.
        phrases = [phrase for phrase in dict.fromkeys(map(folded_key, phrases)) if "_" in phrase]
        known = set(labels)
        phrases = [phrase for phrase in phrases if phrase not in known]
        index = WordIndex(labels + phrases, corpus.tokenizer)
        guaranteed = index.size
        matchers = [IdMatcher(index, labels), IdMatcher(index, phrases)]
        counted = BoundedCounts(max_entries, protected=index.size)
        for _, ids in read_ids(corpus, index, matchers, progress, add=True):
            counted.add(ids[ids >= 0], index.size)
            frequent = counted.forget(now=index.num_bytes > MEAN_BYTES * max_entries)
            if frequent is not None:
                index.keep(frequent)
        counts = counted.values
        num_terms = np.count_nonzero(counts)
        if not num_terms:
            raise ValueError(f"The corpus holds no letter and no number. Received: {corpus.pattern!r}")
        chosen = counts >= min_count
        chosen[:guaranteed] = counts[:guaranteed] > 0
        if np.count_nonzero(chosen) < 2:
            index.keep(counts == counts.max())
            raise ValueError(
                f"A vocabulary must hold at least two terms, but of {num_terms} different terms "
                f"{np.count_nonzero(chosen)} occur at least {min_count} times; the most frequent is "
                f"{min(index.words())[:100]!r} with {counts.max()}. Lower `min_count` or give more text. "
                f"Received: {min_count=}, corpus={corpus.pattern!r}"
            )
        index.keep(chosen)
        items = list(zip(index.words(), counts[chosen].tolist(), strict=True))
        num_guaranteed = int(np.count_nonzero(chosen[:guaranteed]))
        others = sorted(items[num_guaranteed:], key=_by_count)
        if max_size is not None:
            others = others[: max(0, max_size - num_guaranteed)]
        items = sorted(items[:num_guaranteed] + others, key=_by_count)
        terms = [term for term, _ in items]
        return cls(terms, [count for _, count in items], set(phrases).intersection(terms))

    def index_words(self, tokenizer: Tokenizer = WORDS) -> tuple[WordIndex, list[IdMatcher]]:
        """What turns text into this vocabulary's ids; words that only multi-word terms hold have ids from V on."""
        index = WordIndex(self.terms, tokenizer)
        labels = [term for term in self.terms if term not in self.phrases]
        phrases = [term for term in self.terms if term in self.phrases]
        return index, [IdMatcher(index, labels), IdMatcher(index, phrases)]

    def fingerprint(self) -> str:
        """SHA-256 of what `save` writes, in hexadecimal."""
        return hashlib.sha256(self._text()).hexdigest()

    def save(self, path: str | os.PathLike) -> None:
        """Writes a UTF-8 text file, `term<TAB>count` in each line and `<TAB>phrase` behind a phrase, atomically."""
        with atomic_write(path) as handle:
            handle.write(self._text())

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Vocabulary":
        """Reads what `save` wrote.

        Raises:
            ValueError: The file is not a vocabulary; the message names the first bad line.
        """
        with open(path, "rb") as handle:
            lines = handle.read().split(b"\n")
        if lines[-1] == b"":
            lines.pop()
        terms, counts, phrases = [], [], []
        for number, line in enumerate(lines, start=1):
            term, _, count = line.removesuffix(b"\r").partition(b"\t")
            phrase = count.endswith(b"\tphrase")
            try:
                terms.append(term.decode("utf-8"))
                counts.append(int(count.removesuffix(b"\tphrase")))
                if phrase:
                    phrases.append(terms[-1])
            except ValueError as error:
                raise ValueError(
                    f"Line {number} of {os.fspath(path)!r} must be `term<TAB>count[<TAB>phrase]` in UTF-8. "
                    f"Received: {line!r}"
                ) from error
        try:
            return cls(terms, counts, phrases)
        except (ValueError, OverflowError) as error:
            raise ValueError(f"{os.fspath(path)!r} is not a vocabulary. {error}") from error

    def _text(self) -> bytes:
        lines = zip(self.terms, self.counts.tolist(), strict=True)
        mark = {phrase: "\tphrase" for phrase in self.phrases}
        return "".join(f"{term}\t{count}{mark.get(term, '')}\n" for term, count in lines).encode("utf-8")


def _by_count(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]
