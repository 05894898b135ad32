"""Labels: an id and one or more terms each."""

import csv
import os
import re
from collections.abc import Iterable, Iterator

from devise_tf.files import atomic_write
from devise_tf.text.tokenizer import normalize_term, tokenize


class LabelSet:
    """An ordered set of labels, each an id and one or more terms.

    The position of a label in the set is its integer label id everywhere else: in batches, tables and score matrices.

    Args:
        ids: List of N str. Distinct ids, such as the synset id `"n02128757"`.
        terms: List of N non-empty lists of str. Terms as people write them (`["snow leopard", "ounce"]`). The first
            term of a label is the one whose vector it is trained with. Two labels may share a term.

    Attributes:
        ids: List of N str.
        terms: List of N lists of str.
        index: Dict from id to position, 0 to N - 1.

    Raises:
        ValueError: There are no labels, an id is empty or a duplicate, a label has no terms, or a term has neither a
            letter nor a digit.

    Example:

    >>> labels = LabelSet(["n1", "n2"], [["snow leopard", "ounce"], ["cat"]])
    >>> labels.index["n2"]
    1
    >>> labels.normalized_terms()
    [['snow_leopard', 'ounce'], ['cat']]
    """

    def __init__(self, ids: list[str], terms: list[list[str]]):
        ids = list(ids)
        terms = [list(t) for t in terms]
        if not ids:
            raise ValueError(f"`ids` must hold at least one label. Received: ids={ids}")
        if len(ids) != len(terms):
            raise ValueError(
                f"`terms` must hold one list for each id. Received: len(ids)={len(ids)}, len(terms)={len(terms)}"
            )
        seen: dict[str, int] = {}
        for i, (label, label_terms) in enumerate(zip(ids, terms, strict=True)):
            if problem := _problem(label, label_terms):
                raise ValueError(f"{problem}. Received: ids[{i}]={label!r}, terms[{i}]={label_terms!r}")
            if label in seen:
                raise ValueError(
                    f"`ids` must be distinct; {label!r} stands at {seen[label]} and {i}. Received: ids[{i}]={label!r}"
                )
            seen[label] = i
        self.ids = ids
        self.terms = terms
        self.index = seen

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids)

    def __contains__(self, label: object) -> bool:
        return label in self.index

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LabelSet):
            return NotImplemented
        return self.ids == other.ids and self.terms == other.terms

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<LabelSet of {len(self)}: {', '.join(self.ids[:3])}{', …' if len(self) > 3 else ''}>"

    @classmethod
    def from_ids(cls, ids: Iterable[str]) -> "LabelSet":
        """Labels whose only term is what their id says: `Siamese_cat` and `n02123597-Siamese_cat` are a "Siamese cat".

        `_` is read as a space; a synset id or a three-digit number (`001.`) before the name is left out.
        """
        ids = list(ids)
        return cls(ids, [[_term_of_id(label)] for label in ids])

    @classmethod
    def load(cls, path: str | os.PathLike) -> "LabelSet":
        """Reads a label file.

        Lines are `id<TAB>term, term two, …`, or an id, whose term is then that of `from_ids`. Empty lines and lines
        that start with `#` are skipped.

        A file whose name ends in `.csv` has columns separated by commas. A first row with a cell `id` (or `label`)
        names the columns: that one has the ids, all others terms; without such a row the ids are in the first column. A
        cell may hold several terms, separated by `;` or, in quotes, by commas; empty cells are skipped. A row without
        terms is an id alone.

        Args:
            path: str or path. The file.

        Raises:
            ValueError: The file is malformed; file and line are named.
        """
        rows = _csv_rows(path) if os.fspath(path).lower().endswith(".csv") else _tab_rows(path)
        ids, terms = [], []
        lines: dict[str, int] = {}
        for number, row, label, label_terms in rows:
            label_terms = label_terms or [_term_of_id(label)]
            problem = _problem(label, label_terms)
            if not problem and label in lines:
                problem = f"label {label!r} is a duplicate: it stands at line {lines[label]} already"
            if problem:
                raise ValueError(f"{path}, line {number}: {problem}. Received: {row!r}")
            lines[label] = number
            ids.append(label)
            terms.append(label_terms)
        if not ids:
            raise ValueError(_empty(path, "`id<TAB>term, another term` or just `id` a line, or rows of CSV"))
        return cls(ids, terms)

    def merged_with(self, other: "LabelSet") -> "LabelSet":
        """These labels, then those of the other set that are new."""
        new = [i for i, label in enumerate(other.ids) if label not in self.index]
        return LabelSet([*self.ids, *(other.ids[i] for i in new)], [*self.terms, *(other.terms[i] for i in new)])

    def select(self, ids: Iterable[str], origin: str = "") -> "LabelSet":
        """The labels with these ids, in that order.

        Args:
            ids: Iterable of str. Ids, each of them in this set.
            origin: str. Where the ids come from (a flag or file), for the error.

        Raises:
            ValueError: An id is not in this set.
        """
        ids = list(ids)
        unknown = [i for i in ids if i not in self.index]
        if unknown:
            raise ValueError(
                f"{len(unknown)} of the {len(ids)} ids{f' of {origin}' if origin else ''} are not among the "
                f"{len(self)} labels, which are like {', '.join(map(repr, self.ids[:3]))}: "
                f"{', '.join(map(repr, unknown[:10]))}{', …' if len(unknown) > 10 else ''}. "
                "Remove them from the list, or add them with their terms to the label file. "
                f"Received: ids={unknown[:10]}"
            )
        return LabelSet(ids, [self.terms[self.index[i]] for i in ids])

    def normalized_terms(self) -> list[list[str]]:
        """The terms as vocabulary entries: `Snow Leopard` -> `snow_leopard`.

        Terms of one label that become the same entry are listed once.
        """
        return [list(dict.fromkeys(normalize_term(t) for t in terms)) for terms in self.terms]

    def names(self) -> set[str]:
        """All that the labels' vectors may be made of: the normalized terms and their words."""
        names = {name for names in self.normalized_terms() for name in names}
        return names | {word for name in names for word in name.split("_")}

    def save(self, path: str | os.PathLike) -> None:
        """Writes `id<TAB>term, term two` lines that `load` reads back, atomically."""
        for label, terms in zip(self.ids, self.terms, strict=True):
            if re.search(r"^#|^\s|[\t\n\r]|\s$", label) or any(re.search(r"^\s|[,\n\r]|\s$", t) for t in terms):
                raise ValueError(
                    "A label file cannot hold an id that starts with `#` or has a tab, or a term with a comma, or "
                    f"either with a line break or with space around it. Received: id={label!r}, terms={terms!r}"
                )
        with atomic_write(path) as file:
            for label, terms in zip(self.ids, self.terms, strict=True):
                file.write(f"{label}\t{', '.join(terms)}\n".encode())


def load_ids(path: str | os.PathLike) -> list[str]:
    """Reads a list of label ids, one a line.

    Text from a `#` (at the start or after a space) to the end of the line is a comment.

    Args:
        path: str or path. The file.

    Raises:
        ValueError: An id is a duplicate or is followed by terms, or there are no ids; file and line are named.
    """
    lines: dict[str, int] = {}
    for number, line in read_lines(path):
        label = re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip()
        if not label:
            continue
        if "\t" in label:
            raise ValueError(f"{path}, line {number}: expected one id a line, without terms. Received: {line!r}")
        if label in lines:
            raise ValueError(
                f"{path}, line {number}: id {label!r} is a duplicate: it stands at line {lines[label]} already. "
                f"Received: {line!r}"
            )
        lines[label] = number
    if not lines:
        raise ValueError(_empty(path, "one id a line"))
    return list(lines)


def _term_of_id(label: str) -> str:
    # Stanford Dogs has folders like n02085620-Chihuahua, CUB-200 like 001.Black_footed_Albatross.
    return re.sub(r"^(n\d{8}[-_ ]+|\d{3}\.)(?=\S)", "", label).replace("_", " ").strip()


def _tab_rows(path: str | os.PathLike) -> Iterator[tuple[int, str, str, list[str]]]:
    """Line number, line, id and terms of each row of a label file."""
    for number, line in read_lines(path):
        if not line.startswith("#"):
            label, tab, rest = line.partition("\t")
            yield number, line, label.strip(), [t.strip() for t in rest.split(",")] if tab else []


def _csv_rows(path: str | os.PathLike) -> Iterator[tuple[int, list[str], str, list[str]]]:
    """Line number, cells, id and terms of each row of a label file in CSV."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader, id_column = csv.reader(file, strict=True), None
        try:
            for row in reader:
                cells = [" ".join(cell.split()) for cell in row]
                if not any(cells):
                    continue
                if id_column is None:
                    head = [cell.lower() for cell in cells]
                    id_column = next((head.index(name) for name in ("id", "label") if name in head), 0)
                    if head[id_column] in ("id", "label"):
                        continue
                if any(sign in cell for cell in row[id_column : id_column + 1] for sign in ";\t"):
                    raise ValueError(
                        f"{path}, line {reader.line_num}: an id has a semicolon or a tab; separate columns by commas. "
                        f"Received: {row!r}"
                    )
                label = cells.pop(id_column) if id_column < len(cells) else ""
                yield reader.line_num, row, label, [t.strip() for c in cells if c for t in re.split("[;,]", c)]
        except csv.Error as error:
            raise ValueError(
                f"{path}, line {reader.line_num}: not CSV ({error}). Put cells that have commas, quotes or line breaks "
                f"in double quotes, and double the quotes within. Received: path={os.fspath(path)!r}"
            ) from error
        except UnicodeDecodeError as error:
            raise _not_utf8(path, error) from error


def _problem(label: str, terms: list[str]) -> str:
    if not label.strip():
        return "a label's id must not be empty"
    if not terms:
        return f"label {label!r} must have at least one term"
    if not all(map(tokenize, terms)):
        return f"label {label!r} has an empty term; a term needs a letter or a digit"
    return ""


def read_lines(path: str | os.PathLike) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 text file that are not blank, each with its number from 1."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                line = line.rstrip("\r\n")
                if line.strip():
                    yield number, line
    except UnicodeDecodeError as error:
        raise _not_utf8(path, error) from error


def _not_utf8(path: str | os.PathLike, error: UnicodeDecodeError) -> ValueError:
    return ValueError(f"{path} must be UTF-8 text; save it in that encoding. Received: {error}")


def _empty(path: str | os.PathLike, expected: str) -> str:
    return f"{path} holds no labels; expected {expected}. Received: path={os.fspath(path)!r}"
