"""Other labels for an export."""

import json
import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from devise_tf.export.manifest import LABELS_FILE, MANIFEST_FILE, TERMS_FILE
from devise_tf.export.relabel import _extended, relabel
from devise_tf.labels import LabelSet
from devise_tf.text import load_vectors, save_vectors
from tests.helpers.exports import copy_of, manifest_of
from tests.helpers.tiny_model_dir import DIMENSION, TERMS, photo


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
    assert {name for name in old if new.get(name) == old[name]} == {"saved_model.pb", TERMS_FILE}


def test_relabel_refuses_vectors_of_another_space(tiny_export, tiny_model_dir, tmp_path):
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
    answered = served["classify"](image_bytes=tf.constant([photo()]), labels=tf.constant([["lynx", "the"]]))
    assert answered["known"].numpy().all()
    again = relabel(version, str(tmp_path / "labels.txt"))  # its own terms will do now
    assert manifest_of(again)["terms"] == len(TERMS) + 1
    position = answers["labels"].numpy()[0].tolist().index(b"lynx")
    np.testing.assert_allclose(answers["scores"][0, position], cosine, atol=1e-5)
    other = str(tmp_path / "other.bin")
    save_vectors(other, [*terms, "lynx"], np.stack([*vectors[::-1], lynx]), "word2vec_binary")
    for path in (other, "label_terms_300"):
        with pytest.raises(ValueError, match="another space"):
            relabel(base, str(tmp_path / "labels.txt"), path)
    assert sorted(os.listdir(base)) == ["1", "2", "3"]


def test_relabel_adds_terms_to_those_of_the_export(tiny_export, tiny_model_dir, tmp_path):
    """A file without the export's terms takes none from it."""
    base = copy_of(tiny_export, tmp_path / "base")
    terms, vectors = load_vectors(f"{tiny_model_dir}/vectors.bin")
    lynx = np.linspace(-1, 1, DIMENSION, dtype=np.float32)
    rows = [terms.index("the"), terms.index("cat")]
    save_vectors(str(tmp_path / "few.bin"), ["the", "cat", "lynx"], np.stack([*vectors[rows], lynx]), "word2vec_binary")
    (tmp_path / "labels.txt").write_text("lynx\nleopard\n")
    with pytest.raises(ValueError, match="row 2 is not UTF-8.*`max_bad_rows` allows 0"):
        (tmp_path / "bad.bin").write_bytes((tmp_path / "few.bin").read_bytes().replace(b"\ncat ", b"\n\xe8\xb1\xff "))
        relabel(base, str(tmp_path / "labels.txt"), str(tmp_path / "bad.bin"), max_bad_rows=0)
    version = relabel(base, str(tmp_path / "labels.txt"), str(tmp_path / "few.bin"))
    assert LabelSet.load(f"{version}/{LABELS_FILE}").ids == ["lynx", "leopard"]
    assert manifest_of(version)["terms"] == len(TERMS) + 1


def test_relabel_drops_labels_without_a_vector_if_told_to(tiny_export, tmp_path):
    base = copy_of(tiny_export, tmp_path / "base")
    manifest = manifest_of(f"{base}/1")
    del manifest["label_terms"]  # an early version
    pathlib.Path(base, "1", MANIFEST_FILE).write_text(json.dumps(manifest))
    (tmp_path / "labels.txt").write_text("lynx\ncat\n")
    version = relabel(f"{base}/1/", str(tmp_path / "labels.txt"), missing="drop")
    assert version == f"{base}/2"
    assert LabelSet.load(f"{version}/{LABELS_FILE}").ids == ["cat"]


def test_relabel_refuses_a_changed_version(tiny_export, tmp_path):
    base = copy_of(tiny_export, tmp_path / "base")
    (tmp_path / "labels.txt").write_text("cat\n")
    lines = pathlib.Path(base, "1", "assets", "terms.txt").read_text().splitlines()
    pathlib.Path(base, "1", "assets", "terms.txt").write_text("\n".join(reversed(lines)) + "\n")
    with pytest.raises(ValueError, match="changed after its export"):
        relabel(base, str(tmp_path / "labels.txt"))
    assert os.listdir(base) == ["1"]


def test_relabel_of_a_softmax_refuses_untrained_labels(softmax_export, tmp_path):
    version = f"{copy_of(softmax_export, tmp_path / 'base')}/1"
    (tmp_path / "two.txt").write_text("n3\tcat\ns\tounce\n")  # an id counts more than a term
    served = tf.saved_model.load(relabel(version, str(tmp_path / "two.txt"))).signatures
    answers = served["serving_default"](image_bytes=tf.constant([photo()]))
    probabilities = served["embed_image"](image_bytes=tf.constant([photo()]))["embedding"].numpy()[0]
    result = dict(zip(answers["labels"].numpy()[0].tolist(), answers["scores"].numpy()[0].tolist(), strict=True))
    assert result == pytest.approx({b"cat": probabilities[2], b"ounce": probabilities[0]}, abs=1e-6)
    (tmp_path / "unseen.txt").write_text("z\tzebra\n")
    with pytest.raises(ValueError, match="1 of 1 labels are not among those that the softmax was trained on"):
        relabel(version, str(tmp_path / "unseen.txt"))
    with pytest.raises(ValueError, match="no label vectors"):
        relabel(version, str(tmp_path / "two.txt"), "label_terms_300")


def test_space_of_described_labels_is_recognized(monkeypatch):
    """They come first in an export, and their vectors are those of no file of words."""
    words = [f"word{i}" for i in range(6000)]
    vectors = np.random.default_rng(0).normal(size=(9000, 4)).astype(np.float32)
    exported = [*words[:3000], *(f"other{i}" for i in range(3000)), *words[3000:]], vectors
    file = [*words[:3000], *words[3000:], "lynx"], np.concatenate([-vectors[:3000], vectors[6000:], vectors[:1]])
    kept = {}

    def load(path, terms, max_bad_rows):
        rows = [row for row, term in enumerate(file[0]) if term in terms]
        kept["terms"] = [file[0][row] for row in rows]
        return kept["terms"], file[1][rows]

    monkeypatch.setattr("devise_tf.export.relabel.load_vectors", load)
    monkeypatch.setattr("devise_tf.export.relabel.packaged_files", lambda kind: {"words": "words.npz"})
    labels = LabelSet(["n1"], [["lynx"]])
    exported = [*words[:2000], *exported[0][3000:]], np.concatenate([vectors[:2000], vectors[3000:]])
    terms, _ = _extended(exported, "", labels.term_filter(), 0)
    assert terms[-1] == "lynx" and len(kept["terms"]) > 1000
