"""Trained and new labels in one list, against NumPy."""

import json
import shutil

import numpy as np
import pytest

import devise_tf.models
from devise_tf import predict
from devise_tf.labels import LabelSet
from tests.helpers.commands import call
from tests.helpers.predictions import PHOTOS, assert_answers, loaded_network, ranked, term_vectors, unit
from tests.helpers.tiny_model_dir import LABELS

PENALTY = 0.4
TRAINED = ["Snow-Leopard", "cat", "dogs", "red panda"]
NEW = ["zebra", "polar bear", "leopard"]


@pytest.fixture(scope="module")
def calibrated(directory, tmp_path_factory):
    """The run with penalties, as its evaluation leaves them."""
    copy = shutil.copytree(directory, tmp_path_factory.mktemp("calibrated") / "run")
    (copy / "penalties.json").write_text(json.dumps({"devise": PENALTY, "conse": 0.2}))
    return str(copy)


def cosines(directory, pixels):
    """Cosines of the photos and TRAINED, then NEW, by the formulas."""
    units, raw = term_vectors(directory)
    trained = [units["snow_leopard"], units["cat"], units["dog"], unit(raw["red"] + raw["panda"])]
    new = [units["zebra"], unit(raw["polar"] + raw["bear"]), units["leopard"]]
    embeddings = unit(loaded_network(directory, "devise")(pixels, training=False).numpy())
    return embeddings @ np.stack([*trained, *new]).T


def test_trained_labels_lose_the_penalty_beside_new_ones(calibrated, pixels):
    scores = cosines(calibrated, pixels) - PENALTY * np.array([1, 1, 1, 1, 0, 0, 0])
    texts = [*TRAINED, *NEW]
    predictor = devise_tf.models.load(calibrated)
    assert_answers(predictor.predict_labels(PHOTOS, texts, k=7), ranked(scores, texts, texts, 7))
    # Without the penalty the order would be another one.
    assert np.any(scores.argsort(axis=1) != cosines(calibrated, pixels).argsort(axis=1))
    # By default the zebra, an unseen label, is new.
    names, chosen = [terms[0] for terms in LABELS.values()], scores[:, :5]
    assert_answers(predictor.predict_labels(PHOTOS), ranked(chosen, names, list(LABELS), 5))
    labels = LabelSet(["a", "b"], [["ounce", "zebra"], ["zebra", "cat"]])  # of the first term with a vector
    expected = ranked(cosines(calibrated, pixels)[:, [4]], ["zebra"], ["b"], 1)
    assert_answers(predictor.predict_labels(PHOTOS, labels.select(["b"])), expected)


@pytest.mark.parametrize("texts", [TRAINED, NEW, TRAINED[:1], NEW[:2]])
def test_lists_of_one_kind_are_answered_as_without_a_penalty(calibrated, load, texts):
    assert devise_tf.models.load(calibrated).predict_labels(PHOTOS, texts) == load().predict_labels(PHOTOS, texts)


def test_penalty_that_is_given_takes_the_place_of_the_runs(calibrated, load, directory, pixels):
    texts = [*TRAINED, *NEW]
    none = devise_tf.models.load(calibrated, penalty=0).predict_labels(PHOTOS, texts, k=7)
    assert none == load().predict_labels(PHOTOS, texts, k=7)
    scores = cosines(directory, pixels) - 0.15 * np.array([1, 1, 1, 1, 0, 0, 0])
    for run in (calibrated, directory):
        answers = devise_tf.models.load(run, penalty=0.15).predict_labels(PHOTOS, texts, k=7)
        assert_answers(answers, ranked(scores, texts, texts, 7))
    # Larger than any cosine: all new labels come first.
    answers = devise_tf.models.load(calibrated, penalty=5).predict_labels(PHOTOS, texts, k=7)
    assert all({answer.label for answer in row[:3]} == set(NEW) for row in answers)


def test_each_model_has_its_own_penalty(calibrated, load):
    texts = [*TRAINED, *NEW]
    for model, penalty in (("conse", 0.2), ("means", 0.0), ("softmax", 0.0)):
        without = {a.label: a.score for a in load(model).predict_labels(PHOTOS[0], texts, k=7)[0]}
        for answer in devise_tf.models.load(calibrated, model).predict_labels(PHOTOS[0], texts, k=7)[0]:
            taken = without[answer.label] - answer.score
            assert taken == pytest.approx(penalty if answer.label in TRAINED else 0, abs=1e-6)


@pytest.mark.parametrize("penalty", [-0.1, float("nan"), float("inf"), "much"])
def test_other_penalties_are_refused(directory, penalty):
    with pytest.raises(ValueError, match="`penalty` must be a finite number, not negative. Received: penalty="):
        devise_tf.models.load(directory, penalty=penalty)


def test_softmax_takes_no_penalty(directory):
    with pytest.raises(ValueError, match="A softmax knows no labels but the trained ones: leave `penalty` out"):
        devise_tf.models.load(directory, "softmax", 0.1)
    assert devise_tf.models.load(directory, "softmax", 0).predict_labels(PHOTOS[:1], ["cat"])


def test_command_takes_a_penalty(directory, tmp_path):
    (tmp_path / "a.jpg").write_bytes(PHOTOS[0])
    texts = ["cat", "zebra", "dog"]
    arguments = [str(tmp_path / "a.jpg"), f"--model_dir={directory}", f"--labels={','.join(texts)}", "--format=json"]
    status, out, err = call(predict.run, *arguments, "--penalty=0.3")
    expected = devise_tf.models.load(directory, penalty=0.3).predict_labels(PHOTOS[0], texts)[0]
    assert (status, err) == (0, "")
    result = [(row["label"], row["score"]) for row in json.loads(out)["labels"]]
    assert result == [(a.label, pytest.approx(a.score, abs=1e-6)) for a in expected]
    for wrong, message in (
        ("-1", "is not a non-negative number"),
        ("nan", "must be a finite number"),
        ("x", "penalty=x"),
    ):
        status, _, err = call(predict.run, *arguments, f"--penalty={wrong}")
        assert status == 2 and message in err, err
