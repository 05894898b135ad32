"""What verification is for: versions that must not be published."""

import json
import os
import pathlib
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from devise_tf.export.build import export_model
from devise_tf.export.manifest import MANIFEST_FILE, TERMS_FILE, checksums
from devise_tf.export.signatures import SIGNATURES, WARMUP_FILE
from devise_tf.export.verify import VerificationError, verify, verify_in_fresh_process
from devise_tf.export.warmup import read_warmup
from tests.helpers.exports import copy_of, manifest_of
from tests.helpers.tiny_model_dir import IMAGE_SIZE, make_model_dir


class Naive(tf.Module):
    """The export that passes every test in Python: the Keras model as an attribute."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    @tf.function(input_signature=[tf.TensorSpec([None, IMAGE_SIZE, IMAGE_SIZE, 3], tf.float32, name="pixels")])
    def embed_pixels(self, pixels):
        return {"embedding": self.network(pixels, training=False)}


def test_verify_refuses_a_keras_model_saved_as_an_attribute(tiny_model_dir, tiny_export, tmp_path, monkeypatch):
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


def test_verify_refuses_a_function_that_needs_xla(tiny_export, tmp_path):
    version = copy_of(f"{tiny_export}/1", tmp_path / "1")
    path = pathlib.Path(version, "saved_model.pb")
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    saved.meta_graphs[0].graph_def.library.function[0].attr["_XlaMustCompile"].b = True
    path.write_bytes(saved.SerializeToString())
    pathlib.Path(version, MANIFEST_FILE).write_text(json.dumps({**manifest_of(version), "files": checksums(version)}))
    with pytest.raises(VerificationError, match="needs XLA"):
        verify(version)


def test_verify_refuses_a_changed_version(tiny_export, tmp_path):
    version = copy_of(f"{tiny_export}/1", tmp_path / "1")
    with open(f"{version}/{TERMS_FILE}", "a") as file:
        file.write("lynx\n")
    with pytest.raises(VerificationError, match=r"checksums.*terms.txt"):
        verify_in_fresh_process(version)


def test_verify_refuses_other_outputs_than_expected(tiny_export, tmp_path):
    expected = str(tmp_path / "expected.npz")
    np.savez(expected, **{"1/norm": np.array([123.0], np.float32)})
    with pytest.raises(VerificationError, match="embed_image: 1/norm differs"):
        verify(f"{tiny_export}/1", expected)
    np.savez(expected, **{"99/norm": np.array([123.0], np.float32)})
    with pytest.raises(VerificationError, match="no request"):
        verify(f"{tiny_export}/1", expected)


def test_verify_accepts_a_moved_version(tiny_export, tmp_path):
    version = copy_of(f"{tiny_export}/1", tmp_path / "elsewhere" / "5")
    assert verify(version) == 14


def test_model_with_nan_weights_is_not_published(tmp_path):
    model_dir = make_model_dir(tmp_path / "run")
    model = keras.models.load_model(f"{model_dir}/devise.keras", compile=False)
    model.projection.kernel.assign(np.full(model.projection.kernel.shape, np.nan))
    model.save(f"{model_dir}/devise.keras")
    with pytest.raises(VerificationError, match="not finite"):
        export_model(model_dir, str(tmp_path / "base"))
    assert os.listdir(tmp_path / "base") == []
