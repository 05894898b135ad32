import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    predict_pb2,
    regression_pb2,
)

from tests.helpers.clients import predict_request, strings
from tests.helpers.image_files import encode, noise


def _raw(server, service, method, body):
    with grpc.insecure_channel(server.grpc_address) as channel:
        return channel.unary_unary(f"/tensorflow.serving.{service}/{method}")(body, timeout=30)


def _predict(change=None, signature="serving_default", **inputs):
    def build():
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "devise"
        request.model_spec.signature_name = signature
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(
                value if isinstance(value, tensor_pb2.TensorProto) else tf.make_tensor_proto(value)
            )
        if change:
            change(request)
        return "Predict", request

    return build


def _tensor(shape, dtype=types_pb2.DT_STRING, **values):
    tensor = tensor_pb2.TensorProto(dtype=dtype, **values)
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    return tensor


def _spec(**values):
    return lambda request: request.model_spec.MergeFrom(type(request.model_spec)(**values))


def _classify(examples=(), signature="classify_examples", **spec):
    def build():
        request = classification_pb2.ClassificationRequest()
        request.model_spec.MergeFrom(
            type(request.model_spec)(**{"name": "devise", "signature_name": signature, **spec})
        )
        request.input.example_list.examples.extend(examples)
        return "Classify", request

    return build


def _metadata(fields=("signature_def",), **spec):
    def build():
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
        if spec:
            request.model_spec.MergeFrom(type(request.model_spec)(**spec))
        return "GetModelMetadata", request

    return build


def _status(**spec):
    def build():
        request = get_model_status_pb2.GetModelStatusRequest()
        if spec:
            request.model_spec.MergeFrom(type(request.model_spec)(**spec))
        return "GetModelStatus", request

    return build


CAT = strings("cat")
JUNK = tf.train.Example()

ERRORS = {
    "no model": (_predict(lambda request: request.ClearField("model_spec")), "INVALID_ARGUMENT", "Missing ModelSpec"),
    "empty name": (_predict(lambda request: request.model_spec.ClearField("name")), "INVALID_ARGUMENT", "no name"),
    "unknown model": (_predict(_spec(name="other")), "NOT_FOUND", "Servable not found for request: Latest(other)"),
    "unknown version": (
        _predict(_spec(version={"value": 7})),
        "NOT_FOUND",
        "Servable not found for request: Specific(devise, 7)",
    ),
    "negative version": (_predict(_spec(version={"value": -1})), "NOT_FOUND", "Specific(devise, -1)"),
    "label": (
        _predict(_spec(version_label="stable")),
        "INVALID_ARGUMENT",
        "Unrecognized servable version label: stable",
    ),
    "long model name": (_predict(_spec(name="x" * 100_000)), "NOT_FOUND", "Servable not found"),
    "unknown signature": (
        _predict(signature="nothing", image_bytes=CAT),
        "FAILED_PRECONDITION",
        'Serving signature key "nothing" not found.',
    ),
    "initialization": (_predict(signature="__saved_model_init_op"), "FAILED_PRECONDITION", "not found"),
    "no inputs": (_predict(), "INVALID_ARGUMENT", "input size does not match signature: 0!=1"),
    "one too many": (_predict(image_bytes=CAT, labels=CAT), "INVALID_ARGUMENT", "Sent extra: {labels}"),
    "another name": (_predict(images=CAT), "INVALID_ARGUMENT", "Missing but required: {image_bytes}"),
    "one too few": (
        _predict(signature="classify", image_bytes=CAT),
        "INVALID_ARGUMENT",
        "Missing but required: {labels}",
    ),
    "wrong dtype": (_predict(image_bytes=np.ones(1, np.float32)), "INVALID_ARGUMENT", "to be string but float"),
    "another dtype": (
        _predict(signature="embed_pixels", pixels=np.ones((1, 24, 24, 3), np.int32)),
        "INVALID_ARGUMENT",
        "to be float but int32",
    ),
    "wrong rank": (_predict(image_bytes=np.array([CAT])), "INVALID_ARGUMENT", "the shape [?]"),
    "scalar": (_predict(image_bytes=np.array(b"cat", object)), "INVALID_ARGUMENT", "the shape [?]. Received: []"),
    "wrong size": (
        _predict(signature="embed_pixels", pixels=np.ones((1, 24, 24, 4), np.float32)),
        "INVALID_ARGUMENT",
        "the shape [?,24,24,3]",
    ),
    "unknown output": (
        _predict(lambda request: request.output_filter.append("nothing"), image_bytes=CAT),
        "INVALID_ARGUMENT",
        "output tensor alias not found in signature: nothing Outputs expected to be in the set {labels,scores}.",
    ),
    "output twice": (
        _predict(lambda request: request.output_filter.extend(["labels", "labels"]), image_bytes=CAT),
        "INVALID_ARGUMENT",
        "duplicate output tensor alias: labels",
    ),
    "no image": (_predict(image_bytes=CAT), "INVALID_ARGUMENT", "not a JPEG, PNG, GIF or BMP"),
    "empty image": (_predict(image_bytes=strings("")), "INVALID_ARGUMENT", ""),
    "half a JPEG": (_predict(image_bytes=strings(b"\xff\xd8\xff\xe0" + b"\x00" * 50)), "INVALID_ARGUMENT", ""),
    "rows that do not fit": (
        _predict(
            signature="classify", image_bytes=strings(*[encode(noise(8, 8), "PNG")] * 3), labels=np.array([CAT, CAT])
        ),
        "INVALID_ARGUMENT",
        "`labels` must have one row an image, or one for all",
    ),
    "too many labels": (
        _predict(signature="embed_label", labels=_tensor([70_000])),
        "INVALID_ARGUMENT",
        "at most 16384",
    ),
    "one value for gigabytes": (
        _predict(image_bytes=_tensor([10**9], string_val=[b"x"])),
        "INVALID_ARGUMENT",
        "takes more than the limit",
    ),
    "no value for exabytes": (_predict(image_bytes=_tensor([2**31, 2**31])), "INVALID_ARGUMENT", "takes more than"),
    "one float for gigabytes": (
        _predict(signature="embed_pixels", pixels=_tensor([2**20, 24, 24, 3], types_pb2.DT_FLOAT, float_val=[1.0])),
        "INVALID_ARGUMENT",
        "takes more than the limit",
    ),
    "negative dimension": (_predict(image_bytes=_tensor([-1], string_val=[b"x"])), "INVALID_ARGUMENT", "none below 0"),
    "unknown rank": (
        _predict(image_bytes=tensor_pb2.TensorProto(dtype="DT_STRING", tensor_shape={"unknown_rank": True})),
        "INVALID_ARGUMENT",
        "an unknown rank",
    ),
    "too many values": (_predict(image_bytes=_tensor([1], string_val=[b"x", b"y"])), "INVALID_ARGUMENT", "do not fit"),
    "too little content": (
        _predict(signature="embed_pixels", pixels=_tensor([1, 24, 24, 3], types_pb2.DT_FLOAT, tensor_content=b"123")),
        "INVALID_ARGUMENT",
        "`tensor_content` must hold",
    ),
    "no dtype": (_predict(image_bytes=_tensor([1], types_pb2.DT_INVALID)), "INVALID_ARGUMENT", "tensor parsing error"),
    "a resource": (
        _predict(image_bytes=_tensor([1], types_pb2.DT_RESOURCE)),
        "INVALID_ARGUMENT",
        "resource are not served",
    ),
    "an unknown dtype": (_predict(image_bytes=_tensor([1], 12345)), "INVALID_ARGUMENT", "tensor parsing error"),
    "too large": (_predict(image_bytes=strings(b"x" * 3_000_000)), "RESOURCE_EXHAUSTED", "larger than max"),
    "classify without examples": (_classify(), "INVALID_ARGUMENT", "Input is empty."),
    "classify by another signature": (
        _classify([JUNK], "embed_label"),
        "FAILED_PRECONDITION",
        "No classification inputs",
    ),
    "classify by the default signature": (_classify([JUNK], ""), "FAILED_PRECONDITION", "No classification inputs"),
    "classify by no signature": (
        _classify([JUNK], "nothing"),
        "INVALID_ARGUMENT",
        "No signature was found with the name: nothing",
    ),
    "classify without an image": (_classify([JUNK]), "INVALID_ARGUMENT", "image/encoded"),
    "classify an unknown model": (_classify([JUNK], name="other"), "NOT_FOUND", "Latest(other)"),
    "metadata without a model": (_metadata(), "INVALID_ARGUMENT", "Missing ModelSpec"),
    "metadata without a field": (_metadata((), name="devise"), "INVALID_ARGUMENT", "at least one metadata_field"),
    "metadata of another kind": (
        _metadata(["weights"], name="devise"),
        "INVALID_ARGUMENT",
        "Metadata field weights is not supported",
    ),
    "metadata of an unknown model": (_metadata(name="other"), "NOT_FOUND", "Latest(other)"),
    "status without a model": (_status(), "INVALID_ARGUMENT", "Missing ModelSpec"),
    "status of an unknown model": (_status(name="other"), "NOT_FOUND", "Could not find any versions of model other"),
    "status of an unknown version": (
        _status(name="devise", version={"value": 7}),
        "NOT_FOUND",
        "Could not find version 7 of model devise",
    ),
    "status of a label": (
        _status(name="devise", version_label="x"),
        "INVALID_ARGUMENT",
        "Unrecognized servable version label: x",
    ),
    "no message": (
        lambda: ("Predict", b"\xff\xff\xff"),
        "INVALID_ARGUMENT",
        "The request is not a tensorflow.serving.PredictRequest.",
    ),
    "regress": (lambda: ("Regress", regression_pb2.RegressionRequest()), "UNIMPLEMENTED", ""),
    "several at once": (lambda: ("MultiInference", inference_pb2.MultiInferenceRequest()), "UNIMPLEMENTED", ""),
    "configure": (
        lambda: ("HandleReloadConfigRequest", model_management_pb2.ReloadConfigRequest()),
        "UNIMPLEMENTED",
        "",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_bad_requests_get_an_error_and_the_server_goes_on(server, connect, photos, name):
    build, code, message = ERRORS[name]
    method, request = build()
    service = "ModelService" if method in ("GetModelStatus", "HandleReloadConfigRequest") else "PredictionService"
    with pytest.raises(grpc.RpcError) as caught:
        _raw(server, service, method, request if isinstance(request, bytes) else request.SerializeToString())
    assert (caught.value.code().name, message in caught.value.details()) == (code, True), caught.value.details()
    assert "Traceback" not in caught.value.details() and len(caught.value.details()) < 700
    prediction, _ = connect(server)
    assert len(prediction.Predict(predict_request(server, {"image_bytes": strings(photos[0])})).outputs) == 2
