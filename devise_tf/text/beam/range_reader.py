"""Ranges of bytes of the corpus's files, and the words of the lines that begin in them."""

import functools
import io
from collections.abc import Iterator
from typing import IO, Any

from devise_tf.files import DECOMPRESSION_ERRORS, MAGIC_BYTES, decompressor
from devise_tf.text.beam.beam_files import open_file
from devise_tf.text.beam.sdk import beam
from devise_tf.text.corpus import read_lines, split_at_markers
from devise_tf.text.tokenizer import Tokenizer


def corpus_ranges(pipeline: beam.Pipeline, files, range_bytes: int) -> beam.PCollection:
    return (
        pipeline
        | "Files" >> beam.Create(files)
        | "SpreadFiles" >> beam.Reshuffle()
        | "Split" >> beam.FlatMap(functools.partial(_split, range_bytes=range_bytes))
        | "SpreadRanges" >> beam.Reshuffle()
    )


def _split(file: tuple[int, str, int], range_bytes: int) -> Iterator[tuple[int, str, int, int]]:
    """Yields `(file's number, path, start, end)`."""
    number, path, size = file
    with open_file(path) as handle:
        if _decompress(handle, path) is not handle:
            yield number, path, 0, size
            return
    for start in range(0, size, range_bytes):
        yield number, path, start, min(start + range_bytes, size)


class RangeReader:
    """The words of each line that begins in a range of a file, and a report of what was read.

    Faults of the text are reported and not raised: a runner would only try again.
    """

    def __init__(self, piece: tuple[int, str, int, int], tokenizer: Tokenizer):
        self._piece, self._tokenizer = piece, tokenizer
        number, _, start, end = piece
        self.report: dict[str, Any] = {"file": number, "start": start, "end": end, "error": None}
        self.report |= {"lines": 0, "words": 0, "invalid": 0, "first_invalid": 0}

    def __iter__(self) -> Iterator[list[str]]:
        _, path, start, end = self._piece
        report = self.report
        try:
            with open_file(path) as handle:
                content = _decompress(handle, path)
                if content is handle:
                    content = _lines_from(handle, start, end)
                for number, line in enumerate(read_lines(content), start=1):
                    if number == 1 and start == 0 and line.startswith((b"\xff\xfe", b"\xfe\xff")):
                        report["error"] = "A corpus must be UTF-8 and this file is UTF-16; convert it."
                        return
                    line = split_at_markers(line)
                    try:
                        text = line.decode("utf-8")
                    except UnicodeDecodeError:
                        text = line.decode("utf-8", errors="replace")
                        report["invalid"] += 1
                        report["first_invalid"] = report["first_invalid"] or number
                    report["lines"] = number
                    for words in filter(None, map(self._tokenizer.tokenize, text.split("\n"))):
                        report["words"] += len(words)
                        yield words
        except DECOMPRESSION_ERRORS as error:
            report["error"] = f"A compressed file is damaged or truncated ({error}); fetch it again or leave it out."


def _decompress(handle: IO[bytes], path: str) -> IO[bytes]:
    """The content of a file, which is `handle` itself where it is plain; see `files.decompressor`."""
    decompress = decompressor(handle.read(MAGIC_BYTES), path)
    handle.seek(0)
    return decompress(handle) if decompress else handle


def _lines_from(handle: IO[bytes], start: int, end: int) -> IO[bytes]:
    """The lines of a plain file that begin at `start` or behind it and before `end`."""
    first = _line_start(handle, start, end)
    last = max(first, _line_start(handle, end)) if first < end else first
    handle.seek(first)
    return io.BufferedReader(_Slice(handle, last - first), 1 << 20)


def _line_start(handle: IO[bytes], position: int, limit: int | None = None) -> int:
    """Where the first line begins that does not begin before `position`; not sought beyond `limit`."""
    if position == 0:
        return 0
    position -= 1
    handle.seek(position)
    while limit is None or position < limit:
        piece = handle.readline(1 << 20)
        position += len(piece)
        if not piece or piece.endswith(b"\n"):
            break
    return position


class _Slice(io.RawIOBase):
    """The next `size` bytes of another file."""

    def __init__(self, handle: IO[bytes], size: int):
        self._handle, self._size = handle, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        data = self._handle.read(min(len(buffer), self._size))
        buffer[: len(data)] = data
        self._size -= len(data)
        return len(data)
