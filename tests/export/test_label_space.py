"""Label text in the graph against the tokenizer and the label vectors of training."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import devise_tf.models
from devise_tf.data import LabelSet, make_label_vectors
from devise_tf.data.hierarchy import find_wordnet
from devise_tf.export.label_space import TrainedLabels, WordVectorLabels, split_label_text
from devise_tf.text import tokenize

ODD_TEXTS = [
    "", " ", "-", "Snow-Leopard", "  snow\tleopard\n", "ÅNGSTRÖM", "ΣΊΣΥΦΟΣ", "İstanbul", "don't", "a_b", "naïve café",
    "雪豹", "x²", "Ⅷ", "e\u0301", "1,000", "🐆", "ǅ", "\u2028cat\u2029", "cat\0dog", "a" * 10_000,
]  # fmt: skip


def words_in_graph(texts):
    return [[word.decode() for word in row] for row in split_label_text(tf.constant(texts)).to_list()]


def test_words_are_the_tokenizers():
    assert words_in_graph(ODD_TEXTS) == [tokenize(text) for text in ODD_TEXTS]


@pytest.mark.slow
def test_words_do_not_depend_on_the_language_of_the_server():
    script = (
        "import tensorflow as tf; from devise_tf.export.label_space import split_label_text; "
        "print(split_label_text(tf.constant(['CLIFF Lion', 'IĞDIR'])).to_list())"
    )
    environment = {**os.environ, "LC_ALL": "tr_TR.UTF-8", "PYTHONPATH": os.getcwd()}
    printed = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, check=True).stdout
    assert printed.strip() == str([[b"cliff", b"lion"], ["iğdir".encode()]]).encode()


def test_words_of_every_label_of_imagenet():
    path = os.path.join(os.path.dirname(devise_tf.models.__file__), "imagenet", "labels_21k.txt")
    texts = [term for terms in LabelSet.load(path).terms for term in terms]
    assert len(texts) > 21_841
    assert words_in_graph(texts) == [tokenize(text) for text in texts]


def test_words_of_every_noun_of_wordnet():
    try:
        nouns = find_wordnet()
    except FileNotFoundError:
        pytest.skip("WordNet is not installed")
    texts = []
    for line in nouns.read_text(encoding="utf-8").splitlines():
        if not line.startswith(" "):  # the licence
            fields = line.split()
            texts += [fields[4 + 2 * i].replace("_", " ") for i in range(int(fields[3], 16))]
    assert len(texts) > 140_000
    assert words_in_graph(texts) == [tokenize(text) for text in texts]


@pytest.fixture
def space(tmp_path):
    rng = np.random.default_rng(0)
    terms = ["snow_leopard", "leopard", "cat", "red", "panda", "polar", "2"]
    vectors = rng.normal(size=(len(terms), 4)).astype(np.float32)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return terms, vectors, WordVectorLabels(["cat"], unit[2:3], terms, vectors, str(tmp_path / "terms.txt"))


def test_vectors_are_those_of_training(space):
    terms, vectors, labels = space
    texts = ["Snow Leopard", "red panda", "cat", "polar leopard", "CAT 2", "red red panda"]
    expected = make_label_vectors(LabelSet([str(i) for i in range(6)], [[text] for text in texts]), terms, vectors)
    embedding, known, count = labels.embed(tf.constant(texts))
    np.testing.assert_allclose(embedding, expected.vectors, atol=1e-6)
    assert known.numpy().tolist() == count.numpy().tolist() == [2, 2, 1, 2, 2, 3]


@pytest.fixture
def centered(space, tmp_path):
    """The same space with a center, and the center."""
    terms, vectors, labels = space
    center = np.array([0.3, -0.2, 0.1, 0.4], np.float32)
    return center, WordVectorLabels(
        ["cat"], labels.label_vectors.numpy(), terms, vectors, str(tmp_path / "centered.txt"), center
    )


def test_the_center_is_subtracted_between_two_normalizations(space, centered):
    terms, vectors, _ = space
    center, labels = centered
    sums = {"Snow Leopard": ["snow_leopard"], "red panda": ["red", "panda"], "red red cat": ["red", "red", "cat"]}
    expected = []
    for words in sums.values():
        vector = sum(vectors[terms.index(word)].astype(np.float64) for word in words)
        vector = vector / np.linalg.norm(vector) - center
        expected.append(vector / np.linalg.norm(vector))
    embedding, known, count = labels.embed(tf.constant([*sums, "no snow", ""]))
    np.testing.assert_allclose(embedding[:3], expected, atol=1e-6)
    assert not embedding.numpy()[3:].any()  # and not the center
    assert (known.numpy().tolist(), count.numpy().tolist()) == ([2, 2, 3, 0, 0], [2, 2, 3, 2, 0])
    label_set = LabelSet(list("abc"), [[text] for text in sums])
    found = make_label_vectors(label_set, terms, vectors, center=center)
    np.testing.assert_allclose(embedding[:3], found.vectors, atol=1e-6)
    query = np.random.default_rng(1).normal(size=(1, 4)).astype(np.float32)
    scores, known = labels.scores(tf.constant(query), tf.constant([["Snow Leopard", "?", "red panda"]]))
    np.testing.assert_allclose(scores[0], [query[0] @ expected[0], 0.0, query[0] @ expected[1]], atol=1e-5)
    assert known.numpy().tolist() == [[True, False, True]]


def test_without_a_center_no_bit_changes(space, tmp_path):
    terms, vectors, labels = space
    assert not labels.center.numpy().any()
    names = [*terms, *(f"{a} {b}" for a in ("cat", "red", "2") for b in ("panda", "polar"))]
    rows = [[terms.index(name)] if name in terms else [terms.index(word) for word in name.split()] for name in names]
    sums = tf.stack([tf.math.unsorted_segment_sum(vectors[row], [0] * len(row), 1)[0] for row in rows])
    once = tf.math.divide_no_nan(sums, tf.norm(sums, axis=1)[:, None])
    zero = WordVectorLabels(["cat"], vectors[2:3], terms, vectors, str(tmp_path / "zero.txt"), np.zeros(4))
    for each in (labels, zero):
        embedding, _, _ = each.embed(tf.constant([name.replace("_", " ") for name in names]))
        np.testing.assert_array_equal(embedding, once)


def test_texts_that_miss_a_word_have_no_vector(space):
    embedding, known, count = space[2].embed(tf.constant(["snow", "snow cat", "", "!", "no such thing"]))
    assert not embedding.numpy().any()
    assert known.numpy().tolist() == [0, 1, 0, 0, 0]
    assert count.numpy().tolist() == [1, 2, 0, 0, 3]


def test_scores_are_dot_products(space):
    terms, vectors, labels = space
    queries = np.random.default_rng(1).normal(size=(2, 4)).astype(np.float32)
    scores, known = labels.scores(tf.constant(queries), tf.constant([["cat", "?", "red panda"], ["panda", "2", "cat"]]))

    def unit(*names):
        total = sum(vectors[terms.index(name)] for name in names)
        return total / np.linalg.norm(total)

    assert known.numpy().tolist() == [[True, False, True], [True, True, True]]
    expected = [
        [queries[0] @ unit("cat"), 0.0, queries[0] @ unit("red", "panda")],
        [queries[1] @ unit("panda"), queries[1] @ unit("2"), queries[1] @ unit("cat")],
    ]
    np.testing.assert_allclose(scores, expected, atol=1e-6)
    shared, known = labels.scores(tf.constant(queries), tf.constant([["cat", "2"]]))
    np.testing.assert_allclose(shared, [[q @ unit("cat"), q @ unit("2")] for q in queries], atol=1e-6)
    assert known.numpy().tolist() == [[True, True]]


def test_trained_labels_know_their_terms_only(tmp_path):
    labels = TrainedLabels(["dog", "cat"], [1, 0], ["cat", "dog", "hound"], [0, 1, 1], 2, str(tmp_path / "terms.txt"))
    embedding, known, count = labels.embed(tf.constant(["Cat", "hound", "cat dog"]))
    np.testing.assert_array_equal(embedding, [[1, 0], [0, 1], [0, 0]])
    assert (known.numpy().tolist(), count.numpy().tolist()) == ([1, 1, 0], [1, 1, 2])
    probabilities = tf.constant([[0.25, 0.75], [0.5, 0.5]])
    np.testing.assert_array_equal(labels.answer_scores(probabilities), [[0.75, 0.25], [0.5, 0.5]])
    scores, known = labels.scores(probabilities, tf.constant([["hound", "zebra", "cat"]]))
    assert known.numpy().tolist() == [[True, False, True]]
    np.testing.assert_array_equal(scores.numpy()[:, ::2], [[0.75, 0.25], [0.5, 0.5]])
