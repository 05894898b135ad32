import keras
import numpy as np
import pytest
import tensorflow as tf

from devise_tf.layers import LabelIndex
from devise_tf.layers.label_index import search_labels
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


def test_index_again_replaces_any_number_of_labels():
    index = LabelIndex(1).index(np.eye(2))
    index(np.eye(2, dtype="float32"))
    index.index(np.eye(2)[::-1], [8, 9])
    np.testing.assert_array_equal(index(np.eye(2, dtype="float32"))[1], [[9], [8]])
    index.index(np.array([[1.0, 1.0], [0.0, 1.0], [2.0, 0.0]]), [5, 6, 7])
    np.testing.assert_array_equal(index(np.eye(2, dtype="float32"))[1], [[7], [5]])
    assert [weight.shape for weight in index.weights] == [(3, 2), (3,)]
    assert index.get_config()["num_labels"] == 3
    with pytest.raises(ValueError, match="must keep the dimension 2"):
        index.index(np.eye(3))


def test_other_number_of_labels_is_saved_and_loaded(tmp_path):
    inputs = keras.Input((4,))
    index = LabelIndex(3).index(VECTORS[:5])
    model = keras.Model(inputs, index(inputs))
    index.index(VECTORS, np.arange(100, 130))
    expected = model(QUERIES)
    np.testing.assert_array_equal(expected[1], LabelIndex(3).index(VECTORS, np.arange(100, 130))(QUERIES)[1])
    model.save(tmp_path / "model.keras")
    for output, value in zip(keras.saving.load_model(tmp_path / "model.keras")(QUERIES), expected, strict=True):
        np.testing.assert_array_equal(output, value)


def test_k_of_a_call():
    index = LabelIndex(3).index(VECTORS)
    scores, labels = index(QUERIES, k=7)
    full = LabelIndex(30).index(VECTORS)(QUERIES)
    np.testing.assert_array_equal(labels, full[1][:, :7])
    np.testing.assert_array_equal(scores, full[0][:, :7])
    with pytest.raises(ValueError, match="Received: k=31, num_labels=30"):
        index(QUERIES, k=31)


def test_candidates_are_ids_or_a_mask():
    ids = RNG.permutation(1000 + np.arange(30))
    index = LabelIndex(4).index(VECTORS, ids)
    order = ids[np.argsort(-(QUERIES @ VECTORS.T), axis=1, kind="stable")]
    allowed = RNG.choice(ids, 6, replace=False)
    expected = np.array([[label for label in row if label in allowed] for row in order])
    for candidates in (allowed, np.isin(ids, allowed), np.tile(np.isin(ids, allowed), (5, 1))):
        np.testing.assert_array_equal(index(QUERIES, candidates=candidates)[1], expected[:, :4])
    scores, labels = index(QUERIES, k=8, candidates=[*allowed.tolist(), 7])  # 7 is not indexed
    np.testing.assert_array_equal(labels, np.pad(expected, ((0, 0), (0, 2)), constant_values=-1))
    assert np.isneginf(scores[:, 6:]).all() and np.isfinite(scores[:, :6]).all()


@pytest.mark.parametrize("columns", [False, True])
def test_search_in_a_graph_of_any_size(columns):
    """One graph for any number of queries, entries and answers; of the outputs of a softmax, positions are entries."""
    values = tf.TensorSpec([None], tf.int32) if columns else tf.TensorSpec([None, 4], tf.float32)
    signature = [tf.TensorSpec([None, 4], tf.float32), values, tf.TensorSpec([], tf.int32)]
    search = tf.function(search_labels, input_signature=signature)
    for size, k in ((1, 1), (3, 2), (30, 7), (5, 9)):
        table = RNG.integers(0, 4, size).astype("int32") if columns else VECTORS[:size]
        expected = QUERIES[:, table] if columns else QUERIES @ table.T
        order = np.argsort(-expected, axis=1, kind="stable")[:, :k]
        scores, rows = search(QUERIES, table, k)
        np.testing.assert_array_equal(rows, order)
        np.testing.assert_allclose(scores, np.take_along_axis(expected, order, axis=1), atol=1e-5)


def test_offsets_are_added_to_scores():
    offsets = RNG.normal(size=len(VECTORS)).astype("float32")
    expected = QUERIES @ VECTORS.T + offsets
    order = np.argsort(-expected, axis=1, kind="stable")[:, :3]
    scores, rows = search_labels(QUERIES, VECTORS, 3, offsets=offsets)
    np.testing.assert_array_equal(rows, order)
    np.testing.assert_allclose(scores, np.take_along_axis(expected, order, axis=1), atol=1e-5)


def test_scores_that_are_not_numbers_are_never_found():
    scores, rows = search_labels(np.array([[1.0, np.nan, -2.0, np.nan]], "float32"), np.arange(4), 3)
    assert np.asarray(rows).tolist() == [[0, 2, -1]]
    assert np.asarray(scores).tolist() == [[1.0, -2.0, -np.inf]]


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
    with pytest.raises(ValueError, match="Received: recall_target=0.9"):
        LabelIndex(1, recall_target=0.9)
    with pytest.raises(ValueError, match="given together"):
        LabelIndex(1, num_labels=3)
    with pytest.raises(ValueError, match="Received: k=10, num_labels=2"):
        LabelIndex(10).index(np.eye(2))(np.eye(2, dtype="float32"))
    with pytest.raises(ValueError, match="`index` must be called"):
        LabelIndex(1)(QUERIES)
    for candidates in ([[7], [8]], [7.0, np.nan]):
        with pytest.raises(ValueError, match="`candidates` must be integers of the shape"):
            LabelIndex(1).index(VECTORS)(QUERIES, candidates=candidates)
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


def test_an_index_that_nothing_filled_says_so(tmp_path):
    """Until labels are indexed, assigned or loaded; in a compiled function there are no answers."""
    inputs = keras.Input((4,))
    model = keras.Model(inputs, LabelIndex(3, name="index").index(VECTORS, np.arange(100, 130))(inputs))
    expected = model(QUERIES)
    copies = [keras.models.clone_model(model) for _ in range(3)]
    copies[0].get_layer("index").index(VECTORS, np.arange(100, 130))
    copies[1].set_weights(model.get_weights())
    with pytest.raises(ValueError, match=r"(?s)`index` must be called.*Received: a table .*\[30, 4\]"):
        copies[2](QUERIES)
    assert (copies[2].predict_on_batch(QUERIES)[1] == -1).all()
    model.save_weights(tmp_path / "a.weights.h5")
    copies[2].load_weights(tmp_path / "a.weights.h5")
    for copy in copies:
        for output, value in zip(copy(QUERIES), expected, strict=True):
            np.testing.assert_array_equal(output, value)
    with pytest.raises(ValueError, match=r"`queries` must have the shape \[B, D\].*queries.shape=\(1, 5, 4\)"):
        LabelIndex(1).index(VECTORS)(QUERIES[None])
