"""Words of blocks of text to numbers."""

import hashlib
import itertools
from collections.abc import Iterable

import numpy as np

from devise_tf.text.pair_table import PairTable
from devise_tf.text.tokenizer import WORDS, Tokenizer

END = -1
UNKNOWN = -2
# Words that are longer than this on average are hardly words: whoever bounds their number bounds their length too.
MEAN_BYTES = 32
# The first n bytes of a little-endian 64-bit integer.
_MASKS = np.array([(1 << 8 * n) - 1 for n in range(9)], np.uint64)


class WordIndex:
    """Numbers different words by the order of their first occurrence: 0, 1, 2, …

    It does what a tokenizer and a dictionary do for a line, but for a block of lines and without making a Python
    string of each word: a word of up to 16 bytes is its own key in a `PairTable`, a longer one is known by its
    128-bit BLAKE2 hash.

    Args:
        words: Strings. The first words to number: vocabulary terms, which may hold "_". No white space; all different.
        tokenizer: `Tokenizer`. The rule by which text becomes words.

    Attributes:
        size: Integer. Number of different words.
        num_bytes: Integer. What they take, joined.

    Example:

    >>> index = WordIndex(["the", "snow_leopard"])
    >>> index.ids(b"The cub!\\nThe Cub\\n", add=True)
    array([ 0,  2, -1,  0,  2, -1], dtype=int32)
    """

    def __init__(self, words: Iterable[str] = (), tokenizer: Tokenizer = WORDS):
        self._tokenizer = tokenizer
        self._table = PairTable()
        # The words themselves, joined by spaces: a tenth of the memory of a list of them.
        self._words: list[bytes] = []
        self.num_bytes = 0
        # Line ends are a word of their own, number 0 of the table.
        self._lookup(b"\n", add=True)
        self.add(words)

    @property
    def size(self) -> int:
        return self._table.size - 1

    def add(self, words: Iterable[str]) -> np.ndarray:
        """Numbers words and gives the numbers; words already there keep theirs."""
        return self._lookup(" ".join(words).encode("utf-8"), add=True)

    def ids(self, block: bytes, add: bool = False) -> np.ndarray:
        """Turns text into word numbers.

        Args:
            block: Bytes. Whole lines in UTF-8, each of which ends with a line end.
            add: Boolean. Whether to add words that are not in the index.

        Returns:
            `np.int32`: the words' numbers (`UNKNOWN`, -2, for a word that is not in the index) and `END`, -1, behind
            each line.
        """
        return self._lookup(self._tokenizer.fold_block(block), add)

    def words(self) -> list[str]:
        """All words, by number."""
        return b" ".join(self._words).decode("utf-8").split(" ")[1:]

    def keep(self, mask: np.ndarray) -> None:
        """Forgets the words where `mask`, bool of shape `[size]`, is false; the others are renumbered, in order."""
        mask = np.concatenate([[True], mask])
        chunks, position = [], 0
        for chunk in self._words:
            words = chunk.split(b" ")
            chunks.append(b" ".join(itertools.compress(words, mask[position : position + len(words)])))
            position += len(words)
        self._words = [chunk for chunk in chunks if chunk]
        self.num_bytes = sum(map(len, self._words))
        first, second = self._table.keys()
        self._table.reset(first[mask], second[mask])

    def _lookup(self, text: bytes, add: bool) -> np.ndarray:
        # A space before the first word, and room to read 16 bytes at the last.
        text = b"".join([b" ", text, b" " * (24 - len(text) % 8)])
        data = np.frombuffer(text, np.uint8)
        letters = data != ord(" ")
        edges = np.flatnonzero(letters[1:] != letters[:-1])
        edges += 1
        starts, ends = edges[0::2], edges[1::2]
        lengths = ends - starts
        eights = np.frombuffer(text, "<u8", len(text) // 8)
        first = _read_eight(eights, starts, np.minimum(lengths, 8))
        second = np.zeros_like(first)
        over = np.flatnonzero(lengths > 8)
        second[over] = _read_eight(eights, starts[over] + 8, np.minimum(lengths[over] - 8, 8))
        long = np.flatnonzero(lengths > 16)
        if long.size:
            spans = zip(starts[long].tolist(), ends[long].tolist(), strict=True)
            hashes = b"".join([hashlib.blake2b(text[start:end], digest_size=16).digest() for start, end in spans])
            first[long], second[long] = np.frombuffer(hashes, "<u8").reshape(-1, 2).T
        if add:
            ids, new = self._table.add(first, second)
            if new.size:
                spans = zip(starts[new].tolist(), ends[new].tolist(), strict=True)
                self._words.append(b" ".join([text[start:end] for start, end in spans]))
                self.num_bytes += len(self._words[-1])
        else:
            ids = self._table.find(first, second)
        ids -= 1
        return ids


def _read_eight(eights: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The up to 8 bytes from each start, as an integer; aligned reads are much faster than others."""
    positions, shifts = starts >> 3, ((starts & 7) << 3).view(np.uint64)
    low = eights.take(positions) >> shifts
    # Two shifts, since one by 64 is not defined.
    high = (eights.take(positions + 1) << np.uint64(1)) << (np.uint64(63) - shifts)
    return (low | high) & _MASKS.take(lengths)
