"""Labels for images, against NumPy."""

import numpy as np
import pytest

import devise_tf.models
from devise_tf.labels import LabelSet, WordSpace
from devise_tf.models.predictor import Predictor
from devise_tf.models.sources import TrainedRun
from tests.helpers.predictions import (
    PHOTOS,
    SEEN,
    SINGLE_WORDS,
    TEMPERATURE,
    assert_answers,
    loaded_network,
    ranked,
    term_vectors,
    unit,
)
from tests.helpers.tiny_model_dir import (
    DIMENSION,
    IMAGE_SIZE,
    LABELS,
)


def test_devise_answers_by_cosines(load, directory, pixels):
    """A label has the vector of its first term that has one, else the mean of its words'."""
    units, raw = term_vectors(directory)
    vectors = [units["snow_leopard"], units["cat"], units["dog"], unit(raw["red"] + raw["panda"]), units["zebra"]]
    embeddings = unit(loaded_network(directory, "devise")(pixels, training=False).numpy())
    expected = ranked(embeddings @ np.stack(vectors).T, [terms[0] for terms in LABELS.values()], list(LABELS), 5)
    predictor = load()
    assert (predictor.model, predictor.labels.ids, predictor.image_size) == ("devise", list(LABELS), IMAGE_SIZE)
    answers = predictor.predict_labels(PHOTOS)
    assert_answers(answers, expected)
    assert_answers(predictor.predict_labels(PHOTOS, k=2), [row[:2] for row in expected])
    assert all(type(answer.score) is float for row in answers for answer in row)
    result = predictor.embed(PHOTOS)
    assert result.dtype == np.float32 and result.shape == (5, DIMENSION)
    np.testing.assert_allclose(result, embeddings, atol=1e-5)


def test_texts_and_label_sets_have_vectors_of_their_terms(load, directory, pixels):
    units, raw = term_vectors(directory)
    texts = ["Polar-Bear", "the cat", "CAFÉ", "snow_leopard", "leopard dog zebra"]
    vectors = np.stack([
        unit(raw["polar"] + raw["bear"]),
        units["cat"],
        units["café"],
        units["snow_leopard"],
        unit(raw["leopard"] + raw["dog"] + raw["zebra"]),
    ])  # fmt: skip
    embeddings = unit(loaded_network(directory, "devise")(pixels, training=False).numpy())
    expected = ranked(embeddings @ vectors.T, texts, texts, 5)
    for asked in (texts, tuple(texts), np.array(texts)):
        assert_answers(load().predict_labels(PHOTOS, asked, k=9), expected)
    labels = LabelSet(["b", "a"], [["no such", "zebra"], ["polar bear", "ounce"]])
    expected = ranked(embeddings @ np.stack([units["zebra"], vectors[0]]).T, ["no such", "polar bear"], ["b", "a"], 2)
    assert_answers(load().predict_labels(PHOTOS, labels), expected)


@pytest.mark.parametrize("model", ["means", "profiles"])
def test_label_vectors_follow_the_recipe_of_the_model(load, directory, pixels, model):
    """With heads, the last word of several is added to a term; with profiles, similarities are what is compared."""
    units, raw = term_vectors(directory)
    red_panda, panda = unit(raw["red"] + raw["panda"]), unit(raw["panda"])
    if model == "means":
        vectors = np.stack([units["cat"], unit(red_panda + panda), unit(units["snow_leopard"] + units["leopard"])])
    else:
        references = np.stack([units["snow_leopard"], units["cat"], units["dog"], red_panda])
        vectors = np.stack([units["cat"], red_panda, units["snow_leopard"]])
        vectors = unit(np.exp(vectors @ references.T / TEMPERATURE))
    embeddings = unit(loaded_network(directory, model)(pixels, training=False).numpy())
    texts = ["cat", "red panda", "snow leopard"]
    assert_answers(load(model).predict_labels(PHOTOS, texts), ranked(embeddings @ vectors.T, texts, texts, 3))


def test_softmax_answers_with_probabilities_of_trained_labels(load, directory, pixels):
    logits = loaded_network(directory, "cnn")(pixels, training=False).numpy().astype(np.float64)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    predictor = load("softmax")
    assert predictor.labels.ids == SEEN
    names = [LABELS[label][0] for label in SEEN]
    assert_answers(predictor.predict_labels(PHOTOS), ranked(probabilities, names, SEEN, 4))
    np.testing.assert_allclose(predictor.embed(PHOTOS), probabilities, atol=1e-6)
    # By term; "zebra" has a vector, but was not trained.
    texts = ["Ounce", "zebra", "dog", "snow-leopard"]
    known = ["Ounce", "dog", "snow-leopard"]
    assert_answers(predictor.predict_labels(PHOTOS, texts), ranked(probabilities[:, [0, 2, 0]], known, known, 3))
    assert predictor.known(texts).unknown == ["zebra"]
    # By id, else by the first term that was trained.
    labels = LabelSet(["n4", "x", "y"], [["cat"], ["zebra", "dog", "cat"], ["okapi"]])
    expected = ranked(probabilities[:, [3, 2]], ["cat", "zebra"], ["n4", "x"], 2)
    assert_answers(predictor.predict_labels(PHOTOS, labels), expected)
    assert predictor.known(labels).unknown == ["y"]
    with pytest.raises(
        ValueError, match="None of these labels is known: the softmax has the 4 that it was trained on, such as "
    ):
        predictor.predict_labels(PHOTOS, ["zebra"])


def test_conse_answers_by_cosines_of_averaged_vectors(load, directory, pixels):
    """All four labels count, fewer than ten."""
    units, raw = term_vectors(directory)
    trained = np.stack([units["snow_leopard"], units["cat"], units["dog"], unit(raw["red"] + raw["panda"])])
    logits = loaded_network(directory, "cnn")(pixels, training=False).numpy().astype(np.float64)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    cosines = unit(probabilities @ trained) @ np.stack([units["zebra"], units["cat"]]).T
    texts = ["zebra", "cat"]
    assert_answers(load("conse").predict_labels(PHOTOS, texts), ranked(cosines, texts, texts, 2))


def test_conse_averages_vectors_of_the_same_terms_as_devise(heads_directory, pixels):
    """With heads: of labels that were trained and of others, the last word of several is added to a term."""
    units, raw = term_vectors(heads_directory)
    heads = {
        "snow leopard": unit(units["snow_leopard"] + units["leopard"]),
        "cat": units["cat"],
        "dog": units["dog"],
        "red panda": unit(unit(raw["red"] + raw["panda"]) + units["panda"]),
        "polar bear": unit(unit(raw["polar"] + raw["bear"]) + units["bear"]),
    }
    vectors = np.stack(list(heads.values()))
    logits = loaded_network(heads_directory, "cnn")(pixels, training=False).numpy().astype(np.float64)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    embeddings = unit(probabilities @ vectors[:4])
    predictor = devise_tf.models.load(heads_directory, "conse")
    np.testing.assert_allclose(predictor.embed(PHOTOS), embeddings, atol=1e-6)
    texts = list(heads)
    assert_answers(predictor.predict_labels(PHOTOS, texts), ranked(embeddings @ vectors.T, texts, texts, 5))


def test_equal_scores_keep_the_order_of_the_list(load):
    """Labels that share their only term, in lists long enough for the vector units of a processor, and their ends."""
    for count in (2, 7, 130):
        ids = [f"label {number}" for number in range(count)]
        labels = LabelSet(ids, [["zebra"]] * count)
        for model in ("devise", "conse"):
            for row in load(model).predict_labels(PHOTOS, labels, k=count):
                # A processor may round the products at the end of a list in another way.
                assert row[0].score - row[-1].score < 2**-22
                assert row == sorted(row, key=lambda answer: (-answer.score, ids.index(answer.id)))
                assert sorted(answer.id for answer in row) == sorted(ids)
    for row in load("softmax").predict_labels(PHOTOS, ["ounce", "snow leopard"], k=2):
        assert [answer.label for answer in row] == ["ounce", "snow leopard"]


def test_unknown_and_repeated_texts_are_named(load, caplog):
    texts = ["cat", "zyzzyva", "кошка", "🐱", "Cat", "cat", "zyzzyva", "polar zyzzyva", "dog"]
    predictor = load()
    answers = predictor.predict_labels(PHOTOS[0], texts, k=9)
    assert sorted(answer.label for answer in answers[0]) == ["cat", "dog"]
    result = predictor.known(texts)
    assert result.labels.ids == ["cat", "dog"]
    assert result.unknown == ["zyzzyva", "кошка", "🐱", "polar zyzzyva"]
    assert result.repeated == ["Cat", "cat", "zyzzyva"]
    assert len(caplog.records) == 1
    assert caplog.records[0].getMessage() == ("devise does not know 4 of the labels: zyzzyva, кошка, 🐱, polar zyzzyva")
    predictor.predict_labels(PHOTOS[0], texts)
    assert len(caplog.records) == 1  # for a list once
    for unknown in (["zyzzyva", "🐱"], ["🐱"], LabelSet(["n9"], [["okapi"]])):
        with pytest.raises(ValueError, match="None of these labels is known: none has a vector, nor a vector for each"):
            predictor.predict_labels(PHOTOS[0], unknown)
    for empty in ([], ["cat", ""], ["cat", "  "], ["cat", None]):
        with pytest.raises(ValueError, match=r"Received: labels"):
            predictor.predict_labels(PHOTOS[0], empty)
    with pytest.raises(ValueError, match="`labels` must be a list of texts or a `LabelSet`. Received: labels='cat'"):
        predictor.predict_labels(PHOTOS[0], "cat")


def test_terms_with_zero_vectors_are_unknown(directory, load, monkeypatch):
    predictor = Predictor(TrainedRun(directory))
    terms, vectors = predictor.run.term_vectors("devise")
    vectors[terms.index("dog")] = 0
    monkeypatch.setattr(predictor.run, "term_vectors", lambda name, labels: (terms, vectors))
    assert predictor.known(["dog", "cat", "dog cat"]).unknown == ["dog", "dog cat"]
    assert predictor.known().unknown == ["n3"]


def test_tables_of_recent_lists_are_kept(directory, monkeypatch):
    predictor, calls = devise_tf.models.load(directory), []
    make = WordSpace._table

    def counted(space, labels, answers):
        calls.append(labels.ids)
        return make(space, labels, answers)

    monkeypatch.setattr(WordSpace, "_table", counted)
    texts, label_set = ["cat", "dog"], LabelSet(["a"], [["zebra"]])
    for _ in range(3):
        for labels in (texts, list(texts), label_set, LabelSet(["a"], [["zebra"]]), None):
            predictor.predict_labels(PHOTOS[0], labels)
    assert calls == [["cat", "dog"], ["a"], list(LABELS)]
    texts.append("zebra")  # the list is another one now
    assert len(predictor.predict_labels(PHOTOS[0], texts)[0]) == 3
    assert calls[3:] == [["cat", "dog", "zebra"]]


@pytest.mark.slow
def test_a_hundred_thousand_labels(load, directory, pixels):
    _, raw = term_vectors(directory)
    words = [word for word in SINGLE_WORDS if word != "the"]  # which is passed over
    numbers = np.stack(np.unravel_index(np.arange(100_000), (10,) * 5), axis=1)
    texts = [" ".join(words[number] for number in row) for row in numbers]
    vectors = unit(np.stack([raw[term] for term in words])[numbers].sum(axis=1))
    embeddings = unit(loaded_network(directory, "devise")(pixels, training=False).numpy())
    cosines = embeddings @ vectors.T
    answers = load().predict_labels(PHOTOS, texts, k=3)
    assert len(load().known(texts).labels) == 100_000
    position = {text: i for i, text in enumerate(texts)}
    for row, scores in zip(answers, cosines, strict=True):
        best = np.sort(scores)[::-1][:3]
        np.testing.assert_allclose([answer.score for answer in row], best, atol=1e-5)
        np.testing.assert_allclose([scores[position[answer.label]] for answer in row], best, atol=1e-5)


@pytest.mark.parametrize("model", ["softmax", "devise"])
def test_k_may_exceed_any_integer_of_a_tensor(load, model):
    expected = load(model).predict_labels(PHOTOS, k=5)
    for k in (2**31, 10**30, np.int64(2**40)):
        assert load(model).predict_labels(PHOTOS, k=k) == expected
