"""Answers of thousands of random candidates against appendix A.2 in plain Python."""

import math

import numpy as np
import pytest

from devise_tf.layers.label_index import search_labels
from tests.helpers.label_tables import table_of_labels, table_of_outputs, table_of_terms


def best(candidates, queries, k):
    """The answers to queries and their places, as lists of rows."""
    entries = np.zeros((len(queries), 0), np.int32)
    if len(candidates):
        queries = np.asarray(queries, np.float32)
        entries = np.asarray(search_labels(queries, candidates.values, candidates.entries_per_answer * k)[1])
    answers, positions = candidates.answers(entries, k)
    assert answers.shape == positions.shape == (len(queries), k) and answers.dtype == positions.dtype == np.int32
    return answers.tolist(), positions.tolist()


def expected_by_terms(terms_of, vectors, query, k):
    """The 4k nearest terms, each expanded to every label that holds it, each label at its first place, cut to k.

    Terms come in the order in which the labels have them, and stay in it where their scores are equal.
    """
    terms = list(dict.fromkeys(term for terms in terms_of for term in terms))
    nearest = sorted(terms, key=lambda term: -float(vectors[term] @ query))[: 4 * k]
    result = []
    for position, term in enumerate(nearest):
        for label, its in enumerate(terms_of):
            if term in its and label not in [one for one, _ in result]:
                result.append((label, position))
    return result[:k]


@pytest.mark.parametrize("seed", range(40))
def test_answers_by_terms_follow_appendix_a2(seed):
    """3,200 queries. Small whole numbers, so that many scores are equal; few terms, so that labels share them."""
    rng = np.random.default_rng(seed)
    labels, pool = int(rng.integers(2, 30)), int(rng.integers(1, 60))
    vectors = {f"t{i}": rng.integers(-2, 3, 3).astype(float) for i in range(pool)}
    terms_of = [[f"t{i}" for i in rng.permutation(pool)[: rng.integers(0, 1 + min(6, pool))]] for _ in range(labels)]
    terms_of[0] = terms_of[0] or ["t0"]
    ids = [f"label{i}" for i in range(labels)]
    candidates = table_of_terms(
        ids, {label: {t: vectors[t] for t in its} for label, its in zip(ids, terms_of, strict=True)}
    )
    assert candidates.entries_per_answer == 4 and len(candidates) == len({t for its in terms_of for t in its})
    queries = rng.integers(-2, 3, (80, 3))
    k = int(rng.integers(1, labels + 1))
    answers, positions = best(candidates, queries, k)
    for query, answered, at in zip(queries, answers, positions, strict=True):
        expected = expected_by_terms(terms_of, vectors, query, k)
        assert answered == [label for label, _ in expected] + [-1] * (k - len(expected))
        assert at[: len(expected)] == [position for _, position in expected]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("kind", ["labels", "outputs"])
def test_answers_by_label_vectors_and_outputs(kind, seed):
    """2,400 queries. Some candidates cannot be answered, and scores that are not numbers are never answers."""
    rng = np.random.default_rng(seed)
    ids = [f"label{i}" for i in range(rng.integers(2, 20))]
    known = rng.permutation([*ids[1:], "elsewhere"]).tolist()
    queries = rng.integers(-2, 3, (60, len(known) if kind == "outputs" else 4)).astype(float)
    queries[rng.random(queries.shape) < 0.05] = np.nan
    if kind == "outputs":
        candidates = table_of_outputs(ids, known)
        scores = [[row[known.index(label)] if label in known else math.nan for label in ids] for row in queries]
    else:
        vectors = {label: rng.integers(-2, 3, 4).astype(float) for label in known}
        candidates = table_of_labels(ids, vectors)
        scores = [[sum(row * vectors[label]) if label in vectors else math.nan for label in ids] for row in queries]
    for k in (1, len(ids)):
        for row, answered in zip(scores, best(candidates, queries, k)[0], strict=True):
            ranked = sorted((label for label in range(len(ids)) if not math.isnan(row[label])), key=lambda i: -row[i])
            assert answered == (ranked + [-1] * k)[:k]


def test_shared_term_answers_both_labels():
    """Terms "crane" (bird and machine) and "derrick": the bird's first term is the nearest, which answers both."""
    vectors = {
        "bird": {"crane": [1.0, 0.0]},
        "machine": {"derrick": [0.0, 1.0], "crane": [1.0, 0.0]},
        "empty": {},
    }
    candidates = table_of_terms(["empty", "machine", "bird"], vectors)
    assert candidates.owners.tolist() == [[1, -1], [1, 2]]
    answers, positions = best(candidates, [[1, 0.5], [0.5, 1]], 3)
    assert answers == [[1, 2, -1], [1, 2, -1]]
    assert [row[:2] for row in positions] == [[0, 0], [0, 1]]


def test_k_answers_look_at_4k_terms():
    """Label 0 has the four nearest terms and label 1 the next: it is the second answer of two, if 8 are looked at."""
    vectors = {"a": {f"a{i}": [9.0 - i] for i in range(4)}, "b": {"b": [1.0]}, "c": {f"c{i}": [5.0] for i in range(4)}}
    assert best(table_of_terms(["a", "b"], vectors), [[1.0]], 2) == ([[0, 1]], [[0, 4]])
    assert best(table_of_terms(["a", "b", "c"], vectors), [[1.0]], 2) == ([[0, 2]], [[0, 4]])
    # Eight terms are nearer than the only one of "b": two answers do not reach it, three do.
    assert best(table_of_terms(["a", "b", "c"], vectors), [[1.0]], 3) == ([[0, 2, 1]], [[0, 4, 8]])
    vectors["a"] |= {f"more{i}": [8.5] for i in range(4)}
    assert best(table_of_terms(["a", "b"], vectors), [[1.0]], 2)[0] == [[0, -1]]


def test_tables_without_known_labels_are_empty():
    nothing = (
        table_of_outputs(["a"], ["b"]),
        table_of_labels(["a"], {"b": [1.0]}),
        table_of_terms(["a"], {"a": {}, "b": {"term": [1.0]}}),
    )
    for table in nothing:
        assert len(table) == 0 and table.ids == [] and list(table.owners) == []


def test_selected_labels_keep_their_values():
    vectors = {"a": {"t": [1.0], "u": [2.0]}, "b": {"t": [1.0], "v": [3.0]}, "c": {}, "d": {"w": [4.0]}}
    table = table_of_terms(["a", "b", "c", "d"], vectors)
    selected, expected = table.select(["d", "c", "b"]), table_of_terms(["d", "c", "b"], vectors)
    assert selected.entries == expected.entries and selected.ids == ["d", "b"] and selected.unknown == ["c"]
    np.testing.assert_array_equal(selected.values, expected.values)
    np.testing.assert_array_equal(selected.owners, expected.owners)
    assert len(table.select(["c"])) == 0


def test_empty_batch_has_no_answers():
    """As of a batch none of whose images can be read."""
    candidates = table_of_terms(["a", "b"], {"a": {"t": [1.0], "u": [2.0]}, "b": {"t": [1.0]}})
    assert best(candidates, np.zeros((0, 1)), 2) == ([], [])
    assert best(table_of_labels(["a"], {"a": [1.0]}), np.zeros((0, 1)), 1) == ([], [])
