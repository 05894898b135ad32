"""Label text in the graph against the tokenizer and the label vectors of training."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from devise_tf.export.label_graph import OutputGraph, VectorGraph
from devise_tf.labels import LabelSet, OutputSpace, WordSpace
from devise_tf.labels.similarity_profile import SimilarityProfile
from devise_tf.text import get_tokenizer
from devise_tf.text.term_index import split_terms


@pytest.fixture
def space(tmp_path):
    rng = np.random.default_rng(0)
    terms = ["snow_leopard", "leopard", "cat", "red", "panda", "polar", "2"]
    vectors = rng.normal(size=(len(terms), 4)).astype(np.float32)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return terms, vectors, VectorGraph(["cat"], unit[2:3], WordSpace(terms, vectors), str(tmp_path / "terms.txt"))


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
    words = WordSpace(terms, vectors, "heads" if heads else "first", profile)
    labels = VectorGraph(list("abcd"), table, words, str(tmp_path / "made.txt"))
    embedding, known, count = labels.embed(tf.constant(TEXTS))
    expected = text_vectors(terms, vectors, heads, profile)
    np.testing.assert_allclose(embedding[:KNOWN], expected, atol=1e-6)
    assert not embedding.numpy()[KNOWN:].any()
    assert (known.numpy().tolist(), count.numpy().tolist()) == ([2, 2, 1, 2, 0, 0, 0, 0], [2, 2, 1, 2, 2, 0, 1, 0])
    for texts in ([], ["", "!"]):  # no words at all
        assert not labels.embed(tf.constant(texts, tf.string))[0].numpy().any()
    # As the labels that are answered are made.
    label_set = LabelSet([str(i) for i in range(KNOWN)], [[text] for text in TEXTS[:KNOWN]])
    result = words.table(label_set)
    np.testing.assert_allclose(embedding[:KNOWN], result.values, atol=1e-6)
    query = np.random.default_rng(1).normal(size=(1, size)).astype(np.float32)
    scores, known = labels.scores(tf.constant(query), tf.constant([["Snow Leopard", "?", "red panda"]]))
    np.testing.assert_allclose(scores[0], [query[0] @ expected[0], 0.0, query[0] @ expected[1]], atol=1e-5)
    assert known.numpy().tolist() == [[True, False, True]]


WRITTEN = [
    "snow", "leopards", "snow leopard", "a photo of the red panda", "Panda (animal)", "cat, no such thing", "NO SUCH",
    "no such, red cat, Snow-Leopard", "panda,cat", "red snow leopard cat", "2 cats", "?, ,", "the", "Größe", "grösse",
    "GRÖSSE", "cafe\u0301", "Café au lait", "lait café", "माला", "मेला", "मा ला", "雪豹", "雪豹 cat", "", " ",
    "panda of a cat", "the the", "a of", "redpanda", "redpandas cat", "leo pards", "NewYork red", "pol ar cat", "ca t",
    "Caféaulait", "pan da pandas",
]  # fmt: skip


@pytest.mark.parametrize("label_terms", ["first", "mean", "heads"])
@pytest.mark.parametrize("rule", ["words", "unicode_script", "unnormalized_words"])
def test_texts_are_found_as_labels_are(tmp_path, rule, label_terms):
    """Whatever is written, graph and label vectors know the same and make the same of it."""
    terms = [
        "snow_leopard", "leopard", "cat", "red", "panda", "polar", "2", "of", "Größe", "café", "Café_au_lait", "lait",
        "माला", "मेला", "मा", "ला", "雪豹", "red_panda", "au", "New_York", "&",
    ]  # fmt: skip
    vectors = np.random.default_rng(0).normal(size=(len(terms), 5)).astype(np.float32)
    words = WordSpace(terms, vectors, label_terms, missing="drop", tokenizer=get_tokenizer(rule))
    named = dataclasses.replace(
        words, terms=words.requestable_terms((), 99)[0], vectors=words.requestable_terms((), 99)[1]
    )
    labels = VectorGraph(["cat"], vectors[:1], named, str(tmp_path / "terms.txt"))
    rng = np.random.default_rng(1)
    pieces = [*terms, "cats", "a photo of", "the", ",", "(x)", "NO", "pandas", "Snow"]
    texts = WRITTEN + [" ".join(rng.choice(pieces, size=rng.integers(1, 6))).replace("_", " ") for _ in range(300)]
    embedding, known, count = (value.numpy() for value in labels.embed(tf.constant(texts)))
    for text, vector, known_words, num_words in zip(texts, embedding, known, count, strict=True):
        table = words.table([text], some_known=False) if split_terms(text) else None
        is_known = table is not None and bool(table.ids)
        assert (num_words > 0 and known_words == num_words) == is_known, text
        np.testing.assert_allclose(vector, table.values[0] if is_known else np.zeros(5), atol=1e-6, err_msg=text)


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
    labels = VectorGraph(["a"], np.eye(1, 8), WordSpace(terms, vectors, profile=profile), str(tmp_path / "made.txt"))
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
    trained = OutputSpace.of(LabelSet(["c", "d"], [["cat"], ["dog", "hound"]]))
    labels = OutputGraph(["dog", "cat"], [1, 0], trained, str(tmp_path / "terms.txt"))
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
