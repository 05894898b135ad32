"""Nats a held-out pair against a slow oracle, against gensim's own score, and against what must come out."""

import math

import numpy as np
import pytest

from devise_tf.text import HuffmanTree
from tests.benchmarks.held_out import nats_per_pair, window_pairs

COUNTS = [50, 30, 20, 10, 5, 2, 2, 1]


def paths(tree):
    return [[row[:length] for row, length in zip(rows, tree.lengths, strict=True)] for rows in (tree.nodes, tree.codes)]


@pytest.mark.parametrize("window", [1, 2, 10])
def test_pairs_are_all_within_the_window(window):
    sentences = [[0, 1, 2, 3], [4], [5, 5, 6]]
    ids = np.array([i for sentence in sentences for i in [*sentence, -1]], np.int32)
    expected = [
        (sentence[j], sentence[i])
        for sentence in sentences
        for i in range(len(sentence))
        for j in range(max(0, i - window), min(len(sentence), i + window + 1))
        if i != j
    ]
    result = zip(*(pair.tolist() for pair in window_pairs(ids, window)), strict=True)
    assert sorted(result) == sorted(expected)


def test_nats_are_those_of_the_formula():
    rng = np.random.default_rng(0)
    tree = HuffmanTree.from_counts(COUNTS)
    vectors, nodes = rng.normal(size=(8, 5)).astype("f4"), rng.normal(size=(7, 5)).astype("f4")
    contexts, centers = rng.integers(0, 8, (2, 300))
    total = 0.0
    for context, center in zip(contexts, centers, strict=True):
        for node, code in zip(*(rows[center] for rows in paths(tree)), strict=True):
            logit = float(vectors[context] @ nodes[node])
            total -= math.log(1 / (1 + math.exp(-logit if code == 0 else logit)))
    result = nats_per_pair(vectors, nodes, *paths(tree), contexts, centers)
    assert result == pytest.approx(total / 300, rel=1e-5)


def test_probabilities_of_all_centers_sum_to_one():
    rng = np.random.default_rng(0)
    tree = HuffmanTree.from_counts(COUNTS)
    vectors, nodes = rng.normal(size=(8, 5)).astype("f4"), rng.normal(size=(7, 5)).astype("f4")
    nats = [nats_per_pair(vectors, nodes, *paths(tree), np.array([3]), np.array([center])) for center in range(8)]
    assert np.exp(-np.array(nats)).sum() == pytest.approx(1, rel=1e-5)


def test_untrained_costs_a_bit_a_node():
    tree = HuffmanTree.from_counts(COUNTS)
    centers = np.repeat(np.arange(8), COUNTS)
    result = nats_per_pair(np.ones((8, 5), "f4"), np.zeros((7, 5), "f4"), *paths(tree), centers * 0, centers)
    assert result == pytest.approx(math.log(2) * np.average(tree.lengths, weights=COUNTS))


def test_no_pair_is_an_error():
    tree = HuffmanTree.from_counts(COUNTS)
    with pytest.raises(ValueError, match="Received: 0 pairs"):
        nats_per_pair(np.ones((8, 5), "f4"), np.zeros((7, 5), "f4"), *paths(tree), *window_pairs(np.array([1, -1]), 2))


def test_gensim_gives_the_same_likelihood():
    """gensim's `score` sums the log-likelihood of a sentence's pairs, out of a table; the table is what differs.

    The table holds log sigmoid at 1000 points from -6 to 6, logits beyond are left out, and a logit x is looked up at
    83 (x + 6), rounded down: 1000 / 6 / 2 in whole numbers, where 83.3 would be right. With that table in place of the
    logarithm the two must agree. Trained, the likelihood is far better than untrained, so codes are read as trained.
    """
    word2vec = pytest.importorskip("gensim.models.word2vec")
    rng = np.random.default_rng(0)
    topics = [[f"{topic}{i}" for i in range(10)] for topic in "ab"]
    sentences = [[topics[k % 2][i] for i in rng.integers(0, 10, 12)] for k in range(400)]
    model = word2vec.Word2Vec(
        vector_size=8, window=3, min_count=1, sg=1, hs=1, negative=0, workers=1, seed=1, alpha=0.1
    )
    model.build_vocab(sentences)
    points, codes = ([model.wv.get_vecattr(i, name) for i in range(20)] for name in ("point", "code"))
    test = sentences[:20]
    ids = np.array([i for line in test for i in [*(model.wv.key_to_index[word] for word in line), -1]], np.int32)
    contexts, centers = window_pairs(ids, 3)
    lengths = np.array([len(code) for code in codes])

    untrained = nats_per_pair(model.wv.vectors, model.syn1, points, codes, contexts, centers)
    assert untrained == pytest.approx(math.log(2) * lengths[centers].mean())
    model.train(sentences, total_examples=400, epochs=20)
    trained = nats_per_pair(model.wv.vectors, model.syn1, points, codes, contexts, centers)
    assert trained < untrained - 0.5  # ln 2 is to be had: which of two topics it is
    scored = -model.score(test, total_sentences=20).sum() / len(centers)
    table = np.log(1 / (1 + np.exp(6 - 12 * np.arange(1000) / 1000)))
    total = exact = 0.0
    for context, center in zip(contexts, centers, strict=True):
        logits = (1 - 2.0 * codes[center]) * (model.syn1[points[center]] @ model.wv.vectors[context])
        total -= table[((logits[abs(logits) < 6] + 6) * 83).astype(int)].sum()
        exact += np.log1p(np.exp(-logits)).sum()
    assert scored == pytest.approx(total / len(centers), rel=1e-5)
    assert trained == pytest.approx(exact / len(centers), rel=1e-5)
