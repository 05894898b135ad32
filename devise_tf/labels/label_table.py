"""Labels to choose from, as one model scores them."""

import dataclasses
from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np

from devise_tf.labels.label_set import LabelSet


@dataclasses.dataclass(frozen=True, eq=False)
class LabelTable:
    """What stands for a list of labels in a model; `LabelSpace.table` makes one.

    Scores are of *entries*: label vectors, vectors of the labels' terms, or outputs of a softmax. An entry stands for
    one label or, where labels share a term ("crane"), for several. Answers are the labels of the best entries in the
    order of the scores, each label once, at its first position; entries with equal scores stay in order, and so do the
    labels of one entry. The first `k` answers need the best `entries_per_answer * k` entries.

    Args:
        requested: LabelSet. The labels, unknown ones included.
        entries: List of lists of ints. For each requested label its rows of `values`; empty if the model does not know
            the label.
        values: float32 array, shape `[T, D]`, or int32 array, shape `[T]`. Vectors whose dot product with an image's
            embedding is the score, or the positions of the score in the embedding.
        entries_per_answer: int. 1 if each label has one entry, 4 for terms (paper, appendix A.2).
        composed: List of str. Ids of the labels whose vector is the mean of the words of a term.
        unknown: List of str. Ids of the labels that the model does not know; of a list of texts the texts.
        repeated: List of str. Texts that duplicate an earlier one of the list ("Tabby-Cat" and "tabby cat").
        penalties: float32 array, shape `[T]`, or None for none. What entries of trained labels lose; 0 of the others.

    Reference:
        - [Frome et al., 2013](https://papers.nips.cc/paper/5204-devise-a-deep-visual-semantic-embedding-model),
          appendix A.2.
    """

    requested: LabelSet
    entries: Sequence[Sequence[int]]
    values: np.ndarray
    entries_per_answer: int = 1
    composed: Sequence[str] = ()
    unknown: Sequence[str] = ()
    repeated: Sequence[str] = ()
    penalties: np.ndarray | None = None

    def __len__(self) -> int:
        """The number of entries."""
        return len(self.values)

    @cached_property
    def ids(self) -> list[str]:
        """Ids of the labels that the model knows, in the order of the list."""
        return [label for label, rows in zip(self.requested.ids, self.entries, strict=True) if rows]

    @cached_property
    def labels(self) -> LabelSet:
        """The labels that the model knows, in the order of the list."""
        return self.requested.select(self.ids)

    @cached_property
    def owners(self) -> np.ndarray:
        """The requested labels that each entry stands for, by position; int32 `[T, most]`, padded with -1."""
        owners: list[list[int]] = [[] for _ in self.values]
        for position, rows in enumerate(self.entries):
            for row in rows:
                owners[row].append(position)
        result = np.full((len(owners), max(map(len, owners), default=1)), -1, np.int32)
        for padded, positions in zip(result, owners, strict=True):
            padded[: len(positions)] = positions
        return result

    @cached_property
    def offsets(self) -> np.ndarray:
        """What is added to the entries' scores, float32 `[T]`: the penalties, if the list has labels without one."""
        if self.penalties is None or self.penalties.all():
            return np.zeros(len(self), np.float32)
        return -self.penalties

    @cached_property
    def _one_each(self) -> bool:
        return self.owners.shape[1] == 1 and len(set(self.owners[:, 0])) == len(self.owners)

    def select(self, ids: Iterable[str]) -> "LabelTable":
        """The table of some of the requested labels, in the order of `ids`; without entries if none is known."""
        requested = self.requested.select(ids)
        rows: dict[int, int] = {}  # the new row of each old one that is still needed
        positions = (self.requested.index[label] for label in requested.ids)
        entries = [[rows.setdefault(row, len(rows)) for row in self.entries[position]] for position in positions]
        chosen = np.fromiter(rows, np.int64, len(rows))
        return dataclasses.replace(
            self,
            requested=requested,
            entries=entries,
            values=self.values[chosen],
            penalties=None if self.penalties is None else self.penalties[chosen],
            composed=[label for label in self.composed if label in requested],
            unknown=[label for label, rows in zip(requested.ids, entries, strict=True) if not rows],
            repeated=[],
        )

    def by_label(self) -> dict[str, np.ndarray]:
        """The value of each label's first entry, by label id."""
        pairs = zip(self.requested.ids, self.entries, strict=True)
        return {label: self.values[rows[0]] for label, rows in pairs if rows}

    def answers(self, entries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Turns the best entries into answers.

        Args:
            entries: int array, shape `[B, N]`. Rows of `values`, the best first, -1 where there are no more.
            k: int. Number of answers.

        Returns:
            `(answers, positions)`, int32 arrays of shape `[B, k]`: requested labels by position, each once, -1 where
            there are no more; and the position among the given entries of the one that led to each answer.
        """
        owners = np.where(entries[:, :, None] >= 0, self.owners[entries], -1)
        if self._one_each:
            answers = owners[:, :k, 0]
            positions = np.broadcast_to(np.arange(answers.shape[1]), answers.shape)
        else:
            answers = owners.reshape(len(entries), owners.shape[1] * owners.shape[2])  # there may be no queries
            dropped = _repeated_or_missing(answers)
            chosen = np.argsort(dropped, axis=1, kind="stable")[:, :k]
            left_out = np.take_along_axis(dropped, chosen, axis=1)
            answers = np.where(left_out, -1, np.take_along_axis(answers, chosen, axis=1))
            positions = chosen // owners.shape[2]
        padding = ((0, 0), (0, k - answers.shape[1]))
        answers = np.pad(answers, padding, constant_values=-1)
        return answers.astype(np.int32), np.pad(positions, padding).astype(np.int32)


def _repeated_or_missing(answers: np.ndarray) -> np.ndarray:
    """Which answers of each row are -1, or stand further to the left already."""
    order = np.argsort(answers, axis=1, kind="stable")
    in_order = np.take_along_axis(answers, order, axis=1)
    repeated = in_order < 0
    repeated[:, 1:] |= in_order[:, 1:] == in_order[:, :-1]
    result = np.empty_like(repeated)
    np.put_along_axis(result, order, repeated, axis=1)
    return result
