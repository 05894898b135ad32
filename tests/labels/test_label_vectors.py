import numpy as np
import pytest

from devise_tf.labels import LabelSet, make_label_vectors, random_label_vectors
from devise_tf.labels.similarity_profile import SimilarityProfile

TERMS = ["cat", "snow", "leopard", "snow_leopard", "felis", "tiger", "red", "fox"]
VECTORS = np.random.default_rng(0).normal(size=(len(TERMS), 4)) * np.arange(1, 9)[:, None]
LABELS = LabelSet(
    ["n5", "n1", "n4", "n2", "n3"],
    [
        ["Red fox", "Vulpes vulpes"],  # composed of the first term's words
        ["snow leopard", "cat"],  # the first term is there
        ["jaguar", "snow tiger", "red cat"],  # the second term can be composed
        ["wild cat", "felis", "cat"],  # the second term is there; better than composing the first
        ["cat"],
    ],
)
MISSING = LabelSet([*LABELS.ids, "n9", "n8"], [*LABELS.terms, ["okapi"], ["white okapi", "great okapi"]])


def unit(vector):
    return vector / np.linalg.norm(vector)


def expected():
    v = dict(zip(TERMS, VECTORS, strict=True))
    return {
        "n5": unit((v["red"] + v["fox"]) / 2),
        "n1": unit(v["snow_leopard"]),
        "n4": unit((v["snow"] + v["tiger"]) / 2),
        "n2": unit(v["felis"]),
        "n3": unit(v["cat"]),
    }


@pytest.mark.parametrize("missing", ["compose", "drop"])
def test_whole_and_composed_labels(missing):
    found = make_label_vectors(LABELS, TERMS, VECTORS, missing)
    assert found.ids == ["n5", "n1", "n4", "n2", "n3"]
    assert found.whole == ["n1", "n2", "n3"] and found.composed == ["n5", "n4"] and found.missing == []
    assert found.vectors.dtype == np.float32
    np.testing.assert_allclose(found.vectors, [expected()[label] for label in found.ids], rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), np.ones(5), rtol=1e-6)


def test_rows_reproduce_the_vectors():
    found = make_label_vectors(LABELS, TERMS, VECTORS)
    assert found.rows.dtype == np.int32 and found.rows.shape == (5, 2)
    for row, vector in zip(found.rows, found.vectors, strict=True):
        np.testing.assert_allclose(vector, unit(VECTORS[row[row >= 0]].mean(axis=0)), rtol=1e-5)
    assert [TERMS[i] for i in found.rows[0]] == ["red", "fox"]
    np.testing.assert_array_equal(found.rows[1], [TERMS.index("snow_leopard"), -1])


def test_order_follows_the_ids():
    reversed_ids = LABELS.ids[::-1]
    found = make_label_vectors(LABELS.select(reversed_ids), TERMS, VECTORS)
    assert found.ids == reversed_ids
    np.testing.assert_allclose(found.vectors, [expected()[label] for label in reversed_ids], rtol=1e-5)


def test_drop_leaves_out_what_cannot_be_composed():
    shuffled = MISSING.select(["n9", "n3", "n8", "n5"])
    found = make_label_vectors(shuffled, TERMS, VECTORS, "drop")
    assert found.ids == ["n3", "n5"] and found.missing == ["n9", "n8"]
    assert found.whole == ["n3"] and found.composed == ["n5"]
    np.testing.assert_allclose(found.vectors, [expected()["n3"], expected()["n5"]], rtol=1e-5)


def test_a_repeated_word_counts_twice():
    found = make_label_vectors(LabelSet(["a", "b"], [["fox fox cat"], ["cat"]]), TERMS, VECTORS)
    np.testing.assert_allclose(found.vectors[0], unit(2 * VECTORS[7] + VECTORS[0]), rtol=1e-5)


def test_compose_names_what_cannot_be_composed():
    with pytest.raises(ValueError, match=r"2 of 7 labels .* n9 \(okapi\), n8 \(white okapi\)\. ") as error:
        make_label_vectors(MISSING, TERMS, VECTORS)
    assert "'drop'" in str(error.value) and "'compose'" not in str(error.value).split("Received")[0]
    assert "--missing_labels" in str(error.value)


def test_stop_names_all_labels_without_a_vector_of_their_own():
    with pytest.raises(ValueError, match=r"2 of 5 labels .* n5 \(Red fox\), n4 \(jaguar\)\. ") as error:
        make_label_vectors(LABELS, TERMS, VECTORS, "stop")
    assert "'drop'" in str(error.value) and "'compose'" in str(error.value)
    found = make_label_vectors(LABELS.select(["n1", "n2"]), TERMS, VECTORS, "stop")
    assert found.whole == ["n1", "n2"] and found.rows.shape == (2, 1)


def test_long_lists_are_cut():
    labels = LabelSet([f"n{i}" for i in range(50)], [[f"okapi {i}"] for i in range(50)])
    with pytest.raises(ValueError, match="50 of 50 labels .* n19 .*, …") as error:
        make_label_vectors(labels, TERMS, VECTORS)
    assert "n20 " not in str(error.value)


def test_bad_arguments():
    with pytest.raises(ValueError, match="Received: missing='ignore'"):
        make_label_vectors(LABELS, TERMS, VECTORS, "ignore")
    with pytest.raises(ValueError, match="None of the 2 labels has a vector"):
        make_label_vectors(MISSING.select(["n9", "n8"]), TERMS, VECTORS, "drop")
    opposite = np.array([[1.0, 0], [-1, 0], [1, 1]])
    with pytest.raises(ValueError, match=r"must not be zero. Received: \['b'\]"):
        make_label_vectors(LabelSet(["a", "b"], [["x"], ["l r"]]), ["l", "r", "x"], opposite)


def test_mean_of_terms_and_profiles():
    v = {term: unit(vector) for term, vector in zip(TERMS, VECTORS, strict=True)}
    labels = LABELS.select(["n1", "n2", "n5"])
    expected = [unit(v["snow_leopard"] + v["cat"]), unit(v["felis"] + v["cat"]), unit(VECTORS[6] + VECTORS[7])]
    found = make_label_vectors(labels, TERMS, VECTORS, label_terms="mean")
    np.testing.assert_allclose(found.vectors, expected, rtol=1e-5)
    # Similarities to two labels, softened.
    profile = SimilarityProfile(found.vectors[:2], temperature=0.2)
    profiles = make_label_vectors(labels, TERMS, VECTORS, label_terms="mean", profile=profile)

    def by_hand(vector):
        return unit(np.exp([vector @ reference / 0.2 for reference in expected[:2]]))

    np.testing.assert_allclose(profiles.vectors, [by_hand(e) for e in expected], rtol=1e-4)
    terms = profiles.term_vectors
    assert {label: list(vectors) for label, vectors in terms.items()} == {
        "n1": ["snow_leopard", "cat"],
        "n2": ["felis", "cat"],
        "n5": ["red_fox"],
    }
    np.testing.assert_allclose(terms["n1"]["cat"], by_hand(v["cat"]), rtol=1e-4)
    np.testing.assert_allclose(terms["n5"]["red_fox"], by_hand(unit(VECTORS[6] + VECTORS[7])), rtol=1e-4)
    assert profiles.profile is profile and found.profile is None
    # The last word of a term of several words counts as much as the term; a term without a last word stays alone.
    heads = make_label_vectors(labels, TERMS, VECTORS, label_terms="heads").vectors
    leopard, fox = unit(v["snow_leopard"] + v["leopard"]), unit(unit(VECTORS[6] + VECTORS[7]) + v["fox"])
    np.testing.assert_allclose(heads, [unit(leopard + v["cat"]), expected[1], fox], rtol=1e-4)
    plain = make_label_vectors(labels, TERMS, VECTORS, label_terms="random")
    np.testing.assert_array_equal(plain.vectors, make_label_vectors(labels, TERMS, VECTORS).vectors)
    with pytest.raises(ValueError, match="Received: label_terms='last'"):
        make_label_vectors(labels, TERMS, VECTORS, label_terms="last")


IDS = [f"n{i}" for i in range(2000)]


def test_random_label_vectors():
    vectors = random_label_vectors(IDS, 16, seed=3)
    assert vectors.shape == (2000, 16) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), np.ones(2000), rtol=1e-6)
    np.testing.assert_array_equal(vectors, random_label_vectors(IDS, 16, seed=3))
    assert not np.array_equal(vectors, random_label_vectors(IDS, 16, seed=4))
    # Directions are even: each coordinate has mean 0 and mean square 1 / 16.
    assert np.abs(vectors.mean(axis=0)).max() < 5 * np.sqrt(1 / 16 / 2000)
    np.testing.assert_allclose(np.mean(vectors**2, axis=0), np.full(16, 1 / 16), rtol=0.2)
    # A label's vector does not depend on the others.
    np.testing.assert_array_equal(random_label_vectors(IDS[5:2:-1], 16, seed=3), vectors[5:2:-1])
