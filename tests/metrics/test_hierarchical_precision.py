import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from devise_tf.metrics import HierarchicalPrecisionAtK, hierarchical_correct_set, hierarchical_correct_sets

# animal - feline - {big_cat - {lion, tiger}, cat - tabby}; animal - dog; a second root: pet - {cat, dog}.
# Only the leaves, cat and dog are labels; tulip is in no link.
PARENTS = {
    "feline": ["animal"],
    "dog": ["animal", "pet"],
    "big_cat": ["feline"],
    "lion": ["big_cat"],
    "tiger": ["big_cat"],
    "cat": ["feline", "pet"],
    "tabby": ["cat"],
}
VALID = ["lion", "tiger", "cat", "tabby", "dog", "tulip"]


def oracle(parents, label, k, valid):
    """The appendix word by word, on a matrix of hop counts by Floyd and Warshall."""
    nodes = sorted({label, *valid, *parents, *(p for ps in parents.values() for p in ps)}, key=str)
    position = {node: i for i, node in enumerate(nodes)}
    hops = np.full((len(nodes), len(nodes)), np.inf)
    np.fill_diagonal(hops, 0)
    for node, others in parents.items():
        for other in others:
            if node != other:
                hops[position[node], position[other]] = hops[position[other], position[node]] = 1
    for middle in range(len(nodes)):
        hops = np.minimum(hops, hops[:, [middle]] + hops[[middle], :])
    correct, radius = set(), 0
    while len(correct) < k and radius <= len(nodes):
        correct |= {other for other in valid if hops[position[label], position[other]] == radius}
        radius += 1
    return correct


@pytest.mark.parametrize(
    ("label", "k", "expected"),
    [
        ("cat", 1, {"cat"}),
        ("cat", 2, {"cat", "tabby"}),
        ("cat", 3, {"cat", "tabby", "dog"}),  # over pet, 2 hops
        ("cat", 4, {"cat", "tabby", "dog", "lion", "tiger"}),  # a whole ring of 3 hops
        ("lion", 2, {"lion", "tiger"}),
        ("lion", 3, {"lion", "tiger", "cat"}),
        ("lion", 4, {"lion", "tiger", "cat", "tabby", "dog"}),
        ("lion", 20, {"lion", "tiger", "cat", "tabby", "dog"}),  # exhausted, tulip cannot be reached
        ("tulip", 1, {"tulip"}),
        ("tulip", 5, {"tulip"}),
    ],
)
def test_correct_sets_of_a_small_hierarchy(label, k, expected):
    assert hierarchical_correct_set(PARENTS, label, k, VALID) == expected
    assert oracle(PARENTS, label, k, VALID) == expected


def test_hops_go_both_ways_whichever_way_links_are_given():
    children = {}
    for node, parents in PARENTS.items():
        for parent in parents:
            children.setdefault(parent, []).append(node)
    for label in VALID:
        for k in (2, 3, 5):
            expected = hierarchical_correct_set(PARENTS, label, k, VALID)
            assert hierarchical_correct_set(children, label, k, VALID) == expected


def test_links_may_be_any_iterable_and_nodes_anything_hashable():
    """Generators can be read once only; a node may be linked with itself or stand alone."""
    parents = {("cat", 1): (node for node in ["pet", "feline"]), 2: {"pet"}, "pet": ("pet",), "lion": iter(["feline"])}
    sets = hierarchical_correct_sets(parents, [("cat", 1), "tulip"], [1, 2, 9], [("cat", 1), 2, "lion", "tulip"])
    assert sets == {1: [{("cat", 1)}, {"tulip"}], 2: [{("cat", 1), 2, "lion"}, {"tulip"}], 9: [
        {("cat", 1), 2, "lion"}, {"tulip"},
    ]}  # fmt: skip


def test_sets_are_separate():
    """A caller may change one without changing another."""
    sets = hierarchical_correct_sets(PARENTS, ["lion", "tiger"], [2, 3, 20], VALID)
    sets[2][0].clear()
    assert sets[3][0] == {"lion", "tiger", "cat"} and sets[2][1] == {"lion", "tiger"}


def random_hierarchy(seed, size=60):
    """A graph without cycles, of several roots, with nodes of several parents and nodes in no link."""
    rng = np.random.default_rng(seed)
    parents = {}
    for node in range(4, size - 5):
        parents[node] = rng.choice(node, size=rng.integers(1, 3), replace=False).tolist()
    valid = sorted({*rng.choice(size - 5, size=25, replace=False).tolist(), *range(size - 5, size)})
    return parents, valid


@pytest.mark.parametrize("seed", range(5))
def test_random_hierarchies_against_the_oracle(seed):
    parents, valid = random_hierarchy(seed)
    ks = [1, 2, 5, 10, 20, 100]
    sets = hierarchical_correct_sets(parents, valid, ks, valid)
    assert list(sets) == ks
    for k in ks:
        assert sets[k] == [oracle(parents, label, k, valid) for label in valid]
    assert sets[1] == [{label} for label in valid]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("k", [1, 2, 5, 10])
def test_a_random_ranker_scores_set_size_over_labels(seed, k):
    """Over all rotations of a ranking each candidate takes each place once, so that a set of size s is met
    k * s times in C rankings: hp@k is exactly the mean of s / C, as in the paper's chance row."""
    parents, valid = random_hierarchy(seed)
    position = {label: i for i, label in enumerate(valid)}
    sets = hierarchical_correct_sets(parents, valid, [k], valid)[k]
    metric = HierarchicalPrecisionAtK(k, [{position[node] for node in correct} for correct in sets])
    ranking = np.random.default_rng(seed).permutation(len(valid)).astype("float32")
    scores = np.stack([np.roll(ranking, shift) for shift in range(len(valid))])
    for label in range(len(valid)):
        metric.update_state(np.full(len(valid), label), scores)
    expected = np.mean([len(correct) for correct in sets]) / len(valid)
    np.testing.assert_allclose(metric.result(), expected, rtol=1e-5)


def test_metric_against_oracle_with_weights():
    rng = np.random.default_rng(0)
    sets = [set(rng.choice(400, size=rng.integers(0, 9), replace=False).tolist()) for _ in range(30)]
    labels, scores = rng.integers(0, 30, 50), np.round(rng.random((50, 400)), 2).astype("float32")
    best = np.argsort(-scores, axis=1, kind="stable")[:, :7]
    values = [len(sets[label] & set(row.tolist())) / 7 for label, row in zip(labels, best, strict=True)]
    for weights in (None, rng.random(50).astype("float32")):
        metric = HierarchicalPrecisionAtK(7, sets)
        tf.function(metric.update_state)(labels, scores, weights)
        np.testing.assert_allclose(metric.result(), np.average(values, weights=weights), rtol=1e-5)


def test_scores_of_nan_rank_last_and_are_never_correct():
    metric = HierarchicalPrecisionAtK(1, [{0}, {1}])
    metric.update_state([0, 1], [[np.nan, 0.5], [np.nan, 0.5]])
    assert metric.result() == 0.5
    metric = HierarchicalPrecisionAtK(2, [{0}, {1}])
    metric.update_state([0, 1], [[np.nan, 0.5], [np.nan, 0.5]])
    assert metric.result() == 0.25


def test_sorted_ids_give_what_scores_give():
    """Ids below zero are no answers, even of a label without a correct one."""
    rng = np.random.default_rng(1)
    sets = [set(), *(set(rng.choice(20, size=4, replace=False).tolist()) for _ in range(9))]
    labels, scores = rng.integers(0, 10, 50), np.round(rng.random((50, 20)), 1).astype("float32")
    scores[rng.random(scores.shape) < 0.8] = np.nan
    ids = np.argsort(-scores, axis=1, kind="stable")[:, :6]
    ids = np.where(np.isnan(np.take_along_axis(scores, ids, axis=1)), -1, ids)
    by_ids, by_scores = HierarchicalPrecisionAtK(5, sets, from_sorted_ids=True), HierarchicalPrecisionAtK(5, sets)
    by_ids.update_state(labels, ids)
    by_scores.update_state(labels, scores)
    expected = [len(sets[label] & set(row[:5].tolist())) / 5 for label, row in zip(labels, ids, strict=True)]
    assert float(by_ids.result()) == float(by_scores.result()) == pytest.approx(np.mean(expected))
    assert by_ids.get_config()["from_sorted_ids"]


def test_perfect_ranker_scores_one_wherever_sets_reach_k():
    parents, valid = random_hierarchy(0)
    connected = [label for label in valid if label < 55]
    position = {label: i for i, label in enumerate(connected)}
    for k, sets in hierarchical_correct_sets(parents, connected, [2, 5], connected).items():
        ids = [{position[node] for node in correct} for correct in sets]
        scores = np.array([[i in correct for i in range(len(connected))] for correct in ids], "float32")
        metric = HierarchicalPrecisionAtK(k, ids)
        metric.update_state(np.arange(len(connected)), scores)
        expected = np.mean([min(len(correct), k) / k for correct in ids])
        np.testing.assert_allclose(metric.result(), expected, rtol=1e-6)


def test_config_round_trip_and_name():
    metric = HierarchicalPrecisionAtK(2, [{0, 2}, set(), {np.int64(1)}])
    assert metric.name == "hp@2"
    config = json.loads(json.dumps(metric.get_config()))
    assert config["correct_sets"] == [[0, 2], [], [1]]
    serialized = json.loads(json.dumps(keras.saving.serialize_keras_object(metric)))
    revived = keras.saving.deserialize_keras_object(serialized)
    assert type(revived) is HierarchicalPrecisionAtK
    assert revived.get_config() == metric.get_config()


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="Received: k=0"):
        HierarchicalPrecisionAtK(0, [{0}])
    with pytest.raises(ValueError, match="`correct_sets`"):
        HierarchicalPrecisionAtK(1, [])
    with pytest.raises(ValueError, match="`correct_sets`"):
        HierarchicalPrecisionAtK(1, [{-1}])
    with pytest.raises(ValueError, match="at least k=3 candidates"):
        HierarchicalPrecisionAtK(3, [{0}]).update_state([0], [[0.1, 0.2]])
    with pytest.raises(ValueError, match="`labels` must be among `valid_labels`"):
        hierarchical_correct_set(PARENTS, "feline", 2, VALID)
    with pytest.raises(ValueError, match=r"Received: ks=\[0\]"):
        hierarchical_correct_set(PARENTS, "cat", 0, VALID)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"])
def test_labels_of_any_integer_dtype_and_with_a_last_dimension_give_the_same(dtype):
    for labels in (np.arange(10, dtype=dtype), np.arange(10, dtype=dtype)[:, None]):
        metric = HierarchicalPrecisionAtK(1, [{label} for label in range(10)])
        metric.update_state(labels, np.eye(10, dtype="float32"), np.ones((10, 1)))
        assert metric.result() == 1


@pytest.mark.parametrize("outside", [-1, 2])
def test_a_label_without_a_set_is_an_error_and_in_a_compiled_function_nan(outside):
    labels, scores = np.array([1, outside]), np.array([[0.0, 1.0], [0.0, 1.0]], "float32")
    metric = HierarchicalPrecisionAtK(1, [{0}, {1}])
    with pytest.raises(ValueError, match=rf"`labels` must be ids from 0 to 1. Received: 1 others, \[{outside}\]"):
        metric.update_state(labels, scores)
    tf.function(metric.update_state)(tf.constant(labels), tf.constant(scores))
    assert np.isnan(metric.result())


def test_other_shapes_are_named():
    metric = HierarchicalPrecisionAtK(1, [{0}, {1}])
    with pytest.raises(ValueError, match=r"Received: labels.shape=\(2,\)"):
        metric.update_state([0, 1], [[0.1, 0.2]])
    with pytest.raises(ValueError, match=r"Received: ranking.shape=\(2,\)"):
        metric.update_state([0, 1], [0.1, 0.2])
