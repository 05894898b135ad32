import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from devise_tf.labels.similarity_profile import SimilarityProfile
from devise_tf.layers import HingeRankLoss, LabelDistanceLoss, LabelSoftmaxLoss, named_loss
from devise_tf.models.devise import DeViSE, SoftmaxFusion, SpaceRecipe, fuse_softmax
from devise_tf.models.skip_gram import SkipGram
from devise_tf.text import HuffmanTree, SkipGramBlocks
from devise_tf.training.phases.moving_label_vectors import TrainedLabelVectors

LABELS, DIMENSION = 7, 5


def visual_model(size=8):
    """A small model with batch normalisation and dropout, as the zoo's have."""
    pixels = keras.Input((size, size, 3), name="pixels")
    x = keras.layers.Rescaling(1 / 255)(pixels)
    x = keras.layers.Conv2D(4, 3, padding="same", use_bias=False, name="convolution")(x)
    inner = keras.Sequential([keras.Input(x.shape[1:]), keras.layers.BatchNormalization(name="inner_norm")])
    x = inner(keras.layers.BatchNormalization(name="norm")(x))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Activation("relu")(x))
    x = keras.layers.Dropout(0.2)(keras.layers.Dense(6, name="representation")(x))
    return keras.Model(pixels, x, name="visual")


def make_model(**arguments):
    rng = np.random.default_rng(0)
    return DeViSE(visual_model(), **{"label_vectors": rng.normal(size=(LABELS, DIMENSION)), **arguments})


def images(count=12):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, LABELS, count)
    pixels = rng.uniform(0, 255, (count, 8, 8, 3)) * np.linspace(0.2, 1, LABELS)[labels][:, None, None, None]
    return pixels.astype("float32"), labels


def oracle(embeddings, labels, vectors, margin, loss, uniforms, temperature=0.05):
    values = []
    for e, label, u in zip(embeddings, labels, uniforms, strict=True):
        terms = [margin - vectors[label] @ e + vectors[j] @ e for j in range(len(vectors)) if j != label]
        terms = [term for term in terms if term > 0]
        if loss == "l2":
            values.append(np.sum((e - vectors[label]) ** 2))
        elif loss == "softmax":
            scores = vectors @ e / np.linalg.norm(e) / temperature
            values.append(np.log(np.exp(scores).sum()) - scores[label])
        elif not terms:
            values.append(0.0)
        else:
            values.append({"one": terms[int(u * len(terms))], "sum": sum(terms), "hardest": max(terms)}[loss])
    return np.array(values)


def test_shapes_and_a_projection_without_bias():
    model = make_model()
    pixels, _ = images(3)
    embeddings = model(pixels)
    assert embeddings.shape == (3, DIMENSION) and embeddings.dtype == tf.float32
    assert [v.path.split("/")[-1] for v in model.projection.variables] == ["kernel"]
    kernel = model.projection.kernel.numpy()
    np.testing.assert_allclose(embeddings, model.visual_model(pixels).numpy() @ kernel, rtol=1e-5, atol=1e-6)
    assert not np.allclose(np.linalg.norm(embeddings, axis=1), 1)
    np.testing.assert_allclose(np.linalg.norm(model.label_vectors.numpy(), axis=1), np.ones(LABELS), 1e-6)


def test_float32_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = make_model()
    pixels, labels = images(4)
    embeddings = model(pixels)
    assert embeddings.dtype == tf.float32
    assert model.loss(embeddings, labels).dtype == tf.float32


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("loss", ["one", "sum", "hardest", "l2", "softmax"])
def test_losses(loss, given):
    rng = np.random.default_rng(2)
    table = rng.normal(size=(LABELS, DIMENSION))
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    model = make_model(loss=named_loss(loss, 0.3, 0.2), **({} if given else {"label_vectors": 3 * table}))
    embeddings = rng.normal(size=(20, DIMENSION)).astype("float32")
    labels = rng.integers(0, LABELS, 20)
    embeddings[:4] = 5 * table[labels[:4]]
    uniforms = rng.random(20).astype("float32")
    vectors = tf.constant(table, tf.float32) if given else None
    losses = model.loss(embeddings, labels, uniforms=uniforms, label_vectors=vectors)
    expected = oracle(embeddings, labels, table, 0.3, loss, uniforms, temperature=0.2)
    np.testing.assert_allclose(losses, expected, rtol=1e-4, atol=1e-5)


def test_compute_loss_weighs_examples():
    model = make_model(loss=HingeRankLoss(violations="sum"))
    rng = np.random.default_rng(3)
    embeddings, labels = rng.normal(size=(6, DIMENSION)).astype("float32"), np.arange(6)
    weights = np.array([0, 1, 2, 0, 0.5, 1], "float32")
    losses = model.loss(embeddings, labels).numpy()
    np.testing.assert_allclose(model.compute_loss(y=labels, y_pred=embeddings), losses.mean(), rtol=1e-6)
    weighted = model.compute_loss(y=labels, y_pred=embeddings, sample_weight=weights)
    np.testing.assert_allclose(weighted, np.mean(losses * weights), rtol=1e-6)


@pytest.mark.parametrize("make_loss", [lambda: HingeRankLoss(margin=0.5), lambda: LabelSoftmaxLoss(temperature=0.2)])
def test_fit(make_loss):
    model = make_model(loss=make_loss())
    pixels, labels = images(32)
    model.compile(keras.optimizers.Adam(0.02))
    weights = np.ones(32, "float32")
    history = model.fit(pixels, labels, sample_weight=weights, batch_size=16, epochs=20, verbose=0).history["loss"]
    assert np.mean(history[-3:]) < 0.85 * history[0]
    table = model.label_vectors.numpy()
    assert np.isfinite(model.evaluate(pixels, labels, verbose=0))
    np.testing.assert_array_equal(model.label_vectors.numpy(), table)


def test_examples_of_weight_zero_teach_nothing():
    model = make_model(loss=LabelDistanceLoss())
    pixels, labels = images(8)
    model.freeze_visual_model()
    model.compile(keras.optimizers.SGD(1.0))
    before = model.projection.kernel.numpy()
    model.fit(pixels, labels, sample_weight=np.zeros(8, "float32"), batch_size=8, verbose=0)
    np.testing.assert_array_equal(model.projection.kernel.numpy(), before)


def snapshot(model):
    return {v.path: v.numpy() for v in model.visual_model.variables if "seed" not in v.path}


def changed(model, before):
    return {path for path, value in snapshot(model).items() if not np.array_equal(value, before[path])}


@pytest.mark.parametrize("frozen", [True, False])
def test_freeze_visual_model(frozen):
    model = make_model(loss=LabelDistanceLoss())
    model.freeze_visual_model(not frozen)
    model.freeze_visual_model(frozen)
    pixels, labels = images()
    before, kernel = snapshot(model), model.projection.kernel.numpy()
    assert sum("norm/" in path for path in before) == 8
    model.compile(keras.optimizers.SGD(0.5))
    model.fit(pixels, labels, batch_size=6, epochs=2, verbose=0)  # calls the model with training=True
    assert not np.array_equal(model.projection.kernel.numpy(), kernel)
    kept = {path for path in before if "norm/" in path}
    assert changed(model, before) == (set() if frozen else set(before) - kept)
    trainable = {v.path for v in model.visual_model.trainable_variables}
    assert trainable == (set() if frozen else set(before) - kept)
    assert not model.loss.trainable_variables


@pytest.mark.parametrize("frozen", [True, False])
def test_save_and_load(tmp_path, frozen):
    model = make_model(loss=HingeRankLoss(violations="hardest", margin=0.2))
    model.freeze_visual_model(frozen)
    pixels, labels = images()
    model.compile(keras.optimizers.SGD(0.1))
    model.fit(pixels, labels, epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    assert type(loaded) is DeViSE
    np.testing.assert_array_equal(loaded.label_vectors.numpy(), model.label_vectors.numpy())
    np.testing.assert_array_equal(loaded.predict_on_batch(pixels), model.predict_on_batch(pixels))
    np.testing.assert_array_equal(
        loaded.loss(loaded(pixels), labels).numpy(), model.loss(model(pixels), labels).numpy()
    )
    assert (loaded.loss.margin, loaded.loss.violations) == (0.2, "hardest")


def test_what_label_vectors_are_made_of_is_saved(tmp_path):
    """References as a weight, so that they are exact; the model itself computes without them."""
    references = np.random.default_rng(5).normal(size=(DIMENSION, 9))
    recipe = SpaceRecipe("mean", SimilarityProfile(references, 0.25))
    model = make_model(loss=LabelSoftmaxLoss(temperature=0.125), space_recipe=recipe)
    plain = make_model(loss=LabelSoftmaxLoss(temperature=0.125), space_recipe=SpaceRecipe("mean"))
    plain.visual_model.set_weights(model.visual_model.get_weights())
    plain.projection.set_weights(model.projection.get_weights())
    pixels, labels = images()
    np.testing.assert_array_equal(plain(pixels), model(pixels))
    assert plain.profile_references is None and not model.profile_references.trainable
    for each in (model, plain):
        each.compile(keras.optimizers.SGD(0.1))
        each.fit(pixels, labels, epochs=1, verbose=0)
        each.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
        assert isinstance(loaded.loss, LabelSoftmaxLoss) and loaded.loss.temperature == 0.125
        assert loaded.space_recipe.label_terms == "mean"
        np.testing.assert_array_equal(
            loaded.label_vectors.numpy(), each.label_vectors.numpy()
        )
        np.testing.assert_array_equal(
            loaded.loss(loaded(pixels), labels).numpy(), each.loss(each(pixels), labels).numpy()
        )
        if each is model:
            np.testing.assert_array_equal(loaded.profile_references.numpy(), references.astype("float32"))
            np.testing.assert_array_equal(loaded.space_recipe.profile.references, references.astype("float32"))
            assert loaded.space_recipe.profile.temperature == 0.25
        else:
            assert loaded.profile_references is None and loaded.space_recipe.profile is None


def classifier(labels=LABELS):
    """The visual model with logits on top, as phase 2 trains it."""
    visual = visual_model()
    return keras.Model(visual.input, keras.layers.Dense(labels, name="logits")(visual.output))


def test_the_softmaxs_probabilities_join_the_embedding(tmp_path):
    """embedding = unit(M representation) + weight unit(probabilities), of one run of the network."""
    network = classifier()
    representation = keras.Model(network.input, network.get_layer("representation").output)
    rng = np.random.default_rng(6)
    recipe = SpaceRecipe("heads", SimilarityProfile(rng.normal(size=(LABELS, 3)), 0.3))
    model = DeViSE(representation, rng.random((LABELS, LABELS)), LabelSoftmaxLoss(), recipe)
    joined = fuse_softmax(model, network, 0.7)
    pixels, labels = images(5)

    def unit(vectors):
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    logits = network(pixels).numpy().astype(np.float64)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = unit(model(pixels).numpy()) + 0.7 * unit(probabilities)
    np.testing.assert_allclose(joined(pixels), expected, rtol=1e-4, atol=1e-5)
    joined.save(tmp_path / "joined.keras")
    loaded = keras.saving.load_model(tmp_path / "joined.keras", compile=False)
    for each in (joined, loaded):
        assert type(each) is SoftmaxFusion and each.softmax_weight == 0.7
        assert (each.space_recipe.label_terms, each.space_recipe.profile.temperature) == ("heads", 0.3)
        assert isinstance(each.loss, LabelSoftmaxLoss)
        np.testing.assert_array_equal(each.profile_references.numpy(), model.profile_references.numpy())
        np.testing.assert_array_equal(each.label_vectors.numpy(), model.label_vectors.numpy())
        np.testing.assert_array_equal(each.predict_on_batch(pixels), joined.predict_on_batch(pixels))
    loaded.compile(keras.optimizers.SGD(0.1))
    with pytest.raises(ValueError, match="Train the model before `fuse_softmax`. Received: softmax_weight=0.7"):
        loaded.fit(pixels, labels, verbose=0)
    with pytest.raises(ValueError, match="`softmax_weight` .*Received: softmax_weight=0.7, outputs"):
        fuse_softmax(model, classifier(LABELS + 1), 0.7)
    for weight in (-1.0, 1.0):  # 1.0: the logits are missing
        with pytest.raises(ValueError, match=f"`softmax_weight` .*Received: softmax_weight={weight}, outputs"):
            SoftmaxFusion(representation, weight, label_vectors=np.eye(LABELS), space_recipe=recipe)


def test_config_round_trip():
    recipe = SpaceRecipe("random", SimilarityProfile(np.ones((DIMENSION, 3)), 0.3))
    model = make_model(loss=LabelSoftmaxLoss(temperature=0.5), space_recipe=recipe, name="embedder")
    config = model.get_config()
    again = DeViSE.from_config(config)
    assert again.get_config() == config
    assert again.name == "embedder" and isinstance(again.loss, LabelSoftmaxLoss) and again.loss.temperature == 0.5
    assert (again.space_recipe.label_terms, again.space_recipe.profile.temperature) == ("random", 0.3)
    assert again.profile_references.shape == (DIMENSION, 3)
    assert again.label_vectors.shape == (LABELS, DIMENSION)
    assert "visual_model" in config and DeViSE.from_config(config).get_config() == config  # not used up
    again.set_weights(model.get_weights())
    pixels, _ = images(2)
    np.testing.assert_array_equal(again(pixels), model(pixels))


def test_bad_arguments():
    with pytest.raises(ValueError, match="Received: loss='hinge'"):
        make_model(loss="hinge")
    with pytest.raises(ValueError, match="Received: loss='hinge'"):
        named_loss("hinge")
    with pytest.raises(ValueError, match="Received: margin=-1"):
        named_loss("one", margin=-1)
    for temperature in (0, -0.1, float("nan")):
        with pytest.raises(ValueError, match=f"`temperature` must be positive. Received: temperature={temperature}"):
            named_loss("softmax", temperature=temperature)
    with pytest.raises(ValueError, match="Received: label_terms='all'"):
        SpaceRecipe("all")
    for shape in ((DIMENSION + 1, 3), (3, DIMENSION), (DIMENSION,), (1, DIMENSION, 3)):
        shapes = rf"of the shape \[A, D\]|must have the shape \[{DIMENSION}, W\]"
        with pytest.raises(ValueError, match=rf"references.*({shapes}).* Received: shape {re.escape(str(shape))}"):
            make_model(space_recipe=SpaceRecipe(profile=SimilarityProfile(np.ones(shape))))
    with pytest.raises(ValueError, match="`num_labels` and `dimension` must be given"):
        make_model(label_vectors=None)
    with pytest.raises(ValueError, match="none of them zero"):
        make_model(label_vectors=np.zeros((3, 2)))


def test_trained_label_vectors_pass_the_ranking_loss_to_the_embedding():
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
        return oracle(embeddings, labels, label_vectors(table), 0.3, "sum", np.zeros(6)).sum()

    np.testing.assert_allclose(trained.label_vectors(), label_vectors(table), rtol=1e-5, atol=1e-6)
    with tf.GradientTape() as tape:
        losses = model.loss(embeddings.astype("float32"), labels, label_vectors=trained.label_vectors())
        value = tf.reduce_sum(losses)
    np.testing.assert_allclose(value, loss(table), rtol=1e-5)
    gradient = tf.convert_to_tensor(tape.gradient(value, skip_gram.embedding.embeddings.value)).numpy()
    expected = np.zeros_like(table)
    for place in np.ndindex(*table.shape):
        step = np.zeros_like(table)
        step[place] = 1e-6
        expected[place] = (loss(table + step) - loss(table - step)) / 2e-6
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-4)
