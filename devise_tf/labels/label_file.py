"""Reads lists of labels in the forms in which people have them."""

import collections
import csv
import dataclasses
import io
import os
from collections.abc import Sequence

from devise_tf.labels.label_rows import (
    Cells,
    LabelRows,
    Row,
    label_problem,
    rows_of_lines,
    rows_of_table,
    term_of_id,
)
from devise_tf.labels.label_structures import is_structure, rows_of_structure
from devise_tf.labels.text_lines import empty_file, lines_of, read_text


@dataclasses.dataclass(frozen=True)
class LabelFile:
    """A list of labels as it was read.

    Attributes:
        path: String. The file.
        ids: List of str. The ids of its labels.
        terms: List of lists of str. Their terms.
        form: String. What the file was taken for.
        repeated: List of str. Labels that it has several times, which count once, and where.
    """

    path: str
    ids: list[str]
    terms: list[list[str]]
    form: str
    repeated: list[str]

    def __str__(self) -> str:
        """One line that says what the file was taken for."""
        line = f"{self.path}: {len(self.ids):,} labels; {self.form}"
        if not self.repeated:
            return line
        listed = ", ".join(self.repeated[:10]) + (", …" if len(self.repeated) > 10 else "")
        return f"{line}; {len(self.repeated)} repeated, which count once: {listed}"


def read_label_file(path: str | os.PathLike) -> LabelFile:
    """Reads a list of labels; `LabelSet.load` says in which forms.

    Raises:
        ValueError: The file is in none of the forms, or malformed; file and line are named.
    """
    form, rows, unit = _rows(path)
    ids, terms = [], []
    first: dict[str, Row] = {}
    positions: dict[str, list[int]] = collections.defaultdict(list)
    for row in _with_ids(rows):
        label = row.label or ""
        problem = label_problem(label, row.terms)
        if not problem and label in first and row.terms != first[label].terms:
            problem = (
                f"label {label!r} is a duplicate: it stands at {unit} {first[label].position} already, with other terms"
            )
        if problem:
            raise ValueError(f"{path}, {unit} {row.position}: {problem}. Received: {row.source!r}")
        positions[label].append(row.position)
        if label not in first:
            first[label] = row
            ids.append(label)
            terms.append(row.terms)
    if not ids:
        raise ValueError(empty_file(path, "labels as `LabelSet.load` describes, such as `id<TAB>term, another term`"))
    repeated = [f"{label} ({unit}s {' and '.join(map(str, at))})" for label, at in positions.items() if len(at) > 1]
    return LabelFile(os.fspath(path), ids, terms, form, repeated)


def _rows(path: str | os.PathLike) -> LabelRows:
    text = read_text(path)
    if os.path.splitext(path)[1].lower() in (".csv", ".tsv"):
        return rows_of_table(_separated(path, text))
    if is_structure(path, text):
        return rows_of_structure(path, text)
    if text.lstrip()[:1] == "<":
        raise ValueError(
            f"{path} is HTML or XML, which is no list of labels: download the file itself, not the page that shows it. "
            f"Received: {text.lstrip()[:60]!r}"
        )
    return rows_of_lines([(number, line) for number, line in lines_of(text) if not line.startswith("#")])


def _separated(path: str | os.PathLike, text: str) -> list[Cells]:
    """The rows of a table; its first line shows whether tabs, commas or semicolons separate the cells."""
    first_line = text.lstrip().partition("\n")[0]
    delimiter = next((sign for sign in "\t,;" if sign in first_line), ",")
    reader, table = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True), []
    try:
        for row in reader:
            cells = [" ".join(cell.split()) for cell in row]
            if any(cells):
                table.append(Cells(reader.line_num, row, cells))
    except csv.Error as error:
        raise ValueError(
            f"{path}, line {reader.line_num}: not CSV ({error}). Put cells that have commas, quotes or line breaks in "
            f"double quotes, and double the quotes within. Received: path={os.fspath(path)!r}"
        ) from error
    return table


def _with_ids(rows: Sequence[Row]) -> list[Row]:
    """Rows with ids and terms: an id alone says its term; where there are no ids, a first term that differs is one."""
    first_terms = collections.Counter(row.terms[0] for row in _distinct(rows) if row.label is None and row.terms)
    result = []
    for row in rows:
        label, terms = row.label, row.terms
        if label is None:
            label = terms[0] if terms and first_terms[terms[0]] == 1 else ", ".join(terms)
            terms = [term_of_id(term) for term in terms]
        result.append(row._replace(label=label, terms=terms or [term_of_id(label)]))
    return result


def _distinct(rows: Sequence[Row]) -> list[Row]:
    """The rows without those that are the same as an earlier one."""
    return list({(row.label, *row.terms): row for row in rows}.values())
