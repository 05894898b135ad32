"""What exports answer, for every kind of model and setting."""

import os
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from devise_tf.export.build import ExportSettings, export_model
from devise_tf.export.relabel import relabel
from devise_tf.labels import LabelSet
from devise_tf.text import load_vectors
from tests.helpers.exports import copy_of, manifest_of
from tests.helpers.predictions import unit
from tests.helpers.tiny_model_dir import IMAGE_SIZE, LABELS, add_devise, make_model_dir, photo


@pytest.mark.slow
@pytest.mark.parametrize(("name", "model"), [("resnet_micro", "softmax"), ("alexnet_tiny", "devise")])
def test_exported_embeddings_equal_the_networks_for_every_visual_model(name, model, tmp_path):
    model_dir = make_model_dir(tmp_path / "run", name)
    version = export_model(model_dir, str(tmp_path / "base"), ExportSettings(model))
    network = keras.models.load_model(f"{model_dir}/{'devise' if model == 'devise' else 'cnn'}.keras", compile=False)
    size = manifest_of(version)["image_size"]
    pixels = np.random.default_rng(0).uniform(0, 255, (3, size, size, 3)).astype(np.float32)
    outputs = network(pixels, training=False).numpy()
    if model == "devise":
        expected = outputs / np.linalg.norm(outputs, axis=1, keepdims=True)
    else:
        expected = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    answer = tf.saved_model.load(version).signatures["embed_pixels"](pixels=tf.constant(pixels))["embedding"]
    np.testing.assert_allclose(answer, expected, atol=1e-5)


def test_answers_are_ids_of_the_given_labels_file(tiny_model_dir, tmp_path):
    (tmp_path / "labels.txt").write_text("b1\tpolar bear\nb2\tzebra\n")
    settings = ExportSettings(labels=str(tmp_path / "labels.txt"), answers="ids", k=5, max_terms=0)
    version = export_model(tiny_model_dir, str(tmp_path / "base"), settings)
    served = tf.saved_model.load(version).signatures
    answers = served["serving_default"](image_bytes=tf.constant([photo()]))
    assert sorted(answers["labels"].numpy()[0]) == [b"b1", b"b2"]
    known = served["embed_label"](labels=tf.constant(["polar bear", "zebra", "cat"]))["known_tokens"]
    assert known.numpy().tolist() == [2, 1, 0]


@pytest.mark.slow
def test_label_vectors_follow_the_models_label_terms_and_profiles(tiny_model_dir, tmp_path):
    """Of all terms with their heads, as profiles: in answers, in requests, and after other labels took their place."""
    model_dir = pathlib.Path(copy_of(tiny_model_dir, tmp_path / "run"))
    add_devise(model_dir, "profiles", label_terms="heads", profile_temperature=0.5)
    terms, vectors = load_vectors(model_dir / "vectors.bin")
    v = {term: unit(vector) for term, vector in zip(terms, vectors.astype(np.float64), strict=True)}
    snow_leopard = unit(v["snow_leopard"] + v["leopard"])
    red_panda = unit(unit(vectors[1] + vectors[2]) + v["panda"])
    polar_bear = unit(unit(vectors[8] + vectors[9]) + v["bear"])
    references = np.stack([snow_leopard, v["cat"], v["dog"], red_panda])  # of the seen labels

    def profile(vector):
        return unit(np.exp(references @ vector / 0.5))

    (tmp_path / "labels.txt").write_text("a\tleopard, cat\nb\tpolar bear, zebra, the\nc\tdog\nd\tred panda\n")
    (tmp_path / "others.txt").write_text("e\tzebra, dog\nf\tsnow leopard, bear\n")
    network = keras.models.load_model(model_dir / "profiles.keras", compile=False)
    settings = ExportSettings("profiles", str(tmp_path / "labels.txt"), k=4)
    version = export_model(str(model_dir), str(tmp_path / "base"), settings)
    facts = {"model": "profiles", "label_terms": "heads", "profile_temperature": 0.5, "dimension": 4, "labels": 4}
    assert {name: manifest_of(version)[name] for name in facts} == facts
    pixels = np.random.default_rng(0).uniform(0, 255, (3, IMAGE_SIZE, IMAGE_SIZE, 3)).astype(np.float32)
    images = [photo(i) for i in range(3)]

    def check(version, made_of):
        served = tf.saved_model.load(version).signatures
        embedding = served["embed_pixels"](pixels=tf.constant(pixels))["embedding"].numpy()
        np.testing.assert_allclose(embedding, unit(network(pixels, training=False).numpy()), atol=1e-5)
        embedding = served["embed_image"](image_bytes=tf.constant(images))["embedding"].numpy()
        expected = {name: profile(unit(np.mean(vectors, axis=0))) for name, vectors in made_of.items()}
        answers = served["serving_default"](image_bytes=tf.constant(images))
        for query, names, scores in zip(embedding, answers["labels"].numpy(), answers["scores"].numpy(), strict=True):
            assert sorted(name.decode() for name in names) == sorted(expected)
            np.testing.assert_allclose(scores, [query @ expected[name.decode()] for name in names], atol=1e-5)
        vectors = served["embed_label"](labels=tf.constant(["leopard", "polar bear", "unicorn"]))["embedding"]
        np.testing.assert_allclose(vectors, [profile(v["leopard"]), profile(polar_bear), np.zeros(4)], atol=1e-5)

    made_of = {
        "leopard": [v["leopard"], v["cat"]],
        "polar bear": [v["zebra"], v["the"]],  # a term without a vector of its own has no part in the mean
        "dog": [v["dog"]],
        "red panda": [red_panda],
    }
    check(version, made_of)
    made_of = {"zebra": [v["zebra"], v["dog"]], "snow leopard": [snow_leopard, v["bear"]]}
    check(relabel(str(tmp_path / "base"), str(tmp_path / "others.txt")), made_of)
    old, new = manifest_of(version), manifest_of(f"{tmp_path}/base/2")
    assert {name for name in old if new[name] != old[name]} == {"labels", "files"}


@pytest.mark.slow
def test_conse_averages_vectors_of_the_softmaxs_labels(tmp_path):
    """The trained label without a vector is passed over; unseen labels are answered, too."""
    model_dir = make_model_dir(tmp_path / "run")
    path = tmp_path / "run" / "labels.txt"
    path.write_text(path.read_text().replace("n2\tcat", "n2\tunheard"))
    version = export_model(model_dir, str(tmp_path / "base"), ExportSettings("conse", missing_labels="drop"))
    assert (manifest_of(version)["model"], manifest_of(version)["labels"]) == ("conse", 4)
    classifier = keras.models.load_model(f"{model_dir}/cnn.keras", compile=False)
    pixels = np.random.default_rng(0).uniform(0, 255, (3, IMAGE_SIZE, IMAGE_SIZE, 3)).astype(np.float32)
    logits = classifier(pixels, training=False).numpy().astype(np.float64)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    _, vectors = load_vectors(f"{model_dir}/vectors.bin")
    table = unit(np.stack([vectors[6], vectors[4], vectors[1] + vectors[2], vectors[5]]).astype(np.float64))
    expected = unit(probabilities[:, [0, 2, 3]] @ table[:3])
    served = tf.saved_model.load(version).signatures
    np.testing.assert_allclose(served["embed_pixels"](pixels=tf.constant(pixels))["embedding"], expected, atol=1e-5)
    embedding = served["embed_image"](image_bytes=tf.constant([photo()]))["embedding"].numpy()
    answers = served["serving_default"](image_bytes=tf.constant([photo()]))
    scores = dict(zip(["snow leopard", "dog", "red panda", "zebra"], (embedding @ table.T)[0], strict=True))
    result = [name.decode() for name in answers["labels"].numpy()[0]]
    assert sorted(result) == sorted(scores)
    np.testing.assert_allclose(answers["scores"][0], [scores[name] for name in result], atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"answers": "names"}, "answers"),
        ({"k": 0}, "k="),
        ({"max_terms": -1}, "max_terms"),
    ],
)
def test_settings_out_of_range_raise_an_error(arguments, message):
    with pytest.raises(ValueError, match=f"Received: .*{message}"):
        ExportSettings(**arguments)


def test_unfinished_model_directory_error_names_the_missing_file(tiny_model_dir, tmp_path):
    with pytest.raises(ValueError, match="directory of a run"):
        export_model(str(tmp_path / "nowhere"), str(tmp_path / "base"))
    for name, phase in (("devise.keras", "devise"), ("vectors.bin", "skip_gram"), ("labels.txt", "cnn")):
        model_dir = copy_of(tiny_model_dir, tmp_path / name)
        os.remove(f"{model_dir}/{name}")
        with pytest.raises(ValueError, match=f"{name} is missing: run --phase={phase}"):
            export_model(model_dir, str(tmp_path / "base"))
    assert not (tmp_path / "base").exists() or os.listdir(tmp_path / "base") == []


@pytest.mark.parametrize("model", ["l3", "cnn", "random_0", "random_0_projection"])
def test_unknown_model_and_random_embeddings_are_refused(tmp_path, model):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "flags.txt").write_text("--seed=0\n")
    LabelSet(list(LABELS), list(LABELS.values())).save(tmp_path / "run" / "labels.txt")
    for name in ("cnn", "devise", "devise_projection", "l2", "random_0", "random_0_projection"):
        (tmp_path / "run" / f"{name}.keras").touch()
    known = r"\['softmax', 'devise', 'devise_projection', 'l2', 'conse'\]"
    with pytest.raises(ValueError, match=f"`model` must be one of {known}. Received: model='{model}'"):
        export_model(str(tmp_path / "run"), str(tmp_path / "base"), ExportSettings(model))
