"""Term vectors in the file forms of word2vec and GloVe, and in the package's small `.npz` form."""

import os
import warnings
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import IO

import numpy as np

from devise_tf.choices import MAX_BAD_ROWS, NPZ_FORMS
from devise_tf.files import atomic_write
from devise_tf.text.npz_vectors import check_term_vectors, save_npz
from devise_tf.text.vector_forms import BLOCK_BYTES
from devise_tf.text.vector_rows import Progress, VectorRows, check_form, open_rows


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
            but without the first line), `"npz"` (half precision, see `save_npz`) or `"npz_int8"` (the same in whole
            numbers, half as large).

    Raises:
        ValueError: An argument is not as above.

    Example:

    >>> save_vectors("vectors.txt", ["cat", "snow_leopard"], np.eye(2), form="glove")
    """
    check_form(form)
    vectors = np.asarray(vectors)
    check_term_vectors(terms, vectors)
    if form in NPZ_FORMS:
        save_npz(path, terms, vectors, int8=form == "npz_int8")
        return
    with atomic_write(path) as handle:
        handle.write(first_line(form, *vectors.shape))
        write_rows(handle, form, zip(terms, vectors, strict=True))


def first_line(form: str, count: int, dimension: int) -> bytes:
    """The line before the rows of a file of any form but those of `NPZ_FORMS`."""
    return b"" if form == "glove" else b"%d %d\n" % (count, dimension)


def write_rows(handle: IO[bytes], form: str, rows: Iterable[tuple[str, np.ndarray]]) -> int:
    """Writes rows of any form but those of `NPZ_FORMS`, without the line before them that says how many they are.

    Args:
        handle: Binary file. Where to write.
        form: String. As for `save_vectors`.
        rows: Iterable. Terms and their vectors, as `save_vectors` takes them.

    Returns:
        The number of rows.
    """
    number = 0
    for number, (term, vector) in enumerate(rows, start=1):  # noqa: B007
        # A value beyond float32 becomes infinite and is refused.
        with np.errstate(over="ignore"):
            vector = vector.astype("<f4")
        if not np.isfinite(vector).all():
            raise ValueError(f"The vector of {term!r} holds values that are not finite. Received: {vector}")
        if form == "word2vec_binary":
            handle.write(term.encode("utf-8") + b" " + vector.tobytes() + b"\n")
        else:
            handle.write((term + " %.9g" * len(vector) % tuple(vector.tolist()) + "\n").encode("utf-8"))
    return number


def load_vectors(
    path: str | os.PathLike,
    form: str | None = None,
    terms: Container[str] | None = None,
    progress: Progress | None = None,
    max_bad_rows: int = MAX_BAD_ROWS,
) -> tuple[list[str], np.ndarray]:
    """Loads term vectors, as saved by `save_vectors`, word2vec, gensim, GloVe or fastText (`.vec` and `.bin`).

    White space within a term, which occurs in some published files, becomes "_". Of terms that occur more than once
    the first counts. Rows that cannot be read are left out: a term that is white space or not UTF-8, too many or too
    few values, one that is not a finite number. A warning tells of both.

    Args:
        path: Path of the file, which may be compressed by gzip, bzip2 or xz, or lie in a ZIP or tar archive:
            `ARCHIVE!FILE` names one of several there; or the name of vectors that come with the package.
        form: String. One of the forms of `save_vectors`; `None` guesses it from the beginning of the file.
        terms: Container of strings, optional. Only these are loaded, which saves memory.
        progress: Function, optional. Called with `(bytes_read, bytes_in_all)` now and then.
        max_bad_rows: Integer. Most rows that may be left out because they cannot be read. If the first line says
            another number of vectors than there are, the difference counts as well.

    Returns:
        The terms in the order of the file, `list[str]`, and their vectors, float32, shape `[V, D]`. V is 0 if none of
        `terms` is in the file.

    Raises:
        ValueError: The file is empty, truncated, damaged, of another kind, has no row that can be read or more than
            `max_bad_rows` that cannot; the message names the row.
        FileNotFoundError: There is no such file and no such packaged vectors.
    """
    wanted = frozenset(terms) if isinstance(terms, (list, tuple)) else terms
    with open_rows(path, form, progress, max_bad_rows) as file:
        return collect_vectors(file, path, wanted)


def load_terms(
    path: str | os.PathLike,
    form: str | None = None,
    progress: Progress | None = None,
    max_bad_rows: int = MAX_BAD_ROWS,
) -> list[str]:
    """The different terms of a vector file, in its order, without looking at their vectors; see `load_vectors`."""
    with open_rows(path, form, progress, max_bad_rows) as file:
        return list(dict.fromkeys(file.terms()))


def collect_vectors(
    file: VectorRows, path: str | os.PathLike, wanted: Container[str] | None = None
) -> tuple[list[str], np.ndarray]:
    """Reads an open vector file to its end; see `load_vectors`."""
    dimension = file.form.dimension
    terms: list[str] = []
    # Grows with what is there: the number of vectors in the first line may be wrong.
    vectors = np.empty((max(1, min(1024, BLOCK_BYTES // dimension)), dimension), np.float32)
    for term, vector in unique_rows(file, path, wanted):
        if len(terms) == len(vectors):
            vectors.resize((2 * len(vectors), dimension), refcheck=False)
        vectors[len(terms)] = vector
        terms.append(term)
    vectors.resize((len(terms), dimension), refcheck=False)
    return terms, vectors


def unique_rows(
    file: VectorRows, path: str | os.PathLike, wanted: Container[str] | None = None
) -> Iterator[tuple[str, np.ndarray]]:
    """The rows of an open vector file, of each term the first; warns at the end of what was left out."""
    seen: set[str] = set()
    num_repeated = 0
    for term, vector in file.vectors(wanted):
        if term in seen:
            num_repeated += 1
            continue
        seen.add(term)
        yield term, vector
    name = os.fspath(path)
    if num_repeated:
        warnings.warn(f"{num_repeated} repeated terms in {name!r} were ignored; the first counts.", stacklevel=4)
    if file.bad.count:
        warnings.warn(f"Not all of {name!r} can be read, {file.bad}", stacklevel=4)
