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
