"""Skip-gram training from the formula, in float64, block after block; without TensorFlow, so that it starts fast."""

import numpy as np

from devise_tf.training.engine.skip_gram_engine import SkipGramEngine
from tests.helpers.word2vec_oracle import blocks_of_pairs, make_blocks, zipf_corpus


def random_tables(blocks, dimension, seed=0):
    """Term and node vectors whose products are of the order of one."""
    rng = np.random.default_rng(seed)
    size = len(blocks.counts)
    return tuple((rng.normal(size=(rows, dimension)) / dimension**0.25).astype("float32") for rows in (size, size - 1))


def train_by_formula(blocks, vectors, nodes, chunks, epochs, rates, seed=0):
    """The tables after all blocks, the sum of the losses before each block's update, and the number of pairs."""
    vectors, nodes = vectors.astype(float), nodes.astype(float)
    tree, summed, total_loss, total_pairs = blocks.tree, blocks.summed_updates, 0.0, 0
    paths = [tree.nodes[term, :length] for term, length in enumerate(tree.lengths)]
    signs = [1.0 - 2.0 * tree.codes[term, :length] for term, length in enumerate(tree.lengths)]
    for number, _, pairs in blocks_of_pairs(blocks, chunks, epochs, seed):
        vector_updates, node_updates = np.zeros_like(vectors), np.zeros_like(nodes)
        vector_pairs, node_pairs = np.zeros(len(vectors)), np.zeros(len(nodes))
        for context, center in pairs:
            path, sign = paths[center], signs[center]
            margins = sign * (nodes[path] @ vectors[context])
            total_loss += np.logaddexp(0, -margins).sum()
            slopes = rates[number] * sign / (1 + np.exp(margins))
            vector_updates[context] += slopes @ nodes[path]
            node_updates[path] += slopes[:, None] * vectors[context]
            vector_pairs[context] += 1
            node_pairs[path] += 1
        vectors += vector_updates * np.minimum(1, summed / np.maximum(1, vector_pairs))[:, None]
        nodes += node_updates * np.minimum(1, summed / np.maximum(1, node_pairs))[:, None]
        total_pairs += len(pairs)
    return vectors, nodes, total_loss, total_pairs


def assert_engine_is_right(dimension, size=40, length=700, rate=0.1, scale=1.0, **arguments):
    """Trains some passes over some chunks, in two calls, and compares tables, loss and pairs with the formula's."""
    ids, counts = zipf_corpus(size, length)
    blocks = make_blocks(ids, counts, **arguments)
    tables = [table * np.float32(scale) for table in random_tables(blocks, dimension)]
    rng = np.random.default_rng(2)
    chunks = np.concatenate([rng.permutation(blocks.num_chunks) for _ in range(2)])
    epochs, rates = np.repeat([0, 1], blocks.num_chunks), np.linspace(rate, rate / 2, len(chunks))
    engine = SkipGramEngine(blocks, *tables, threads=1, seed=9)
    sums = [engine.train(chunks[part], epochs[part], rates[part], measured=1) for part in (slice(0, 3), slice(3, None))]
    vectors, nodes, loss, pairs = train_by_formula(blocks, *tables, chunks.tolist(), epochs.tolist(), rates, seed=9)
    assert sum(s["measured_pairs"] for s in sums) == engine.pairs == pairs
    np.testing.assert_allclose(sum(s["nats"] for s in sums), loss, rtol=1e-5)
    for value, expected, first in ((engine.vectors(), vectors, tables[0]), (engine.nodes(), nodes, tables[1])):
        assert value.shape == expected.shape and value.dtype == np.float32
        assert np.abs(expected - first).max() > 0.05
        np.testing.assert_allclose(value, expected, rtol=0, atol=2e-5 * np.abs(expected).max())
