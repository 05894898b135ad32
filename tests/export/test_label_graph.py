"""Label text in the graph against the tokenizer and the label vectors of training."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import devise_tf.models
from devise_tf.export.label_graph import OutputGraph, VectorGraph, split_label_text
from devise_tf.labels import LabelSet, WordSpace
from devise_tf.labels.similarity_profile import SimilarityProfile
from devise_tf.labels.wordnet import find_wordnet
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
        "import tensorflow as tf; from devise_tf.export.label_graph import split_label_text; "
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
    return terms, vectors, VectorGraph(["cat"], unit[2:3], terms, vectors, str(tmp_path / "terms.txt"))


def test_vectors_are_those_of_training(space):
    terms, vectors, labels = space
    texts = ["Snow Leopard", "red panda", "cat", "polar leopard", "CAT 2", "red red panda"]
    expected = WordSpace(terms, vectors).table(LabelSet([str(i) for i in range(6)], [[text] for text in texts]))
    embedding, known, count = labels.embed(tf.constant(texts))
    np.testing.assert_allclose(embedding, expected.values, atol=1e-6)
    assert known.numpy().tolist() == count.numpy().tolist() == [2, 2, 1, 2, 2, 3]


TEXTS = ["Snow Leopard", "red panda", "cat", "leopard red", "no snow", "", "snow", "?"]
KNOWN = 4  # of these


def text_vectors(terms, vectors, heads, profile):
    """The known texts' vectors by the formulas, float64."""
    words = [["snow_leopard"], ["red", "panda"], ["cat"], ["leopard", "red"]]
    last = ["leopard", "panda", None, "red"]
    v = dict(zip(terms, vectors.astype(np.float64), strict=True))

    def unit(vector):
        return vector / np.linalg.norm(vector)

    made = [unit(sum(v[word] for word in row)) for row in words]
    if heads:
        made = [unit(one + unit(v[head])) if head else one for one, head in zip(made, last, strict=True)]
    if profile is not None:
        made = [unit(np.exp(profile.references @ vector / profile.temperature)) for vector in made]
    return np.array(made)


@pytest.mark.parametrize("temperature", [None, 0.1, 2.0])
@pytest.mark.parametrize("heads", [False, True])
def test_texts_become_what_the_labels_vectors_are_made_of(space, tmp_path, heads, temperature):
    terms, vectors, _ = space
    references = np.random.default_rng(5).normal(size=(6, 4))
    references /= np.linalg.norm(references, axis=1, keepdims=True)
    profile = None if temperature is None else SimilarityProfile(references, temperature)
    size = 4 if temperature is None else 6
    table = np.eye(size, dtype=np.float32)
    labels = VectorGraph(list("abcd"), table, terms, vectors, str(tmp_path / "made.txt"), heads, profile)
    embedding, known, count = labels.embed(tf.constant(TEXTS))
    expected = text_vectors(terms, vectors, heads, profile)
    np.testing.assert_allclose(embedding[:KNOWN], expected, atol=1e-6)
    assert not embedding.numpy()[KNOWN:].any()
    assert (known.numpy().tolist(), count.numpy().tolist()) == ([2, 2, 1, 2, 0, 0, 0, 0], [2, 2, 1, 2, 2, 0, 1, 0])
    for texts in ([], ["", "!"]):  # no words at all
        assert not labels.embed(tf.constant(texts, tf.string))[0].numpy().any()
    # As the labels that are answered are made.
    label_set = LabelSet([str(i) for i in range(KNOWN)], [[text] for text in TEXTS[:KNOWN]])
    result = WordSpace(terms, vectors, "heads" if heads else "first", profile).table(label_set)
    np.testing.assert_allclose(embedding[:KNOWN], result.values, atol=1e-6)
    query = np.random.default_rng(1).normal(size=(1, size)).astype(np.float32)
    scores, known = labels.scores(tf.constant(query), tf.constant([["Snow Leopard", "?", "red panda"]]))
    np.testing.assert_allclose(scores[0], [query[0] @ expected[0], 0.0, query[0] @ expected[1]], atol=1e-5)
    assert known.numpy().tolist() == [[True, False, True]]


def test_first_terms_are_brought_to_unit_norm_once(space):
    """Without heads and profiles no bit is other than that of one normalization."""
    terms, vectors, labels = space
    names = [*terms, *(f"{a} {b}" for a in ("cat", "red", "2") for b in ("panda", "polar"))]
    rows = [[terms.index(name)] if name in terms else [terms.index(word) for word in name.split()] for name in names]
    sums = tf.stack([tf.math.unsorted_segment_sum(vectors[row], [0] * len(row), 1)[0] for row in rows])
    embedding, _, _ = labels.embed(tf.constant([name.replace("_", " ") for name in names]))
    np.testing.assert_array_equal(embedding, tf.math.divide_no_nan(sums, tf.norm(sums, axis=1)[:, None]))


def test_profiles_are_bounded_in_what_they_take(space, tmp_path, monkeypatch):
    terms, vectors, _ = space
    monkeypatch.setattr("devise_tf.export.label_graph.MAX_REQUEST_SCORES", 1)
    profile = SimilarityProfile(np.eye(8, 4))
    labels = VectorGraph(["a"], np.eye(1, 8), terms, vectors, str(tmp_path / "made.txt"), profile=profile)
    assert labels.embed(tf.fill([8], "cat"))[0].shape == (8, 8)
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 64 values in vectors of its labels"):
        labels.embed(tf.fill([9], "cat"))


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
    labels = OutputGraph(["dog", "cat"], [1, 0], ["cat", "dog", "hound"], [0, 1, 1], 2, str(tmp_path / "terms.txt"))
    embedding, known, count = labels.embed(tf.constant(["Cat", "hound", "cat dog"]))
    np.testing.assert_array_equal(embedding, [[1, 0], [0, 1], [0, 0]])
    assert (known.numpy().tolist(), count.numpy().tolist()) == ([1, 1, 0], [1, 1, 2])
    probabilities = tf.constant([[0.25, 0.75], [0.5, 0.5]])
    texts, scores = labels.answers(probabilities, 2)
    assert texts.numpy().tolist() == [[b"dog", b"cat"]] * 2
    np.testing.assert_array_equal(scores, [[0.75, 0.25], [0.5, 0.5]])
    scores, known = labels.scores(probabilities, tf.constant([["hound", "zebra", "cat"]]))
    assert known.numpy().tolist() == [[True, False, True]]
    np.testing.assert_array_equal(scores.numpy()[:, ::2], [[0.75, 0.25], [0.5, 0.5]])
