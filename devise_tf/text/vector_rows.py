"""The rows of vector files in the text and binary forms of word2vec, GloVe's form, and `.npz`."""

import contextlib
import dataclasses
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from io import BufferedReader
from typing import IO

import numpy as np

from devise_tf.choices import VECTOR_FORMS
from devise_tf.files import DECOMPRESSION_ERRORS, open_compressed
from devise_tf.text.npz_vectors import find_vectors, load_npz

BLOCK_BYTES = 1 << 24
_MAX_TERM_BYTES = 1 << 16
_MAX_DIMENSION = 1 << 20
_PROGRESS_ROWS = 5000
_NUMBER_BYTES = b"0123456789+-.eEnaifNAIF \t\r"
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r\v\f"))

Progress = Callable[[int, int], None]
# Position ("line 7"), term, and values: digits or a float32 array, see `parse_values`.
Row = tuple[str, str, list[bytes] | np.ndarray]


@dataclasses.dataclass(frozen=True)
class VectorRows:
    """An open vector file.

    Attributes:
        form: String. One of the forms of `save_vectors`.
        dimension: Integer. Length of the vectors.
        rows: Iterator over `Row`s.
    """

    form: str
    dimension: int
    rows: Iterator[Row]


@contextlib.contextmanager
def open_rows(
    path: str | os.PathLike, form: str | None = None, progress: Progress | None = None
) -> Iterator[VectorRows]:
    """Opens a vector file to go through it row by row; arguments and errors are those of `load_vectors`."""
    if form is not None:
        check_form(form)
    path = find_vectors(path)
    content, disk = open_compressed(path)
    with disk, content:
        try:
            if form == "npz" or (form is None and disk is content and content.peek(4).startswith(b"PK\x03\x04")):
                yield _npz_rows(path)
                return
            first = content.readline(BLOCK_BYTES).removeprefix(b"\xef\xbb\xbf")
            if not first:
                raise ValueError("the file is empty.")
            if form is None:
                binary = _parse_header(first) is not None and not _next_is_text(content)
                form = "word2vec_binary" if binary else "word2vec_text" if _parse_header(first) else "glove"
            yield _stream_rows(content, disk, form, first, progress)
        except (ValueError, *DECOMPRESSION_ERRORS) as error:
            raise ValueError(f"Cannot load vectors: {error} Received: {path=}, {form=}") from error


def _npz_rows(path: str) -> VectorRows:
    terms, vectors, _ = load_npz(path)
    rows = ((f"row {i}", *row) for i, row in enumerate(zip(terms, vectors, strict=True), start=1))
    return VectorRows("npz", vectors.shape[1], rows)


def _stream_rows(
    content: BufferedReader, disk: BufferedReader, form: str, first: bytes, progress: Progress | None
) -> VectorRows:
    """The rows of an open file behind its first line; `content` is `disk` itself where it is not compressed."""
    count, dimension = _size(first, form)
    size = os.fstat(disk.fileno()).st_size
    # A row holds a term of a byte at least, and four bytes a value, or a space and a digit.
    least = 2 + (4 if form == "word2vec_binary" else 2) * dimension
    if disk is content and count and least > size:
        raise ValueError(
            f"line 1 says that the dimension is {dimension}, so a row needs {least} bytes or more, but the file has "
            f"{size}."
        )
    rows: Iterator[Row]
    if form == "word2vec_binary":
        rows = _binary_rows(content, dimension)
    else:
        lines = _lines(content, dimension, 2)
        rows = _text_rows(itertools.chain([(1, first)], lines) if form == "glove" else lines, dimension)
    if progress is not None:
        rows = _with_progress(rows, disk, size, progress)
    return VectorRows(form, dimension, _counted(rows, count))


def _size(first: bytes, form: str) -> tuple[int | None, int]:
    """The number of vectors, if the first line says it, and their dimension."""
    header, count = _parse_header(first), None
    if form == "glove":
        dimension = first.strip().replace(b"\t", b" ").count(b" ")
        if not dimension or len(first) == BLOCK_BYTES:
            raise ValueError(f"line 1 holds no vector: {first[:80]!r}.")
    elif header is None:
        raise ValueError(f"line 1 must hold the number of vectors and their dimension, not {first[:80]!r}.")
    else:
        count, dimension = header
    if dimension > _MAX_DIMENSION:
        raise ValueError(f"a dimension of {dimension} is beyond the {_MAX_DIMENSION} that can be read.")
    return count, dimension


def parse_values(position: str, term: str, values: list[bytes] | np.ndarray) -> np.ndarray:
    """The float32 vector of a row of `open_rows`.

    Raises:
        ValueError: A value is not a finite number.
    """
    # A value beyond float32 becomes infinite.
    with np.errstate(over="ignore"):
        try:
            vector = np.array(list(map(float, values)), np.float32) if isinstance(values, list) else values
        except ValueError as error:
            raise ValueError(f"{position} holds something that is not a number ({error}).") from error
    if not np.isfinite(vector).all():
        raise ValueError(f"{position}, the vector of {term!r}, holds values that are not finite.")
    return vector


def check_form(form: str) -> None:
    if form not in VECTOR_FORMS:
        raise ValueError(f"`form` must be one of {VECTOR_FORMS}. Received: form={form!r}")


def _parse_header(line: bytes) -> tuple[int, int] | None:
    fields = line.split()
    if len(fields) == 2 and all(field.isdigit() for field in fields) and int(fields[1]):
        return int(fields[0]), int(fields[1])
    return None


def _next_is_text(content: BufferedReader) -> bool:
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
    """Yields position, term and the values' digits."""
    for number, line in lines:
        fields = line.strip(b" \t\r\n").replace(b"\t", b" ").rsplit(b" ", dimension)
        if fields == [b""]:
            continue
        # A term may hold spaces (". . ."), but a number at its end is one value too many.
        if len(fields) != dimension + 1 or (b" " in fields[0] and _is_number(fields[0].rsplit(b" ", 1)[1])):
            count = line.strip(b" \t\r\n").count(b" ")
            hint = "" if line.endswith(b"\n") else " It is the last line; is the file truncated?"
            raise ValueError(f"line {number} holds {count} values instead of {dimension}.{hint}")
        yield f"line {number}", _decode_term(fields[0].replace(b" ", b"_"), f"line {number}"), fields[1:]


def _binary_rows(content: IO[bytes], dimension: int) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yields position, term and values, a view of a block of the file."""
    number = position = 0
    buffer = b""
    while block := content.read(BLOCK_BYTES):
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


def _decode_term(term: bytes, position: str) -> str:
    try:
        return term.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"the term of {position} is not UTF-8: {term[:80]!r}.") from error


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
