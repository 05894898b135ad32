"""Labels as the outputs of a softmax."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from devise_tf.choices import MISSING_LABELS, MISSING_LABELS_OF_ANSWERS
from devise_tf.labels.label_set import LabelSet
from devise_tf.labels.label_space import LabelSpace
from devise_tf.labels.label_table import LabelTable
from devise_tf.text.term_index import TermIndex
from devise_tf.text.tokenizer import WORDS, Tokenizer


@dataclasses.dataclass(frozen=True, eq=False)
class OutputSpace(LabelSpace):
    """Labels as the outputs of a softmax, which knows no others.

    A label is the output of its id, else of the first of its terms that has one. A term says nothing where the trained
    label that has it is in the list itself: of two labels with the term "cell" one is another thing.

    Args:
        outputs: Sequence of str. Ids of the trained labels, in order.
        columns: Mapping from str to int. Outputs by term of the trained labels, folded by the tokenizer.
        missing: str. What to do about labels that the softmax was not trained on: a key of
            `devise_tf.choices.MISSING_LABELS`.
        tokenizer: Tokenizer. The rule by which terms become words.
    """

    outputs: Sequence[str]
    columns: Mapping[str, int]
    missing: str = MISSING_LABELS_OF_ANSWERS
    tokenizer: Tokenizer = WORDS

    @classmethod
    def of(
        cls, trained: LabelSet, missing: str = MISSING_LABELS_OF_ANSWERS, tokenizer: Tokenizer = WORDS
    ) -> "OutputSpace":
        """The outputs of a softmax over labels; a term of several labels is the output of the first."""
        columns: dict[str, int] = {}
        for column, terms in enumerate(trained.terms):
            for term in terms:
                columns.setdefault(tokenizer.key(term), column)
        return cls(trained.ids, columns, missing, tokenizer)

    @cached_property
    def index(self) -> TermIndex:
        """The outputs by term."""
        return TermIndex(self.columns, self.tokenizer)

    def by_id(self) -> "OutputSpace":
        return dataclasses.replace(self, columns={})

    def facts(self) -> Mapping[str, object]:
        return {"outputs": list(self.outputs), "tokenizer": self.tokenizer.name}

    def _known_labels(self) -> str:
        first = next(iter(self.columns), self.outputs[0]).replace("_", " ")
        return f"the softmax has the {len(self.outputs)} that it was trained on, such as {first!r}, and no others"

    def _table(self, labels: LabelSet, answers: str) -> LabelTable:
        by_id = {label: column for column, label in enumerate(self.outputs)}

        def column(label: str, terms: Sequence[str]) -> int | None:
            if label in by_id:
                return by_id[label]
            found = (self.index.find(term) for term in terms)
            named = (term.rows[0] for term in found if term.is_whole)
            return next((column for column in named if self.outputs[column] not in labels), None)

        columns = [column(*pair) for pair in zip(labels.ids, labels.terms, strict=True)]
        unknown = [label for label, column in zip(labels.ids, columns, strict=True) if column is None]
        if unknown and not MISSING_LABELS[self.missing].leaves_out:
            raise ValueError(
                f"{len(unknown)} of {len(labels)} labels are not among those that the softmax was trained on, and it "
                f"knows no others. Received: {unknown[:20]}"
            )
        known = itertools.count()
        entries = [[] if column is None else [next(known)] for column in columns]
        values = np.array([column for column in columns if column is not None], np.int32)
        return LabelTable(labels, entries, values, unknown=unknown)
