"""Text files of labels, ids and hierarchies."""

import os
from collections.abc import Iterator


def read_text(path: str | os.PathLike) -> str:
    """The text of a UTF-8 file, with its line ends as they are.

    Raises:
        ValueError: It is not UTF-8.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            return file.read()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be UTF-8 text; save it in that encoding. Received: {error}") from error


def read_lines(path: str | os.PathLike) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 text file that are not blank, each with its number from 1."""
    for number, line in enumerate(read_text(path).replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        if line.strip():
            yield number, line


def empty_file(path: str | os.PathLike, expected: str) -> str:
    return f"{path} holds no labels; expected {expected}. Received: path={os.fspath(path)!r}"
