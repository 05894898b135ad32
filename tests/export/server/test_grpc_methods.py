import concurrent.futures
import os

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
)

from tests.helpers.clients import arrays, predict_request, strings


@pytest.fixture(scope="module")
def eager(tiny_export):
    """The export as TensorFlow itself runs it."""
    return tf.saved_model.load(os.path.join(tiny_export, "1")).signatures


def _example(photo):
    example = tf.train.Example()
    example.features.feature["image/encoded"].bytes_list.value.append(photo)
    return example


def _inputs(signature, photos):
    rows = np.array([strings("cat", "red panda", "no such thing")] * len(photos))
    return {
        "serving_default": {"image_bytes": strings(*photos)},
        "embed_image": {"image_bytes": strings(*photos)},
        "embed_label": {"labels": strings("cat", "Snow  Leopard", "no such thing")},
        "classify": {"image_bytes": strings(*photos), "labels": rows},
        "embed_pixels": {"pixels": np.random.default_rng(1).uniform(0, 255, (2, 24, 24, 3)).astype(np.float32)},
        "classify_examples": {"inputs": strings(*(_example(photo).SerializeToString() for photo in photos))},
    }[signature]


@pytest.mark.parametrize(
    "signature", ["serving_default", "embed_image", "embed_label", "classify", "embed_pixels", "classify_examples"]
)
def test_predict_answers_equal_tensorflows(server, connect, eager, photos, signature):
    prediction, _ = connect(server)
    inputs = _inputs(signature, photos)
    response = prediction.Predict(predict_request(server, inputs, signature))
    expected = eager[signature](**{name: tf.constant(value) for name, value in inputs.items()})
    results = arrays(response)
    assert results.keys() == expected.keys()
    for name, value in expected.items():
        if value.dtype == tf.float32:
            np.testing.assert_allclose(results[name], value.numpy(), atol=1e-6)
        else:
            assert np.array_equal(results[name], value.numpy()), name
    assert json_format.MessageToDict(response.model_spec) == {
        "name": "devise",
        "signatureName": signature,
        "version": "1",
    }


def test_the_default_signature_needs_no_name(server, connect, photos):
    prediction, _ = connect(server)
    response = prediction.Predict(predict_request(server, {"image_bytes": strings(*photos)}, version=1))
    assert response.outputs["labels"].tensor_shape.dim[0].size == 3
    assert response.model_spec.signature_name == "serving_default"
    # In the fields that TF Serving uses, which clients may read without TensorFlow.
    assert len(response.outputs["scores"].float_val) == 9 and len(response.outputs["labels"].string_val) == 9


def test_output_filter_selects_outputs(server, connect, photos):
    prediction, _ = connect(server)
    request = predict_request(server, {"image_bytes": strings(*photos)}, "embed_image")
    request.output_filter.append("norm")
    assert list(prediction.Predict(request).outputs) == ["norm"]


@pytest.mark.parametrize("with_context", [False, True])
def test_classify(server, connect, eager, photos, with_context):
    prediction, _ = connect(server)
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name = "devise"
    request.model_spec.signature_name = "classify_examples"
    examples = [_example(photo) for photo in photos]
    if with_context:
        # What all examples share comes once; here it is the image itself.
        request.input.example_list_with_context.context.CopyFrom(examples[0])
        empty = tf.train.Example()
        empty.features.feature["more"].int64_list.value.append(1)
        request.input.example_list_with_context.examples.extend([empty] * 3)
        examples = [examples[0]] * 3
    else:
        request.input.example_list.examples.extend(examples)
    response = prediction.Classify(request)
    inputs = tf.constant([example.SerializeToString() for example in examples])
    expected = eager["classify_examples"](inputs=inputs)
    results = response.result.classifications
    assert [[c.label.encode() for c in row.classes] for row in results] == expected["classes"].numpy().tolist()
    np.testing.assert_allclose([[c.score for c in row.classes] for row in results], expected["scores"], atol=1e-6)
    assert response.model_spec.version.value == 1


def test_metadata(server, connect):
    prediction, _ = connect(server)
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "devise"
    response = prediction.GetModelMetadata(request)
    assert (response.model_spec.name, response.model_spec.version.value) == ("devise", 1)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    served = signatures.signature_def["serving_default"]
    assert served.method_name == "tensorflow/serving/predict"
    assert served.inputs["image_bytes"].dtype == types_pb2.DT_STRING
    assert [dim.size for dim in served.inputs["image_bytes"].tensor_shape.dim] == [-1]


@pytest.mark.parametrize("number", [None, 1])
def test_status(server, connect, number):
    _, model = connect(server)
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "devise"
    if number:
        request.model_spec.version.value = number
    assert json_format.MessageToDict(model.GetModelStatus(request)) == {
        "model_version_status": [{"version": "1", "state": "AVAILABLE", "status": {}}]
    }


def test_concurrent_clients_get_their_own_answers(server, connect, photos):
    prediction, _ = connect(server)
    alone = [
        arrays(prediction.Predict(predict_request(server, {"image_bytes": strings(photo)}, "embed_image")))["embedding"]
        for photo in photos
    ]

    def ask(number):
        request = predict_request(server, {"image_bytes": strings(photos[number % 3])}, "embed_image")
        return np.allclose(arrays(prediction.Predict(request))["embedding"], alone[number % 3], atol=1e-6)

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(120)))
