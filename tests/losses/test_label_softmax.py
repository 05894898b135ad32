import numpy as np
import pytest
import tensorflow as tf

from devise_tf.losses import label_softmax_loss


def oracle(embeddings, labels, vectors, temperature):
    """The formula, one example at a time; returns the loss and its gradient to the embeddings."""
    losses, gradients = [], []
    for e, label in zip(embeddings, labels, strict=True):
        length = np.linalg.norm(e)
        scores = vectors @ (e / length) / temperature
        largest = scores.max()
        losses.append(largest + np.log(np.exp(scores - largest).sum()) - scores[label])
        probabilities = np.exp(scores - largest) / np.exp(scores - largest).sum()
        probabilities[label] -= 1
        direction = probabilities @ vectors / temperature
        # Of the direction only what is across the embedding: its length has no part in the loss.
        gradients.append((direction - direction @ e / length * e / length) / length)
    return np.array(losses), np.array(gradients)


def unit_rows(rng, size, dimension):
    vectors = rng.normal(size=(size, dimension))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint8])
@pytest.mark.parametrize("temperature", [0.05, 1.0, 7.5])
def test_value_and_gradient(temperature, dtype):
    rng = np.random.default_rng(0)
    vectors, embeddings = unit_rows(rng, 12, 4), rng.normal(size=(30, 4)) * rng.uniform(0.01, 100, (30, 1))
    labels = rng.integers(0, 12, 30).astype(dtype)
    embeddings[:5] = 3 * vectors[labels[:5]]
    expected, expected_gradient = oracle(embeddings, labels, vectors, temperature)
    e = tf.constant(embeddings)
    with tf.GradientTape() as tape:
        tape.watch(e)
        loss = label_softmax_loss(e, labels, tf.constant(vectors), temperature)
    assert loss.dtype == tf.float64 and loss.shape == (30,)
    np.testing.assert_allclose(loss, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(tape.gradient(loss, e), expected_gradient, rtol=1e-7, atol=1e-9)


def test_gradient_to_trainable_label_vectors():
    """With e of unit norm: d loss / d t_j = (p_j - [j = label]) e / temperature."""
    e, temperature = np.array([[0.6, 0.8]]), 0.5
    vectors = tf.constant(np.eye(2))
    with tf.GradientTape() as tape:
        tape.watch(vectors)
        loss = label_softmax_loss(e, [0], vectors, temperature)
    second = 1 / (1 + np.exp((0.6 - 0.8) / temperature))
    np.testing.assert_allclose(tape.gradient(loss, vectors), second / temperature * np.array([-e[0], e[0]]), rtol=1e-9)


def test_the_default_temperature():
    """Cosines 0.6 and 0.8, divided by 0.07: log(1 + exp(0.2 / 0.07))."""
    expected = [np.log1p(np.exp(0.2 / 0.07))]
    np.testing.assert_allclose(label_softmax_loss(np.array([[0.6, 0.8]]), [0], np.eye(2)), expected)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6, 1e15])
def test_the_embeddings_length_has_no_part(scale):
    rng = np.random.default_rng(1)
    vectors, embeddings, labels = unit_rows(rng, 5, 3), rng.normal(size=(4, 3)), [0, 4, 2, 2]
    expected, _ = oracle(embeddings, labels, vectors, 0.07)
    loss = label_softmax_loss((scale * embeddings).astype("float32"), labels, vectors.astype("float32"))
    np.testing.assert_allclose(loss, expected, rtol=1e-4, atol=1e-5)


def test_extreme_temperatures_stay_finite():
    """Opposite vectors: cosine 1 for one label and -1 for the other, so that the loss is 2 / temperature, or 0."""
    vectors, e = tf.constant([[1.0, 0.0], [-1.0, 0.0]]), tf.constant([[5.0, 0.0], [5.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(e)
        loss = label_softmax_loss(e, [0, 1], vectors, 1e-6)
    np.testing.assert_allclose(loss, [0.0, 2e6], rtol=1e-6)
    assert np.isfinite(tape.gradient(loss, e)).all()
    np.testing.assert_allclose(label_softmax_loss(e, [0, 1], vectors, 1e6), [np.log(2)] * 2, rtol=1e-5)


def test_an_embedding_of_zeros_is_no_nearer_to_any_label():
    e = tf.zeros([1, 3])
    with tf.GradientTape() as tape:
        tape.watch(e)
        loss = label_softmax_loss(e, [1], tf.eye(3))
    np.testing.assert_allclose(loss, [np.log(3)], rtol=1e-6)
    assert np.isfinite(tape.gradient(loss, e)).all()


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_bad_temperatures(temperature):
    with pytest.raises(ValueError, match=f"`temperature` must be positive. Received: temperature={temperature}"):
        label_softmax_loss(np.ones((1, 2)), [0], np.eye(2), temperature)
