"""Text files and TFDS text sets as a stream of lines."""

import codecs
import glob
import io
import logging
import os
import re
from collections.abc import Callable, Iterator
from typing import IO

from devise_tf.files import DECOMPRESSION_ERRORS, open_compressed
from devise_tf.text.tokenizer import WORDS, Tokenizer
from devise_tf.tfds_sets import prepared_builder

_MAX_LINE_BYTES = 1 << 20
_PROGRESS_BYTES = 4 << 20
MAX_INVALID_SHARE = 0.01
_WIKI40B_MARKERS = re.compile(rb"_(?:START_ARTICLE|START_SECTION|START_PARAGRAPH|NEWLINE)_")
_TFDS_PREFIX = "tfds:"

Progress = Callable[[int, int | None], None]


class Corpus:
    """A text corpus: files, or a TFDS set with a `"text"` feature, read lazily in blocks of lines.

    Files may be compressed by gzip, bzip2 or xz. Memory is bounded: lines longer than 1 MiB are cut at a space. Blank
    lines are left out. A byte-order mark and `\\r\\n` line ends are removed. Bytes that are not UTF-8 are replaced by
    U+FFFD, which separates words. The markers of wiki40b (`_START_ARTICLE_`, `_NEWLINE_`, …) become line ends.

    Args:
        pattern: String. Either one or more globs, separated by commas (`"wiki/*.txt.gz,books/**/*.xz"`), each of which
            must match at least one file; or `"tfds:NAME[/CONFIG][:SPLIT]"`, such as `"tfds:wiki40b/en:train"`, whose
            split is `train` if not given.
        data_dir: String, optional. The TFDS folder, for `tfds:` only.
        tokenizer: `Tokenizer`. The rule by which the text becomes words.

    Attributes:
        size_bytes: Integer or None. Size on disk, of compressed files as they are; of a TFDS set as far as it is
            known, else `None`.
        invalid_lines: Dict. After reading: file -> number of lines that held bytes other than UTF-8.

    Raises:
        ValueError: Nothing matched, every file is empty, or the TFDS set is not available. While reading: no line with
            text in the whole corpus, a damaged or truncated compressed file, UTF-16, more than 1 % of the lines of a
            file holding bytes other than UTF-8, or a file that has changed since the `Corpus` was made, so that two
            passes over it (counting and encoding) cannot have seen different text.

    Example:

    >>> for line in Corpus("text/*.txt").lines():
    ...     print(tokenize(line))
    """

    def __init__(self, pattern: str, data_dir: str | None = None, tokenizer: Tokenizer = WORDS):
        if not isinstance(pattern, str) or not pattern.strip(", "):
            raise ValueError(f"`pattern` must be globs or 'tfds:NAME'. Received: pattern={pattern!r}")
        self.pattern = pattern
        self.data_dir = data_dir
        self.tokenizer = tokenizer
        self.invalid_lines: dict[str, int] = {}
        self.files: list[str] = []
        if pattern.startswith(_TFDS_PREFIX):
            self._builder, self._split = _prepare_tfds(pattern, data_dir)
            split = self._builder.info.splits[self._split]
            self.size_bytes: int | None = getattr(split, "num_bytes", None) or None
        else:
            self.files = _match_files(pattern)
            self.size_bytes = sum(os.path.getsize(path) for path in self.files)
            if not self.size_bytes:
                raise ValueError(f"The corpus is empty: each of its {len(self.files)} files is. Received: {pattern=}")
        self._opened = self.fingerprint()

    def lines(self, progress: Progress | None = None) -> Iterator[str]:
        """Reads the corpus from its beginning.

        Args:
            progress: Function, optional. Called with `(bytes_read, size_bytes)` about every 4 MiB and at the end.

        Yields:
            Lines that are not blank, without their line ends.
        """
        for block in self.blocks(progress):
            for line in block.decode("utf-8", errors="replace").split("\n"):
                if line and not line.isspace():
                    yield line.rstrip("\r")

    def blocks(self, progress: Progress | None = None) -> Iterator[bytes]:
        """Reads the corpus from its beginning in blocks of up to 1 MiB, which is much faster than by line.

        Args:
            progress: Function. As for `lines`.

        Yields:
            Whole lines as they are in the files but for markers, blank ones and bytes other than UTF-8 included; each
            ends with `b"\\n"`, also where the file's last line does not.
        """
        self.invalid_lines = {}
        blank = True
        for block in _join_blocks(self._file_blocks(progress) if self.files else self._tfds_blocks(progress)):
            blank = blank and block.isspace()
            yield block
        if blank:
            raise ValueError(f"The corpus is empty: it holds only blank lines. Received: pattern={self.pattern!r}")
        if self.fingerprint() != self._opened:
            raise ValueError(f"The text has changed since it was opened; start again. Received: {self.pattern!r}")

    def fingerprint(self) -> list:
        """What tells this corpus from another: `[name, size, time of modification in ns]` of each file.

        For a TFDS set it is one entry: its full name with version, its split, and its number of documents.

        Returns:
            A list that JSON keeps unchanged.
        """
        if not self.files:
            info = self._builder.info
            return [[info.full_name, self._split, info.splits[self._split].num_examples]]
        stats = [os.stat(path) for path in self.files]
        return [
            [os.path.abspath(path), stat.st_size, stat.st_mtime_ns]
            for path, stat in zip(self.files, stats, strict=True)
        ]

    def _file_blocks(self, progress: Progress | None) -> Iterator[bytes]:
        done = 0
        for path in self.files:
            content, disk = open_compressed(path)
            with disk, content:
                try:
                    position = reported = 0
                    for block in _check(_read_blocks(content), path, self.invalid_lines):
                        yield split_at_markers(block)
                        position += len(block)
                        if progress is not None and position - reported >= _PROGRESS_BYTES:
                            reported = position
                            progress(done + disk.tell(), self.size_bytes)
                except DECOMPRESSION_ERRORS as error:
                    raise ValueError(
                        f"A compressed file is damaged or truncated ({error}); fetch it again or leave it out. "
                        f"Received: {path}"
                    ) from error
            done += os.path.getsize(path)
        if progress is not None:
            progress(done, self.size_bytes)

    def _tfds_blocks(self, progress: Progress | None) -> Iterator[bytes]:
        position = 0

        def documents() -> Iterator[bytes]:
            nonlocal position
            reported = 0
            dataset = self._builder.as_dataset(split=self._split, shuffle_files=False)
            for example in dataset.as_numpy_iterator():
                text = example["text"]
                yield from _read_blocks(io.BytesIO(split_at_markers(text)))
                position += len(text)
                if progress is not None and position - reported >= _PROGRESS_BYTES:
                    reported = position
                    progress(position, self.size_bytes)

        yield from _check(documents(), self.pattern, self.invalid_lines)
        if progress is not None:
            progress(position, self.size_bytes)


def _match_files(pattern: str) -> list[str]:
    if os.path.isfile(pattern):  # A file whose name holds a comma or a bracket.
        return [pattern]
    files: dict[str, None] = {}
    for piece in filter(None, map(str.strip, pattern.split(","))):
        matches = [piece] if os.path.isfile(piece) else sorted(filter(os.path.isfile, glob.glob(piece, recursive=True)))
        if not matches:
            hint = f" It is a folder; its files are {os.path.join(piece, '*')!r}." if os.path.isdir(piece) else ""
            raise ValueError(f"No corpus file matches {piece!r}.{hint} Received: pattern={pattern!r}")
        files.update(dict.fromkeys(matches))
    return list(files)


def _prepare_tfds(pattern: str, data_dir: str | None):
    """The builder and the split of a TFDS set, which is downloaded if necessary."""
    import tensorflow_datasets as tfds

    name, _, split = pattern[len(_TFDS_PREFIX) :].partition(":")
    split = split or "train"
    builder = prepared_builder(name, data_dir)
    features = builder.info.features
    names = list(features) if isinstance(features, tfds.features.FeaturesDict) else []
    if "text" not in names:
        raise ValueError(f"The TFDS set {name!r} has no feature 'text', only {names}. Received: pattern={pattern!r}")
    try:
        builder.info.splits[split]
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"The TFDS set {name!r} has no split {split!r}, only {list(builder.info.splits)}. "
            f"Received: pattern={pattern!r}"
        ) from error
    return builder, split


def _read_blocks(content: IO[bytes]) -> Iterator[bytes]:
    """Yields whole lines; one longer than the limit in pieces that end behind a space or, without one, a character."""
    rest = b""
    while True:
        piece = content.read(_MAX_LINE_BYTES - len(rest))
        block = rest + piece
        if not block:
            return
        cut = block.rfind(b"\n", len(rest)) + 1
        if not cut and len(block) >= _MAX_LINE_BYTES:
            cut = block.rfind(b" ") + 1
            if not cut:
                cut = len(block)
                # The first byte of a character is not of the form 10xxxxxx.
                while cut > len(block) - 4 and block[cut - 1] & 0xC0 == 0x80:
                    cut -= 1
                cut = cut - 1 if block[cut - 1] >= 0xC0 else len(block)
        elif not piece:
            cut = len(block)
        rest = block[cut:]
        if cut:
            yield block[:cut] if block[cut - 1] == ord("\n") else block[:cut] + b"\n"


def read_lines(content: IO[bytes]) -> Iterator[bytes]:
    """Yields the lines of `_read_blocks`, without line ends."""
    for block in _read_blocks(content):
        yield from block[:-1].split(b"\n")


def split_at_markers(text: bytes) -> bytes:
    """Gives text in which the markers of wiki40b are line ends; neither whole lines nor a cut at a space cut one."""
    # Most text has no underscore; to look for one takes a tenth of the regular expression's time.
    return _WIKI40B_MARKERS.sub(b"\n", text) if b"_" in text else text


def _join_blocks(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Makes blocks of a good size out of small ones."""
    joined: list[bytes] = []
    size = 0
    for block in blocks:
        if size + len(block) > _MAX_LINE_BYTES and joined:
            yield b"".join(joined)
            joined, size = [], 0
        joined.append(block)
        size += len(block)
    if joined:
        yield b"".join(joined)


def _check(blocks: Iterator[bytes], name: str, invalid_lines: dict[str, int]) -> Iterator[bytes]:
    """Removes the byte-order mark, and counts the lines that are not UTF-8."""
    number = invalid = first_invalid = 0
    for block in blocks:
        if number == 0:
            if block.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise ValueError(f"A corpus must be UTF-8 and this file is UTF-16; convert it. Received: {name}")
            block = block.removeprefix(b"\xef\xbb\xbf")
        if not _is_utf8(block):
            bad = [i for i, line in enumerate(block.split(b"\n"), start=number + 1) if not _is_utf8(line)]
            invalid += len(bad)
            first_invalid = first_invalid or bad[0]
        number += block.count(b"\n")
        yield block
    if invalid:
        invalid_lines[name] = invalid
        summary = f"{invalid} of {number} lines hold bytes that are not UTF-8, the first is line {first_invalid}"
        if invalid > MAX_INVALID_SHARE * number:
            raise ValueError(f"A corpus must be UTF-8, but {summary}; convert the file. Received: {name}")
        logging.getLogger(__name__).warning("%s: %s; these bytes were replaced.", name, summary)


def _is_utf8(text: bytes) -> bool:
    if text.isascii():
        return True
    # In small pieces: large strings of ever different sizes would leave holes in the heap, which grows by them.
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(text), 1 << 16):
            decoder.decode(text[start : start + (1 << 16)])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
