"""The words and vectors of fastText's `.bin` models.

    v(w) = 1 / (1 + |G(w)|) (x(w) + sum over g in G(w) of x(hash(g) mod B))

`x` are rows of the model's input matrix: one a word, behind them those of `B` buckets. `G(w)` are the n-grams of
`<w>`, of `minn` to `maxn` characters; `</s>`, the end of a line, has none.
"""

import io
import struct
from collections.abc import Callable, Iterator
from typing import IO, NamedTuple

import numpy as np

MAGIC = struct.pack("<i", 793712314)
_VERSIONS = (11, 12)
_SUPERVISED = 3
_END_OF_LINE = b"</s>"
_BLOCK_BYTES = 1 << 24
_MAX_TERM_BYTES = 1 << 16
_WORDS_AT_ONCE = 10_000
# Magic, version, the model's settings; sizes of the dictionary; what stands behind a word; sizes of the matrix.
_HEADER = struct.Struct("<14id")
_DICTIONARY = struct.Struct("<3i2q")
_ENTRY_BYTES = struct.calcsize("<qb")
_MATRIX = struct.Struct("<?2q")

Read = Callable[[int], bytes]


class Model(NamedTuple):
    """The head of a model.

    Attributes:
        dimension: Integer. Length of the vectors.
        words: List of bytes. The words.
        buckets: Integer. Number of rows of n-grams.
        minn: Integer. Least number of characters of an n-gram.
        maxn: Integer. Largest number.
        read: Function. Reads so many bytes of what comes next, the rows of the words.
    """

    dimension: int
    words: list[bytes]
    buckets: int
    minn: int
    maxn: int
    read: Read


def read_model(content: IO[bytes], size: int | None, max_dimension: int) -> Model:
    """Reads a model up to its vectors.

    Args:
        content: Binary file. The model, from its beginning.
        size: Integer. Bytes that the file holds, None if not known.
        max_dimension: Integer. Largest dimension that can be read.

    Raises:
        ValueError: The file is damaged or of a kind of model that has no such vectors.
    """
    header = _HEADER.unpack(_exactly(content.read, _HEADER.size))
    version, dimension, kind, buckets, minn, maxn = (header[i] for i in (1, 2, 9, 10, 11, 12))
    if version not in _VERSIONS:
        raise ValueError(f"version {version} of fastText's models is not known; it must be one of {_VERSIONS}.")
    if not 0 < dimension <= max_dimension or buckets < 0:
        raise ValueError(f"the model's head is damaged: it says dimension {dimension}, {buckets} buckets.")
    _, count, labels, _, pruned = _DICTIONARY.unpack(_exactly(content.read, _DICTIONARY.size))
    if kind == _SUPERVISED or labels or pruned > 0:
        raise ValueError(
            "the file is a supervised model of fastText, a classifier: take one that was trained as skipgram or cbow."
        )
    if count < 1:
        raise ValueError(f"the model's head is damaged: it says {count} words.")
    words, rest = _read_words(content, count)
    read = _reader(rest, content)
    quantized, rows, columns = _MATRIX.unpack(_exactly(read, _MATRIX.size))
    if quantized:
        raise ValueError("the file is a quantized model of fastText: take the .bin that it was made of.")
    if (rows, columns) != (count + buckets, dimension):
        raise ValueError(
            f"the model's parts do not fit: {count} words, {buckets} buckets and dimension {dimension}, but a matrix "
            f"of {rows} x {columns}."
        )
    if size is not None and 4 * rows * columns > size:
        raise ValueError(f"the model's matrix needs {4 * rows * columns} bytes, but the file has {size}.")
    return Model(dimension, words, buckets, minn, maxn, read)


def word_vectors(model: Model, chosen: np.ndarray) -> np.ndarray:
    """The vectors of words; the matrix is read once, block by block.

    Args:
        model: `Model`. As it was read.
        chosen: Integers [C]. Indices of the words, rising.

    Returns:
        float32 `[C, D]`.
    """
    sums = [rows[chosen[(chosen >= start) & (chosen < start + len(rows))] - start]
            for start, rows in _blocks(model, len(model.words))]  # fmt: skip
    result = np.concatenate(sums)
    words, buckets = _buckets(model, chosen)
    order = np.argsort(buckets, kind="stable")
    words, buckets = words[order], buckets[order]
    for start, rows in _blocks(model, model.buckets):
        low, high = np.searchsorted(buckets, [start, start + len(rows)])
        for first in range(low, high, len(rows)):
            part = slice(first, min(first + len(rows), high))
            _add_rows(result, words[part], rows, buckets[part] - start)
    result /= np.bincount(words, minlength=len(chosen))[:, None].astype(np.float32) + 1
    return result


def ngram_hashes(words: list[bytes], minn: int, maxn: int) -> tuple[np.ndarray, np.ndarray]:
    """The n-grams of words, hashed by FNV-1a over bytes with a sign.

    Args:
        words: List of bytes. UTF-8.
        minn: Integer. Least number of characters.
        maxn: Integer. Largest number.

    Returns:
        For each n-gram the index of its word, int64 `[N]`, and its hash, uint32 `[N]`.
    """
    text = np.frombuffer(b"".join(b"<%b>" % word for word in words), np.int8)
    lengths = np.array([len(word) + 2 for word in words], np.int64)
    word_ends = np.cumsum(lengths)
    # A byte that is not the first of a character is of the form 10xxxxxx.
    is_first = np.append((text.view(np.uint8) & 0xC0) != 0x80, True)
    start = np.flatnonzero(is_first[:-1])
    word = np.repeat(np.arange(len(words)), lengths)[start]
    position, end, at_begin = start.copy(), word_ends[word], start == (word_ends - lengths)[word]
    hashes, characters = np.full(len(start), 2166136261, np.uint32), np.zeros(len(start), np.int64)
    result = [(word[:0], hashes[:0])]
    while len(position):
        hashes = (hashes ^ text[position].astype(np.uint32)) * np.uint32(16777619)
        position = position + 1
        is_whole = is_first[position]
        characters = characters + is_whole
        # The marks of a word's begin and end alone are no n-grams.
        is_mark = (characters == 1) & (at_begin | (position == end))
        is_ngram = is_whole & (characters >= minn) & (characters <= maxn) & ~is_mark
        result.append((word[is_ngram], hashes[is_ngram]))
        remains = (position < end) & (characters < maxn)
        columns = (position, end, at_begin, word, hashes, characters)
        position, end, at_begin, word, hashes, characters = (column[remains] for column in columns)
    return np.concatenate([words for words, _ in result]), np.concatenate([hashes for _, hashes in result])


def _buckets(model: Model, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each n-gram of the chosen words the word's index among them and the n-gram's bucket."""
    words, buckets = [np.zeros(0, np.int64)], [np.zeros(0, np.uint32)]
    for first in range(0, len(chosen) if model.buckets else 0, _WORDS_AT_ONCE):
        some = [model.words[i] for i in chosen[first : first + _WORDS_AT_ONCE]]
        word, hashes = ngram_hashes(some, model.minn, model.maxn)
        has_ngrams = np.array([text != _END_OF_LINE for text in some])[word]
        words.append(first + word[has_ngrams])
        buckets.append(hashes[has_ngrams] % np.uint32(model.buckets))
    return np.concatenate(words), np.concatenate(buckets).astype(np.int64)


def _add_rows(sums: np.ndarray, words: np.ndarray, rows: np.ndarray, indices: np.ndarray) -> None:
    """Adds `rows[indices]` to the sums of `words`, which may repeat."""
    while len(words):
        # Each word once: `np.add.at` and `np.add.reduceat` would take much longer.
        once, first = np.unique(words, return_index=True)
        sums[once] += rows[indices[first]]
        words, indices = np.delete(words, first), np.delete(indices, first)


def _blocks(model: Model, count: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yields the next rows of the matrix in blocks, with the index of their first."""
    step = max(1, _BLOCK_BYTES // (4 * model.dimension))
    for start in range(0, count, step):
        number = min(step, count - start)
        data = _exactly(model.read, 4 * number * model.dimension)
        yield start, np.frombuffer(data, "<f4").reshape(number, model.dimension)


def _read_words(content: IO[bytes], count: int) -> tuple[list[bytes], bytes]:
    """The words, and what was read behind them."""
    words: list[bytes] = []
    buffer, position = b"", 0
    while len(words) < count:
        end = buffer.find(b"\0", position)
        if 0 <= end < len(buffer) - _ENTRY_BYTES:
            words.append(buffer[position:end])
            position = end + 1 + _ENTRY_BYTES
            continue
        block = content.read(_BLOCK_BYTES)
        if not block or len(buffer) - position > _MAX_TERM_BYTES:
            raise ValueError(f"word {len(words) + 1} of {count} is incomplete; is the file truncated?")
        buffer, position = buffer[position:] + block, 0
    return words, buffer[position:]


def _reader(rest: bytes, content: IO[bytes]) -> Read:
    """Reads what is left of a buffer, then the content."""
    first = io.BytesIO(rest)

    def read(size: int) -> bytes:
        data = first.read(size)
        return data + content.read(size - len(data)) if len(data) < size else data

    return read


def _exactly(read: Read, size: int) -> bytes:
    data = read(size)
    if len(data) < size:
        raise ValueError("the model ends too early; is the file truncated?")
    return data
