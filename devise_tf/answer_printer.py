"""Answers about photos on the standard output, as a table, lines of JSON or CSV."""

import csv
import json
import sys
import time
from collections.abc import Mapping, Sequence
from io import TextIOWrapper
from typing import TYPE_CHECKING, cast

from devise_tf.labels.label_set import LabelSet
from devise_tf.labels.label_table import LabelTable

if TYPE_CHECKING:
    from devise_tf.models.predictor import Answer

_FIELDS = ("file", "rank", "label", "score", "id", "error")
# Where nobody looks at a bar, a list of so many photos is worth a line now and then.
_LONG_LIST, _SECONDS = 1000, 30
_MAX_LISTED = 20


class AnswerPrinter:
    """Prints answers and failures as they come, with a progress bar between them where one looks at a terminal.

    Args:
        form: `"table"`, `"json"` or `"csv"`.
        total: Number of photos.

    Attributes:
        failed: Whether any photo was not answered.
    """

    def __init__(self, form: str, total: int):
        self.form, self.total, self.failed = form, total, False
        self.done, self.start = 0, time.monotonic()
        self.shown, self.width = self.start, 0
        self.terminal = sys.stderr.isatty()
        out, err = cast(TextIOWrapper, sys.stdout), cast(TextIOWrapper, sys.stderr)
        if form != "table":
            out.reconfigure(encoding="utf-8", newline="\n")
        # A file's name may hold what no encoding has.
        out.reconfigure(errors="backslashreplace")
        err.reconfigure(errors="backslashreplace")
        if form == "csv":
            self.csv = csv.writer(sys.stdout, lineterminator="\n")
            self.csv.writerow(_FIELDS)

    def answer(self, name: str, answers: "Sequence[Answer]") -> None:
        """Prints a photo's answers, the best first."""
        if self.form == "table":
            labels = [answer.label for answer in answers]
            # Labels may share their first term: "crane", the bird and the machine.
            texts = [f"{a.label} ({a.id})" if labels.count(a.label) > 1 else a.label for a in answers]
            width = max(map(len, texts))
            lines = (f"  {text:<{width}}  {a.score:7.3f}" for text, a in zip(texts, answers, strict=True))
            print("\n".join([name, *lines]))
        elif self.form == "json":
            entries = [{"label": a.label, "score": _short(a.score), "id": a.id} for a in answers]
            print(json.dumps({"file": name, "labels": entries}, ensure_ascii=False))
        else:
            rows = enumerate(answers, start=1)
            self.csv.writerows([name, rank, a.label, _short(a.score), a.id, ""] for rank, a in rows)

    def fail(self, name: str, message: str) -> None:
        """Says why a photo was not answered."""
        self.failed = True
        sys.stdout.flush()
        print(f"Error: {name}: {message}", file=sys.stderr, flush=True)
        if self.form == "json":
            print(json.dumps({"file": name, "error": message}, ensure_ascii=False))
        elif self.form == "csv":
            self.csv.writerow([name, "", "", "", "", message])

    def progress(self, more: int) -> None:
        """Counts further photos as done, and shows how far all are."""
        sys.stdout.flush()
        self.done += more
        now = time.monotonic()
        rate = self.done / max(now - self.start, 1e-9)
        text = f"{self.done} of {self.total} photos, {rate:.1f} a second"
        if self.terminal and self.done < self.total:
            filled = 30 * self.done // self.total
            text = f"[{'=' * filled}{' ' * (30 - filled)}] {text}"
            self.width = len(text)
            print(f"\r{text}", end="", file=sys.stderr, flush=True)
        elif not self.terminal and self.total >= _LONG_LIST and now - self.shown > _SECONDS:
            self.shown = now
            print(text, file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Removes the bar before something else is printed."""
        if self.width:
            print(f"\r{' ' * self.width}\r", end="", file=sys.stderr, flush=True)
            self.width = 0


def print_ignored(known: LabelTable, labels: Sequence[str] | LabelSet, model: str) -> None:
    """Names the labels that are unknown or repeated."""
    unknown = known.unknown[:_MAX_LISTED]
    if isinstance(labels, LabelSet):  # a label's id may say nothing
        unknown = [f"{label} ({labels.terms[labels.index[label]][0]})" for label in unknown]
    for what, names, count in (
        (f"labels unknown to {model}", unknown, len(known.unknown)),
        ("duplicates", known.repeated[:_MAX_LISTED], len(known.repeated)),
    ):
        if count:
            more = f" and {count - _MAX_LISTED} more" if count > _MAX_LISTED else ""
            print(f"Ignored {what}: {', '.join(names)}{more}", file=sys.stderr, flush=True)


def print_senses(senses: Mapping[str, Sequence[str]]) -> None:
    """Says what names were taken for that have several senses, or one in brackets."""
    for name, named in list(senses.items())[:_MAX_LISTED]:
        several = f"the mean of {', '.join(map(repr, named))}; name one of them for that alone"
        print(f"{name!r} is taken for {several if len(named) > 1 else repr(named[0])}", file=sys.stderr, flush=True)


def _short(score: float) -> float:
    """A score with the digits that float32 has."""
    return float(f"{score:.7g}")
