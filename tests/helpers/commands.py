"""Commands called in this process, with what they printed."""

import contextlib
import io
from collections.abc import Callable
from typing import NamedTuple


class Outcome(NamedTuple):
    status: int
    out: str
    err: str


class Stream(io.TextIOWrapper):
    """A standard output or error that keeps what is written."""

    def __init__(self):
        super().__init__(io.BytesIO(), encoding="utf-8", newline="", write_through=True)

    def text(self) -> str:
        self.flush()
        return self.buffer.getvalue().decode("utf-8")


def call(run: Callable[[list[str]], int], *arguments: object) -> Outcome:
    """Runs a command's `run` with these arguments."""
    out, err = Stream(), Stream()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = run([str(argument) for argument in arguments])
    return Outcome(status, out.text(), err.text())
