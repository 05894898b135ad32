"""What a model knows of lists of labels: the vectors, or a softmax's outputs, that stand for them."""

import dataclasses
import threading
from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from devise_tf.labels import LabelSet, make_label_vectors
from devise_tf.models.trained_run import TrainedRun, label_recipe
from devise_tf.text import normalize_term, tokenize
from devise_tf.text.term_vectors import term_rows

_LISTS = 3
# Labels whose vectors are made at once: profiles take eight bytes a value on the way.
_CHUNK = 4096


@dataclasses.dataclass(frozen=True)
class KnownLabels:
    """What a model knows of a list of labels.

    Attributes:
        labels: Those that it knows, in the order of the list.
        unknown: Ids of the others; of texts the texts.
        repeated: Texts that say the same as an earlier one of the list (`"Tabby-Cat"` and `"tabby cat"`).
        table: float32 [L, D], the label vectors; of a softmax int32 [L], its outputs.
    """

    labels: LabelSet
    unknown: list[str]
    repeated: list[str]
    table: tf.Tensor


class LabelTables:
    """Finds what stands for labels in a model, and keeps it for the last few lists. Safe to use from several threads.

    Args:
        run: What the model comes from.
        model: Its name.
        network: The model.
        own: The model's own labels; of a softmax those of its outputs, in order.
    """

    def __init__(self, run: TrainedRun, model: str, network: keras.Model, own: LabelSet):
        self.run, self.model, self.own = run, model, own
        self.label_terms, self.profile = label_recipe(network)
        self._space: tuple[list[str], np.ndarray] | None = None
        self._kept: list[tuple[LabelSet | list[str], KnownLabels]] = []
        self._lock = threading.Lock()

    def find(self, labels: LabelSet | Sequence[str] | None) -> tuple[KnownLabels, bool]:
        """What is known of a list, and whether the list is new.

        Args:
            labels: Texts, a `LabelSet`, or None for the model's own.

        Raises:
            ValueError: A text is empty, or none of the labels is known.
        """
        if isinstance(labels, str):
            raise ValueError(f"`labels` must be a list of texts or a `LabelSet`. Received: labels={labels!r}")
        if labels is None:
            asked = self.own
        else:
            # A list can change: what is kept is a copy.
            asked = labels if isinstance(labels, LabelSet) else list(labels)
        with self._lock:
            for kept, found in self._kept:
                if kept is asked or kept == asked:
                    return found, False
            found = self._of_set(asked) if isinstance(asked, LabelSet) else self._of_texts(asked)
            self._kept = [*self._kept[1 - _LISTS :], (asked, found)]
        return found, True

    def _of_texts(self, texts):
        first, wordless, repeated = {}, [], []  # texts by normalized term
        for place, text in enumerate(texts):
            if not isinstance(text, str) or not text.strip():
                raise ValueError(f"A label must be a text that is not empty. Received: labels[{place}]={text!r}")
            if not tokenize(text):
                wordless.append(text)
            elif (name := normalize_term(text)) in first:
                repeated.append(text)
            else:
                first[name] = text
        if not first:
            raise self._none_is_known(texts)
        ids = list(first.values())
        found = self._of_set(LabelSet(ids, [[text] for text in ids]))
        lost = {*wordless, *found.unknown}
        unknown = list(dict.fromkeys(text for text in texts if text in lost))
        return dataclasses.replace(found, unknown=unknown, repeated=repeated)

    def _of_set(self, labels):
        if self.model == "softmax":
            columns = trained_columns(labels, self.own.ids, term_columns(self.own))
            known = [column is not None for column in columns]
        else:
            terms, vectors = self._term_vectors()
            index = {term: row for row, term in enumerate(terms)}
            known = [bool(term_rows(names, index)) for names in labels.normalized_terms()]
        if not any(known):
            raise self._none_is_known(labels.ids)
        unknown = [label for label, its in zip(labels.ids, known, strict=True) if not its]
        labels = labels.select(label for label, its in zip(labels.ids, known, strict=True) if its)
        if self.model == "softmax":
            table = np.array([column for column in columns if column is not None], np.int32)
        else:
            dimension = vectors.shape[1] if self.profile is None else len(self.profile.references)
            table = np.empty((len(labels), dimension), np.float32)
            for start in range(0, len(labels), _CHUNK):
                part = labels.select(labels.ids[start : start + _CHUNK])
                made = make_label_vectors(part, terms, vectors, "drop", self.label_terms, self.profile)
                table[start : start + _CHUNK] = made.vectors
        return KnownLabels(labels, unknown, [], tf.constant(table))

    def _none_is_known(self, asked):
        if self.model == "softmax":
            why = f"it has the {len(self.own)} that it was trained on, such as {self.own.terms[0][0]!r}, and no others"
        else:
            why = "neither they nor all the words of any have a vector"
        return ValueError(f"{self.model} knows none of these labels: {why}. Received: labels={asked[:20]}")

    def _term_vectors(self):
        """All terms and vectors of the model's space but those that are zero: they have no direction."""
        if self._space is None:
            terms, vectors = self.run.term_vectors(self.model)
            usable = vectors.any(axis=1)
            self._space = [term for term, its in zip(terms, usable, strict=True) if its], vectors[usable]
        return self._space


def trained_columns(labels: LabelSet, outputs: Sequence[str], columns: Mapping[str, int]) -> list[int | None]:
    """A softmax's output of each label: of its id, else of the first of its terms that has one.

    A term says nothing where the trained label that has it is in the list itself: of two labels with the term "cell"
    one is another thing.

    Args:
        labels: Any labels.
        outputs: Ids of the trained labels, in order.
        columns: Outputs by normalized term of the trained labels.
    """
    by_id = {label: column for column, label in enumerate(outputs)}

    def column(label, terms):
        if label in by_id:
            return by_id[label]
        named = (columns[term] for term in terms if term in columns)
        return next((place for place in named if outputs[place] not in labels), None)

    return [column(label, terms) for label, terms in zip(labels.ids, labels.normalized_terms(), strict=True)]


def term_columns(trained: LabelSet) -> dict[str, int]:
    """The outputs of a softmax by the normalized terms of its labels; of a term of several the first."""
    columns: dict[str, int] = {}
    for column, terms in enumerate(trained.normalized_terms()):
        for term in terms:
            columns.setdefault(term, column)
    return columns
