"""Labels as vectors in random directions."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from devise_tf.labels.label_set import LabelSet
from devise_tf.labels.label_space import LabelSpace
from devise_tf.labels.label_table import LabelTable
from devise_tf.labels.word_space import WordSpace
from devise_tf.text.tokenizer import Tokenizer


@dataclasses.dataclass(frozen=True, eq=False)
class RandomSpace(LabelSpace):
    """Labels as unit-norm vectors in random directions: the random-embedding baseline.

    A label's vector depends on its id and the seed alone, so that any list of labels has the vectors that it had.

    Args:
        words: WordSpace. The labels that have a vector there have one here, of the same dimension.
        seed: int.
    """

    words: WordSpace
    seed: int

    @property
    def tokenizer(self) -> Tokenizer:  # type: ignore[override]
        return self.words.tokenizer

    def facts(self) -> Mapping[str, object]:
        return {"seed": self.seed}

    def _known_labels(self) -> str:
        return self.words._known_labels()

    def _table(self, labels: LabelSet, answers: str) -> LabelTable:
        table = self.words.table(labels)
        return dataclasses.replace(table, values=random_label_vectors(table.ids, self.words.dimension, self.seed))


def random_label_vectors(ids: Sequence[str], dimension: int, seed: int) -> np.ndarray:
    """Unit-norm vectors in random directions, float32 [N, dimension]; see `RandomSpace`."""
    seeds = [np.random.SeedSequence([seed, *label.encode()]) for label in ids]
    vectors = np.stack([np.random.default_rng(each).standard_normal(dimension) for each in seeds])
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
