"""The losses that are layers with label vectors: what all of them share, and `l2` and `softmax` by their formulas."""

import numpy as np
import pytest

from devise_tf.layers import HingeRankLoss, LabelDistanceLoss, LabelSoftmaxLoss
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
    run_layer_test(layer_class, {**arguments, **own}, [EMBEDDINGS, LABELS], tolerance=5e-2)


@pytest.mark.parametrize(
    ("layer", "function"),
    [(LabelDistanceLoss(VECTORS), l2_label_loss), (LabelSoftmaxLoss(VECTORS, temperature=0.05), label_softmax_loss)],
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
