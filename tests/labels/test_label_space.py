"""Vectors and outputs that stand for labels, against the formulas."""

import numpy as np
import pytest

from devise_tf.labels import LabelSet, OutputSpace, RandomSpace, WordSpace
from devise_tf.labels.random_space import random_label_vectors

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
    result = WordSpace(TERMS, VECTORS, missing=missing).table(LABELS)
    assert result.ids == ["n5", "n1", "n4", "n2", "n3"]
    assert result.composed == ["n5", "n4"] and list(result.unknown) == []
    assert result.values.dtype == np.float32
    np.testing.assert_allclose(result.values, [expected()[label] for label in result.ids], rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(result.values, axis=1), np.ones(5), rtol=1e-6)


def test_rows_reproduce_the_vectors():
    space = WordSpace(TERMS, VECTORS)
    rows = space.rows(LABELS)
    assert rows.dtype == np.int32 and rows.shape == (5, 2)
    for row, vector in zip(rows, space.table(LABELS).values, strict=True):
        np.testing.assert_allclose(vector, unit(VECTORS[row[row >= 0]].mean(axis=0)), rtol=1e-5)
    assert [TERMS[i] for i in rows[0]] == ["red", "fox"]
    np.testing.assert_array_equal(rows[1], [TERMS.index("snow_leopard"), -1])


def test_order_follows_the_ids():
    reversed_ids = LABELS.ids[::-1]
    result = WordSpace(TERMS, VECTORS).table(LABELS.select(reversed_ids))
    assert result.ids == reversed_ids
    np.testing.assert_allclose(result.values, [expected()[label] for label in reversed_ids], rtol=1e-5)


def test_drop_ignores_labels_that_cannot_be_composed():
    shuffled = MISSING.select(["n9", "n3", "n8", "n5"])
    result = WordSpace(TERMS, VECTORS, missing="drop").table(shuffled)
    assert result.ids == ["n3", "n5"] and result.unknown == ["n9", "n8"]
    assert result.composed == ["n5"]
    np.testing.assert_allclose(result.values, [expected()["n3"], expected()["n5"]], rtol=1e-5)


def test_a_repeated_word_counts_twice():
    result = WordSpace(TERMS, VECTORS).table(LabelSet(["a", "b"], [["fox fox cat"], ["cat"]]))
    np.testing.assert_allclose(result.values[0], unit(2 * VECTORS[7] + VECTORS[0]), rtol=1e-5)


def test_compose_names_what_cannot_be_composed():
    with pytest.raises(ValueError, match=r"2 of 7 labels .* n9 \(okapi\), n8 \(white okapi\)\. ") as error:
        WordSpace(TERMS, VECTORS).table(MISSING)
    assert "'drop'" in str(error.value) and "'compose'" not in str(error.value).split("Received")[0]
    assert "--missing_labels" in str(error.value)


def test_stop_names_all_labels_without_a_vector_of_their_own():
    with pytest.raises(ValueError, match=r"2 of 5 labels .* n5 \(Red fox\), n4 \(jaguar\)\. ") as error:
        WordSpace(TERMS, VECTORS, missing="stop").table(LABELS)
    assert "'drop'" in str(error.value) and "'compose'" in str(error.value)
    space, labels = WordSpace(TERMS, VECTORS, missing="stop"), LABELS.select(["n1", "n2"])
    assert space.table(labels).ids == ["n1", "n2"] and space.table(labels).composed == []
    assert space.rows(labels).shape == (2, 1)


def test_long_lists_are_cut():
    labels = LabelSet([f"n{i}" for i in range(50)], [[f"okapi {i}"] for i in range(50)])
    with pytest.raises(ValueError, match="50 of 50 labels .* n19 .*, …") as error:
        WordSpace(TERMS, VECTORS).table(labels)
    assert "n20 " not in str(error.value)


def test_invalid_arguments_are_named():
    with pytest.raises(ValueError, match="Received: missing='ignore'"):
        WordSpace(TERMS, VECTORS, missing="ignore")
    with pytest.raises(ValueError, match="None of these labels is known: none has a vector, nor a vector for each"):
        WordSpace(TERMS, VECTORS, missing="drop").table(MISSING.select(["n9", "n8"]))
    opposite = np.array([[1.0, 0], [-1, 0], [1, 1]])
    with pytest.raises(ValueError, match=r"must not be zero. Received: \['b'\]"):
        WordSpace(["l", "r", "x"], opposite).table(LabelSet(["a", "b"], [["x"], ["l r"]]))


def test_mean_of_terms_and_profiles():
    v = {term: unit(vector) for term, vector in zip(TERMS, VECTORS, strict=True)}
    labels = LABELS.select(["n1", "n2", "n5"])
    expected = [unit(v["snow_leopard"] + v["cat"]), unit(v["felis"] + v["cat"]), unit(VECTORS[6] + VECTORS[7])]
    result = WordSpace(TERMS, VECTORS, label_terms="mean").table(labels)
    np.testing.assert_allclose(result.values, expected, rtol=1e-5)
    # Similarities to two labels, softened.
    space = WordSpace(TERMS, VECTORS, "mean").with_profile(labels.select(["n1", "n2"]), temperature=0.2)

    def by_hand(vector):
        return unit(np.exp([vector @ reference / 0.2 for reference in expected[:2]]))

    np.testing.assert_allclose(space.table(labels).values, [by_hand(e) for e in expected], rtol=1e-4)
    terms = space.table(labels, "terms")
    of_label = dict(zip(labels.ids, terms.entries, strict=True))
    snow_leopard, felis, cat, red_fox = (of_label["n1"][0], of_label["n2"][0], of_label["n1"][1], of_label["n5"][0])
    assert of_label == {"n1": [snow_leopard, cat], "n2": [felis, cat], "n5": [red_fox]}
    for row, vector in ((snow_leopard, v["snow_leopard"]), (felis, v["felis"]), (cat, v["cat"])):
        np.testing.assert_allclose(terms.values[row], by_hand(vector), rtol=1e-4)
    np.testing.assert_allclose(terms.values[red_fox], by_hand(unit(VECTORS[6] + VECTORS[7])), rtol=1e-4)
    np.testing.assert_array_equal(space.profile.references, result.values[:2])
    assert space.profile.temperature == 0.2 and space.dimension == 2
    # The last word of a term of several words counts as much as the term; a term without a last word stays alone.
    heads = WordSpace(TERMS, VECTORS, label_terms="heads").table(labels).values
    leopard, fox = unit(v["snow_leopard"] + v["leopard"]), unit(unit(VECTORS[6] + VECTORS[7]) + v["fox"])
    np.testing.assert_allclose(heads, [unit(leopard + v["cat"]), expected[1], fox], rtol=1e-4)
    plain = WordSpace(TERMS, VECTORS, label_terms="random").table(labels)
    np.testing.assert_array_equal(plain.values, WordSpace(TERMS, VECTORS).table(labels).values)
    with pytest.raises(ValueError, match="Received: label_terms='last'"):
        WordSpace(TERMS, VECTORS, label_terms="last")


IDS = [f"n{i}" for i in range(2000)]


def test_random_label_vectors_are_unit_norm_and_depend_on_id_and_seed():
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


def test_random_space_has_the_labels_that_have_a_vector():
    words = WordSpace(TERMS, VECTORS, missing="drop")
    table = RandomSpace(words, seed=3).table(MISSING, "terms")
    assert table.ids == LABELS.ids and table.unknown == ["n9", "n8"] and table.entries_per_answer == 1
    np.testing.assert_array_equal(table.values, random_label_vectors(LABELS.ids, 4, seed=3))


TRAINED = LabelSet(["n1", "n2", "n3"], [["cellular telephone", "cell"], ["crane"], ["Crane", "hoist"]])


def outputs(labels):
    """The output of each label, or None."""
    table = OutputSpace.of(TRAINED).table(labels)
    assert table.values.dtype == np.int32
    return [int(table.values[rows[0]]) if rows else None for rows in table.entries]


def test_outputs_are_those_of_ids_then_of_terms():
    labels = LabelSet(["n3", "phone", "bird", "lamp"], [["lift"], ["mobile", "Cell"], ["crane"], ["lamp"]])
    assert outputs(labels) == [2, 0, 1, None]
    by_id = OutputSpace.of(TRAINED).by_id().table(labels)
    assert by_id.ids == ["n3"] and by_id.values.tolist() == [2] and by_id.unknown == ["phone", "bird", "lamp"]


def test_output_is_not_that_of_a_label_that_is_in_the_list():
    """The cell of a plant is no telephone where the list has the telephone."""
    labels = LabelSet(["n9", "n1", "n8"], [["cell"], ["cellular telephone"], ["hoist"]])
    assert outputs(labels) == [None, 0, 2]


def test_output_of_a_shared_term_is_that_of_the_first_label():
    assert OutputSpace.of(TRAINED).columns == {"cellular_telephone": 0, "cell": 0, "crane": 1, "hoist": 2}


def test_untrained_labels_are_left_out_or_named():
    labels = LabelSet(["n3", "lamp"], [["lift"], ["lamp"]])
    assert OutputSpace.of(TRAINED).table(labels).unknown == ["lamp"]
    with pytest.raises(ValueError, match=r"1 of 2 labels are not among those that the softmax .*\['lamp'\]"):
        OutputSpace.of(TRAINED, missing="stop").table(labels)
    with pytest.raises(ValueError, match="None of these labels is known: the softmax has the 3 .*'cellular telephone'"):
        OutputSpace.of(TRAINED).table(["lamp"])


def test_chunks_do_not_change_the_vectors(monkeypatch):
    words = [term for term in TERMS if "_" not in term]
    texts = [f"{a} {b}" for a in words for b in words if a != b]
    for space in (WordSpace(TERMS, VECTORS, "heads"), WordSpace(TERMS, VECTORS).with_profile(LABELS, 0.2)):
        whole = space.table(texts)
        assert whole.ids == texts
        monkeypatch.setattr("devise_tf.labels.word_space._CHUNK", 7)
        np.testing.assert_array_equal(space.table(texts).values, whole.values)
        monkeypatch.undo()
