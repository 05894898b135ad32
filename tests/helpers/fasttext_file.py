"""fastText's `.bin` files, written by hand, and the vectors that their words have."""

import struct

import numpy as np

BOUNDS = (2, 4)


def fasttext_file(words, matrix, buckets, kind=2, labels=0, pruned=-1, quantized=False, version=12, **sizes):
    """The bytes of a model; `sizes` are what its head says of `count`, `dimension`, `rows` and `columns`."""
    rows, columns = matrix.shape
    dimension, count = sizes.get("dimension", columns), sizes.get("count", len(words))
    data = struct.pack("<2i", 793712314, version)
    data += struct.pack("<12id", dimension, 5, 5, 1, 5, 1, 2, kind, buckets, *BOUNDS, 100, 1e-4)
    data += struct.pack("<3i2q", count, count, labels, 1000, pruned)
    for word in words:
        data += word.encode() + b"\0" + struct.pack("<qb", 7, 0)
    data += struct.pack("<?2q", quantized, sizes.get("rows", rows), sizes.get("columns", columns))
    return data + matrix.astype("<f4").tobytes() + b"the output matrix"


def fasttext_vectors(words, matrix, buckets):
    """The mean of each word's row and those of its n-grams, in loops."""
    result = []
    for row, word in enumerate(words):
        text = f"<{word}>"
        ngrams = [text[i:j] for i in range(len(text)) for j in range(i + 1, len(text) + 1)]
        ngrams = [ngram for ngram in ngrams if BOUNDS[0] <= len(ngram) <= BOUNDS[1] and word != "</s>"]
        rows = [row, *(len(words) + _hash(ngram) % buckets for ngram in ngrams)]
        result.append(matrix[rows].astype(np.float64).mean(axis=0))
    return np.stack(result)


def _hash(ngram):
    value = 2166136261
    for byte in ngram.encode():
        signed = byte - 256 if byte > 127 else byte
        value = ((value ^ signed % 2**32) * 16777619) % 2**32
    return value
