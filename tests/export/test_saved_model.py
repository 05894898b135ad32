"""Exports as a whole: what is in them, what is refused, and that they run as TF Serving runs them."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from devise_tf.export import __main__ as export_command
from devise_tf.export.build import ExportSettings, export_model
from devise_tf.export.manifest import MANIFEST_FILE, checksums
from devise_tf.export.relabel import relabel
from devise_tf.export.signatures import SIGNATURES, WARMUP_FILE
from devise_tf.export.verify import VerificationError, verify, verify_in_fresh_process
from devise_tf.export.warmup import read_warmup
from devise_tf.labels import LabelSet
from devise_tf.text import load_vectors, save_vectors
from tests.helpers.commands import call
from tests.helpers.tiny_model_dir import (
    DIMENSION,
    IMAGE_SIZE,
    LABELS,
    TERMS,
    add_devise,
    make_model_dir,
    photo,
)

STRING, FLOAT, INT, BOOL = tf.string, tf.float32, tf.int32, tf.bool
GOLDEN = {
    "serving_default": (
        {"image_bytes": (STRING, [None])},
        {"labels": (STRING, [None, None]), "scores": (FLOAT, [None, None])},
    ),
    "embed_image": (
        {"image_bytes": (STRING, [None])},
        {"embedding": (FLOAT, [None, DIMENSION]), "norm": (FLOAT, [None])},
    ),
    "embed_label": (
        {"labels": (STRING, [None])},
        {"embedding": (FLOAT, [None, DIMENSION]), "known_tokens": (INT, [None]), "num_tokens": (INT, [None])},
    ),
    "classify": (
        {"image_bytes": (STRING, [None]), "labels": (STRING, [None, None])},
        {
            "labels": (STRING, [None, None]),
            "scores": (FLOAT, [None, None]),
            "known": (BOOL, [None, None]),
            "indices": (INT, [None, None]),
        },
    ),
    "embed_pixels": (
        {"pixels": (FLOAT, [None, IMAGE_SIZE, IMAGE_SIZE, 3])},
        {"embedding": (FLOAT, [None, DIMENSION])},
    ),
    "classify_examples": (
        {"inputs": (STRING, [None])},
        {"classes": (STRING, [None, None]), "scores": (FLOAT, [None, None])},
    ),
}


def manifest_of(version):
    return json.loads(pathlib.Path(version, MANIFEST_FILE).read_text())


def copy_of(base, directory):
    shutil.copytree(base, directory)
    return str(directory)


def shape_of(info):
    return [None if side.size == -1 else side.size for side in info.tensor_shape.dim]


def test_signatures_are_as_they_were_promised(tiny_export):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta = tf.compat.v1.saved_model.load(session, ["serve"], f"{tiny_export}/1")
    found = {
        name: tuple(
            {key: (tf.as_dtype(info.dtype), shape_of(info)) for key, info in side.items()}
            for side in (signature.inputs, signature.outputs)
        )
        for name, signature in meta.signature_def.items()
        if not name.startswith("__")
    }
    assert found == GOLDEN
    assert {s.method_name for n, s in meta.signature_def.items() if n in GOLDEN} == {"tensorflow/serving/predict"}


def test_a_version_holds_what_a_server_and_a_person_need(tiny_export):
    version = f"{tiny_export}/1"
    manifest = manifest_of(version)
    assert os.listdir(tiny_export) == ["1"]
    assert {"saved_model.pb", "fingerprint.pb", "assets/terms.txt", WARMUP_FILE, "assets.extra/labels.txt"} <= set(
        manifest["files"]
    )
    assert manifest["files"] == checksums(version)
    facts = {
        "model": "devise",
        "label_terms": "first",
        "k": 3,
        "dimension": DIMENSION,
        "labels": len(LABELS),
        "terms": len(TERMS),
    }
    assert {name: manifest[name] for name in facts} == facts
    assert manifest["tensorflow"] == tf.__version__
    assert LabelSet.load(f"{version}/assets.extra/labels.txt") == LabelSet(list(LABELS), list(LABELS.values()))
    assert "/run" not in pathlib.Path(version, MANIFEST_FILE).read_text()  # no path of the machine that made it


def test_warm_up_has_every_signature_in_batches_of_one_and_more(tiny_export):
    found = set()
    for record in read_warmup(f"{tiny_export}/1"):
        if record.HasField("classify_log"):
            request = record.classify_log.request
            found.add(("Classify", request.model_spec.signature_name, len(request.input.example_list.examples)))
        else:
            request = record.predict_log.request
            sizes = {value.tensor_shape.dim[0].size for value in request.inputs.values()}
            found.add(("Predict", request.model_spec.signature_name, *sizes))
    expected = {("Predict", name, size) for name in GOLDEN for size in (1, 8)}
    assert found == expected | {("Classify", "classify_examples", size) for size in (1, 8)}


def test_weights_are_stored_once(tmp_path):
    """What is beside them does not grow with them: bytes are below 1.1 times the weights from 9 MB on."""
    model_dir = make_model_dir(tmp_path / "run", "resnet_small")
    version = export_model(model_dir, str(tmp_path / "base"))
    model = keras.models.load_model(f"{model_dir}/devise.keras", compile=False)
    weights = [*model.visual_model.weights, *model.projection.weights]
    size = 4 * (sum(int(np.prod(weight.shape)) for weight in weights) + (len(TERMS) + len(LABELS)) * DIMENSION)
    stored = {name: entry["bytes"] for name, entry in manifest_of(version)["files"].items()}
    assert size > 4_900_000
    assert sum(count for name, count in stored.items() if name.startswith("variables/")) < 1.01 * size
    assert sum(count for name, count in stored.items() if not name.startswith("variables/")) < 900_000


@pytest.mark.slow
@pytest.mark.parametrize(("name", "model"), [("resnet_micro", "softmax"), ("alexnet_tiny", "devise")])
def test_every_visual_model_can_be_exported(name, model, tmp_path):
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
    given = tf.saved_model.load(version).signatures["embed_pixels"](pixels=tf.constant(pixels))["embedding"]
    np.testing.assert_allclose(given, expected, atol=1e-5)


def test_a_version_that_was_moved_runs_without_what_it_was_made_of(tiny_export, tmp_path):
    version = copy_of(f"{tiny_export}/1", tmp_path / "elsewhere" / "5")
    assert verify(version) == 14


def test_ids_in_place_of_terms_and_labels_of_ones_own(tiny_model_dir, tmp_path):
    (tmp_path / "labels.txt").write_text("b1\tpolar bear\nb2\tzebra\n")
    settings = ExportSettings(labels=str(tmp_path / "labels.txt"), answers="ids", k=5, max_terms=0)
    version = export_model(tiny_model_dir, str(tmp_path / "base"), settings)
    served = tf.saved_model.load(version).signatures
    answers = served["serving_default"](image_bytes=tf.constant([photo()]))
    assert sorted(answers["labels"].numpy()[0]) == [b"b1", b"b2"]
    known = served["embed_label"](labels=tf.constant(["polar bear", "zebra", "cat"]))["known_tokens"]
    assert known.numpy().tolist() == [2, 1, 0]


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.mark.slow
def test_label_vectors_are_made_as_the_model_was_trained(tiny_model_dir, tmp_path):
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
        asked = served["embed_label"](labels=tf.constant(["leopard", "polar bear", "unicorn"]))["embedding"].numpy()
        np.testing.assert_allclose(asked, [profile(v["leopard"]), profile(polar_bear), np.zeros(4)], atol=1e-5)

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
def test_conse_of_the_softmax(tmp_path):
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
    found = [name.decode() for name in answers["labels"].numpy()[0]]
    assert sorted(found) == sorted(scores)
    np.testing.assert_allclose(answers["scores"][0], [scores[name] for name in found], atol=1e-5)


# What verification is for


class Naive(tf.Module):
    """The export that passes every test in Python: the Keras model as an attribute."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    @tf.function(input_signature=[tf.TensorSpec([None, IMAGE_SIZE, IMAGE_SIZE, 3], tf.float32, name="pixels")])
    def embed_pixels(self, pixels):
        return {"embedding": self.network(pixels, training=False)}


def test_a_naive_export_does_not_pass(tiny_model_dir, tiny_export, tmp_path, monkeypatch):
    """It loads and runs in Python; through a v1 Session, as in TF Serving, it loads and cannot run."""
    version = copy_of(f"{tiny_export}/1", tmp_path / "1")
    for name in ("saved_model.pb", "variables", "assets"):
        path = pathlib.Path(version, name)
        path.unlink() if path.is_file() else shutil.rmtree(path)
    naive = Naive(keras.models.load_model(f"{tiny_model_dir}/cnn.keras", compile=False))
    tf.saved_model.save(naive, f"{tmp_path}/naive", {"embed_pixels": naive.embed_pixels})
    loaded = tf.saved_model.load(f"{tmp_path}/naive").signatures["embed_pixels"]
    assert np.isfinite(loaded(pixels=tf.zeros([1, IMAGE_SIZE, IMAGE_SIZE, 3]))["embedding"]).all()
    shutil.copytree(f"{tmp_path}/naive", version, dirs_exist_ok=True)
    records = [r for r in read_warmup(version) if r.predict_log.request.model_spec.signature_name == "embed_pixels"]
    with tf.io.TFRecordWriter(f"{version}/{WARMUP_FILE}") as writer:
        for record in records:
            writer.write(record.SerializeToString())
    manifest = {**manifest_of(version), "warmup_records": len(records), "files": checksums(version)}
    pathlib.Path(version, MANIFEST_FILE).write_text(json.dumps(manifest))
    monkeypatch.setattr("devise_tf.export.verify.SIGNATURES", {"embed_pixels": SIGNATURES["embed_pixels"]})
    with pytest.raises(VerificationError, match="embed_pixels cannot be run as TF Serving would.*"):
        verify(version)


def test_a_function_that_needs_xla_does_not_pass(tiny_export, tmp_path):
    version = copy_of(f"{tiny_export}/1", tmp_path / "1")
    path = pathlib.Path(version, "saved_model.pb")
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    saved.meta_graphs[0].graph_def.library.function[0].attr["_XlaMustCompile"].b = True
    path.write_bytes(saved.SerializeToString())
    pathlib.Path(version, MANIFEST_FILE).write_text(json.dumps({**manifest_of(version), "files": checksums(version)}))
    with pytest.raises(VerificationError, match="needs XLA"):
        verify(version)


def test_a_version_that_was_changed_does_not_pass(tiny_export, tmp_path):
    version = copy_of(f"{tiny_export}/1", tmp_path / "1")
    with open(f"{version}/assets/terms.txt", "a") as file:
        file.write("lynx\n")
    with pytest.raises(VerificationError, match=r"checksums.*terms.txt"):
        verify_in_fresh_process(version)


def test_other_outputs_than_expected_do_not_pass(tiny_export, tmp_path):
    expected = str(tmp_path / "expected.npz")
    np.savez(expected, **{"1/norm": np.array([123.0], np.float32)})
    with pytest.raises(VerificationError, match="embed_image: 1/norm differs"):
        verify(f"{tiny_export}/1", expected)
    np.savez(expected, **{"99/norm": np.array([123.0], np.float32)})
    with pytest.raises(VerificationError, match="no request"):
        verify(f"{tiny_export}/1", expected)


def test_weights_that_are_not_finite_are_not_published(tmp_path):
    model_dir = make_model_dir(tmp_path / "run")
    model = keras.models.load_model(f"{model_dir}/devise.keras", compile=False)
    model.projection.kernel.assign(np.full(model.projection.kernel.shape, np.nan))
    model.save(f"{model_dir}/devise.keras")
    with pytest.raises(VerificationError, match="not finite"):
        export_model(model_dir, str(tmp_path / "base"))
    assert os.listdir(tmp_path / "base") == []


# Other labels


def test_relabel_answers_other_labels(tiny_export, tiny_model_dir, tmp_path):
    base = copy_of(tiny_export, tmp_path / "base")
    (tmp_path / "labels.txt").write_text("b1\tpolar bear\nb2\tleopard\nb3\tcafé, coffee house\nb4\tcat\n")
    version = relabel(base, str(tmp_path / "labels.txt"))
    assert version == f"{base}/2"
    served = tf.saved_model.load(version).signatures
    images = tf.constant([photo(1), photo(2)])
    embedding = served["embed_image"](image_bytes=images)["embedding"].numpy()
    np.testing.assert_array_equal(
        embedding, tf.saved_model.load(f"{base}/1").signatures["embed_image"](image_bytes=images)["embedding"]
    )
    terms, vectors = load_vectors(f"{tiny_model_dir}/vectors.bin")
    table = np.stack([vectors[8] + vectors[9], vectors[7], vectors[10], vectors[3]])
    scores = embedding @ (table / np.linalg.norm(table, axis=1, keepdims=True)).T
    order = np.argsort(-scores, axis=1)[:, :3]
    names = np.array([b"polar bear", b"leopard", "café".encode(), b"cat"], object)
    answers = served["serving_default"](image_bytes=images)
    assert answers["labels"].numpy().tolist() == names[order].tolist()
    np.testing.assert_allclose(answers["scores"], np.take_along_axis(scores, order, 1), atol=1e-5)
    assert manifest_of(version)["labels"] == 4
    old, new = (manifest_of(path)["files"] for path in (f"{base}/1", version))
    assert {name for name in old if new.get(name) == old[name]} == {"saved_model.pb", "assets/terms.txt"}


def test_relabel_takes_vectors_of_the_same_space_only(tiny_export, tiny_model_dir, tmp_path):
    base = copy_of(tiny_export, tmp_path / "base")
    (tmp_path / "labels.txt").write_text("lynx\ncat\n")
    with pytest.raises(ValueError, match=r"1 of 2 labels have no vector: lynx"):
        relabel(base, str(tmp_path / "labels.txt"))
    terms, vectors = load_vectors(f"{tiny_model_dir}/vectors.bin")
    lynx = np.linspace(-1, 1, DIMENSION, dtype=np.float32)
    same = str(tmp_path / "same.bin")
    save_vectors(same, [*terms, "lynx"], np.stack([*(1.5 * vectors), lynx]), "word2vec_binary")
    version = relabel(base, str(tmp_path / "labels.txt"), same)
    served = tf.saved_model.load(version).signatures
    answers = served["serving_default"](image_bytes=tf.constant([photo()]))
    cosine = (
        served["embed_image"](image_bytes=tf.constant([photo()]))["embedding"].numpy()[0] @ lynx / np.linalg.norm(lynx)
    )
    asked = served["classify"](image_bytes=tf.constant([photo()]), labels=tf.constant([["lynx", "the"]]))
    assert asked["known"].numpy().all()
    again = relabel(version, str(tmp_path / "labels.txt"))  # its own terms will do now
    assert manifest_of(again)["terms"] == len(TERMS) + 1
    place = answers["labels"].numpy()[0].tolist().index(b"lynx")
    np.testing.assert_allclose(answers["scores"][0, place], cosine, atol=1e-5)
    other = str(tmp_path / "other.bin")
    save_vectors(other, [*terms, "lynx"], np.stack([*vectors[::-1], lynx]), "word2vec_binary")
    for path in (other, "label_terms_300"):
        with pytest.raises(ValueError, match="another space"):
            relabel(base, str(tmp_path / "labels.txt"), path)
    assert sorted(os.listdir(base)) == ["1", "2", "3"]


def test_relabel_adds_to_the_terms_of_the_export(tiny_export, tiny_model_dir, tmp_path):
    """A file without the export's terms takes none from it."""
    base = copy_of(tiny_export, tmp_path / "base")
    terms, vectors = load_vectors(f"{tiny_model_dir}/vectors.bin")
    lynx = np.linspace(-1, 1, DIMENSION, dtype=np.float32)
    kept = [terms.index("the"), terms.index("cat")]
    save_vectors(str(tmp_path / "few.bin"), ["the", "cat", "lynx"], np.stack([*vectors[kept], lynx]), "word2vec_binary")
    (tmp_path / "labels.txt").write_text("lynx\nleopard\n")
    version = relabel(base, str(tmp_path / "labels.txt"), str(tmp_path / "few.bin"))
    assert LabelSet.load(f"{version}/assets.extra/labels.txt").ids == ["lynx", "leopard"]
    assert manifest_of(version)["terms"] == len(TERMS) + 1


def test_relabel_leaves_out_what_has_no_vector_if_told_to(tiny_export, tmp_path):
    base = copy_of(tiny_export, tmp_path / "base")
    manifest = manifest_of(f"{base}/1")
    del manifest["label_terms"]  # an early version
    pathlib.Path(base, "1", MANIFEST_FILE).write_text(json.dumps(manifest))
    (tmp_path / "labels.txt").write_text("lynx\ncat\n")
    version = relabel(f"{base}/1/", str(tmp_path / "labels.txt"), missing="drop")
    assert version == f"{base}/2"
    assert LabelSet.load(f"{version}/assets.extra/labels.txt").ids == ["cat"]


def test_relabel_of_a_version_that_was_changed_is_refused(tiny_export, tmp_path):
    base = copy_of(tiny_export, tmp_path / "base")
    (tmp_path / "labels.txt").write_text("cat\n")
    lines = pathlib.Path(base, "1", "assets", "terms.txt").read_text().splitlines()
    pathlib.Path(base, "1", "assets", "terms.txt").write_text("\n".join(reversed(lines)) + "\n")
    with pytest.raises(ValueError, match="changed after it was made"):
        relabel(base, str(tmp_path / "labels.txt"))
    assert os.listdir(base) == ["1"]


def test_relabel_of_a_softmax_takes_trained_labels_only(tiny_model_dir, tmp_path):
    version = export_model(tiny_model_dir, str(tmp_path / "base"), ExportSettings("softmax"))
    (tmp_path / "two.txt").write_text("n3\tcat\ns\tounce\n")  # an id counts more than a term
    served = tf.saved_model.load(relabel(version, str(tmp_path / "two.txt"))).signatures
    answers = served["serving_default"](image_bytes=tf.constant([photo()]))
    probabilities = served["embed_image"](image_bytes=tf.constant([photo()]))["embedding"].numpy()[0]
    found = dict(zip(answers["labels"].numpy()[0].tolist(), answers["scores"].numpy()[0].tolist(), strict=True))
    assert found == pytest.approx({b"cat": probabilities[2], b"ounce": probabilities[0]}, abs=1e-6)
    (tmp_path / "unseen.txt").write_text("z\tzebra\n")
    with pytest.raises(ValueError, match="1 of 1 labels are not among those that the softmax was trained on"):
        relabel(version, str(tmp_path / "unseen.txt"))
    with pytest.raises(ValueError, match="no label vectors"):
        relabel(version, str(tmp_path / "two.txt"), "label_terms_300")


# Bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"answers": "names"}, "answers"),
        ({"k": 0}, "k="),
        ({"max_terms": -1}, "max_terms"),
    ],
)
def test_settings_are_checked(arguments, message):
    with pytest.raises(ValueError, match=f"Received: .*{message}"):
        ExportSettings(**arguments)


def test_a_model_directory_that_is_not_finished_is_named(tiny_model_dir, tmp_path):
    with pytest.raises(ValueError, match="directory of a run"):
        export_model(str(tmp_path / "nowhere"), str(tmp_path / "base"))
    for name, phase in (("devise.keras", "devise"), ("vectors.bin", "skip_gram"), ("labels.txt", "cnn")):
        model_dir = copy_of(tiny_model_dir, tmp_path / name)
        os.remove(f"{model_dir}/{name}")
        with pytest.raises(ValueError, match=f"{name} is missing: run --phase={phase}"):
            export_model(model_dir, str(tmp_path / "base"))
    assert not (tmp_path / "base").exists() or os.listdir(tmp_path / "base") == []


@pytest.mark.parametrize("model", ["l3", "cnn", "random_0", "random_0_projection"])
def test_a_model_that_there_is_not_or_that_knows_no_words_is_refused(tmp_path, model):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "flags.txt").write_text("--seed=0\n")
    LabelSet(list(LABELS), list(LABELS.values())).save(tmp_path / "run" / "labels.txt")
    for name in ("cnn", "devise", "devise_projection", "l2", "random_0", "random_0_projection"):
        (tmp_path / "run" / f"{name}.keras").touch()
    known = r"\['devise', 'softmax', 'conse', 'devise_projection', 'l2'\]"
    with pytest.raises(ValueError, match=f"`model` must be one of {known}. Received: model='{model}'"):
        export_model(str(tmp_path / "run"), str(tmp_path / "base"), ExportSettings(model))


# The command


def command(*arguments, **keywords):
    return subprocess.Popen(
        [sys.executable, "-m", "devise_tf.export", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **keywords,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model_dir=run"], "--export_dir must name"),
        (["--export_dir=base"], "Give one of"),
        (["--export_dir=base", "--model_dir=run", "--relabel=labels.txt"], "Give one of"),
        (["--export_dir=base", "--relabel=labels.txt", "--labels_file=x"], "--labels_file does not go with"),
        (["--export_dir=base", "--relabel=labels.txt", "--k=1"], "--k does not go with"),
        (["--export_dir=base", "--model_dir=run", "--max_batch_size=4"], "need --batching"),
        (["--export_dir=base", "--litert=x", "--onnx=x"], "a file of its own"),
        (["--export_dir=base", "--model_dir=run", "--vectors=x"], "--vectors does not go with"),
        (["--export_dir=base", "--int8=x"], "go together"),
        (["--export_dir=base", "run"], "Unexpected arguments: run; this command takes flags only."),
    ],
)
def test_flags_that_do_not_go_together(arguments, message):
    status, _, err = call(export_command.run, *arguments)
    assert status == 2 and message in err and err.count("\n") == 1


@pytest.mark.slow
def test_the_command_killed_while_it_checks_leaves_no_version(tiny_model_dir, tmp_path):
    base = tmp_path / "base"
    arguments = [f"--model_dir={tiny_model_dir}", f"--export_dir={base}", "--k=2"]
    process = command(*arguments, start_new_session=True)
    deadline = time.monotonic() + 200
    while not list(base.glob(".tmp-*/assets.extra/devise.json")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert [name[:5] for name in os.listdir(base)] == [".tmp-"]
    process = command(*arguments)
    printed, said = process.communicate()
    assert process.returncode == 0, said
    assert f"Exported: {base}/1" in printed
    assert verify(f"{base}/1") == 14
