"""Collocations of a corpus."""

from collections.abc import Callable, Iterable

import numpy as np

from devise_tf.text.bounded_counts import BoundedCounts
from devise_tf.text.corpus import Corpus
from devise_tf.text.id_matcher import IdMatcher, read_ids
from devise_tf.text.pair_table import PairTable
from devise_tf.text.word_index import MEAN_BYTES, WordIndex


def find_phrases(
    corpus: Corpus,
    label_terms: Iterable[str] = (),
    passes: int = 2,
    threshold: float = 200.0,
    min_count: int = 5,
    discount: float = 5.0,
    progress: Callable[[int, int | None], None] | None = None,
    max_entries: int = 20_000_000,
) -> dict[str, float]:
    r"""Finds words that occur together much more often than chance would have them: "new york", "hong kong".

    Two neighbors $a$, $b$ of the same line become a phrase if they occur together at least `min_count` times and

    $$\text{score}(a, b) = \frac{\text{count}(ab) - \text{discount}}{\text{count}(a) \, \text{count}(b)} N$$

    is above the threshold. $N$, the number of words of the pass, is not in the paper; word2vec's `word2phrase` has it
    too, so that one threshold serves corpora of all sizes. (gensim's `Phrases` multiplies by the number of *different*
    words and pairs instead: its threshold times $N$ over that number is the same one.)

    Each pass reads the corpus once. Phrases of the passes before count as one word, so that $p$ passes find phrases
    of up to $2^p$ words; the threshold is halved from pass to pass, as in word2vec's own script. Multi-word label terms
    are joined first, and are part of no phrase.

    Memory is bounded as in `Vocabulary.build`: words and pairs have `max_entries` each.

    Args:
        corpus: `Corpus`. The text.
        label_terms: Strings. Terms of the labels, in any spelling.
        passes: Integer. Passes over the corpus.
        threshold: Float. Of the first pass; higher means fewer phrases.
        min_count: Integer. Least occurrences of a phrase.
        discount: Float. Keeps phrases of very rare words out.
        progress: Function, optional. Called with `(bytes_read, corpus.size_bytes)` now and then, in each pass anew.
        max_entries: Integer. When there are more different words, or pairs, than this, the rarest are forgotten. The
            default takes up to 2 GB.

    Returns:
        Phrase (its words joined by "_") -> score in the pass that found it, by decreasing score.

    Raises:
        ValueError: An argument is out of its range, or the corpus cannot be read (see `Corpus`).

    Example:

    >>> phrases = find_phrases(corpus, label_terms)
    >>> vocabulary = Vocabulary.build(corpus, label_terms=label_terms, phrases=phrases)

    Reference:

    - Mikolov et al., Distributed Representations of Words and Phrases and their Compositionality, NIPS 2013, section 4
    """
    if passes < 1 or min_count < 1 or max_entries < 1 or threshold <= 0 or discount < 0:
        raise ValueError(
            "`passes`, `min_count` and `max_entries` must be at least 1, `threshold` positive and `discount` not "
            f"negative. Received: {passes=}, {min_count=}, {max_entries=}, {threshold=}, {discount=}"
        )
    labels = [term for term in dict.fromkeys(map(corpus.tokenizer.normalize_term, label_terms)) if "_" in term]
    known = set(labels)
    phrases: dict[str, float] = {}
    for number in range(passes):
        scores = _score_pairs(corpus, labels, list(phrases), min_count, discount, max_entries, progress)
        for phrase, score in scores.items():
            # The same words in two ways ("new_york times", "new york_times") are one phrase.
            if score > threshold / 2**number and phrase not in known:
                phrases.setdefault(phrase, score)
    return dict(sorted(phrases.items(), key=lambda item: (-item[1], item[0])))


def _score_pairs(
    corpus: Corpus,
    labels: list[str],
    phrases: list[str],
    min_count: int,
    discount: float,
    max_entries: int,
    progress: Callable[[int, int | None], None] | None,
) -> dict[str, float]:
    """Reads the corpus once; gives all pairs that are frequent enough, joined, with their scores, highest first."""
    index = WordIndex(labels, corpus.tokenizer)
    matchers = [IdMatcher(index, labels), IdMatcher(index, phrases)]
    # Numbered from 0, since they came first.
    num_labels = len(labels)
    counts = BoundedCounts(max_entries, protected=index.size)
    pairs, pair_counts = PairTable(), BoundedCounts(max_entries)
    total = 0
    for _, ids in read_ids(corpus, index, matchers, progress, add=True):
        words = ids[ids >= 0]
        total += words.size
        counts.add(words, index.size)
        free = ids >= num_labels
        at = np.flatnonzero(free[:-1] & free[1:])
        numbers, _ = pairs.add(ids[at].astype(np.uint64), ids[at + 1].astype(np.uint64))
        pair_counts.add(numbers, pairs.size)
        frequent = pair_counts.forget()
        if frequent is not None:
            first, second = pairs.keys()
            pairs.reset(first[frequent], second[frequent])
        frequent = counts.forget(now=index.num_bytes > MEAN_BYTES * max_entries)
        if frequent is not None:
            # A pair goes with its words.
            first, second = pairs.keys()
            both = frequent[first] & frequent[second]
            renumbered = (np.cumsum(frequent) - 1).astype(np.uint64)
            pairs.reset(renumbered[first[both]], renumbered[second[both]])
            pair_counts.keep(both)
            index.keep(frequent)
    frequent = pair_counts.values >= min_count
    first, second = (half[frequent] for half in pairs.keys())
    # One factor after the other: the product of two counts may be beyond 64 bits.
    scores = (pair_counts.values[frequent] - discount) / counts.values[first] / counts.values[second] * total
    all_words = index.words()
    order = np.argsort(-scores, kind="stable")
    result: dict[str, float] = {}
    for a, b, score in zip(first[order].tolist(), second[order].tolist(), scores[order].tolist(), strict=True):
        result.setdefault(f"{all_words[a]}_{all_words[b]}", score)
    return result
