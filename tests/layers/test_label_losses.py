"""The losses that are layers with label vectors: what all of them share, and `l2` and `softmax` by their formulas."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from devise_tf.choices import LOSSES
from devise_tf.layers import HingeRankLoss, LabelDistanceLoss, LabelSoftmaxLoss, named_loss
from devise_tf.losses import l2_label_loss, label_softmax_loss
from tests.helpers.run_layer_test import run_layer_test

RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(300, 4))
UNIT_VECTORS = (VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)).astype("float32")
EMBEDDINGS = RNG.normal(size=(5, 4)).astype("float32")
LABELS = np.array([0, 257, 299, 3, 258], "int32")
CLASSES = [HingeRankLoss, LabelDistanceLoss, LabelSoftmaxLoss]


@pytest.mark.parametrize("arguments", [{"label_vectors": VECTORS}, {"num_labels": 300, "dimension": 4}])
@pytest.mark.parametrize(("layer_class", "own"), [(LabelDistanceLoss, {}), (LabelSoftmaxLoss, {"temperature": 0.5})])
def test_layers(layer_class, own, arguments):
    for labels in (LABELS, LABELS[:, None]):
        run_layer_test(layer_class, {**arguments, **own}, [EMBEDDINGS, labels], tolerance=5e-2)


@pytest.mark.parametrize(
    ("layer", "function"),
    [(LabelDistanceLoss(VECTORS), l2_label_loss), (LabelSoftmaxLoss(VECTORS, temperature=0.07), label_softmax_loss)],
)
def test_values_are_those_of_the_functions(layer, function):
    expected = function(EMBEDDINGS, LABELS, UNIT_VECTORS)
    np.testing.assert_allclose(layer(EMBEDDINGS, LABELS), expected, rtol=1e-5)
    others = np.roll(UNIT_VECTORS, 1, axis=0)
    np.testing.assert_allclose(
        layer(EMBEDDINGS, LABELS, label_vectors=others), function(EMBEDDINGS, LABELS, others), rtol=1e-5
    )


@pytest.mark.parametrize("loss_class", CLASSES)
def test_label_vectors_may_come_later_or_with_the_call(loss_class):
    with pytest.raises(ValueError, match="`label_vectors` must be given, to the layer or to its call"):
        loss_class()(EMBEDDINGS, LABELS)
    uniforms = np.zeros(5, "float32")
    layer = loss_class()
    layer.set_label_vectors(VECTORS)
    np.testing.assert_allclose(layer.label_vectors, UNIT_VECTORS, rtol=1e-6)
    assert (layer.num_labels, layer.dimension, layer.trainable_weights) == (300, 4, [])
    values = layer(EMBEDDINGS, LABELS, uniforms=uniforms)
    at_call = loss_class()(EMBEDDINGS, LABELS, uniforms=uniforms, label_vectors=UNIT_VECTORS)
    np.testing.assert_allclose(values, at_call, rtol=1e-5)
    layer.set_label_vectors(VECTORS[::-1])
    np.testing.assert_allclose(layer.label_vectors, UNIT_VECTORS[::-1], rtol=1e-6)
    with pytest.raises(ValueError, match=r"must have the shape \(300, 4\) .*Received: label_vectors.shape=\(2, 4\)"):
        layer.set_label_vectors(VECTORS[:2])


def test_bad_temperatures():
    with pytest.raises(ValueError, match="`temperature` must be positive. Received: temperature=0"):
        LabelSoftmaxLoss(VECTORS, temperature=0)


@pytest.mark.parametrize("loss_class", CLASSES)
def test_labels_of_any_integer_dtype_and_with_a_last_dimension_give_the_same(loss_class):
    layer = loss_class(VECTORS[:100])
    uniforms, labels = np.linspace(0.1, 0.9, 5).astype("float32"), np.array([0, 99, 3, 57, 3])
    expected = layer(EMBEDDINGS, labels.astype("int32"), uniforms=uniforms)
    for dtype in ("int8", "int16", "int64", "uint8", "uint16", "uint32", "uint64"):
        given = labels[:, None].astype(dtype)
        np.testing.assert_array_equal(layer(EMBEDDINGS, given, uniforms=uniforms[:, None]), expected)
    assert layer.compute_output_shape((5, 4), (5, 1)) == expected.shape == (5,)
    with pytest.raises(ValueError, match=r"`labels` must have the shape \(5,\) or \(5, 1\).*labels.shape=\(1,\)"):
        layer(EMBEDDINGS, labels[:1], uniforms=uniforms)
    with pytest.raises(ValueError, match=r"`embeddings` must have the shape \[B, D\].*Received: embeddings.shape="):
        loss_class(VECTORS)(EMBEDDINGS[None], labels)


@pytest.mark.parametrize("outside", [-1, 300])
@pytest.mark.parametrize("loss_class", CLASSES)
def test_a_label_outside_is_an_error_and_in_a_compiled_function_nan(loss_class, outside):
    """There its example passes no gradient, and the others keep their values and gradients."""
    layer, uniforms = loss_class(VECTORS), np.linspace(0.1, 0.9, 5).astype("float32")
    labels = np.where(np.arange(5) == 2, outside, LABELS)
    with pytest.raises(ValueError, match=rf"`labels` must be ids from 0 to 299. Received: 1 others, \[{outside}\]"):
        layer(EMBEDDINGS, labels, uniforms=uniforms)

    @tf.function
    def compiled(embeddings, labels):
        with tf.GradientTape() as tape:
            tape.watch(embeddings)
            losses = layer(embeddings, labels, uniforms=uniforms)
        return losses, tape.gradient(losses, embeddings)

    expected = [value.numpy() for value in compiled(tf.constant(EMBEDDINGS), tf.constant(LABELS))]
    assert np.isfinite(expected[0]).all() and expected[1][2].any()
    expected[0][2], expected[1][2] = np.nan, 0
    for actual, value in zip(compiled(tf.constant(EMBEDDINGS), tf.constant(labels)), expected, strict=True):
        np.testing.assert_array_equal(actual, value)


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("name", LOSSES)
def test_nan_stays_nan(name, label):
    """Of an embedding; of the vector of a false label where its score counts. Other examples are as ever."""
    layer, uniforms = named_loss(name, label_vectors=np.eye(3)), np.full(2, 0.5, "float32")
    embeddings, labels = np.array([[1.0, 2.0, 3.0], [1.0, np.nan, 3.0]], "float32"), np.array([label] * 2)
    for call in (layer, tf.function(layer)):
        losses = call(tf.constant(embeddings), tf.constant(labels), uniforms=tf.constant(uniforms))
        np.testing.assert_array_equal(np.isnan(losses), [False, True])
        vectors = tf.constant(np.where(np.arange(3)[:, None] == 2, np.nan, np.eye(3)), tf.float32)
        losses = call(tf.constant(embeddings[:1]), tf.constant(labels[:1]), tf.constant(uniforms[:1]), vectors)
        assert np.isnan(losses[0]) == (name != "l2")


@pytest.mark.parametrize("loss_class", CLASSES)
def test_a_layer_that_nothing_filled_says_so(loss_class, tmp_path):
    """Until vectors are set, assigned or loaded; also in a model that was cloned, or loaded."""
    uniforms = np.zeros(5, "float32")
    inputs = keras.Input((4,)), keras.Input((), dtype="int32"), keras.Input(())
    full = loss_class(VECTORS, name="loss")
    model = keras.Model(inputs, full(*inputs))
    expected = model([EMBEDDINGS, LABELS, uniforms])
    copies = [keras.models.clone_model(model) for _ in range(4)]
    copies[0].get_layer("loss").set_label_vectors(VECTORS)
    copies[1].get_layer("loss").label_vectors.assign(UNIT_VECTORS)
    copies[2].set_weights(model.get_weights())
    model.save_weights(tmp_path / "a.weights.h5")
    for copy in copies[3:]:
        with pytest.raises(ValueError, match=r"(?s)`label_vectors` must be given.*Received: a table .*\[300, 4\]"):
            copy([EMBEDDINGS, LABELS, uniforms])
        assert np.isnan(copy.predict_on_batch([EMBEDDINGS, LABELS, uniforms])).all()
        copy.load_weights(tmp_path / "a.weights.h5")
    model.save(tmp_path / "model.keras")
    for copy in (*copies, keras.saving.load_model(tmp_path / "model.keras")):
        np.testing.assert_array_equal(copy([EMBEDDINGS, LABELS, uniforms]), expected)
    copies[3].export(str(tmp_path / "export"), verbose=False)
    exported = tf.saved_model.load(str(tmp_path / "export"))
    np.testing.assert_allclose(exported.serve((EMBEDDINGS, LABELS, uniforms)), expected, rtol=1e-5)
