"""What vectors look like in files: word2vec's text and binary form, GloVe's, fastText's models, and `.npz`."""

import dataclasses
import functools
import itertools
import re
from collections.abc import Callable, Container, Iterable, Iterator
from io import BufferedReader
from typing import IO, Any

import numpy as np

from devise_tf.text import fasttext_bin
from devise_tf.text.npz_vectors import load_npz
from devise_tf.text.vector_kinds import no_first_line

BLOCK_BYTES = 1 << 24
_MAX_TERM_BYTES = 1 << 16
_MAX_DIMENSION = 1 << 20
_HEAD_BYTES = 80
_NUMBER_BYTES = b"0123456789+-.eEnaifNAIF \t\r"
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r\v\f"))

# Number, term, and values: digits or a float32 array.
Row = tuple[int, str, list[bytes] | np.ndarray]
# A row as it stands in the file: its number, and what `Form.row` takes.
Item = tuple[Any, ...]


class TruncatedFile(ValueError):
    """The last row of a file is not whole, so that others may be missing."""


@dataclasses.dataclass(frozen=True)
class Form:
    """What vectors look like in a file.

    Attributes:
        dimension: Integer. Length of the vectors.
        unit: String. What rows are numbered as, `"line"` or `"row"`.
        count: Integer. The number of rows that the file says, None if it does not.
        items: Function. Takes the wanted terms, None for all; gives an iterator over all rows as they stand in the
            file, of which those of other terms may lack their values.
        row: Function. Makes a `Row` of an item; raises a `ValueError` if that cannot be read.
    """

    dimension: int
    unit: str
    count: int | None
    items: Callable[[Container[str] | None], Iterable[Item]]
    row: Callable[..., Row]


def npz_form(path: str) -> Form:
    terms, vectors, _ = load_npz(path)
    items = ((i, *row) for i, row in enumerate(zip(terms, vectors, strict=True), start=1))
    return Form(vectors.shape[1], "row", None, lambda _: items, _npz_row)


def _npz_row(number: int, term: str, vector: np.ndarray) -> Row:
    return number, _checked_term(term, "row", number), vector


def form_of(content: BufferedReader, form: str | None, size: int | None) -> Form:
    """The form of an open file; `size` is that of its content, None if not known."""
    if form is None and content.peek(len(fasttext_bin.MAGIC)).startswith(fasttext_bin.MAGIC):
        return _fasttext_form(content, size)
    first = content.readline(BLOCK_BYTES).removeprefix(b"\xef\xbb\xbf")
    if not first:
        raise ValueError("the file is empty.")
    if form is None:
        binary = _parse_header(first) is not None and not _next_is_text(content)
        form = "word2vec_binary" if binary else "word2vec_text" if _parse_header(first) else "glove"
    count, dimension = _size(first, content.peek(_HEAD_BYTES), form)
    # A row holds a term of a byte at least, and four bytes a value, or a space and a digit.
    least = 2 + (4 if form == "word2vec_binary" else 2) * dimension
    if size is not None and count and least > size:
        raise ValueError(
            f"line 1 says that the dimension is {dimension}, so a row needs {least} bytes or more, but the file has "
            f"{size}."
        )
    if form == "word2vec_binary":
        return Form(dimension, "row", count, lambda _: _binary_items(content, dimension), _binary_row)
    lines = _lines(content, dimension, 2)
    items = itertools.chain([(1, first)], lines) if form == "glove" else lines
    return Form(dimension, "line", count, lambda _: items, functools.partial(_text_row, dimension))


def _fasttext_form(content: BufferedReader, size: int | None) -> Form:
    model = fasttext_bin.read_model(content, size, _MAX_DIMENSION)

    def items(wanted: Container[str] | None) -> Iterator[Item]:
        chosen = [i for i, word in enumerate(model.words) if wanted is None or _is_wanted(word, wanted)]
        vectors = iter(fasttext_bin.word_vectors(model, np.array(chosen)) if chosen else ())
        is_chosen = set(chosen)
        for i, word in enumerate(model.words):
            yield i + 1, word, next(vectors) if i in is_chosen else np.zeros(0, np.float32)

    return Form(model.dimension, "row", None, items, _binary_row)


def _size(first: bytes, rest: bytes, form: str) -> tuple[int | None, int]:
    """The number of vectors, if the first line says it, and their dimension; `rest` is what comes next."""
    header, count = _parse_header(first), None
    if form == "glove":
        values = first.strip().replace(b"\t", b" ").split(b" ")[1:]
        dimension = len(values)
        if not values or len(first) == BLOCK_BYTES or not all(map(_is_number, values)):
            raise no_first_line(first[:_HEAD_BYTES] + rest[:_HEAD_BYTES])
    elif header is None:
        raise ValueError(f"line 1 must hold the number of vectors and their dimension, not {first[:80]!r}.")
    else:
        count, dimension = header
    if dimension > _MAX_DIMENSION:
        raise ValueError(f"a dimension of {dimension} is beyond the {_MAX_DIMENSION} that can be read.")
    return count, dimension


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


def _is_wanted(term: bytes, wanted: Container[str]) -> bool:
    try:
        return _term(term, "row", 0) in wanted
    except ValueError:
        return False


def _lines(content: IO[bytes], dimension: int, start: int) -> Iterator[tuple[int, bytes]]:
    """Yields number and line, but for blank ones. A line that is far too long is not read to its end."""
    limit = _MAX_TERM_BYTES + 64 * dimension
    for number in itertools.count(start):
        line = content.readline(limit)
        if not line:
            return
        if len(line) == limit and not line.endswith(b"\n"):
            raise ValueError(f"line {number} is longer than a vector of {dimension} values can be.")
        if not line.isspace():
            yield number, line


def _text_row(dimension: int, number: int, line: bytes) -> Row:
    fields = line.strip(b" \t\r\n").replace(b"\t", b" ").rsplit(b" ", dimension)
    # A term may hold spaces (". . ."), but a number at its end is one value too many.
    if len(fields) != dimension + 1 or (b" " in fields[0] and _is_number(fields[0].rsplit(b" ", 1)[1])):
        count = line.strip(b" \t\r\n").count(b" ")
        message = f"line {number} holds {count} values instead of {dimension}"
        if line.endswith(b"\n"):
            raise ValueError(f"{message}: {line[:40]!r}.")
        raise TruncatedFile(f"{message}. It is the last line; is the file truncated?")
    return number, _term(fields[0], "line", number), fields[1:]


def _binary_items(content: IO[bytes], dimension: int) -> Iterator[tuple[int, bytes, np.ndarray]]:
    """Yields number, term and values, a view of a block of the file."""
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
            yield number, buffer[position:space].lstrip(b"\n"), np.frombuffer(buffer, "<f4", dimension, space + 1)
            position = end
        if space < 0 and len(buffer) - position > _MAX_TERM_BYTES:
            raise ValueError(f"row {number + 1} does not begin with a term; its dimension may not be {dimension}.")
    if buffer[position:].strip(b"\r\n"):
        raise ValueError(f"row {number + 1} is incomplete; is the file truncated?")


def _binary_row(number: int, term: bytes, values: np.ndarray) -> Row:
    return number, _term(term, "row", number), values


def _term(term: bytes, unit: str, number: int) -> str:
    try:
        text = term.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"the term of {unit} {number} is not UTF-8: {term[:80]!r}.") from error
    return text if text.isalnum() else _checked_term(text, unit, number)


def _checked_term(term: str, unit: str, number: int) -> str:
    """A term, with "_" for white space in it."""
    if term.split() != [term]:
        if not term or term.isspace():
            raise ValueError(f"the term of {unit} {number} is nothing but white space: {term!r}.")
        term = re.sub(r"\s", "_", term)
    if term[0] == "\ufeff":
        raise ValueError(f"the term of {unit} {number} begins with a byte-order mark: {term[:80]!r}.")
    return term


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True
