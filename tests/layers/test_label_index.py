import keras
import numpy as np
import pytest
import tensorflow as tf

from devise_tf.layers import LabelIndex
from tests.helpers.run_layer_test import run_layer_test

RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(30, 4)).astype("float32")
QUERIES = RNG.normal(size=(5, 4)).astype("float32")


def test_layer():
    """Ids drawn from all of int32 would not survive a float dtype."""
    init_kwargs = {"k": 3, "num_labels": 30, "dimension": 4}
    run_layer_test(LabelIndex, init_kwargs, [QUERIES], expected_dtypes=["float32", "int32"])


@pytest.mark.parametrize("k", [1, 7, 30])
def test_against_a_full_sort(k):
    ids = RNG.permutation(2_000_000_000 + np.arange(30))
    scores, labels = LabelIndex(k).index(VECTORS, ids)(QUERIES)
    expected = QUERIES @ VECTORS.T
    order = np.argsort(-expected, axis=1, kind="stable")[:, :k]
    np.testing.assert_allclose(scores, np.take_along_axis(expected, order, axis=1), rtol=1e-5)
    np.testing.assert_array_equal(labels, ids[order])
    assert labels.dtype == tf.int32 and scores.dtype == tf.float32


def test_ties_go_to_the_label_indexed_first():
    _, labels = LabelIndex(4).index(np.ones((50, 2)))(np.ones((2, 2), "float32"))
    np.testing.assert_array_equal(labels, [[0, 1, 2, 3]] * 2)


def test_index_again_replaces_the_labels():
    index = LabelIndex(1).index(np.eye(2))
    index(np.eye(2, dtype="float32"))
    index.index(np.eye(2)[::-1], [8, 9])
    np.testing.assert_array_equal(index(np.eye(2, dtype="float32"))[1], [[9], [8]])
    with pytest.raises(ValueError, match=r"must keep the shape \[2, 2\]"):
        index.index(np.eye(3)[:, :2])


def test_survives_export(tmp_path):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, LabelIndex(3).index(VECTORS, np.arange(100, 130))(inputs))
    expected = model(QUERIES)
    model.export(str(tmp_path / "export"), verbose=False)
    exported = tf.saved_model.load(str(tmp_path / "export"))
    served = exported.serve(tf.constant(QUERIES))
    np.testing.assert_allclose(served[0], expected[0], rtol=1e-6)
    np.testing.assert_array_equal(served[1], expected[1])


def test_bad_arguments():
    with pytest.raises(ValueError, match="Received: k=0"):
        LabelIndex(0)
    with pytest.raises(ValueError, match="given together"):
        LabelIndex(1, num_labels=3)
    with pytest.raises(ValueError, match="Received: k=10, num_labels=2"):
        LabelIndex(10).index(np.eye(2))
    with pytest.raises(ValueError, match="`index` must be called"):
        LabelIndex(1)(QUERIES)
    with pytest.raises(ValueError, match=r"labels.shape=\(3,\)"):
        LabelIndex(1).index(np.eye(2), [1, 2, 3])
    with pytest.raises(ValueError, match="32-bit integers"):
        LabelIndex(1).index(np.eye(2), [1, 2**40])
    with pytest.raises(ValueError, match="32-bit integers"):
        LabelIndex(1).index(np.eye(2), [0.5, 1.0])
    with pytest.raises(ValueError, match=r"rows \[1\]"):
        LabelIndex(1).index([[0.0, 1.0], [np.nan, 0.0]])
    with pytest.raises(ValueError, match="dimension of the indexed vectors, 4"):
        LabelIndex(1).index(VECTORS)(np.ones((1, 3), "float32"))
