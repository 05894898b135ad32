import concurrent.futures
import os

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import types_pb2

from devise_tf.export.server import loaded_version
from devise_tf.export.server.loaded_version import LoadedVersion, Tensor
from devise_tf.export.server.request_error import RequestError
from tests.helpers.clients import strings
from tests.helpers.queue_model import make_version


@pytest.fixture(scope="module")
def version(tiny_export):
    version = LoadedVersion(os.path.join(tiny_export, "1"), 1)
    yield version
    version.close()


def test_signatures(version):
    assert sorted(version.signatures) == [
        "classify",
        "classify_examples",
        "embed_image",
        "embed_label",
        "embed_pixels",
        "serving_default",
    ]
    # Stored beside them, without an output that could be fetched.
    assert sorted(version.signature_defs.keys() - version.signatures.keys()) == ["__saved_model_init_op"]
    classify = version.signatures["classify"]
    assert {name: (tensor.dtype, tensor.shape) for name, tensor in classify.inputs.items()} == {
        "image_bytes": (types_pb2.DT_STRING, (None,)),
        "labels": (types_pb2.DT_STRING, (None, None)),
    }
    assert isinstance(classify.outputs["scores"], Tensor) and classify.outputs["scores"].dtype == types_pb2.DT_FLOAT


def test_loaded_version_answers_as_tensorflow(version, tiny_export, photos):
    eager = tf.saved_model.load(os.path.join(tiny_export, "1"))
    images, labels = strings(*photos), np.array([strings("cat", "zebra", "no such thing")])
    result = version.run(version.signatures["classify"], {"image_bytes": images, "labels": labels})
    expected = eager.signatures["classify"](image_bytes=tf.constant(images), labels=tf.constant(labels))
    assert result.keys() == expected.keys()
    np.testing.assert_allclose(result.pop("scores"), expected.pop("scores"), atol=1e-6)
    for name, values in result.items():
        assert np.array_equal(values, expected[name].numpy()), name


def test_outputs_may_be_chosen(version, photos, monkeypatch):
    signature = version.signatures["serving_default"]
    inputs = {"image_bytes": strings(*photos)}
    everything = version.run(signature, inputs)
    # More choices than are remembered.
    monkeypatch.setattr(loaded_version, "_MAX_CALLABLES", 1)
    version._callables.clear()
    for names in (["scores"], ["scores", "labels"], ["scores"]):
        result = version.run(signature, inputs, names)
        assert list(result) == names and np.allclose(result["scores"], everything["scores"], atol=1e-6)
        assert len(version._callables) == 1


@pytest.mark.parametrize(
    ("signature", "inputs", "message"),
    [
        (
            "serving_default",
            {},
            "input size does not match signature: 0!=1 len({}) != len({image_bytes}). Sent extra: {}. "
            "Missing but required: {image_bytes}.",
        ),
        (
            "serving_default",
            {"labels": strings("cat")},
            "input size does not match signature: 1!=1 len({labels}) != len({image_bytes}). Sent extra: {labels}. "
            "Missing but required: {image_bytes}.",
        ),
        (
            "serving_default",
            {"image_bytes": np.zeros(1, np.float32)},
            "Expects image_bytes to be string but float is provided",
        ),
        ("embed_pixels", {"pixels": strings("cat")}, "Expects pixels to be float but string is provided"),
        ("embed_pixels", {"pixels": np.zeros(1)}, "Expects pixels to be float but double is provided"),
        (
            "embed_pixels",
            {"pixels": np.zeros((1, 9, 9, 3), np.float32)},
            "Expects pixels to have the shape [?,24,24,3]. Received: [1, 9, 9, 3]",
        ),
        (
            "embed_label",
            {"labels": np.array([strings("cat")])},
            "Expects labels to have the shape [?]. Received: [1, 1]",
        ),
    ],
)
def test_inputs_of_wrong_type_or_shape_are_refused(version, signature, inputs, message):
    with pytest.raises(RequestError) as caught:
        version.run(version.signatures[signature], inputs)
    assert (caught.value.code, str(caught.value)) == ("INVALID_ARGUMENT", message)


def test_session_error_message_leaves_out_the_graph(version):
    with pytest.raises(RequestError) as caught:
        version.run(version.signatures["serving_default"], {"image_bytes": strings("no image")})
    assert caught.value.code == "INVALID_ARGUMENT"
    assert str(caught.value) == "assertion failed: [not a JPEG, PNG, GIF or BMP image]"


def test_session_error_with_bytes_of_the_request_is_readable(version):
    with pytest.raises(RequestError, match="Could not parse example input, value: '.*\ufffd") as caught:
        version.run(version.signatures["classify_examples"], {"inputs": strings(b"\xff\xfe\xff")})
    assert caught.value.code == "INVALID_ARGUMENT"


def test_concurrent_threads_get_their_own_answers(version):
    signature = version.signatures["embed_label"]
    labels = ["cat", "dog", "zebra", "red panda"]
    alone = {label: version.run(signature, {"labels": strings(label)})["embedding"] for label in labels}

    def ask(number):
        label = labels[number % 4]
        return np.array_equal(version.run(signature, {"labels": strings(label)})["embedding"], alone[label])

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(400)))


def test_version_that_only_python_can_run_fails(tmp_path):
    """A module that holds a Keras model loads, and then misses its variables: in TF Serving, and here."""

    class Naive(tf.Module):
        def __init__(self):
            super().__init__()
            self.network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])

        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
        def __call__(self, x):
            return {"y": self.network(x)}

    tf.saved_model.save(naive := Naive(), str(tmp_path / "1"), {"serving_default": naive.__call__})
    x = np.ones((1, 2), np.float32)
    assert tf.saved_model.load(str(tmp_path / "1")).signatures["serving_default"](x=tf.constant(x))["y"].shape == (1, 1)
    version = LoadedVersion(str(tmp_path / "1"), 1)
    with pytest.raises(RequestError, match="Could not find variable") as caught:
        version.run(version.signatures["serving_default"], {"x": x})
    assert caught.value.code == "FAILED_PRECONDITION"
    version.close()


def test_unusual_numbers_go_through(tmp_path):
    make_version(tmp_path, 5)
    version = LoadedVersion(str(tmp_path / "5"), 5)
    x = np.array([np.nan, np.inf, 1e38], np.float32)
    assert repr(version.run(version.signatures["serving_default"], {"x": x})["y"].tolist()[:2]) == "[nan, inf]"
    assert version.run(version.signatures["serving_default"], {"x": x[:0]})["y"].shape == (0,)
    version.close()
