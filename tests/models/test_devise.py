"""`DeViSE`: its embeddings, its losses, and how it is trained and frozen."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from devise_tf.labels.similarity_profile import SimilarityProfile
from devise_tf.layers import HingeRankLoss, LabelDistanceLoss, LabelSoftmaxLoss, named_loss
from devise_tf.models.devise import SpaceRecipe
from tests.helpers.tiny_devise import DIMENSION, LABELS, images, loss_oracle, make_model


def test_projection_has_no_bias_and_embeddings_no_norm():
    model = make_model()
    pixels, _ = images(3)
    embeddings = model(pixels)
    assert embeddings.shape == (3, DIMENSION) and embeddings.dtype == tf.float32
    assert [v.path.split("/")[-1] for v in model.projection.variables] == ["kernel"]
    kernel = model.projection.kernel.numpy()
    np.testing.assert_allclose(embeddings, model.visual_model(pixels).numpy() @ kernel, rtol=1e-5, atol=1e-6)
    assert not np.allclose(np.linalg.norm(embeddings, axis=1), 1)
    np.testing.assert_allclose(np.linalg.norm(model.label_vectors.numpy(), axis=1), np.ones(LABELS), 1e-6)


def test_embeddings_and_losses_are_float32_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = make_model()
    pixels, labels = images(4)
    embeddings = model(pixels)
    assert embeddings.dtype == tf.float32
    assert model.loss(embeddings, labels).dtype == tf.float32


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("loss", ["one", "sum", "hardest", "l2", "softmax"])
def test_losses_equal_their_formulas(loss, given):
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
    expected = loss_oracle(embeddings, labels, table, 0.3, loss, uniforms, temperature=0.2)
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
def test_fit_lowers_the_loss_and_leaves_the_label_vectors(make_loss):
    model = make_model(loss=make_loss())
    pixels, labels = images(32)
    model.compile(keras.optimizers.Adam(0.02))
    weights = np.ones(32, "float32")
    history = model.fit(pixels, labels, sample_weight=weights, batch_size=16, epochs=20, verbose=0).history["loss"]
    assert np.mean(history[-3:]) < 0.85 * history[0]
    table = model.label_vectors.numpy()
    assert np.isfinite(model.evaluate(pixels, labels, verbose=0))
    np.testing.assert_array_equal(model.label_vectors.numpy(), table)


def test_examples_of_weight_zero_change_nothing():
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
def test_frozen_weights_and_batch_statistics_stay(frozen):
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


def test_bad_arguments_are_refused():
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


def test_labels_and_weights_may_have_a_last_dimension():
    model = make_model(loss=LabelDistanceLoss())
    embeddings = np.random.default_rng(3).normal(size=(6, DIMENSION)).astype("float32")
    labels = np.arange(6, dtype="uint8")
    weights = np.linspace(0, 1, 6, dtype="float32")
    expected = model.compute_loss(y=labels, y_pred=embeddings, sample_weight=weights)
    for y, sample_weight in ((labels[:, None], weights[:, None]), (labels, weights[:, None])):
        np.testing.assert_array_equal(model.compute_loss(y=y, y_pred=embeddings, sample_weight=sample_weight), expected)
    with pytest.raises(ValueError, match=r"`sample_weight` must .*Received: sample_weight.shape=\(1,\)"):
        model.compute_loss(y=labels, y_pred=embeddings, sample_weight=weights[:1])


def test_a_label_outside_makes_the_loss_of_fit_nan():
    model = make_model(loss=LabelDistanceLoss())
    pixels, labels = images(8)
    model.compile(keras.optimizers.SGD(0.1))
    history = model.fit(pixels, np.where(np.arange(8) == 3, -1, labels), batch_size=8, verbose=0).history["loss"]
    assert np.isnan(history).all()
    assert np.isfinite(model.evaluate(pixels, labels, verbose=0))  # the weights are as good as before


def test_training_needs_label_vectors():
    """A model that was built from a config has none until weights are loaded."""
    full = make_model(loss=LabelDistanceLoss())
    model = type(full).from_config(full.get_config())
    model.compile(keras.optimizers.SGD(0.1))
    pixels, labels = images(4)
    for train in (model.fit, model.evaluate, lambda x, y, verbose: model.loss(model(x), y)):
        with pytest.raises(ValueError, match=rf"(?s)`label_vectors` must be given.*\[{LABELS}, {DIMENSION}\]"):
            train(pixels, labels, verbose=0)
    model.set_weights(full.get_weights())
    expected = np.mean(full.loss(full(pixels), labels))
    np.testing.assert_allclose(model.evaluate(pixels, labels, verbose=0), expected, rtol=1e-5)
