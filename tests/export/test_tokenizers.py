"""Exports of runs whose text became words by other rules than the default one."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

import devise_tf.models
from devise_tf.export.build import export_model
from devise_tf.export.manifest import MANIFEST_FILE, TERMS_FILE, TOKENIZER_FILE, checksums
from devise_tf.export.relabel import relabel
from devise_tf.export.server.loaded_version import LoadedVersion
from devise_tf.export.verify import TF_TEXT_OPERATIONS, VerificationError, verify
from devise_tf.text import get_tokenizer
from tests.helpers.exports import copy_of, manifest_of
from tests.helpers.tiny_model_dir import make_model_dir, photo

TEXTS = ["Snow Leopard", "a photo of a red panda", "CAFE\u0301", "dogs", "polar bear, lynx", "lynx"]


def operations(version):
    graph = saved_model_pb2.SavedModel.FromString(pathlib.Path(version, "saved_model.pb").read_bytes())
    library = graph.meta_graphs[0].graph_def.library.function
    return {node.op for function in library for node in function.node_def}


@pytest.fixture(
    params=[
        "sentencepiece",
        None,
        *(pytest.param(rule, marks=pytest.mark.slow) for rule in ("words", "unicode_script")),
    ],
    scope="module",
)
def run(request, tmp_path_factory):
    """A run's directory by each rule; of `None` it was made before there were several."""
    folder, rule = tmp_path_factory.mktemp("run"), request.param
    if rule == "sentencepiece":
        import sentencepiece

        lines = ["a snow leopard", "the red panda and the polar bear", "café ångström zebra", "cat dog"] * 20
        with open(folder / "pieces.model", "wb") as file:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(lines),
                model_writer=file,
                vocab_size=40,
                model_type="word",
                hard_vocab_limit=False,
                minloglevel=2,
            )
        rule = f"sentencepiece:{folder}/pieces.model"
    return make_model_dir(folder / "run", tokenizer=rule), request.param


def test_export_finds_what_predict_finds(run, tmp_path):
    model_dir, rule = run
    version = export_model(model_dir, str(tmp_path / "base"))
    name = "unnormalized_words" if rule is None else rule
    assert manifest_of(version)["tokenizer"] == name
    assert bool(operations(version) & set(TF_TEXT_OPERATIONS)) == (name in ("unicode_script", "sentencepiece"))
    predictor = devise_tf.models.load(model_dir)
    known = set(predictor.known(TEXTS).ids)
    assert ("a photo of a red panda" in known) == (rule is not None) and "lynx" not in known
    answers = predictor.predict_labels(photo(), TEXTS, k=len(TEXTS))[0]
    served = tf.saved_model.load(version).signatures["classify"]
    result = served(image_bytes=tf.constant([photo()]), labels=tf.constant([TEXTS]))
    labels = [label.decode() for label in result["labels"][0].numpy()]
    assert labels[: len(known)] == [answer.id for answer in answers]
    assert result["known"][0].numpy().tolist() == [label in known for label in labels]
    np.testing.assert_allclose(result["scores"][0][: len(known)], [answer.score for answer in answers], atol=1e-5)
    # As TF Serving runs it; and with other labels, which keep the rule.
    assert "classify" in LoadedVersion(version, 1).signatures
    (tmp_path / "labels.txt").write_text("b1\tCafé\nb2\tSnow leopard\n")
    other = relabel(version, str(tmp_path / "labels.txt"))
    assert manifest_of(other)["tokenizer"] == name
    assert pathlib.Path(other, TOKENIZER_FILE).exists() == (name == "sentencepiece")
    again = tf.saved_model.load(other).signatures["classify"]
    repeated = again(image_bytes=tf.constant([photo()]), labels=tf.constant([TEXTS]))
    np.testing.assert_array_equal(repeated["scores"], result["scores"])


def test_exports_of_before_are_relabeled_by_their_own_rule(tmp_path):
    """Their manifest names no rule, and their terms have no keys beside them."""
    version = export_model(make_model_dir(tmp_path / "run", tokenizer=None), str(tmp_path / "base"))
    manifest = manifest_of(version)
    del manifest["tokenizer"]
    pathlib.Path(version, MANIFEST_FILE).write_text(json.dumps(manifest))
    (tmp_path / "labels.txt").write_text("b1\tred cat\nb2\tSnow leopard\n")
    other = relabel(version, str(tmp_path / "labels.txt"))
    assert manifest_of(other)["labels"] == 2
    (tmp_path / "labels.txt").write_text("b1\ta photo of a cat\nb2\tcat\n")
    with pytest.raises(ValueError, match="1 of 2 labels have no vector: b1"):
        relabel(version, str(tmp_path / "labels.txt"))


def test_operations_that_tensorflow_serving_lacks_are_refused(tiny_export, tmp_path):
    version = copy_of(f"{tiny_export}/1", tmp_path / "1")
    path = pathlib.Path(version, "saved_model.pb")
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    saved.meta_graphs[0].graph_def.node.add(name="new", op="FastSentencepieceTokenize")
    path.write_bytes(saved.SerializeToString())
    pathlib.Path(version, MANIFEST_FILE).write_text(json.dumps({**manifest_of(version), "files": checksums(version)}))
    with pytest.raises(VerificationError, match=r"does not have.*2\.12.*\['FastSentencepieceTokenize'\]"):
        verify(version)


def test_a_term_is_found_by_several_keys(tiny_export):
    keys = pathlib.Path(tiny_export, "1", TERMS_FILE).read_text(encoding="utf-8").splitlines()
    assert {"café", "cafe\u0301", "snow_leopard"} <= set(keys) and len(keys) == len(set(keys))
    assert get_tokenizer().key("CAFE\u0301") == "café"
