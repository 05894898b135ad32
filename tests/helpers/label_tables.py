"""Tables of labels from what a test says of them."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from devise_tf.labels import LabelSet, LabelTable, OutputSpace


def table_of_labels(ids: Iterable[str], vectors: Mapping[str, Sequence[float]]) -> LabelTable:
    """The labels that have a vector."""
    return _table(ids, {label: {label: vector} for label, vector in vectors.items()})


def table_of_terms(ids: Iterable[str], vectors: Mapping[str, Mapping[str, Sequence[float]]]) -> LabelTable:
    """The labels by their terms, `vectors[label][term]`; a term of several labels stands for all of them."""
    return _table(ids, vectors, entries_per_answer=4)


def table_of_outputs(ids: Iterable[str], outputs: Sequence[str]) -> LabelTable:
    """The labels among a softmax's outputs."""
    return OutputSpace(outputs, {}).table(LabelSet.from_ids(ids), some_known=False)


def _table(ids, vectors, entries_per_answer=1):
    labels, rows, values = LabelSet.from_ids(ids), {}, []
    entries = []
    for label in labels.ids:
        entries.append([])
        for term, vector in vectors.get(label, {}).items():
            if term not in rows:
                rows[term] = len(rows)
                values.append(vector)
            entries[-1].append(rows[term])
    return LabelTable(labels, entries, np.array(values, np.float32), entries_per_answer)
