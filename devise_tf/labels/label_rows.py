"""Rows of a list of labels: an id and terms, in the forms in which people have them."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from devise_tf.text.tokenizer import tokenize

# Columns by their names, in lower case and without spaces, `_` and `-`; the first of several has the ids.
_ID_COLUMNS = ("wnid", "synset", "synsetid", "id", "labelid", "classid", "mid", "labelname", "folder", "label")
_TERM_COLUMNS = ("name", "term", "word", "class", "classname", "displayname", "category", "title", "text", "synonym")
_OTHER_COLUMNS = (
    *("index", "idx", "number", "", "unnamed:0", "description", "definition", "gloss", "supercategory", "parent"),
    *("count", "color", "url", "frequency", "imagecount", "instancecount", "isthing"),
)

SYNSET = re.compile(r"n\d{8}")
_SYNSET_FIRST = re.compile(r"(?P<label>n\d{8})[\s,:]+(?:\d+\s+)?(?P<text>\S.*)")
_NUMBER_FIRST = re.compile(r"(?P<number>\d+)(?:\s*[:)]\s*|\.\s+|\s+)(?P<text>\S.*)")
_NUMBER_LAST = re.compile(r"(?P<text>\S.*?)[\s:]+(?P<number>\d+)")


class Row(NamedTuple):
    """A row of a list of labels.

    Attributes:
        position: Integer. Its line, or its number among the entries, from 1.
        source: String or list. It as it stands, for errors.
        label: String or None. The label's id; None in a list without ids.
        terms: List of str. The label's terms; none where there is an id alone.
    """

    position: int
    source: object
    label: str | None
    terms: list[str]


class LabelRows(NamedTuple):
    """A list of labels.

    Attributes:
        form: String. What the list was taken for, such as `"terms, a label a line"`.
        rows: List of `Row`.
        unit: String. What `Row.position` counts.
    """

    form: str
    rows: list[Row]
    unit: str = "line"


class Cells(NamedTuple):
    """A row of a table, before it is known what its columns are."""

    position: int
    source: object
    cells: list[str]


def rows_of_lines(lines: Sequence[tuple[int, str]]) -> LabelRows:
    """Rows of lines of text, all of one form.

    Args:
        lines: Pairs of a position, from 1, and a line that is not blank.
    """
    if any("\t" in line for _, line in lines):
        return _rows_of_tabs(lines)
    synsets = [_SYNSET_FIRST.fullmatch(line.strip()) for _, line in lines]
    if lines and all(synsets):
        rows = [
            Row(position, line, match["label"], split_terms(match["text"]))
            for (position, line), match in zip(lines, synsets, strict=True)
            if match
        ]
        return LabelRows("a synset id and terms a line", rows)
    if texts := _without_numbers(lines, _NUMBER_FIRST):
        return LabelRows("a number and terms a line", [row_of_terms(*pair) for pair in texts])
    if texts := _without_numbers(lines, _NUMBER_LAST, without_gaps=True):
        return LabelRows("terms and a number a line", [row_of_terms(*pair) for pair in texts])
    return LabelRows("terms, a label a line", [row_of_terms(*pair) for pair in lines])


def row_of_terms(position: int, text: str) -> Row:
    """A row without an id: `tench, Tinca tinca`, also in quotes and with a comma at the end, as code has it."""
    text = text.strip().rstrip(",")
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return Row(position, text, None, split_terms(text[1:-1] if quoted else text))


def split_terms(text: str, separators: str = ",") -> list[str]:
    """The terms of a text, between any of the separators."""
    return [term.strip() for term in re.split(f"[{separators}]", text)]


def rows_of_table(table: Sequence[Cells], separators: str = ";,", loose: bool = True) -> LabelRows:
    """Rows of a table whose columns are ids, terms, or neither: by a head, or by what is in them.

    Args:
        table: Rows of as many cells as there are columns, or fewer.
        separators: String. What may stand between the terms of a cell.
        loose: Bool. Whether the name of a column of ids makes a head, whatever the other columns are called.
    """
    head = _head(table[0].cells, loose) if table else None
    if head is None:
        ids, columns = _columns_by_content(table)
        form = "columns without a head"
    else:
        ids, columns = head
        names = [table[0].cells[column] for column in columns]
        form = f"columns, {'terms' if ids is None else f'ids in {table[0].cells[ids]!r}, terms'} in " + ", ".join(
            map(repr, names)
        )
        table = table[1:]
    return LabelRows(form, [_table_row(row, ids, columns, separators) for row in table])


def _table_row(row: Cells, ids: int | None, columns: Iterable[int] | None, separators: str) -> Row:
    cells = row.cells
    label = None if ids is None else cells[ids] if ids < len(cells) else ""
    chosen = range(len(cells)) if columns is None else columns
    texts = [cells[column] for column in chosen if column != ids and column < len(cells) and cells[column]]
    return Row(row.position, row.source, label, [term for text in texts for term in split_terms(text, separators)])


def _head(cells: Sequence[str], loose: bool) -> tuple[int | None, list[int]] | None:
    """The column of ids and those of terms, if the cells are names of columns."""
    names = [re.sub(r"[\s_-]", "", cell.lower()) for cell in cells]
    ids = next((names.index(name) for name in _ID_COLUMNS if name in names), None)
    others = [column for column, name in enumerate(names) if column != ids and name not in _OTHER_COLUMNS]
    named = bool(others) and all(_is_term_column(names[column]) for column in others)
    return (ids, others) if named or (loose and ids is not None) else None


def _is_term_column(name: str) -> bool:
    return name in _TERM_COLUMNS or name.removesuffix("s") in _TERM_COLUMNS or name == "categories"


def _columns_by_content(table: Sequence[Cells]) -> tuple[int | None, list[int] | None]:
    """Without a head the ids are in the first column; in the second where the first one counts synsets."""
    width = max((len(row.cells) for row in table), default=0)
    if width < 2:
        return None, None
    if all(len(row.cells) > 2 and row.cells[0].isdecimal() and SYNSET.fullmatch(row.cells[1]) for row in table):
        return 1, list(range(2, width))
    return 0, list(range(1, width))


def _rows_of_tabs(lines: Sequence[tuple[int, str]]) -> LabelRows:
    """Lines of an id, a tab and terms, where ids may stand alone; or of more columns."""
    table = [Cells(position, line, [cell.strip() for cell in line.split("\t")]) for position, line in lines]
    if max(len(row.cells) for row in table) > 2 or _head(table[0].cells, loose=False):
        return rows_of_table(table, ",", loose=False)
    rows = [
        Row(row.position, row.source, row.cells[0], split_terms(row.cells[1]) if len(row.cells) > 1 else [])
        for row in table
    ]
    return LabelRows("an id, a tab and terms a line", rows)


def _without_numbers(
    lines: Sequence[tuple[int, str]], pattern: re.Pattern[str], without_gaps: bool = False
) -> list[tuple[int, str]]:
    """The lines without the numbers that count them; none if these are parts of names."""
    matches = [match for _, line in lines if (match := pattern.fullmatch(line.strip()))]
    if len(matches) < len(lines) or len(lines) < 2:
        return []
    numbers = [int(match["number"]) for match in matches]
    if min(numbers) > 1 or len(set(numbers)) < len(numbers):
        return []
    if without_gaps and numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        return []
    return [(position, match["text"]) for (position, _), match in zip(lines, matches, strict=True)]


def term_of_id(label: str) -> str:
    # Stanford Dogs has folders like n02085620-Chihuahua, CUB-200 like 001.Black_footed_Albatross.
    return re.sub(r"^(n\d{8}[-_ ]+|\d{3}\.)(?=\S)", "", label).replace("_", " ").strip()


def is_synset_id(label: str) -> bool:
    """Whether a label's id is that of a synset, `n` and eight digits, which is unlike any name."""
    return re.fullmatch(r"n\d{8}", label) is not None


def label_problem(label: str, terms: list[str]) -> str:
    if not label.strip():
        return "a label's id must not be empty"
    if not terms:
        return f"label {label!r} must have at least one term"
    if not all(map(tokenize, terms)):
        return f"label {label!r} has an empty term; a term needs a letter or a digit"
    return ""
