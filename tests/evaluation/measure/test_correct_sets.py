"""Correct sets in bulk, against the appendix of the paper written out once more."""

import time

import numpy as np
import pytest

from devise_tf.evaluation.measure.correct_sets import CorrectSets
from devise_tf.metrics import hierarchical_correct_sets

KS = (1, 2, 5, 10, 100)


def oracle(links, label, k, valid):
    """The appendix word by word; hops by relaxing all links until no distance falls any more."""
    hops = {label: 0}
    changed = True
    while changed:
        changed = False
        for one, other in [*links, *((b, a) for a, b in links)]:
            if one in hops and hops[one] + 1 < hops.get(other, 10**6):
                hops[other], changed = hops[one] + 1, True
    correct, radius = [], 0
    while len(correct) < k and radius <= max(hops.values()):
        correct += [node for node in valid if hops.get(node) == radius]
        radius += 1
    return set(correct)


def random_case(rng):
    """Links from nodes to earlier ones: several roots, several parents, nodes in no link; some labels, some not."""
    size = int(rng.integers(1, 14))
    nodes = [f"node{i}" for i in range(size)]
    links = [
        (nodes[child], nodes[parent])
        for child in range(1, size)
        for parent in sorted(rng.choice(child, size=min(child, rng.choice([0, 1, 1, 1, 2, 3])), replace=False).tolist())
    ]
    some = [nodes[i] for i in rng.permutation(size)[: rng.integers(1, size + 1)]]
    valid = [*some, *(f"alone{i}" for i in range(rng.integers(0, 2)))]
    labels = rng.permutation(valid)[: rng.integers(1, len(valid) + 1)].tolist()
    candidates = rng.permutation([*nodes, *valid[len(some) :]])[: rng.integers(1, size + 2)].tolist()
    return links, labels, candidates, valid


def as_neighbors(links, rng):
    """The links as parents, as children, or as both, as it comes."""
    neighbors = {}
    for child, parent in links:
        way = rng.integers(3)
        if way != 0:
            neighbors.setdefault(child, []).append(parent)
        if way != 1:
            neighbors.setdefault(parent, []).append(child)
    return neighbors


@pytest.mark.parametrize("seed", range(4))
def test_thousands_of_random_hierarchies_against_the_paper(seed):
    rng = np.random.default_rng(seed)
    for _ in range(600):
        links, labels, candidates, valid = random_case(rng)
        neighbors = as_neighbors(links, rng)
        ks = sorted(rng.choice(KS, size=rng.integers(1, 6), replace=False).tolist())
        plain = hierarchical_correct_sets(neighbors, labels, ks, valid)
        sets = CorrectSets(neighbors, labels, candidates, valid, ks)
        everything = np.tile(np.arange(len(candidates)), (len(labels), 1))
        smallest = sets.smallest_k(np.arange(len(labels)), everything)
        for k in ks:
            expected = [oracle(links, label, k, valid) for label in labels]
            assert plain[k] == expected
            answered = [{candidates[position] for position in np.flatnonzero(row <= k)} for row in smallest]
            assert answered == [members & set(candidates) for members in expected]
            assert sets.sizes(k).tolist() == [len(members) for members in answered]


def test_counts_against_sets_of_ids():
    rng = np.random.default_rng(7)
    parents = {node: rng.choice(node, size=min(node, 2), replace=False).tolist() for node in range(1, 300)}
    valid = rng.permutation(300)[:200].tolist()
    labels, candidates = valid[:150], [*valid[50:], 5000]
    ks = [1, 2, 5, 10, 20]
    sets = CorrectSets(parents, labels, candidates, valid, ks)
    plain = hierarchical_correct_sets(parents, labels, ks, valid)
    for width in (3, 20, 40):
        rows, answers = rng.integers(0, 150, 64), rng.integers(-1, len(candidates), (64, width))
        smallest = sets.smallest_k(rows, answers)
        for k in ks:
            expected = [
                sum(position >= 0 and candidates[position] in plain[k][row] for position in answer[:k])
                for row, answer in zip(rows.tolist(), answers.tolist(), strict=True)
            ]
            assert (smallest[:, :k] <= k).sum(axis=1).tolist() == expected


def test_no_answer_is_never_correct():
    """Also where the key before the label's first would be another label's last candidate."""
    neighbors = {"cat": ["pet"], "dog": ["pet"]}
    sets = CorrectSets(neighbors, ["cat", "dog"], ["cat", "dog"], ["cat", "dog"], ks=[1, 2])
    assert sets.smallest_k([0, 1], [[-1, 1], [-1, 1]]).tolist() == [[sets.NEVER, 2], [sets.NEVER, 1]]
    assert sets.smallest_k([1, 1], [[-1, -1], [0, 1]]).tolist() == [[sets.NEVER] * 2, [2, 1]]
    assert sets.smallest_k([], np.zeros((0, 2), int)).shape == (0, 2)


def test_links_to_itself_and_labels_in_no_link():
    sets = CorrectSets({"cat": ["cat"]}, ["cat", "tulip"], ["tulip", "cat"], ["cat", "tulip"], ks=[1, 5])
    assert sets.sizes(5).tolist() == [1, 1]
    assert sets.smallest_k([0, 1], [[0, 1], [0, 1]]).tolist() == [[sets.NEVER, 1], [1, sets.NEVER]]


def test_labels_without_any_candidate():
    sets = CorrectSets({}, ["cat"], ["dog"], ["cat"], ks=[1])
    assert sets.sizes(1).tolist() == [0]
    assert sets.smallest_k([0], [[0, -1]]).tolist() == [[sets.NEVER] * 2]


def test_keys_are_wide_enough_for_many_pairs():
    """2 ** 31 pairs from 2 ** 16 labels and 2 ** 15 candidates; the last label is the last candidate."""
    valid = range(2**16)
    sets = CorrectSets({}, valid, range(2**15, 2**16), valid, ks=[1])
    assert sets.smallest_k([2**16 - 1, 2**15, 0], [[2**15 - 1], [0], [0]]).tolist() == [[1], [1], [sets.NEVER]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label_ids": ["cat", "owl"]}, r"`label_ids` must be among `valid_ids`.*Received: 1 of 2.*\['owl'\]"),
        ({"candidate_ids": ["cat", "cat"]}, "`candidate_ids` must differ. Received: 2 candidates, 1 of them different"),
        ({"ks": []}, r"`ks` must hold.*Received: ks=\[\]"),
        ({"ks": [0, 2]}, r"`ks` must hold.*Received: ks=\[0, 2\]"),
        ({"ks": [2, 2]}, r"`ks` must hold.*Received: ks=\[2, 2\]"),
    ],
)
def test_bad_arguments_are_named(changes, message):
    arguments = {"label_ids": ["cat"], "candidate_ids": ["cat"], "valid_ids": ["cat", "dog"], "ks": [1, 2]}
    with pytest.raises(ValueError, match=message):
        CorrectSets({"cat": ["pet"]}, **{**arguments, **changes})


def test_positions_out_of_range_are_named():
    sets = CorrectSets({}, ["cat"], ["cat"], ["cat"], ks=[1])
    with pytest.raises(ValueError, match=r"`k` must be one of \[1\]. Received: k=2"):
        sets.sizes(2)
    with pytest.raises(ValueError, match="`labels` must be from 0 to 0. Received: from 1 to 1"):
        sets.smallest_k([1], [[0]])
    with pytest.raises(ValueError, match="`answers` must be from -1 to 0. Received: from -2 to 1"):
        sets.smallest_k([0], [[1, -2]])


@pytest.mark.slow
def test_a_label_space_of_twenty_thousand_is_searched_in_time():
    """21,841 labels in a hierarchy of WordNet's depth and branching; processor time, with room for slow machines."""
    rng = np.random.default_rng(0)
    parents = {node: [int(node * rng.beta(4, 2))] for node in range(1, 21_841)}
    ids = list(range(21_841))
    start = time.process_time()
    sets = CorrectSets(parents, ids, ids, ids, ks=[1, 2, 5, 10, 20])
    assert time.process_time() - start < 60
    rows, answers = rng.integers(0, 21_841, 64), rng.integers(-1, 21_841, (64, 20))
    start = time.process_time()
    for _ in range(100):
        sets.smallest_k(rows, answers)
    assert time.process_time() - start < 1
