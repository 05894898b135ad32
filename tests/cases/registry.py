"""The cases, and how one is tried."""

import contextlib
import dataclasses
import io
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Finding:
    """What happened in a case.

    Attributes:
        text: String. What happened, in a few words.
        right: Bool. Whether that is the right answer.
    """

    text: str
    right: bool


@dataclasses.dataclass(frozen=True)
class Case:
    """An input that people really have.

    Attributes:
        id: String. Its name.
        situation: String. What the input is.
        answer: String. What the right answer is.
        function: Function of an empty folder, which makes the input there, and gives a `Finding`.
    """

    id: str
    situation: str
    answer: str
    function: Callable[[Path], Finding]

    def __str__(self) -> str:
        return self.id

    def run(self, folder: Path) -> Finding:
        """Tries the case; an error that it does not expect is a wrong answer."""
        with messages(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            try:
                finding = self.function(folder)
            except Exception as error:
                finding = Finding(f"{type(error).__name__}: {error}", False)
        return Finding(finding.text.replace(f"{folder}/", ""), bool(finding.right))


CASES: dict[str, Case] = {}


def case(name: str, situation: str, answer: str) -> Callable[[Callable[[Path], Finding]], Callable[[Path], Finding]]:
    """Registers a function as a case; the arguments are those of `Case`."""

    def register(function: Callable[[Path], Finding]) -> Callable[[Path], Finding]:
        if name in CASES:
            raise ValueError(f"Cases must have different ids. Received: {name!r}, which is registered already")
        CASES[name] = Case(name, situation, answer, function)
        return function

    return register


@contextlib.contextmanager
def messages() -> Iterator[list[str]]:
    """Collects what is logged and what is warned of, in place of printing it."""
    collected: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: collected.append(record.getMessage())  # type: ignore[method-assign]
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, [handler]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = lambda message, *_: collected.append(str(message))
            yield collected
    finally:
        root.handlers = handlers


def error_of(function: Callable[..., object], *arguments: object) -> str:
    """The message of the `ValueError` that a call must raise, without Keras's colors; empty if it raises none."""
    try:
        function(*arguments)
    except ValueError as error:
        return re.sub(r"\x1b\[\d+m", "", str(error))
    return ""


def write(path: Path, content: str | bytes) -> Path:
    """Writes a file, and the folders that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
