import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from devise_tf.metrics import HitAtK, hit_at_k
from devise_tf.metrics.hit_at_k import NEVER, label_rank


def oracle(labels, scores, k):
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.array([label in row for label, row in zip(labels, order, strict=True)])


@pytest.mark.parametrize("k", [1, 2, 5, 20, 25])
def test_against_a_stable_sort(k):
    """Scores in steps of 0.1 tie often."""
    rng = np.random.default_rng(0)
    scores = np.round(rng.random((200, 20)), 1).astype("float32")
    labels = rng.integers(0, 20, 200)
    np.testing.assert_array_equal(hit_at_k(labels, scores, k), oracle(labels, scores, k))


@pytest.mark.parametrize("value", [0.0, np.nan, -np.inf])
def test_a_constant_scorer_is_no_better_than_chance(value):
    hits = hit_at_k(np.arange(10), np.full((10, 10), value, "float32"), 3)
    assert np.sum(hits) == (0 if np.isnan(value) else 3)


@pytest.mark.parametrize("k", [1, 3, 8])
def test_sorted_ids_give_what_scores_give(k):
    rng = np.random.default_rng(1)
    scores, labels = np.round(rng.random((60, 20)), 1).astype("float32"), rng.integers(0, 20, 60)
    ids = np.argsort(-scores, axis=1, kind="stable")[:, :8]
    np.testing.assert_array_equal(hit_at_k(labels, ids, k, from_sorted_ids=True), oracle(labels, scores, k))
    by_ids, by_scores = HitAtK(k, from_sorted_ids=True), HitAtK(k)
    by_ids.update_state(labels, ids)
    by_scores.update_state(labels, scores)
    assert by_ids.result() == by_scores.result()


def test_negative_ids_are_no_answers():
    ranks = label_rank([0, 1, 2], [[3, 0], [-1, -1], [2, -1]], from_sorted_ids=True)
    np.testing.assert_array_equal(ranks, [2, NEVER, 1])


def test_metric_over_batches_and_weights():
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 300, 50), rng.random((50, 300)).astype("float32")
    weights = rng.random(50).astype("float32")
    for w in (None, weights):
        metric = HitAtK(100)
        update = tf.function(metric.update_state)
        for part in (slice(0, 20), slice(20, 50)):
            update(labels[part], scores[part], None if w is None else w[part])
        expected = np.average(oracle(labels, scores, 100), weights=w)
        np.testing.assert_allclose(metric.result(), expected, rtol=1e-6)
        metric.reset_state()
        assert metric.result() == 0


def test_labels_are_not_rounded_under_a_half_precision_metric():
    """Under a float16 metric label 2,049 stays itself; float16 would make it 2,048."""
    scores = np.zeros((1, 3000), "float16")
    scores[0, 2049] = 1
    metric = HitAtK(1, dtype="float16")
    metric.update_state(np.array([2049]), scores)
    assert metric.result() == 1


def test_config_round_trip_and_name():
    metric = HitAtK(5, from_sorted_ids=True)
    assert metric.name == "hit@5" and metric.get_config()["from_sorted_ids"]
    serialized = json.loads(json.dumps(keras.saving.serialize_keras_object(metric)))
    assert serialized["registered_name"] == "devise_tf>HitAtK"
    assert keras.saving.deserialize_keras_object(serialized).get_config() == metric.get_config()


@pytest.mark.parametrize("k", [0, 1.5, None])
def test_bad_k_is_named(k):
    with pytest.raises(ValueError, match=f"Received: k={k}"):
        HitAtK(k)


def test_nan_ranks_last_and_hits_nothing_in_a_graph_too():
    """TensorFlow's graph optimizer turns `not (a <= b)` into `a > b`, which is another thing for NaN."""
    scores = tf.constant([[np.nan, np.nan, np.nan], [np.nan, 1.0, 0.0], [0.2, 0.1, 0.3]])
    for k, expected in ((1, [False, True, True]), (2, [False, True, True]), (3, [False, True, True])):
        hits = tf.function(lambda labels, scores, k=k: hit_at_k(labels, scores, k))
        np.testing.assert_array_equal(hits(tf.constant([0, 1, 2]), scores), expected)
        np.testing.assert_array_equal(hit_at_k([0, 1, 2], scores, k), expected)


DTYPES = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


@pytest.mark.parametrize("from_sorted_ids", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_labels_of_any_integer_dtype_and_with_a_last_dimension_give_the_same(dtype, from_sorted_ids):
    scores = np.eye(10, dtype="float32")
    ranking = np.argsort(-scores, axis=1, kind="stable").astype(dtype) if from_sorted_ids else scores
    for labels in (np.arange(10, dtype=dtype), np.arange(10, dtype=dtype)[:, None]):
        metric = HitAtK(1, from_sorted_ids=from_sorted_ids)
        metric.update_state(labels, ranking, np.ones((10, 1)))
        tf.function(metric.update_state)(tf.constant(labels), tf.constant(ranking))
        assert metric.result() == 1


@pytest.mark.parametrize("outside", [-1, 3])
def test_a_label_that_is_no_candidate_is_an_error_and_in_a_compiled_function_nan(outside):
    """The last candidate would be the answer to label -1, were it counted from the end."""
    labels, scores = np.array([1, outside]), np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], "float32")
    for call in (lambda: HitAtK(1).update_state(labels, scores), lambda: label_rank(labels, scores)):
        with pytest.raises(ValueError, match=rf"`labels` must be ids from 0 to 2. Received: 1 others, \[{outside}\]"):
            call()
    metric = HitAtK(1)
    tf.function(metric.update_state)(tf.constant(labels), tf.constant(scores))
    assert np.isnan(metric.result())
    hits = tf.function(lambda labels, scores: hit_at_k(labels, scores, 3))(tf.constant(labels), tf.constant(scores))
    np.testing.assert_array_equal(hits, [True, False])


def test_label_minus_one_is_not_an_answer_of_minus_one():
    with pytest.raises(ValueError, match=r"`labels` must be ids from 0 .*Received: 1 others, \[-1\]"):
        label_rank([-1], [[-1, 2]], from_sorted_ids=True)
    ranks = tf.function(lambda labels, ids: label_rank(labels, ids, from_sorted_ids=True))
    np.testing.assert_array_equal(ranks(tf.constant([-1, 2]), tf.constant([[-1, 2], [-1, 2]])), [NEVER, 2])


def test_a_label_outside_is_nan_under_a_strategy_too():
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        metric = HitAtK(1)
    for labels in ([1, 0], [1, -1]):
        parts = strategy.experimental_distribute_values_from_function(
            lambda context, labels=labels: tf.constant([labels[context.replica_id_in_sync_group]])
        )
        metric.reset_state()
        tf.function(lambda parts: strategy.run(metric.update_state, (parts, [[0.1, 0.9]])))(parts)
        np.testing.assert_array_equal(metric.result(), np.nan if -1 in labels else 0.5)


@pytest.mark.parametrize(
    ("labels", "ranking", "named"),
    [
        ([0], [[0.1, 0.2], [0.3, 0.4]], r"labels.shape=\(1,\)"),
        ([0, 1], [0.1, 0.2], r"ranking.shape=\(2,\)"),
        ([0.0, 1.0], [[0.1, 0.2], [0.3, 0.4]], "labels.dtype=float"),
    ],
)
def test_other_shapes_and_dtypes_are_named(labels, ranking, named):
    with pytest.raises(ValueError, match=f"Received: {named}"):
        HitAtK(1).update_state(labels, ranking)


def test_sorted_ids_must_be_integers():
    """NaN would become an id."""
    with pytest.raises(ValueError, match="`ranking` must .* be integers .*ranking.dtype=float32"):
        label_rank([0], [[np.nan, 1.0]], from_sorted_ids=True)
