"""Word numbers to numbers of terms."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from devise_tf.text.corpus import Corpus
from devise_tf.text.pair_table import PairTable
from devise_tf.text.word_index import WordIndex

# More than anything that is made of a block.
_KEPT_BYTES = 16 << 20


class IdMatcher:
    """`TermMatcher` for a block of word numbers: the longest match, from left to right.

    Args:
        index: `WordIndex`. What numbers the words. The terms (joined by "_") and their words are added to it.
        terms: Strings. The terms, as `normalize_term` gives them. Single-word terms are ignored.

    Call arguments:
        ids: `np.int32` as `WordIndex.ids` gives them. It is changed.

    Returns of a call:
        `np.int32`: the same with the number of a term in place of those of its words.

    Attributes:
        ids: Numbers of the multi-word terms, `np.int32`.
    """

    def __init__(self, index: WordIndex, terms: Iterable[str]):
        terms = [term for term in dict.fromkeys(terms) if "_" in term]
        self.ids = index.add(terms)
        words = index.add([word for term in terms for word in term.split("_")])
        lengths = np.array([term.count("_") + 1 for term in terms], np.int64)
        starts = np.cumsum(lengths) - lengths
        # Node 0 is the root of a tree of words; node n + 1 is where its edge n, a pair of node and word, leads to.
        self._edges = PairTable()
        nodes = np.zeros(len(terms), np.int64)
        self._term = np.full(1 + words.size, -1, np.int32)
        self._shift, self._pairs = np.uint32(31), np.zeros(2, bool)
        for depth in range(lengths.max(initial=0)):
            going = np.flatnonzero(lengths > depth)
            word = words[starts[going] + depth]
            nodes[going] = self._step(nodes[going], word, add=True)
            ending = going[lengths[going] == depth + 1]
            self._term[nodes[ending]] = self.ids[ending]
            if depth == 1:
                first = words[starts[going]]
                # A pair has 32 bits to itself, so that about 3 in 100 other pairs look like one of these.
                self._shift = np.uint32(32 - min(24, (32 * going.size).bit_length()))
                self._pairs = np.zeros(1 << (32 - int(self._shift)), bool)
                self._pairs[self._hash(first, word)] = True

    def __call__(self, ids: np.ndarray) -> np.ndarray:
        # Most positions are dropped by looking at two words, however common a first word ("the", "new") is.
        starts = np.flatnonzero(self._pairs.take(self._hash(ids[:-1], ids[1:])))
        nodes = self._step(np.zeros(starts.size, np.int64), ids[starts])
        terms = np.full(starts.size, -1, np.int32)
        ends = np.zeros(starts.size, np.int64)
        going = np.arange(starts.size)
        going, nodes = going[nodes > 0], nodes[nodes > 0]
        depth = 1
        while going.size:
            nodes = self._step(nodes, ids[starts[going] + depth])
            going, nodes = going[nodes > 0], nodes[nodes > 0]
            depth += 1
            ends_here = self._term[nodes]
            ending = going[ends_here >= 0]
            terms[ending] = ends_here[ends_here >= 0]
            ends[ending] = starts[ending] + depth
            inside = starts[going] + depth < ids.size
            going, nodes = going[inside], nodes[inside]
        matched = np.flatnonzero(terms >= 0)
        position, chosen = 0, []
        for i, start, end in zip(matched.tolist(), starts[matched].tolist(), ends[matched].tolist(), strict=True):
            if start >= position:
                chosen.append(i)
                position = end
        if not chosen:
            return ids
        starts, ends = starts[chosen], ends[chosen]
        ids[starts] = terms[chosen]
        keep = np.ones(ids.size, bool)
        for depth in range(1, int((ends - starts).max())):
            keep[starts[ends - starts > depth] + depth] = False
        return ids[keep]

    def _hash(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Where pairs of neighbors are in `_pairs`: the upper bits of a sum of products."""
        mixed = first.view(np.uint32) * np.uint32(0x9E3779B1)
        mixed += second.view(np.uint32) * np.uint32(0x85EBCA6B)
        mixed >>= self._shift
        return mixed

    def _step(self, nodes: np.ndarray, words: np.ndarray, add: bool = False) -> np.ndarray:
        pairs = nodes.astype(np.uint64), words.astype(np.int64).view(np.uint64)
        return (self._edges.add(*pairs)[0] if add else self._edges.find(*pairs)) + 1


def read_ids(
    corpus: Corpus,
    index: WordIndex,
    matchers: Sequence[IdMatcher],
    progress: Callable[[int, int | None], None] | None = None,
    add: bool = False,
) -> Iterator[tuple[int, np.ndarray]]:
    """Reads a corpus as numbers of words and terms.

    Args:
        corpus: `Corpus`. The text.
        index: `WordIndex`. What numbers the words.
        matchers: `IdMatcher`s. What joins the words, in this order.
        progress: Function, optional. Called with `(bytes_read, corpus.size_bytes)` now and then.
        add: Boolean. Whether to add words that are not in the index.

    Yields:
        For each block of lines: the number of its words (before joining), and `np.int32` numbers as
        `WordIndex.ids` gives them, joined.
    """
    # Once a chunk of this size is freed, glibc keeps what smaller ones leave instead of giving it back to the system
    # and clearing it anew for the next block: up to twice as fast.
    np.empty(_KEPT_BYTES, np.uint8)
    for block in corpus.blocks(progress):
        ids = index.ids(block, add)
        num_words = ids.size - block.count(b"\n")
        for matcher in matchers:
            ids = matcher(ids)
        yield num_words, ids
