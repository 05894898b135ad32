"""What labels are to a model."""

import abc
import dataclasses
from collections.abc import Mapping, Sequence

from devise_tf.choices import EVALUATED_ANSWERS
from devise_tf.labels.label_set import LabelSet
from devise_tf.labels.label_table import LabelTable
from devise_tf.text.term_index import split_terms
from devise_tf.text.tokenizer import WORDS, Tokenizer


class LabelSpace(abc.ABC):
    """What stands for labels in a model.

    Attributes:
        tokenizer: Tokenizer. The rule by which texts become words.
    """

    tokenizer: Tokenizer = WORDS

    def table(self, labels: LabelSet | Sequence[str], answers: str = "labels", some_known: bool = True) -> LabelTable:
        """What stands for the labels of a list.

        Args:
            labels: LabelSet or sequence of str. Labels, or texts that each name one: a term, or several separated by
                commas (`"tench, Tinca tinca"`).
            answers: str. `"labels"`: each label has one entry. `"terms"`: so has each term, where labels have vectors
                of terms.
            some_known: bool. Whether some label must be known.

        Returns:
            The table.

        Raises:
            ValueError: A text is empty, no label is known, or one is unknown and must not be.
        """
        if answers not in EVALUATED_ANSWERS:
            raise ValueError(f"`answers` must be one of {EVALUATED_ANSWERS}. Received: answers={answers!r}")
        if isinstance(labels, LabelSet):
            table = self._table(labels, answers)
            if some_known and not table.ids:
                raise ValueError(self._none_known(labels.ids))
            return table
        if isinstance(labels, str):
            raise ValueError(f"`labels` must be a list of texts or a `LabelSet`. Received: labels={labels!r}")
        distinct, repeated = self._distinct_texts(labels)
        if not distinct:
            raise ValueError(self._none_known(labels))
        table = self.table(LabelSet(distinct, list(map(split_terms, distinct))), answers, some_known)
        missing = set(table.unknown)
        unknown = [text for text in labels if text in missing or not split_terms(text)]
        return dataclasses.replace(table, unknown=list(dict.fromkeys(unknown)), repeated=repeated)

    def _none_known(self, labels: Sequence[str]) -> str:
        return f"None of these labels is known: {self._known_labels()}. Received: labels={list(labels)[:20]}"

    def by_id(self) -> "LabelSpace":
        """The space in which a softmax finds labels by their ids alone."""
        return self

    def _distinct_texts(self, texts: Sequence[str]) -> tuple[list[str], list[str]]:
        """The texts that have words, each once, and those that repeat one of them."""
        first: dict[str, str] = {}
        repeated = []
        for position, text in enumerate(texts):
            if not isinstance(text, str) or not text.strip():
                raise ValueError(f"A label must be a text that is not empty. Received: labels[{position}]={text!r}")
            if not split_terms(text):
                continue
            if (key := self.tokenizer.key(text)) in first:
                repeated.append(text)
            else:
                first[key] = text
        return list(first.values()), repeated

    @abc.abstractmethod
    def facts(self) -> Mapping[str, object]:
        """What an exported version says of the space, from which it is made again."""

    @abc.abstractmethod
    def _known_labels(self) -> str:
        """Says which labels are known, for errors."""

    @abc.abstractmethod
    def _table(self, labels: LabelSet, answers: str) -> LabelTable:
        """The table of labels, none of which may be known."""
