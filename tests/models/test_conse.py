import keras
import numpy as np
import pytest
import tensorflow as tf

from devise_tf.models.conse import ConSE

LABELS, DIMENSION = 12, 5


def classifier(dtype=None):
    """A small softmax classifier, with batch normalisation and dropout."""
    pixels = keras.Input((8, 8, 3), name="pixels")
    x = keras.layers.Rescaling(1 / 64)(pixels)
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3, strides=2)(x))
    x = keras.layers.Dropout(0.5)(keras.layers.Flatten()(x))
    return keras.Model(pixels, keras.layers.Dense(LABELS, dtype=dtype, name="logits")(x))


def random_vectors(zero=()):
    vectors = np.random.default_rng(0).normal(size=(LABELS, DIMENSION)) * np.arange(1, LABELS + 1)[:, None]
    vectors[list(zero)] = 0
    return vectors


def random_logits(count=40):
    return np.random.default_rng(1).normal(size=(count, LABELS)) * np.linspace(0, 8, count)[:, None]


def oracle(logits, vectors, top):
    """The formula, one image at a time; a label of no vector is as if there were no such label."""
    results = []
    for row in logits:
        have = [j for j in range(len(vectors)) if vectors[j].any()]
        chances = {j: np.exp(row[j]) / sum(np.exp(row[i]) for i in have) for j in have}
        best = sorted(have, key=chances.get, reverse=True)[:top]
        total = sum(chances[j] * vectors[j] / np.linalg.norm(vectors[j]) for j in best)
        results.append(total / np.linalg.norm(total))
    return np.array(results)


@pytest.mark.parametrize("zero", [(), (0, 3, 7)])
@pytest.mark.parametrize("top", [1, 2, 10, LABELS, None])
def test_embedding_is_the_average_of_the_most_probable_labels(top, zero):
    vectors, logits = random_vectors(zero), random_logits()
    embeddings = ConSE(classifier(), vectors, top).combine(tf.constant(logits))
    assert embeddings.dtype == tf.float32 and embeddings.shape == (40, DIMENSION)
    np.testing.assert_allclose(embeddings, oracle(logits, vectors, top), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), np.ones(40), rtol=1e-5)


def test_top_1_gives_the_vector_of_the_most_probable_label():
    vectors = random_vectors()
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    logits = random_logits()[1:]
    embeddings = ConSE(classifier(), vectors, top=1).combine(tf.constant(logits))
    np.testing.assert_allclose(embeddings, unit[logits.argmax(axis=1)], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_logits_of_half_precision_are_combined_in_float32(dtype):
    vectors, logits = random_vectors((2,)), tf.cast(random_logits(), dtype)
    for top in (10, None):
        embeddings = ConSE(classifier(), vectors, top).combine(logits)
        assert embeddings.dtype == tf.float32
        expected = oracle(tf.cast(logits, tf.float64).numpy(), vectors, top)
        np.testing.assert_allclose(embeddings, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("top", [3, None])
def test_extreme_logits_stay_finite(top):
    """One label has all the probability, or two have half of it each."""
    vectors = random_vectors((1,))
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    logits = np.zeros((3, LABELS), "float32")
    logits[0, 4], logits[1, [4, 5]], logits[2, 6] = 1e30, 1e30, -1e30
    logits[:, 1] = 3e38  # has no vector
    embeddings = ConSE(classifier(), vectors, top).combine(tf.constant(logits))
    assert np.isfinite(embeddings).all()
    half = unit[4] + unit[5]
    np.testing.assert_allclose(embeddings[:2], [unit[4], half / np.linalg.norm(half)], rtol=1e-4, atol=1e-5)


def test_model_embeds_pixels_with_and_without_a_graph():
    network = classifier()
    model = ConSE(network, random_vectors(), top=4)
    pixels = np.random.default_rng(2).uniform(0, 255, (6, 8, 8, 3)).astype("float32")
    expected = oracle(network(pixels, training=False).numpy().astype(np.float64), random_vectors(), 4)
    for embeddings in (model(pixels), model.predict_on_batch(pixels), tf.function(model)(pixels)):
        np.testing.assert_allclose(embeddings, expected, rtol=1e-4, atol=1e-5)
    assert not any("label_vectors" in variable.path for variable in model.trainable_variables)
    # Dropout is there when it is asked for.
    assert not np.allclose(model(pixels, training=True), expected, atol=1e-3)


def test_saved_model_gives_the_same_embeddings(tmp_path):
    model = ConSE(classifier(), random_vectors((5,)), top=3, name="combined")
    pixels = np.random.default_rng(2).uniform(0, 255, (6, 8, 8, 3)).astype("float32")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    assert type(loaded) is ConSE
    assert (loaded.name, loaded.top, loaded.dimension) == ("combined", 3, DIMENSION)
    np.testing.assert_array_equal(loaded.label_vectors.numpy(), model.label_vectors.numpy())
    np.testing.assert_array_equal(loaded.predict_on_batch(pixels), model.predict_on_batch(pixels))
    config = model.get_config()
    again = ConSE.from_config(config)
    assert again.get_config() == config
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again.predict_on_batch(pixels), model.predict_on_batch(pixels))


def test_bad_arguments_are_refused():
    network, vectors = classifier(), random_vectors()
    for top in (0, -1, LABELS + 1):
        with pytest.raises(ValueError, match=rf"`top` must be from 1 to the {LABELS} labels.*Received: top={top}"):
            ConSE(network, vectors, top)
    with pytest.raises(ValueError, match="Either `label_vectors` or `dimension` must be given"):
        ConSE(network)
    bad = vectors.copy()
    bad[3, 2] = np.nan
    for wrong in (vectors[:-1], vectors[0], np.zeros_like(vectors), bad):
        with pytest.raises(ValueError, match=rf"of the shape \[{LABELS}, D\].*Received: label_vectors.shape="):
            ConSE(network, wrong)
