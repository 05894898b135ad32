"""Label vectors that are trained together with the language model."""

import numpy as np
import tensorflow as tf

from devise_tf.layers import HingeRankLoss
from devise_tf.models.skip_gram import SkipGram
from devise_tf.text import HuffmanTree, SkipGramBlocks
from devise_tf.training.phases.moving_label_vectors import TrainedLabelVectors
from tests.helpers.tiny_devise import DIMENSION, loss_oracle, make_model


def test_gradient_of_the_ranking_loss_reaches_the_term_vectors():
    """The gradient equals central differences of the loss, written in float64 NumPy as a function of the table."""
    rng = np.random.default_rng(4)
    ids = rng.integers(0, 9, 300).astype(np.int32)
    counts = np.bincount(ids, minlength=9)
    blocks = SkipGramBlocks(ids, counts, HuffmanTree.from_counts(counts))
    skip_gram = SkipGram(counts, DIMENSION)
    table = rng.normal(size=(9, DIMENSION))
    skip_gram.embedding.embeddings.assign(table)
    rows = np.array([[3, -1], [5, 0], [8, -1], [1, 2], [2, -1], [7, 7], [4, 6]])
    trained = TrainedLabelVectors(skip_gram, blocks, rows, learning_rate=0.01)
    embeddings, labels = rng.normal(size=(6, DIMENSION)), np.arange(6)
    model = make_model(loss=HingeRankLoss(violations="sum", margin=0.3))

    def label_vectors(table):
        vectors = np.stack([table[row[row >= 0]].mean(axis=0) for row in rows])
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def loss(table):
        return loss_oracle(embeddings, labels, label_vectors(table), 0.3, "sum", np.zeros(6)).sum()

    np.testing.assert_allclose(trained.label_vectors(), label_vectors(table), rtol=1e-5, atol=1e-6)
    with tf.GradientTape() as tape:
        losses = model.loss(embeddings.astype("float32"), labels, label_vectors=trained.label_vectors())
        value = tf.reduce_sum(losses)
    np.testing.assert_allclose(value, loss(table), rtol=1e-5)
    gradient = tf.convert_to_tensor(tape.gradient(value, skip_gram.embedding.embeddings.value)).numpy()
    expected = np.zeros_like(table)
    for position in np.ndindex(*table.shape):
        step = np.zeros_like(table)
        step[position] = 1e-6
        expected[position] = (loss(table + step) - loss(table - step)) / 2e-6
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-4)
