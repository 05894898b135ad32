"""Term vectors in the file forms of word2vec and GloVe, and in the package's small `.npz` form."""

import os
import warnings
from collections.abc import Iterable, Sequence
from typing import IO

import numpy as np

from devise_tf.files import atomic_write
from devise_tf.text.npz_vectors import check_term_vectors, save_npz
from devise_tf.text.vector_rows import BLOCK_BYTES, Progress, Row, check_form, open_rows, parse_values


def save_vectors(
    path: str | os.PathLike, terms: Sequence[str], vectors: np.ndarray, form: str = "word2vec_text"
) -> None:
    """Saves term vectors, atomically.

    The text forms write nine significant digits, so that float32 values come back exactly.

    Args:
        path: Path of the file.
        terms: Strings. V different terms without white space; multi-word terms are joined by "_".
        vectors: Floats [V, D]. Finite, saved as float32.
        form: `"word2vec_text"` (a line `V D`, then lines `term x1 … xD`), `"word2vec_binary"` (the same line, then
            each term, a space, D little-endian float32 values and a line end), `"glove"` (as `"word2vec_text"`
            but without the first line), or `"npz"` (half precision, see `save_npz`).

    Raises:
        ValueError: An argument is not as above.

    Example:

    >>> save_vectors("vectors.txt", ["cat", "snow_leopard"], np.eye(2), form="glove")
    """
    check_form(form)
    vectors = np.asarray(vectors)
    check_term_vectors(terms, vectors)
    if form == "npz":
        save_npz(path, terms, vectors)
        return
    with atomic_write(path) as handle:
        write_rows(handle, form, len(terms), vectors.shape[1], zip(terms, vectors, strict=True))


def write_rows(
    handle: IO[bytes], form: str, count: int, dimension: int, rows: Iterable[tuple[str, np.ndarray]]
) -> None:
    """Writes a file of any form but `"npz"`, row by row.

    Args:
        handle: Binary file. Where to write.
        form: String. As for `save_vectors`.
        count: Integer. V, the number of rows that will come.
        dimension: Integer. D, the length of the vectors.
        rows: Iterable. Terms and their vectors, as `save_vectors` takes them.
    """
    line = "%s" + " %.9g" * dimension + "\n"
    if form != "glove":
        handle.write(b"%d %d\n" % (count, dimension))
    for term, vector in rows:
        # A value beyond float32 becomes infinite and is refused.
        with np.errstate(over="ignore"):
            vector = vector.astype("<f4")
        if not np.isfinite(vector).all():
            raise ValueError(f"The vector of {term!r} holds values that are not finite. Received: {vector}")
        if form == "word2vec_binary":
            handle.write(term.encode("utf-8") + b" " + vector.tobytes() + b"\n")
        else:
            handle.write((line % (term, *vector.tolist())).encode("utf-8"))


def load_vectors(
    path: str | os.PathLike,
    form: str | None = None,
    terms: Iterable[str] | None = None,
    progress: Progress | None = None,
) -> tuple[list[str], np.ndarray]:
    """Loads term vectors, as saved by `save_vectors`, word2vec, gensim, fastText (`.vec`) or GloVe.

    Spaces within a term, which occur in some published GloVe files, become "_". Of terms that occur more than once
    the first counts, with a warning.

    Args:
        path: Path of the file, which may be compressed by gzip or xz; or the name of vectors that come with the
            package.
        form: String. One of the forms of `save_vectors`; `None` guesses it from the beginning of the file.
        terms: Strings, optional. Only these are loaded, which saves memory.
        progress: Function, optional. Called with `(bytes_read, bytes_in_all)` now and then.

    Returns:
        The terms in the order of the file, `list[str]`, and their vectors, float32, shape `[V, D]`. V is 0 if none of
        `terms` is in the file.

    Raises:
        ValueError: The file is empty, truncated, not UTF-8, holds a line of another dimension or a value that is not
            a finite number, or holds more or fewer vectors than its first line says; the message names the row.
        FileNotFoundError: There is no such file and no such packaged vectors.
    """
    wanted = None if terms is None else set(terms)
    with open_rows(path, form, progress) as file:
        result, vectors, num_repeated = _collect(file.rows, file.dimension, wanted)
    if num_repeated:
        warnings.warn(
            f"{num_repeated} repeated terms in {os.fspath(path)!r} were ignored; the first counts.", stacklevel=2
        )
    return result, vectors


def load_terms(path: str | os.PathLike, form: str | None = None, progress: Progress | None = None) -> list[str]:
    """The different terms of a vector file, in its order, without their vectors; see `load_vectors`."""
    with open_rows(path, form, progress) as file:
        return list(dict.fromkeys(term for _, term, _ in file.rows))


def _collect(rows: Iterable[Row], dimension: int, wanted: set[str] | None) -> tuple[list[str], np.ndarray, int]:
    """Gives terms, vectors, and the number of repeated terms."""
    index: dict[str, int] = {}
    # Grows with what is there: the number of vectors in the first line may be wrong.
    vectors = np.empty((max(1, min(1024, BLOCK_BYTES // dimension)), dimension), np.float32)
    num_repeated = 0
    for position, term, values in rows:
        if wanted is not None and term not in wanted:
            continue
        if term in index:
            num_repeated += 1
            continue
        if len(index) == len(vectors):
            vectors.resize((2 * len(vectors), dimension), refcheck=False)
        vectors[len(index)] = parse_values(position, term, values)
        index[term] = len(index)
    vectors.resize((len(index), dimension), refcheck=False)
    return list(index), vectors, num_repeated
