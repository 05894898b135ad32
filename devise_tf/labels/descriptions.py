"""Descriptions of how labels look, as people read and write them."""

import os
from collections.abc import Sequence

from devise_tf.labels.label_set import LabelSet
from devise_tf.labels.text_lines import empty_file, read_lines


class Descriptions:
    """Labels, each with a few sentences on how it looks.

    Args:
        labels: LabelSet. The labels. An id is that of a synset, or a name, with the sense in brackets where it has
            several (`kiwi (fruit)`).
        texts: Sequence of N str. The description of each label.

    Raises:
        ValueError: There is not one description for each label.
    """

    def __init__(self, labels: LabelSet, texts: Sequence[str]):
        if len(labels) != len(texts):
            raise ValueError(
                f"`texts` must hold one description for each label. Received: {len(labels)} labels, {len(texts)} texts"
            )
        self.labels, self.texts = labels, list(texts)

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def load(cls, paths: Sequence[str | os.PathLike]) -> "Descriptions":
        """Reads files of lines `id<TAB>term, term two<TAB>description`.

        Args:
            paths: Sequence of paths.

        Raises:
            ValueError: A line is not as above, or an id stands twice; file and line are named.
        """
        rows: dict[str, tuple[list[str], str]] = {}
        for path in paths:
            before = len(rows)
            for number, line in read_lines(path):
                fields = [field.strip() for field in line.split("\t")]
                if len(fields) != 3 or not all(fields):
                    raise ValueError(
                        f"{path}, line {number}: expected `id<TAB>term, term two<TAB>description`. "
                        f"Received: {line[:80]!r}"
                    )
                label, terms, text = fields
                if label in rows:
                    raise ValueError(
                        f"{path}, line {number}: {label!r} is described already; keep one description of a label. "
                        f"Received: {line[:80]!r}"
                    )
                rows[label] = [term.strip() for term in terms.split(",")], text
            if len(rows) == before:
                raise ValueError(empty_file(path, "a label a line"))
        labels = LabelSet(list(rows), [terms for terms, _ in rows.values()])
        return cls(labels, [text for _, text in rows.values()])
