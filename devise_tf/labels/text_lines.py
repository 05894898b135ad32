"""Text files of labels, ids and hierarchies."""

import os
import re
import unicodedata
from collections.abc import Iterator


def read_text(path: str | os.PathLike) -> str:
    """The text of a UTF-8 file in Unicode's composed form (NFC), with its line ends as they are.

    Names that macOS writes have letters and their accents apart; people type them as one character.

    Raises:
        ValueError: It is not UTF-8.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            return unicodedata.normalize("NFC", file.read())
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be UTF-8 text; save it in that encoding. Received: {error}") from error


def read_lines(path: str | os.PathLike) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 text file that are not blank, each with its number from 1."""
    return lines_of(read_text(path))


def lines_of(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a text that are not blank, each with its number from 1; they end by LF, CR LF or CR."""
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1):
        if line.strip():
            yield number, line


def empty_file(path: str | os.PathLike, expected: str) -> str:
    return f"{path} holds no labels; expected {expected}. Received: path={os.fspath(path)!r}"
