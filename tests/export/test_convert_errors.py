"""What must not become a LiteRT or ONNX file, and files that are none."""

import importlib.util
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

from devise_tf.export import convert, converted_file
from tests.helpers.conversions import embeddings, images, load, needs_litert, needs_onnx


@pytest.fixture(autouse=True)
def _loaded_once(monkeypatch):
    monkeypatch.setattr(tf.saved_model, "load", load)


@needs_litert
@needs_onnx
@pytest.mark.parametrize("write", [convert.to_litert, convert.to_onnx])
@pytest.mark.parametrize("wrong", [2e-3, np.nan])
def test_file_with_other_embeddings_is_not_written(write, wrong, versions, tmp_path, monkeypatch):
    """And what was there before stays."""
    version, path = versions("resnet_micro"), tmp_path / "model"

    def load_wrong(path):
        def run(pixels):
            result = embeddings(version, pixels)
            if len(pixels) > 1:  # right for one image, wrong in the last of a batch
                result[-1, 3] += wrong
            return result

        return run

    monkeypatch.setattr(convert, "load_converted", load_wrong)
    path.write_text("before")
    with pytest.raises(ValueError, match=r"differ by more than 0.001. Received: (0.002|nan) in a batch of 5"):
        write(version, path)
    assert path.read_text() == "before" and os.listdir(tmp_path) == ["model"]


@needs_litert
def test_int8_file_that_loses_too_much_is_not_written(versions, tmp_path, monkeypatch):
    version = versions("resnet_micro")
    # A cosine of 0.9: an embedding, and 0.4843 = tan(acos 0.9) of its length at right angles.
    turned = np.zeros((8, 8), np.float32)
    turned[range(0, 8, 2), range(1, 8, 2)], turned[range(1, 8, 2), range(0, 8, 2)] = 0.4843, -0.4843
    monkeypatch.setattr(
        convert, "load_converted", lambda path: lambda pixels: embeddings(version, pixels) @ (np.eye(8) + turned)
    )
    with pytest.raises(ValueError, match=r"below 0.95.*Received: 0.900 over 6 images"):
        convert.to_litert(version, tmp_path / "model", images(24, 6))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "write, missing",
    [(convert.to_litert, "ai_edge_litert"), (convert.to_onnx, "tf2onnx"), (convert.to_onnx, "onnxruntime")],
)
def test_missing_packages_error_says_what_to_install(write, missing, tmp_path, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else find_spec("json"))
    with pytest.raises(ModuleNotFoundError, match=rf"pip install 'devise_tf\[convert\]'. Received: no {missing}"):
        write("no such version", tmp_path / "model")
    assert os.listdir(tmp_path) == []


def cut(path):
    os.truncate(path, os.path.getsize(path) // 2)


def overwrite(path):
    with open(path, "r+b") as file:
        file.seek(os.path.getsize(path) // 2)
        file.write(b"\xff not what was here before")


DAMAGE = {
    "gone": lambda version: shutil.rmtree(version),
    "empty": lambda version: (shutil.rmtree(version), os.mkdir(version)),
    "graph cut": lambda version: cut(f"{version}/saved_model.pb"),
    "graph changed": lambda version: overwrite(f"{version}/saved_model.pb"),
    "no variables": lambda version: shutil.rmtree(f"{version}/variables"),
    "index cut": lambda version: cut(f"{version}/variables/variables.index"),
    "variables cut": lambda version: cut(f"{version}/variables/variables.data-00000-of-00001"),
    "variables changed": lambda version: overwrite(f"{version}/variables/variables.data-00000-of-00001"),
}


@needs_onnx
@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_version_error_names_the_directory(damage, versions, tmp_path):
    version = str(tmp_path / "1")
    shutil.copytree(versions("resnet_micro"), version)
    DAMAGE[damage](version)
    with pytest.raises(ValueError, match=f"not hold an exported version, or it is damaged. Received: {version}: ."):
        convert.to_onnx(version, tmp_path / "model")
    assert not os.path.exists(tmp_path / "model")


class OtherModel(tf.Module):
    """Another function under the right names."""

    def __init__(self, function):
        super().__init__()
        spec = tf.TensorSpec([None, 4, 4, 3], tf.float32, name="pixels")
        self.embed = tf.function(lambda pixels: function(tf.reduce_mean(pixels, [1, 2])), [spec])
        self.signature = tf.function(lambda pixels: {"embedding": self.embed(pixels)}, [spec])

    def save(self, directory, name="embed_pixels"):
        tf.saved_model.save(self, directory, {name: self.signature})
        return directory


@needs_onnx
def test_saved_model_without_the_signature_is_refused(tmp_path):
    other = OtherModel(tf.identity).save(str(tmp_path / "1"), "serve")
    with pytest.raises(ValueError, match=r"must have a signature `embed_pixels`.*with the signatures \['serve'\]"):
        convert.to_onnx(other, tmp_path / "model")


@needs_litert
@needs_onnx
@pytest.mark.parametrize(
    "write, function, message",
    [
        (convert.to_litert, lambda values: tf.linalg.qr(values[:, None])[1][:, 0], "cannot run this model.*Qr"),
        (convert.to_onnx, lambda values: tf.linalg.qr(values[:, None])[1][:, 0], "cannot run this model.*Qr"),
        (convert.to_onnx, tf.math.lgamma, "cannot run this model.*Lgamma"),
        # The converter takes it, and makes an empty tensor of it.
        (convert.to_litert, tf.math.lgamma, r"should have the shape \(1, 3\). Received: \(0, 3\)"),
    ],
)
def test_unsupported_operations_are_named(write, function, message, tmp_path, capfd):
    other = OtherModel(function).save(str(tmp_path / "1"))
    with pytest.raises(ValueError, match=message):
        write(other, tmp_path / "model")
    assert os.listdir(tmp_path) == ["1"]
    capfd.readouterr()  # the converters write their own errors too


@needs_litert
@pytest.mark.parametrize(
    "pixels, message",
    [
        ([], "hundred or more. Received: none"),
        ([np.zeros((24, 24, 3)), np.zeros((1, 24, 24, 3))], r"number 1 of shape \(1, 24, 24, 3\)"),
        ([np.zeros((25, 24, 3))], r"shape \(25, 24, 3\)"),
        ([np.full((24, 24, 3), -0.1)], "-0.1 to -0.1"),
        ([np.full((24, 24, 3), 255.5)], "255.5"),
        ([np.full((24, 24, 3), np.nan)], "nan"),
        ([np.full((24, 24, 3), "a")], "number 0"),
    ],
)
def test_bad_representative_images_are_named(pixels, message, versions, tmp_path):
    with pytest.raises(ValueError, match=message):
        convert.to_litert(versions("resnet_micro"), tmp_path / "model", pixels)
    assert os.listdir(tmp_path) == []


@needs_litert
@needs_onnx
def test_missing_and_damaged_files_raise_an_error(versions, tmp_path):
    with pytest.raises(FileNotFoundError):
        converted_file.load_converted(tmp_path / "model")
    for content in (b"", b"\x08\x08garbage", b"\x1c\0\0\0TFL3 and no more"):
        (tmp_path / "model").write_bytes(content)
        with pytest.raises(ValueError, match="not a LiteRT or ONNX file, or it is damaged. Received: .*model"):
            converted_file.load_converted(tmp_path / "model")
    version = versions("resnet_micro")
    for shape in ((24, 24, 3), (0, 24, 24, 3), (2, 25, 25, 3)):
        with pytest.raises(ValueError, match=r"the shape \[N >= 1, 24, 24, 3\]. Received: \("):
            convert.compare(tmp_path / "model", version, np.zeros(shape))
