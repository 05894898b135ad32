import heapq
import json

import numpy as np
import pytest

from devise_tf.huffman import HuffmanTree


def textbook_cost(counts):
    """The cost of an optimal code: the sum of all merged weights, with a heap."""
    heap = list(counts)
    heapq.heapify(heap)
    cost = 0
    while len(heap) > 1:
        merged = heapq.heappop(heap) + heapq.heappop(heap)
        cost += merged
        heapq.heappush(heap, merged)
    return cost


def word2vec_paths(counts):
    """`CreateBinaryTree` of word2vec.c, line by line, for counts in descending order without ties."""
    size = len(counts)
    count = list(counts) + [10**15] * size
    binary, parent = [0] * (2 * size), [0] * (2 * size)
    pos1, pos2 = size - 1, size
    for a in range(size - 1):
        minimum = []
        for _ in range(2):
            if pos1 >= 0 and count[pos1] < count[pos2]:
                minimum.append(pos1)
                pos1 -= 1
            else:
                minimum.append(pos2)
                pos2 += 1
        count[size + a] = count[minimum[0]] + count[minimum[1]]
        parent[minimum[0]] = parent[minimum[1]] = size + a
        binary[minimum[1]] = 1
    paths = []
    for term in range(size):
        codes, nodes, b = [], [], term
        while b != 2 * size - 2:
            codes.append(binary[b])
            b = parent[b]
            nodes.append(b - size)
        paths.append((nodes[::-1], codes[::-1]))
    return paths


def paths_of(tree):
    return [
        (nodes[:length].tolist(), codes[:length].tolist())
        for nodes, codes, length in zip(tree.nodes, tree.codes, tree.lengths, strict=True)
    ]


COUNTS = {
    "two": [1, 1],
    "unsorted": [3, 50, 7, 7, 1, 12, 0, 0, 100, 2],
    "equal": [4] * 13,
    "zeros": [0] * 11,
    "many_zeros": [9, 5] + [0] * 30,
    "fibonacci": [1, 1, 2, 3, 5, 8, 13, 21, 34, 55],
    "zipf": [100_000 // rank for rank in range(1, 400)],
}


@pytest.mark.parametrize("counts", COUNTS.values(), ids=COUNTS.keys())
def test_codes_are_optimal_and_prefix_free(counts):
    tree = HuffmanTree.from_counts(counts)
    assert (tree.nodes.dtype, tree.codes.dtype, tree.lengths.dtype) == (np.int32, np.int8, np.int32)
    assert tree.nodes.shape == tree.codes.shape == (len(counts), tree.lengths.max())
    assert np.dot(tree.lengths, counts) == textbook_cost(counts)
    assert np.sum(0.5 ** tree.lengths.astype(float)) == 1.0
    words = sorted("".join(map(str, codes)) for _, codes in paths_of(tree))
    assert not any(later.startswith(earlier) for earlier, later in zip(words, words[1:], strict=False))
    padding = np.arange(tree.nodes.shape[1]) >= tree.lengths[:, None]
    assert not tree.nodes[padding].any() and not tree.codes[padding].any()


@pytest.mark.parametrize("counts", COUNTS.values(), ids=COUNTS.keys())
def test_a_node_stands_for_one_prefix_and_numbers_rise_toward_the_root(counts):
    tree = HuffmanTree.from_counts(counts)
    prefixes = {}
    for nodes, codes in paths_of(tree):
        assert nodes[0] == len(counts) - 2
        assert nodes == sorted(nodes, reverse=True)
        for position, node in enumerate(nodes):
            prefixes.setdefault(node, set()).add(tuple(codes[:position]))
    assert sorted(prefixes) == list(range(len(counts) - 1))
    assert all(len(result) == 1 for result in prefixes.values())


def test_paths_are_word2vecs_where_no_counts_tie():
    counts = [2**20 + 3, 70_001, 50_003, 4_007, 1_009, 501, 83, 41, 19, 5, 1]
    assert paths_of(HuffmanTree.from_counts(counts)) == word2vec_paths(counts)


def test_ties_give_the_shortest_longest_path():
    """Terms that never occur hang on a balanced tree of their own, not on a chain: 1,024 of them are 10 deep."""
    assert HuffmanTree.from_counts([0] * 1024).lengths.max() == 10
    assert HuffmanTree.from_counts([7, 7, 7, 7]).lengths.tolist() == [2, 2, 2, 2]


def test_inner_counts():
    counts = np.array(COUNTS["unsorted"])
    tree = HuffmanTree.from_counts(counts)
    expected = np.zeros(len(counts) - 1, np.int64)
    for (nodes, _), count in zip(paths_of(tree), counts, strict=True):
        expected[nodes] += count
    actual = tree.inner_counts(counts)
    assert actual.dtype == np.int64
    np.testing.assert_array_equal(actual, expected)
    assert actual[-1] == counts.sum()
    with pytest.raises(ValueError, match="one count for each of 10 terms"):
        tree.inner_counts(counts[:-1])


@pytest.mark.parametrize("counts", COUNTS.values(), ids=COUNTS.keys())
def test_config_round_trip(counts):
    tree = HuffmanTree.from_counts(counts)
    again = HuffmanTree.from_config(json.loads(json.dumps(tree.to_config())))
    for name in ("nodes", "codes", "lengths"):
        np.testing.assert_array_equal(getattr(again, name), getattr(tree, name))


def test_children_of_a_small_tree():
    """Counts 5, 2, 1: terms 2 and 1 merge into inner node 0 (numbered 3), then that (3) comes before term 0 (5)."""
    assert HuffmanTree.from_counts([5, 2, 1]).children().tolist() == [[2, 1], [3, 0]]


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([3], "at least two terms"),
        ([], "at least two terms"),
        ([[1, 2], [3, 4]], "one-dimensional"),
        ([3, -1, 2], r"counts\[\[1\]\]=\[-1\]"),
        ([1.5, 2.0], "whole numbers"),
        ([1.0, np.nan], "whole numbers"),
        (["a", "b"], "whole numbers"),
    ],
)
def test_bad_counts(counts, message):
    with pytest.raises(ValueError, match=message) as error:
        HuffmanTree.from_counts(counts)
    assert "Received: " in str(error.value)


@pytest.mark.parametrize("children", [[], [0, 1, 2, 2], [0, 1, 2, 4], [2, 4, 0, 1]])
def test_bad_config(children):
    with pytest.raises(ValueError, match="must describe a tree"):
        HuffmanTree.from_config({"children": children})


@pytest.mark.parametrize(
    ("nodes", "codes", "lengths", "message"),
    [
        ([[0], [0]], [[0, 0], [1, 0]], [1, 1], "same shape"),
        ([[0], [0]], [[0], [1]], [1, 0], "`lengths` must lie"),
        ([[1], [1]], [[0], [1]], [1, 1], "`nodes` must lie"),
    ],
)
def test_bad_arrays(nodes, codes, lengths, message):
    with pytest.raises(ValueError, match=message):
        HuffmanTree(np.array(nodes), np.array(codes), np.array(lengths))


def test_a_large_vocabulary():
    counts = (1e9 / np.arange(1, 100_001)).astype(np.int64)
    tree = HuffmanTree.from_counts(counts)
    assert len(tree) == 100_000
    assert np.dot(tree.lengths, counts) == textbook_cost(counts.tolist())
