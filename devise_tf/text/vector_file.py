"""Term vectors in the file forms of word2vec and GloVe, and in the package's own small form."""

import contextlib
import dataclasses
import itertools
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO

import numpy as np

from devise_tf.files import DECOMPRESSION_ERRORS, atomic_write, open_compressed
from devise_tf.text.packaged_vectors import check_term_vectors, find_vectors, load_npz, save_npz

FORMS = ("word2vec_text", "word2vec_binary", "glove", "npz")
_BLOCK_BYTES = 1 << 24
_MAX_TERM_BYTES = 1 << 16
_MAX_DIMENSION = 1 << 20
_PROGRESS_ROWS = 5000
_NUMBER_BYTES = b"0123456789+-.eEnaifNAIF \t\r"
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r\v\f"))


def save_vectors(
    path: str | os.PathLike, terms: Sequence[str], vectors: np.ndarray, form: str = "word2vec_text"
) -> None:
    """Saves term vectors, atomically.

    The text forms write nine significant digits, so that float32 values come back exactly.

    Args:
        path: Path of the file.
        terms: V different terms without white space; multi-word terms are joined by "_".
        vectors: Finite values, shape `[V, D]`, saved as float32.
        form: `"word2vec_text"` (a line `V D`, then lines `term x1 … xD`), `"word2vec_binary"` (the same line, then
            each term, a space, D little-endian float32 values and a line end), `"glove"` (as `"word2vec_text"`
            but without the first line), or `"npz"` (half precision, see `save_npz`).

    Raises:
        ValueError: an argument is not as above.

    Example:

    >>> save_vectors("vectors.txt", ["cat", "snow_leopard"], np.eye(2), form="glove")
    """
    _check_form(form)
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
        handle: Where to.
        form: As for `save_vectors`.
        count: V, the number of rows that will come.
        dimension: D.
        rows: Terms and their vectors, as `save_vectors` takes them.
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
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[str], np.ndarray]:
    """Loads term vectors, as saved by `save_vectors`, word2vec, gensim, fastText (`.vec`) or GloVe.

    Spaces within a term, which occur in some published GloVe files, become "_". Of terms that occur more than once
    the first is kept, with a warning.

    Args:
        path: Path of the file, which may be compressed by gzip or xz; or the name of vectors that come with the
            package.
        form: One of the forms of `save_vectors`; `None` guesses it from the beginning of the file.
        terms: Optional; only these are kept, which saves memory.
        progress: Optional; called with `(bytes_read, bytes_in_all)` now and then.

    Returns:
        The terms in the order of the file, `list[str]`, and their vectors, float32, shape `[V, D]`. V is 0 if none of
        `terms` was found.

    Raises:
        ValueError: the file is empty, truncated, not UTF-8, holds a line of another dimension or a value that is not
            a finite number, or holds more or fewer vectors than its first line says; the message names the row.
        FileNotFoundError: there is no such file and no such packaged vectors.
    """
    wanted = None if terms is None else set(terms)
    with open_rows(path, form, progress) as file:
        kept, vectors, num_repeated = _collect(file.rows, file.dimension, wanted)
    if num_repeated:
        warnings.warn(
            f"{num_repeated} repeated terms in {os.fspath(path)!r} were left out; the first is kept.", stacklevel=2
        )
    return kept, vectors


def load_terms(
    path: str | os.PathLike, form: str | None = None, progress: Callable[[int, int], None] | None = None
) -> list[str]:
    """The different terms of a vector file, in its order, without their vectors; see `load_vectors`."""
    with open_rows(path, form, progress) as file:
        return list(dict.fromkeys(term for _, term, _ in file.rows))


@dataclasses.dataclass(frozen=True)
class VectorRows:
    """An open vector file.

    Attributes:
        form: One of the forms of `save_vectors`.
        dimension: Length of the vectors.
        rows: Iterator over place (`"line 7"`), term, and values: digits or a float32 array, see `parse_values`.
    """

    form: str
    dimension: int
    rows: Iterator[tuple[str, str, list[bytes] | np.ndarray]]


@contextlib.contextmanager
def open_rows(
    path: str | os.PathLike, form: str | None = None, progress: Callable[[int, int], None] | None = None
) -> Iterator[VectorRows]:
    """Opens a vector file to go through it row by row; arguments and errors are those of `load_vectors`."""
    if form is not None:
        _check_form(form)
    path = find_vectors(path)
    content, disk = open_compressed(path)
    with disk, content:
        try:
            size = os.fstat(disk.fileno()).st_size
            if form == "npz" or (form is None and disk is content and content.peek(4).startswith(b"PK\x03\x04")):
                terms, vectors, _ = load_npz(path)
                rows = ((f"row {i}", *row) for i, row in enumerate(zip(terms, vectors, strict=True), start=1))
                yield VectorRows("npz", vectors.shape[1], rows)
                return
            first = content.readline(_BLOCK_BYTES).removeprefix(b"\xef\xbb\xbf")
            if not first:
                raise ValueError("the file is empty.")
            header = _parse_header(first)
            if form is None:
                form = "glove" if header is None else "word2vec_text" if _next_is_text(content) else "word2vec_binary"
            if form == "glove":
                count, dimension = None, first.strip().replace(b"\t", b" ").count(b" ")
                if not dimension or len(first) == _BLOCK_BYTES:
                    raise ValueError(f"line 1 holds no vector: {first[:80]!r}.")
            elif header is None:
                raise ValueError(f"line 1 must hold the number of vectors and their dimension, not {first[:80]!r}.")
            else:
                count, dimension = header
            if dimension > _MAX_DIMENSION:
                raise ValueError(f"a dimension of {dimension} is beyond the {_MAX_DIMENSION} that can be read.")
            # A row holds a term of a byte at least, and four bytes a value, or a space and a digit.
            least = 2 + (4 if form == "word2vec_binary" else 2) * dimension
            if disk is content and count and least > size:
                raise ValueError(
                    f"line 1 says that the dimension is {dimension}, so a row needs {least} bytes or more, but the "
                    f"file has {size}."
                )
            if form == "word2vec_binary":
                rows = _binary_rows(content, dimension)
            elif form == "word2vec_text":
                rows = _text_rows(_lines(content, dimension, 2), dimension)
            else:
                rows = _text_rows(itertools.chain([(1, first)], _lines(content, dimension, 2)), dimension)
            if progress is not None:
                rows = _with_progress(rows, disk, size, progress)
            yield VectorRows(form, dimension, _counted(rows, count))
        except (ValueError, *DECOMPRESSION_ERRORS) as error:
            raise ValueError(f"Cannot load vectors: {error} Received: {path=}, {form=}") from error


def parse_values(place: str, term: str, values: list[bytes] | np.ndarray) -> np.ndarray:
    """The float32 vector of a row of `open_rows`.

    Raises:
        ValueError: a value is not a finite number.
    """
    # A value beyond float32 becomes infinite.
    with np.errstate(over="ignore"):
        try:
            vector = np.array(list(map(float, values)), np.float32) if isinstance(values, list) else values
        except ValueError as error:
            raise ValueError(f"{place} holds something that is not a number ({error}).") from error
    if not np.isfinite(vector).all():
        raise ValueError(f"{place}, the vector of {term!r}, holds values that are not finite.")
    return vector


def _check_form(form: str) -> None:
    if form not in FORMS:
        raise ValueError(f"`form` must be one of {FORMS}. Received: form={form!r}")


def _parse_header(line: bytes) -> tuple[int, int] | None:
    fields = line.split()
    if len(fields) == 2 and all(field.isdigit() for field in fields) and int(fields[1]):
        return int(fields[0]), int(fields[1])
    return None


def _next_is_text(content: IO[bytes]) -> bool:
    """Whether the values behind the next term are digits; the bytes of float32 values are hardly ever."""
    head = content.peek(1)[:1000]
    line = head.lstrip(b"\n").partition(b"\n")[0]
    # A byte of a value may look like the end of a line, with few or none before it: what follows tells.
    digits = not line.partition(b" ")[2].translate(None, _NUMBER_BYTES)
    return digits and head.translate(None, _CONTROLS) == head


def _lines(content: IO[bytes], dimension: int, start: int) -> Iterator[tuple[int, bytes]]:
    """Yields number and line. A line that is far too long is not read to its end, which may be gigabytes away."""
    limit = _MAX_TERM_BYTES + 64 * dimension
    for number in itertools.count(start):
        line = content.readline(limit)
        if not line:
            return
        if len(line) == limit and not line.endswith(b"\n"):
            raise ValueError(f"line {number} is longer than a vector of {dimension} values can be.")
        yield number, line


def _text_rows(lines: Iterable[tuple[int, bytes]], dimension: int) -> Iterator[tuple[str, str, list[bytes]]]:
    """Yields place, term and the values' digits."""
    for number, line in lines:
        fields = line.strip(b" \t\r\n").replace(b"\t", b" ").rsplit(b" ", dimension)
        if fields == [b""]:
            continue
        # A term may hold spaces (". . ."), but a number at its end is one value too many.
        if len(fields) != dimension + 1 or (b" " in fields[0] and _is_number(fields[0].rsplit(b" ", 1)[1])):
            found = line.strip(b" \t\r\n").count(b" ")
            hint = "" if line.endswith(b"\n") else " It is the last line; is the file truncated?"
            raise ValueError(f"line {number} holds {found} values instead of {dimension}.{hint}")
        yield f"line {number}", _decode_term(fields[0].replace(b" ", b"_"), f"line {number}"), fields[1:]


def _binary_rows(content: IO[bytes], dimension: int) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yields place, term and values, a view of a block of the file."""
    number = position = 0
    buffer = b""
    while block := content.read(_BLOCK_BYTES):
        buffer = buffer[position:] + block
        position = 0
        while (space := buffer.find(b" ", position, position + _MAX_TERM_BYTES)) >= 0:
            end = space + 1 + 4 * dimension
            if end > len(buffer):
                break
            number += 1
            # Some writers end a row by a line end and some do not.
            term = _decode_term(buffer[position:space].lstrip(b"\n"), f"row {number}")
            yield f"row {number}", term, np.frombuffer(buffer, "<f4", dimension, space + 1)
            position = end
        if space < 0 and len(buffer) - position > _MAX_TERM_BYTES:
            raise ValueError(f"row {number + 1} does not begin with a term; its dimension may not be {dimension}.")
    if buffer[position:].strip(b"\r\n"):
        raise ValueError(f"row {number + 1} is incomplete; is the file truncated?")


def _decode_term(term: bytes, place: str) -> str:
    try:
        return term.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"the term of {place} is not UTF-8: {term[:80]!r}.") from error


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _with_progress(rows: Iterable, disk: IO[bytes], size: int, progress: Callable[[int, int], None]) -> Iterator:
    for number, row in enumerate(rows):
        if number % _PROGRESS_ROWS == 0:
            progress(disk.tell(), size)
        yield row
    progress(size, size)


def _counted(rows: Iterable, count: int | None) -> Iterator:
    """Yields the rows, then holds their number against that of the first line."""
    number = 0
    for number, row in enumerate(rows, start=1):  # noqa: B007
        yield row
    if count is not None and number != count:
        raise ValueError(f"line 1 says {count} vectors, but there are {number}; is the file truncated?")


def _collect(
    rows: Iterable[tuple[str, str, list[bytes] | np.ndarray]], dimension: int, wanted: set[str] | None
) -> tuple[list[str], np.ndarray, int]:
    """Gives terms, vectors, and the number of repeated terms."""
    index: dict[str, int] = {}
    # Grows with what is there: the number of vectors in the first line may be wrong.
    vectors = np.empty((max(1, min(1024, _BLOCK_BYTES // dimension)), dimension), np.float32)
    num_repeated = 0
    for place, term, values in rows:
        if wanted is not None and term not in wanted:
            continue
        if term in index:
            num_repeated += 1
            continue
        if len(index) == len(vectors):
            vectors.resize((2 * len(vectors), dimension), refcheck=False)
        vectors[len(index)] = parse_values(place, term, values)
        index[term] = len(index)
    vectors.resize((len(index), dimension), refcheck=False)
    return list(index), vectors, num_repeated
