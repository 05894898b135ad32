"""The models that a run or a preset has, against exports and evaluation."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import devise_tf.models
from devise_tf.labels import LabelSet
from devise_tf.models.registry import build_visual_model
from devise_tf.models.sources import TrainedRun
from devise_tf.models.weights_file import save_weights
from tests.helpers.exports import checked_in_this_process
from tests.helpers.predictions import (
    PHOTOS,
    SEEN,
    assert_answers,
    ranked,
)
from tests.helpers.tiny_model_dir import (
    IMAGE_SIZE,
    LABELS,
    RESIZE_SIZE,
)

ROOT = Path(__file__).resolve().parents[3]


def test_from_several_threads(load):
    predictor, result = load(), {}
    lists = [["cat", "dog"], ["zebra", "dog", "polar bear"], ["leopard"], ["the", "cat"], None]
    expected = [predictor.predict_labels(PHOTOS, labels) for labels in lists]

    def work(number):
        for turn in range(6):
            position = (number + turn) % len(lists)
            result[number, turn] = position, predictor.predict_labels(PHOTOS, lists[position])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(result) == 24
    for position, answers in result.values():
        assert_answers(answers, expected[position])


def test_unknown_models_are_refused_with_those_that_exist(directory, tmp_path):
    with pytest.raises(
        ValueError, match=r"`model` must be one of \['softmax', 'devise', 'means', 'profiles', 'conse'\]"
    ):
        devise_tf.models.load(directory, "random_0")
    with pytest.raises(ValueError, match="or the model directory of a run"):
        devise_tf.models.load(str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="`model_dir` must be the directory of a run"):
        devise_tf.models.load(str(tmp_path))


def test_random_embedding_models_are_not_offered(directory, tmp_path):
    for name in os.listdir(directory):
        if os.path.isfile(f"{directory}/{name}") and name not in ("devise.keras", "cnn.keras"):
            (tmp_path / name).write_bytes(Path(directory, name).read_bytes())
    (tmp_path / "random_0.keras").write_bytes(Path(directory, "devise.keras").read_bytes())
    with pytest.raises(ValueError, match=r"`model` must be one of \['means', 'profiles'\]"):
        devise_tf.models.load(str(tmp_path), "random_0")


def test_preset_names_the_default_model(directory, tmp_path):
    network = build_visual_model("resnet_tiny", 4, IMAGE_SIZE)
    sha256 = save_weights(network, tmp_path / "softmax.npz")
    LabelSet(SEEN, [LABELS[label] for label in SEEN]).save(tmp_path / "labels.txt")
    (tmp_path / "vectors.bin").write_bytes(Path(directory, "vectors.bin").read_bytes())
    facts = {"summary": "", "licence": "", "provenance": "", "image_size": IMAGE_SIZE, "resize_size": RESIZE_SIZE}
    part = {"visual_model": "resnet_tiny", "weights": "softmax.npz", "sha256": sha256}
    for model in ("conse", "softmax"):
        preset = {
            **facts,
            "model": model,
            "labels": "labels.txt",
            "vectors": "vectors.bin",
            "networks": {"softmax": part},
        }
        (tmp_path / "tiny.json").write_text(json.dumps(preset))
        predictor = devise_tf.models.load(str(tmp_path / "tiny.json"))
        assert predictor.model == model
        assert len(predictor.predict_labels(PHOTOS[0], ["cat", "dog"])[0]) == 2
    with pytest.raises(ValueError, match=r"`model` must be one of \['softmax', 'conse'\]"):
        devise_tf.models.load(str(tmp_path / "tiny.json"), "devise")


def test_importing_the_zoo_imports_no_framework():
    code = (
        "import sys, devise_tf.models as m; m.load, m.DEFAULT_PRESET; print({'tensorflow', 'keras'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.slow
@pytest.mark.parametrize("model", ["softmax", "profiles"])
def test_answers_are_those_of_exports(load, directory, tmp_path, model):
    from devise_tf.export.build import ExportSettings, export_model

    with checked_in_this_process():
        path = export_model(directory, str(tmp_path / "base"), ExportSettings(model, k=4))
    signatures = tf.saved_model.load(path).signatures
    served = signatures["serving_default"](image_bytes=tf.constant(PHOTOS))
    answers = load(model).predict_labels(PHOTOS, k=4)
    assert [[a.label.encode() for a in row] for row in answers] == served["labels"].numpy().tolist()
    np.testing.assert_allclose([[a.score for a in row] for row in answers], served["scores"], atol=1e-6)
    np.testing.assert_allclose(
        load(model).embed(PHOTOS), signatures["embed_image"](image_bytes=tf.constant(PHOTOS))["embedding"], atol=1e-6
    )
    texts = ["Cat", "snow leopard", "polar bear", "red panda", "dog", "zzz", "кошка", "leopard the zebra"]
    served = signatures["classify"](image_bytes=tf.constant(PHOTOS), labels=tf.constant([texts]))
    answers = load(model).predict_labels(PHOTOS, texts, k=len(texts))
    assert 3 <= len(answers[0]) == len(texts) - len(load(model).known(texts).unknown)
    for row, labels, scores, known in zip(
        answers, *(served[n].numpy() for n in ("labels", "scores", "known")), strict=True
    ):
        assert [a.label.encode() for a in row] == labels[known].tolist()
        np.testing.assert_allclose([a.score for a in row], scores[known], atol=1e-6)


@pytest.mark.slow
def test_conse_is_the_same_in_predictions_evaluations_and_exports(heads_directory, pixels, tmp_path):
    """Its vectors are of the same terms as those of devise, here with heads."""
    from devise_tf.evaluation.measure.run_scorers import run_scorers
    from devise_tf.export.build import ExportSettings, export_model

    predictor = devise_tf.models.load(heads_directory, "conse")
    labels, texts = predictor.labels, ["polar bear", "Dog", "cat", "red panda"]
    with checked_in_this_process():
        path = export_model(heads_directory, str(tmp_path / "base"), ExportSettings("conse", answers="ids", k=5))
    signatures = tf.saved_model.load(path).signatures
    embedded = signatures["embed_image"](image_bytes=tf.constant(PHOTOS))["embedding"]
    np.testing.assert_allclose(predictor.embed(PHOTOS), embedded, atol=1e-6)
    served = signatures["serving_default"](image_bytes=tf.constant(PHOTOS))
    answers = predictor.predict_labels(PHOTOS, k=5)
    assert [[a.id.encode() for a in row] for row in answers] == served["labels"].numpy().tolist()
    np.testing.assert_allclose([[a.score for a in row] for row in answers], served["scores"], atol=1e-6)
    served = signatures["classify"](image_bytes=tf.constant(PHOTOS), labels=tf.constant([texts]))
    answers = predictor.predict_labels(PHOTOS, texts, k=4)
    assert [[a.label.encode() for a in row] for row in answers] == served["labels"].numpy().tolist()
    np.testing.assert_allclose([[a.score for a in row] for row in answers], served["scores"], atol=1e-6)
    (scorer,) = run_scorers(predictor.run, labels, only=["conse"])
    scores = scorer.head(scorer.network(pixels)).numpy() @ scorer.candidates(labels.ids).values.T
    expected = ranked(scores, [terms[0] for terms in labels.terms], labels.ids, 5)
    assert_answers(predictor.predict_labels(PHOTOS), expected, atol=1e-6)


@pytest.mark.slow
def test_scores_are_those_of_evaluation(load, directory, pixels):
    from devise_tf.evaluation.measure.run_scorers import run_scorers

    run = TrainedRun(directory)
    scorers = run_scorers(run, run.labels)
    names = {"softmax", "devise", "conse", "means", "profiles"}
    assert {scorer.name for scorer in scorers} == names | {"conse_profiles"}
    for scorer in scorers:
        if scorer.name not in names:
            continue
        predictor = load(scorer.name)
        values = scorer.candidates(predictor.labels.ids).values
        queries = scorer.head(scorer.network(pixels)).numpy()
        scores = queries[:, values] if values.ndim == 1 else queries @ values.T
        if scorer.name == "softmax":  # which evaluation ranks by logits
            scores = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        names = [terms[0] for terms in predictor.labels.terms]
        expected = ranked(scores, names, predictor.labels.ids, 5)
        assert_answers(predictor.predict_labels(PHOTOS), expected, atol=1e-6)


@pytest.mark.slow
def test_the_default_preset_answers():
    predictor = devise_tf.models.load()
    image = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    texts = ["tabby cat", "sports car", "snow leopard"]
    for model in predictor.run.preset.models():
        answers = devise_tf.models.load(devise_tf.models.DEFAULT_PRESET, model).predict_labels(image, texts)
        assert sorted(answer.label for answer in answers[0]) == sorted(texts)
