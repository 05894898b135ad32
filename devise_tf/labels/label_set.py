"""Labels: an id and one or more terms each."""

import os
import re
from collections.abc import Iterable, Iterator

from devise_tf.files import atomic_write
from devise_tf.labels.label_file import read_label_file
from devise_tf.labels.label_rows import label_problem, term_of_id
from devise_tf.labels.text_lines import empty_file, read_lines
from devise_tf.text.term_index import TermFilter
from devise_tf.text.tokenizer import WORDS, Tokenizer, normalize_term


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
            if problem := label_problem(label, label_terms):
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
        return cls(ids, [[term_of_id(label)] for label in ids])

    @classmethod
    def load(cls, path: str | os.PathLike) -> "LabelSet":
        """Reads a list of labels, in any of these forms.

        Lines of text: `id<TAB>term, term two, …` or an id alone, whose term is then that of `from_ids`; a synset id, a
        space and terms; a number that counts the lines, in front (`0: term, …`) or at the end, and terms; or terms,
        the first of which is the id. Empty lines and lines that start with `#` are skipped.

        A `.csv` or `.tsv` file: columns, with or without a head. A head such as `wnid,name` names the column of ids and
        those of terms; without one the ids are in the first column. A cell may hold several terms, separated by `;` or,
        in quotes, by commas; empty cells are skipped. A row without terms is an id alone.

        JSON, YAML or Python: a list of texts, a mapping from numbers or ids to terms (Keras's class index, `id2label`
        of a Hugging Face model), a mapping from terms to numbers, or a list of mappings with an `id` and a `name`.

        A label that stands several times counts once. `read_label_file` says which form it was.

        Args:
            path: str or path. The file.

        Raises:
            ValueError: The file is in none of the forms or malformed, or an id stands twice with different terms; file
                and line are named.
        """
        file = read_label_file(path)
        return cls(file.ids, file.terms)

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

    def term_filter(self, tokenizer: Tokenizer = WORDS) -> TermFilter:
        """The terms that the labels' vectors may be made of, of those of a vector file."""
        names = (name for label, terms in zip(self.ids, self.terms, strict=True) for name in (label, *terms))
        return TermFilter(names, tokenizer)

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
        raise ValueError(empty_file(path, "one id a line"))
    return list(lines)
