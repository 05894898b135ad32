import numpy as np
import pytest

from devise_tf.text.term_vectors import TermVectors

TERMS = ["cat", "snow", "leopard", "snow_leopard", "New_York", "new_york", "e-mail", "tiger"]


@pytest.fixture
def vectors():
    return TermVectors(TERMS, np.random.default_rng(0).normal(size=(len(TERMS), 4)) * np.arange(1, 9)[:, None])


@pytest.fixture(scope="module")
def many():
    rng = np.random.default_rng(1)
    return TermVectors([f"term{i}" for i in range(500)], rng.normal(size=(500, 16)) * rng.uniform(0.1, 9, (500, 1)))


def cosine(x, y):
    return x @ y / np.linalg.norm(x) / np.linalg.norm(y)


@pytest.mark.parametrize(
    ("term", "result"),
    [
        ("cat", ["cat"]),
        ("CAT", ["cat"]),
        ("Snow leopard", ["snow_leopard"]),
        ("snow-leopard", ["snow_leopard"]),
        ("New York", ["New_York"]),
        ("new york", ["new_york"]),
        ("NEW YORK", ["new_york"]),
        ("e mail", ["e-mail"]),
        ("snow tiger", ["snow", "tiger"]),
        ("tiger snow tiger", ["tiger", "snow", "tiger"]),
    ],
)
def test_lookup_in_any_spelling(vectors, term, result):
    assert [TERMS[row] for row in vectors.rows(term)] == result
    np.testing.assert_allclose(vectors.vector(term), np.mean([vectors.vectors[TERMS.index(t)] for t in result], axis=0))


def test_labels_get_the_same_vectors(vectors):
    """A composed term points where the label vector of `WordSpace` does."""
    from devise_tf.labels import LabelSet, WordSpace

    labels = LabelSet(["a", "b", "c"], [["snow tiger"], ["lynx", "Snow Leopard"], ["big lynx", "tiger cat"]])
    space = WordSpace(TERMS, vectors.vectors)
    for names, rows in zip(labels.terms, space.rows(labels), strict=True):
        assert vectors.index.first(names).rows == rows[rows >= 0].tolist()
    np.testing.assert_allclose(cosine(vectors.vector("snow tiger"), space.table(labels).values[0]), 1, rtol=1e-6)
    assert vectors.index.first(["lynx", "big_lynx"]).rows == []


def test_nearest_and_similarity(many):
    rows = many.vectors
    expected = sorted(((float(cosine(rows[7], row)), many.terms[i]) for i, row in enumerate(rows) if i != 7))[::-1]
    result = many.nearest("term7", k=20)
    assert [term for term, _ in result] == [term for _, term in expected[:20]]
    np.testing.assert_allclose([c for _, c in result], [c for c, _ in expected[:20]], rtol=1e-5)
    assert many.similarity("term1", "term2") == pytest.approx(cosine(rows[1], rows[2]), rel=1e-5)
    restricted = [term for _, term in expected if int(term[4:]) < 50]
    assert [term for term, _ in many.nearest("term7", 5, restrict=50)] == restricted[:5]
    assert len(many.nearest("term499", 1000)) == 499 and len(many.nearest("term499", 1000, restrict=50)) == 50


def test_words_of_a_composed_term_are_no_neighbors(vectors):
    assert not {"snow", "tiger"} & {term for term, _ in vectors.nearest("snow tiger")}


def test_analogy_from_the_formula(many):
    unit = many.vectors / np.linalg.norm(many.vectors, axis=1, keepdims=True)
    cosines = [cosine(unit[2] - unit[1] + unit[3], row) for row in unit]
    best = [i for i in np.argsort(cosines)[::-1] if i not in (1, 2, 3)][:5]
    result = many.analogy("term1", "term2", "term3", k=5)
    assert [term for term, _ in result] == [f"term{i}" for i in best]
    np.testing.assert_allclose([c for _, c in result], np.array(cosines)[best], rtol=1e-4)


def test_same_as_gensim(many):
    from gensim.models import KeyedVectors

    theirs = KeyedVectors(16)
    theirs.add_vectors(many.terms, many.vectors)
    for ours, other in (
        (many.nearest("term3", 10), theirs.most_similar("term3", topn=10)),
        (many.nearest("term3", 10, 60), theirs.most_similar("term3", topn=10, restrict_vocab=60)),
        (
            many.analogy("term3", "term4", "term5", 10),
            theirs.most_similar(positive=["term4", "term5"], negative=["term3"], topn=10),
        ),
    ):
        assert [term for term, _ in ours] == [term for term, _ in other]
        np.testing.assert_allclose([c for _, c in ours], [c for _, c in other], atol=1e-5)
    assert many.similarity("term8", "term9") == pytest.approx(float(theirs.similarity("term8", "term9")), abs=1e-6)


def test_a_vector_of_zeros_is_unlike_everything():
    vectors = TermVectors(["zero", "one", "two"], [[0, 0], [1, 0], [1, 1]])
    assert vectors.similarity("zero", "one") == 0
    assert vectors.nearest("one") == [("two", pytest.approx(np.sqrt(0.5))), ("zero", 0)]


def test_unknown_terms(vectors):
    with pytest.raises(ValueError, match=r"'lepard' is not among the 8 terms.*Near spellings: leopard\. Received"):
        vectors.nearest("lepard")
    pattern = r"Near spellings: snow_leopard\. Known of its words: snow; unknown: lepard \(near: leopard\)\."
    with pytest.raises(ValueError, match=pattern):
        vectors.similarity("cat", "snow lepard")
    with pytest.raises(
        ValueError, match="No term is spelled like it. Known of its words: none; unknown: qqq .near: none"
    ):
        vectors.rows("qqq zzz")
    with pytest.raises(ValueError, match="at least one letter or number"):
        vectors.rows("!")


@pytest.mark.parametrize(
    ("terms", "values", "message"),
    [
        (["a"], np.ones((2, 2)), "1 terms, vectors of shape"),
        (["a", "a"], np.ones((2, 2)), "1 of them different"),
        (["a b"], np.ones((1, 2)), "white space"),
        (["a", "b"], [[1, 2], [np.nan, 1]], "finite. Received: vector of 'b'"),
        ([], np.ones((0, 2)), "neither of them 0"),
        (["a"], np.ones(1), "must have the shape"),
    ],
)
def test_bad_arguments(terms, values, message):
    with pytest.raises(ValueError, match=message):
        TermVectors(terms, values)


def test_bad_numbers(vectors):
    with pytest.raises(ValueError, match="Received: k=0, restrict=None"):
        vectors.nearest("cat", 0)
    with pytest.raises(ValueError, match="Received: k=1, restrict=0"):
        vectors.nearest("cat", 1, restrict=0)
