"""Label vectors that are others at every step of phase 3."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from devise_tf.images import ExampleOrder
from devise_tf.models.skip_gram import SkipGram
from devise_tf.text import SkipGramBlocks
from devise_tf.training.phases.skip_gram import gather_rows, skip_gram_batches


class TrainedLabelVectors:
    """Label vectors that keep learning in phase 3, held together by the skip-gram loss (paper, footnote 5).

    The label vectors are unit-norm means of rows of the skip-gram's embedding, so that the ranking loss's gradient
    reaches those rows; the skip-gram loss over the corpus goes on beside it. Both are summed there, over images as
    over pairs: an image counts as much as a pair of words, as if each were applied at once.

    Args:
        skip_gram: `SkipGram`. The trained model.
        blocks: `SkipGramBlocks`. Its examples.
        rows: Integers, `[N, M]`. The embedding rows of each label, padded with -1.
        learning_rate: Float. Learning rate of the skip-gram's two tables.
        weight: Float. Weight of the skip-gram loss.
        seed: Integer. Seed of the text's order.
    """

    def __init__(
        self,
        skip_gram: SkipGram,
        blocks: SkipGramBlocks,
        rows: np.ndarray,
        learning_rate: float,
        weight: float = 1.0,
        seed: int = 0,
    ):
        self.skip_gram, self.blocks, self.weight = skip_gram, blocks, weight
        self.order = ExampleOrder(blocks.num_chunks, blocks.chunks_per_step, seed)
        self.optimizer = keras.optimizers.SGD(learning_rate)
        self.rows = np.maximum(rows, 0).astype(np.int32)
        self.mask = (rows >= 0).astype(np.float32)[:, :, None]

    def batches(self, start: int, stop: int, context: tf.distribute.InputContext | None) -> tf.data.Dataset:
        """Batches of the text for one replica."""
        return skip_gram_batches(self.blocks, self.order, start, stop, context)

    def label_vectors(self) -> tf.Tensor:
        """Floats `[N, D]`, unit norm, differentiable with respect to the embedding."""
        vectors = gather_rows(self.skip_gram.embedding.embeddings, self.rows)
        return keras.ops.normalize(keras.ops.sum(vectors * self.mask, axis=1), axis=-1)


class TermDraws:
    """Label vectors of which each is that of one of the label's terms, drawn anew at every step.

    Args:
        term_vectors: For each of N labels the vectors of its terms, floats `[terms, D]` of unit norm.
    """

    def __init__(self, term_vectors: Sequence[np.ndarray]):
        self.counts = np.array([len(terms) for terms in term_vectors], np.int32)
        self.first = np.concatenate([[0], np.cumsum(self.counts)[:-1]]).astype(np.int32)
        self.vectors = np.concatenate(term_vectors)

    def label_vectors(self, seed: int, step: tf.Tensor) -> tf.Tensor:
        """Floats `[N, D]`, the same for the same seed and step on any device."""
        seeds = tf.stack([tf.constant(seed, tf.int64), step])
        uniforms = tf.random.stateless_uniform([len(self.counts)], seeds)
        drawn = tf.minimum(tf.cast(uniforms * self.counts.astype(np.float32), tf.int32), self.counts - 1)
        return tf.gather(self.vectors, self.first + drawn)
