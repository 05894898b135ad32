import keras
import numpy as np
import pytest
import tensorflow as tf

from devise_tf.images import ExampleOrder
from devise_tf.models.skip_gram import SkipGram
from devise_tf.text import HuffmanTree, SkipGramBlocks
from devise_tf.training.phases.skip_gram import skip_gram_loss, skip_gram_phase
from tests.helpers.word2vec_oracle import topics_corpus

SIZE, DIMENSION = 30, 6


def corpus(size=SIZE, length=1300, seed=0):
    rng = np.random.default_rng(seed)
    p = 1 / np.arange(1, size + 1)
    ids = rng.choice(size, length, p=p / p.sum()).astype(np.int32)
    ids[rng.choice(length, length // 40, replace=False)] = -1
    return ids


def filled(counts, dimension=DIMENSION):
    """A model whose two tables hold random values; the nodes are zero at first."""
    model = SkipGram(counts, dimension)
    rng = np.random.default_rng(1)
    for table in (model.embedding.embeddings, model.hierarchical_softmax.nodes):
        table.assign(rng.normal(size=table.shape))
    return model


def make_blocks(ids, size=SIZE, **arguments):
    counts = np.maximum(1, np.bincount(ids[ids >= 0], minlength=size))
    return SkipGramBlocks(ids, counts, HuffmanTree.from_counts(counts), **arguments)


def block_arguments(batch):
    return [batch[name] for name in ("contexts", "mask", "nodes", "signs")]


def pairs_of(blocks, batch):
    """The (context, center) pairs, with the center read from the block's middle positions."""
    g, j, i = np.nonzero(batch["mask"])
    return batch["contexts"][g, j], batch["contexts"][g, blocks.window + i]


def oracle(model, tree, contexts, centers):
    """Summed loss and both gradients: plain loops over pairs and paths, in float64."""
    vectors = model.embedding.embeddings.numpy().astype(float)
    nodes = model.hierarchical_softmax.nodes.numpy().astype(float)
    loss, vector_gradient, node_gradient = 0.0, np.zeros_like(vectors), np.zeros_like(nodes)
    for context, center in zip(contexts, centers, strict=True):
        for position in range(tree.lengths[center]):
            node, sign = tree.nodes[center, position], 1 - 2 * int(tree.codes[center, position])
            logit = vectors[context] @ nodes[node]
            loss += np.log1p(np.exp(-sign * logit))
            slope = -sign / (1 + np.exp(sign * logit))
            vector_gradient[context] += slope * nodes[node]
            node_gradient[node] += slope * vectors[context]
    return loss, vector_gradient, node_gradient


def loss_and_gradients(model, loss):
    tables = [model.embedding.embeddings.value, model.hierarchical_softmax.nodes.value]
    with tf.GradientTape() as tape:
        value = loss()
    return value.numpy(), *(tf.convert_to_tensor(g).numpy() for g in tape.gradient(value, tables))


@pytest.mark.parametrize("block_size", [1, 8, 64])
def test_block_loss_is_the_sum_over_all_pairs(block_size):
    blocks = make_blocks(corpus(), window=3, sample=0.05, block_size=block_size)
    model = filled(blocks.counts)
    batch = blocks.batch(np.array([1, 0]), np.array([1, 3]))
    contexts, centers = pairs_of(blocks, batch)
    assert len(contexts) == batch["pairs"] > 500

    expected = oracle(model, blocks.tree, contexts, centers)
    dense = loss_and_gradients(model, lambda: model.block_loss(*block_arguments(batch)))
    one_by_one = loss_and_gradients(model, lambda: tf.reduce_sum(model(contexts, centers)))
    for values in (dense, one_by_one):
        for value, right in zip(values, expected, strict=True):
            np.testing.assert_allclose(value, right, rtol=1e-4, atol=1e-3)


def test_padding_contributes_nothing():
    blocks = make_blocks(corpus(length=300), window=2)
    model = filled(blocks.counts)
    batch = blocks.batch(np.array([0]), np.array([0]))
    # Two blocks and three nodes more, of nothing.
    padded = {
        "contexts": np.pad(batch["contexts"], ((0, 2), (0, 0))),
        "mask": np.pad(batch["mask"], ((0, 2), (0, 0), (0, 0))),
        "nodes": np.pad(batch["nodes"], ((0, 2), (0, 3))),
        "signs": np.pad(batch["signs"], ((0, 2), (0, 0), (0, 3))),
    }
    values = loss_and_gradients(model, lambda: model.block_loss(*block_arguments(batch)))
    others = loss_and_gradients(model, lambda: model.block_loss(*block_arguments(padded)))
    for value, other in zip(values, others, strict=True):
        np.testing.assert_allclose(other, value, rtol=1e-5, atol=1e-5)


def test_scales_act_on_the_gradient_alone():
    """Each pair's part of a gradient is scaled by its chunk and row; the loss is as without."""
    blocks = make_blocks(corpus(), window=3, sample=0.05, chunks_per_step=2, summed_updates=10.0)
    model = filled(blocks.counts)
    loss, expected_vectors, expected_nodes = 0.0, 0.0, 0.0
    for chunk, epoch in ((1, 1), (0, 3)):
        batch = blocks.batch(np.array([chunk]), np.array([epoch]))
        chunk_loss, vectors, nodes = oracle(model, blocks.tree, *pairs_of(blocks, batch))
        vector_scales, node_scales = np.ones(SIZE), np.ones(SIZE - 1)
        vector_scales[batch["contexts"][batch["mask"].any(axis=2)]] = batch["context_scales"][batch["mask"].any(axis=2)]
        on_path = (batch["signs"] != 0).any(axis=1)
        node_scales[batch["nodes"][on_path]] = batch["node_scales"][on_path]
        assert vector_scales.min() < 0.1 and node_scales.min() < 0.1
        loss += chunk_loss
        expected_vectors += vectors * vector_scales[:, None]
        expected_nodes += nodes * node_scales[:, None]
    batch = blocks.batch(np.array([1, 0]), np.array([1, 3]))
    batch = {name: tf.constant(value) for name, value in batch.items()}
    values = loss_and_gradients(model, lambda: skip_gram_loss(model, batch))
    for value, right in zip(values, (loss, expected_vectors, expected_nodes), strict=True):
        np.testing.assert_allclose(value, right, rtol=1e-4, atol=1e-3)


def test_empty_chunk_has_no_loss_and_no_gradient():
    ids = np.concatenate([np.full(1000, -1), np.arange(5)]).astype(np.int32)
    blocks = make_blocks(ids, size=5)
    model = filled(blocks.counts)
    batch = blocks.batch(np.array([0]), np.array([0]))
    loss, *gradients = loss_and_gradients(model, lambda: model.block_loss(*block_arguments(batch)))
    assert loss == 0
    for gradient in gradients:
        np.testing.assert_array_equal(gradient, np.zeros_like(gradient))


def test_block_loss_in_half_precision_is_near():
    blocks = make_blocks(corpus(length=400))
    batch = blocks.batch(np.array([0]), np.array([0]))
    expected = filled(blocks.counts).block_loss(*block_arguments(batch)).numpy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    loss = filled(blocks.counts).block_loss(*block_arguments(batch))
    assert loss.dtype == tf.float32
    np.testing.assert_allclose(loss.numpy(), expected, rtol=0.02)


def test_initial_vectors_are_those_of_word2vec():
    """Small uniform vectors and nodes of zero: every pair costs log 2 a node of its path."""
    model = SkipGram([5, 3, 1, 1], dimension=10)
    assert [v.path for v in model.trainable_variables] == ["embedding/embeddings", "hierarchical_softmax/nodes"]
    vectors = model.vectors()
    assert vectors.shape == (4, 10) and vectors.dtype == np.float32
    assert 0 < np.abs(vectors).max() <= 0.05
    np.testing.assert_array_equal(model.node_vectors(), np.zeros((3, 10)))
    assert model.node_vectors().dtype == np.float32
    np.testing.assert_allclose(model(np.zeros(4, int), np.arange(4)), np.log(2) * np.array([1, 2, 3, 3]), rtol=1e-6)
    np.testing.assert_array_equal(model(np.array([2, 0])), vectors[[2, 0]])


def test_config_builds_an_equal_model():
    model = SkipGram(np.array([5, 3, 1]), dimension=4, name="words")
    again = SkipGram.from_config(model.get_config())
    assert again.counts == [5, 3, 1] and again.dimension == 4 and again.name == "words"
    assert again.get_config() == model.get_config()
    assert SkipGram.from_config(keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(model)).get_config()).counts == [5, 3, 1]  # fmt: skip


def test_saved_model_gives_the_same_losses(tmp_path):
    model = filled([9, 5, 3, 1])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is SkipGram
    np.testing.assert_array_equal(loaded.vectors(), model.vectors())
    pairs = np.array([0, 1, 3, 2]), np.array([3, 2, 1, 0])
    np.testing.assert_array_equal(loaded(*pairs), model(*pairs))


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="Received: dimension=0"):
        SkipGram([2, 1], dimension=0)
    with pytest.raises(ValueError, match="at least two terms"):
        SkipGram([2], dimension=3)


def train(phase, scaled=True):
    """The phase's steps, written out; returns each step's loss, nats a pair."""
    ((optimizer, variables),) = phase.updates
    optimizer.build(variables)

    @tf.function(reduce_retracing=True)
    def step(batch):
        with tf.GradientTape() as tape:
            objective, sums = phase.loss(batch)
        optimizer.apply(tape.gradient(objective, [variable.value for variable in variables]), variables)
        total, pairs = sums["loss"]
        return total / tf.cast(pairs, tf.float32)

    losses = []
    for batch in phase.dataset(0, phase.steps, None):
        if not scaled:
            batch |= {name: tf.ones_like(batch[name]) for name in ("context_scales", "node_scales")}
        losses.append(float(step(batch)))
    return losses


def test_training_separates_topics():
    topics, words = 4, 6
    blocks = make_blocks(topics_corpus(2000), size=2 + topics * words, window=5, sample=0, chunks_per_step=2)
    model = SkipGram(blocks.counts, dimension=16)
    losses = train(skip_gram_phase(model, blocks, epochs=8, learning_rate=0.025))
    assert len(losses) == 320 and np.mean(losses[-10:]) < 0.85 * losses[0]
    vectors = model.vectors()[2:]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    similarity = vectors @ vectors.T - 2 * np.eye(len(vectors))
    nearest = np.argsort(-similarity, axis=1)[:, : words - 1]
    assert np.mean(nearest // words == (np.arange(len(vectors)) // words)[:, None]) > 0.95


def test_large_batches_do_not_explode():
    """One step of 256 chunks sums some 384,000 pairs into the root's row; unscaled, that is too far a step."""
    blocks = make_blocks(topics_corpus(6400), size=26, window=5, sample=0, chunks_per_step=256)
    assert blocks.num_chunks == 256

    def losses(scaled):
        keras.utils.set_random_seed(0)
        model = SkipGram(blocks.counts, dimension=8)
        return train(skip_gram_phase(model, blocks, epochs=12, learning_rate=0.025), scaled), model

    scaled, model = losses(True)
    assert np.all(np.isfinite(model.vectors())) and np.abs(model.vectors()).max() < 10
    assert scaled[-1] < scaled[0] and max(scaled) < 1.05 * scaled[0]
    unscaled, _ = losses(False)
    assert not max(unscaled) < 10 * unscaled[0]


def test_batches_hold_the_orders_chunks():
    """Three chunks in steps of two: the second step is the last chunk of one epoch and the first of the next."""
    blocks = make_blocks(corpus(length=700), sample=0, chunks_per_step=2)
    phase = skip_gram_phase(SkipGram(blocks.counts, 4), blocks, epochs=4, learning_rate=0.025, seed=3)
    assert phase.steps == 6 and phase.steps_per_epoch == 1.5
    steps = list(phase.dataset(0, 6, None).as_numpy_iterator())
    words = sum(int(np.any(batch["signs"] != 0, axis=2).sum()) for batch in steps)
    assert words == 4 * np.count_nonzero(blocks.ids >= 0)
    # Each chunk's choices are those of the epoch in which it is met.
    order = ExampleOrder(3, 2, seed=3)
    for step, batch in enumerate(steps):
        examples = order.examples(tf.range(2 * step, 2 * step + 2, dtype=tf.int64))
        expected = blocks.batch(examples["index"].numpy(), examples["epoch"].numpy(), seed=3)
        for name in batch:
            np.testing.assert_array_equal(batch[name], expected[name])
    resumed = list(phase.dataset(4, 6, None).as_numpy_iterator())
    for batch, again in zip(steps[4:], resumed, strict=True):
        for name in batch:
            np.testing.assert_array_equal(batch[name], again[name])
