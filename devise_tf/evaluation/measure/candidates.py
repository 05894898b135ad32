"""The labels that a model may answer, and how its scores become answers."""

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf


class Candidates:
    """A list of labels that may be answered, as one model scores them.

    Scores are of *entries*: outputs of a softmax, label vectors, or vectors of the labels' terms. An entry stands for
    one label or, where labels share a term ("crane"), for several. The answers are the labels of the best entries, in
    the order of the scores, each label at its first place; entries with equal scores keep their order, and so do the
    labels of one entry. For the first `k` answers the best `entries_per_answer * k` entries are looked at.

    Args:
        owners: For each of T entries the labels that it stands for, as places among the candidates.
        vectors: float32 [T, D]. An entry's score is the dot product of its vector with the query. Or:
        columns: int [T]. An entry's score is this column of the query.
        entries_per_answer: 1 where each label has one entry, 4 for terms (paper, appendix A.2).

    Reference:
        Frome et al., 2013, DeViSE: A Deep Visual-Semantic Embedding Model, appendix A.2.
    """

    def __init__(
        self,
        owners: Sequence[Sequence[int]],
        vectors: np.ndarray | None = None,
        columns: Sequence[int] | None = None,
        entries_per_answer: int = 1,
    ):
        self.owners = np.full((len(owners), max(map(len, owners))), -1, np.int32)
        for row, places in zip(self.owners, owners, strict=True):
            row[: len(places)] = places
        self._one_each = self.owners.shape[1] == 1 and len(set(self.owners[:, 0])) == len(self.owners)
        self.entries_per_answer = entries_per_answer
        self.vectors = None if vectors is None else tf.constant(vectors, tf.float32)
        self.columns = None if columns is None else tf.constant(columns, tf.int32)

    def __len__(self) -> int:
        return len(self.owners)

    @classmethod
    def of_outputs(cls, ids: Sequence[str], outputs: Sequence[str]) -> "Candidates | None":
        """The candidates among a softmax's outputs; None if there are none."""
        column = {label: i for i, label in enumerate(outputs)}
        places = [place for place, label in enumerate(ids) if label in column]
        return cls([[p] for p in places], columns=[column[ids[p]] for p in places]) if places else None

    @classmethod
    def of_labels(cls, ids: Sequence[str], vectors: Mapping[str, np.ndarray]) -> "Candidates | None":
        """The candidates that have a label vector; None if there are none."""
        places = [place for place, label in enumerate(ids) if label in vectors]
        return cls([[p] for p in places], np.stack([vectors[ids[p]] for p in places])) if places else None

    @classmethod
    def of_terms(cls, ids: Sequence[str], vectors: Mapping[str, Mapping[str, np.ndarray]]) -> "Candidates | None":
        """The candidates by their terms: `vectors[label][term]`; a term of several labels answers them all."""
        owners: dict[str, list[int]] = {}
        rows = {}
        for place, label in enumerate(ids):
            for term, vector in vectors.get(label, {}).items():
                owners.setdefault(term, []).append(place)
                rows.setdefault(term, vector)
        if not owners:
            return None
        return cls(list(owners.values()), np.stack([rows[term] for term in owners]), entries_per_answer=4)

    def scores(self, queries: tf.Tensor) -> tf.Tensor:
        """Scores of the entries: queries float32 [B, D] -> float32 [B, T]; what is not a number is the least."""
        if self.columns is not None:
            scores = tf.gather(queries, self.columns, axis=1)
        else:
            scores = tf.matmul(queries, self.vectors, transpose_b=True)
        return tf.where(tf.math.is_nan(scores), tf.constant(-np.inf, scores.dtype), scores)

    def best_entries(self, scores: tf.Tensor, k: int) -> tuple[tf.Tensor, tf.Tensor]:
        """The entries that `k` answers need, best first: scores [B, T] -> their scores and rows [B, N], -1 for none."""
        best, rows = tf.math.top_k(scores, min(self.entries_per_answer * k, len(self)))
        return best, tf.where(tf.math.is_inf(best) & (best < 0), -1, rows)

    def answers(self, entries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Turns entries into answers.

        Args:
            entries: int [B, N], from `best_entries`.
            k: Number of answers.

        Returns:
            `(answers, places)`, int32 [B, k] each: candidates, each once, -1 where there are no more; and the place
            among the entries, from 0, of the one that gave each.
        """
        owners = np.where(entries[:, :, None] >= 0, self.owners[entries], -1)
        if self._one_each:
            found, places = (
                owners[:, :k, 0],
                np.broadcast_to(np.arange(min(k, owners.shape[1])), owners[:, :k, 0].shape),
            )
        else:
            found = owners.reshape(len(entries), owners.shape[1] * owners.shape[2])  # there may be no queries
            order = np.argsort(found, axis=1, kind="stable")
            in_order = np.take_along_axis(found, order, axis=1)
            repeated = np.zeros(found.shape, bool)
            repeated[:, 1:] = in_order[:, 1:] == in_order[:, :-1]
            dropped = found < 0
            np.put_along_axis(dropped, order, repeated | (in_order < 0), axis=1)
            kept = np.argsort(dropped, axis=1, kind="stable")[:, :k]
            found = np.where(np.take_along_axis(dropped, kept, axis=1), -1, np.take_along_axis(found, kept, axis=1))
            places = kept // owners.shape[2]
        missing = ((0, 0), (0, k - found.shape[1]))
        return np.pad(found, missing, constant_values=-1).astype(np.int32), np.pad(places, missing).astype(np.int32)
