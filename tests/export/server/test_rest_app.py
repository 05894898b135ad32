import base64
import gzip
import http.client
import json
import os
import re
import socket
import urllib.parse

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.clients import rest, strings

MODEL = "/v1/models/devise"
PREDICT = f"{MODEL}:predict"


@pytest.fixture(scope="module")
def eager(tiny_export):
    """The export as TensorFlow itself runs it."""
    return tf.saved_model.load(os.path.join(tiny_export, "1")).signatures


def _b64(data):
    return {"b64": base64.b64encode(data).decode()}


def _text(array):
    return [value.decode() if isinstance(value, bytes) else _text(value) for value in array]


def test_predict_by_rows(server, eager, photos):
    status, answer, headers = rest(server, PREDICT, {"instances": [_b64(photo) for photo in photos]})
    expected = eager["serving_default"](image_bytes=tf.constant(photos))
    assert status == 200 and headers["Content-Type"] == "application/json; charset=utf-8"
    assert [row["labels"] for row in answer["predictions"]] == _text(expected["labels"].numpy().tolist())
    np.testing.assert_allclose([row["scores"] for row in answer["predictions"]], expected["scores"], atol=1e-6)
    keyed = {"instances": [{"image_bytes": _b64(photo)} for photo in photos], "signature_name": "serving_default"}
    assert rest(server, PREDICT, keyed)[1] == answer


def test_predict_by_columns(server, eager, photos):
    rows = [["cat", "red panda", "no such thing", "Zebra"]]
    inputs = {"image_bytes": [_b64(photo) for photo in photos], "labels": rows}
    status, answer, _ = rest(server, PREDICT, {"signature_name": "classify", "inputs": inputs})
    labels = np.array([strings(*rows[0])])
    expected = eager["classify"](image_bytes=tf.constant(photos), labels=tf.constant(labels))
    assert status == 200 and sorted(answer["outputs"]) == ["indices", "known", "labels", "scores"]
    assert answer["outputs"]["labels"] == _text(expected["labels"].numpy().tolist())
    assert answer["outputs"]["known"] == expected["known"].numpy().tolist()
    assert answer["outputs"]["indices"] == expected["indices"].numpy().tolist()
    np.testing.assert_allclose(answer["outputs"]["scores"], expected["scores"], atol=1e-6)


def test_rows_of_labels_of_their_own(server, photos):
    instances = [
        {"image_bytes": _b64(photos[0]), "labels": ["cat", "dog"]},
        {"image_bytes": _b64(photos[1]), "labels": ["zebra", "no such thing"]},
    ]
    status, answer, _ = rest(server, PREDICT, {"signature_name": "classify", "instances": instances})
    assert status == 200
    assert [sorted(row["labels"]) for row in answer["predictions"]] == [["cat", "dog"], ["no such thing", "zebra"]]
    assert answer["predictions"][1]["known"] == [True, False]


def test_an_output_alone_is_not_keyed(server, eager):
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 24, 24, 3)).astype(np.float32)
    expected = eager["embed_pixels"](pixels=tf.constant(pixels))["embedding"]
    request = {"signature_name": "embed_pixels"}
    status, answer, _ = rest(server, PREDICT, {**request, "instances": pixels.tolist()})
    assert status == 200
    np.testing.assert_allclose(answer["predictions"], expected, atol=1e-6)
    _, answer, _ = rest(server, PREDICT, {**request, "inputs": {"pixels": pixels.tolist()}})
    np.testing.assert_allclose(answer["outputs"], expected, atol=1e-6)


def test_classify(server, eager, photos):
    request = {"signature_name": "classify_examples", "examples": [{"image/encoded": _b64(photo)} for photo in photos]}
    status, answer, _ = rest(server, f"{MODEL}:classify", request)
    examples = []
    for photo in photos:
        example = tf.train.Example()
        example.features.feature["image/encoded"].bytes_list.value.append(photo)
        examples.append(example.SerializeToString())
    expected = eager["classify_examples"](inputs=tf.constant(examples))
    assert status == 200 and list(answer) == ["results"]
    assert [[label for label, _ in row] for row in answer["results"]] == _text(expected["classes"].numpy().tolist())
    found = [[score for _, score in row] for row in answer["results"]]
    np.testing.assert_allclose(found, expected["scores"], atol=1e-6)
    shared = {**request, "context": {"image/encoded": _b64(photos[0])}, "examples": [{"more": 1}]}
    (row,) = rest(server, f"{MODEL}:classify", shared)[1]["results"]
    assert [label for label, _ in row] == [label for label, _ in answer["results"][0]]


@pytest.mark.parametrize(
    "path", [f"{MODEL}/versions/1:predict", "/V1/MODELS/devise:PREDICT", "/v1/models/dev%69se:predict"]
)
def test_other_names_of_the_same_model(server, path):
    body = {"signature_name": "embed_label", "instances": ["cat"]}
    assert rest(server, path, body)[:2] == rest(server, PREDICT, body)[:2]
    assert rest(server, PREDICT, body)[0] == 200


def test_a_compressed_body(server):
    body = gzip.compress(json.dumps({"signature_name": "embed_label", "instances": ["cat"]}).encode())
    status, answer, _ = rest(server, PREDICT, body, headers={"Content-Encoding": "gzip"})
    assert status == 200 and answer["predictions"][0]["known_tokens"] == 1


@pytest.mark.parametrize("path", [MODEL, f"{MODEL}/versions/1", "/v1/models/%64evise"])
def test_status(server, path):
    """Byte for byte as TF Serving's documentation shows it."""
    parts = urllib.parse.urlsplit(server.rest_address)
    connection = http.client.HTTPConnection(parts.hostname, parts.port)
    connection.request("GET", path)
    assert connection.getresponse().read().decode() == (
        '{\n "model_version_status": [\n  {\n   "version": "1",\n   "state": "AVAILABLE",\n   "status": {\n'
        '    "error_code": "OK",\n    "error_message": ""\n   }\n  }\n ]\n}'
    )
    connection.close()


def _tensor(dtype, *sizes):
    dims = [{"size": str(size), "name": ""} for size in sizes]
    return {"dtype": f"DT_{dtype}", "tensor_shape": {"dim": dims, "unknown_rank": False}, "name": "NAME"}


def _signature(inputs, outputs):
    return {"inputs": inputs, "outputs": outputs, "method_name": "tensorflow/serving/predict", "defaults": {}}


@pytest.mark.parametrize("path", [f"{MODEL}/metadata", f"{MODEL}/versions/1/metadata"])
def test_metadata(server, path):
    status, answer, _ = rest(server, path)
    texts = json.dumps(answer)
    # The names of tensors are TensorFlow's to choose.
    found = json.loads(re.sub(r'"name": "[a-zA-Z_0-9]+:\d+"', '"name": "NAME"', texts))
    signatures = found["metadata"]["signature_def"]["signature_def"]
    assert "__saved_model_init_op" in signatures and signatures.pop("__saved_model_init_op")
    images, answers = _tensor("STRING", -1), _tensor("FLOAT", -1, -1)
    assert status == 200
    # Sizes of outputs are TensorFlow's to infer.
    for signature in signatures.values():
        for output in signature["outputs"].values():
            for dim in output["tensor_shape"]["dim"]:
                dim["size"] = "-1"
    assert found == {
        "model_spec": {"name": "devise", "signature_name": "", "version": "1"},
        "metadata": {
            "signature_def": {
                "signature_def": {
                    "serving_default": _signature(
                        {"image_bytes": images}, {"labels": _tensor("STRING", -1, -1), "scores": answers}
                    ),
                    "embed_image": _signature(
                        {"image_bytes": images}, {"embedding": answers, "norm": _tensor("FLOAT", -1)}
                    ),
                    "embed_label": _signature(
                        {"labels": images},
                        {
                            "embedding": answers,
                            "known_tokens": _tensor("INT32", -1),
                            "num_tokens": _tensor("INT32", -1),
                        },
                    ),
                    "classify": _signature(
                        {"image_bytes": images, "labels": _tensor("STRING", -1, -1)},
                        {
                            "labels": _tensor("STRING", -1, -1),
                            "scores": answers,
                            "known": _tensor("BOOL", -1, -1),
                            "indices": _tensor("INT32", -1, -1),
                        },
                    ),
                    "embed_pixels": _signature({"pixels": _tensor("FLOAT", -1, 24, 24, 3)}, {"embedding": answers}),
                    "classify_examples": _signature(
                        {"inputs": images}, {"classes": _tensor("STRING", -1, -1), "scores": answers}
                    ),
                }
            }
        },
    }


def test_metrics(server, photos):
    rest(server, PREDICT, {"instances": [_b64(photos[0])]})
    rest(server, PREDICT, {"instances": ["no image"]})
    status, text, headers = rest(server, "/monitoring/prometheus/metrics")
    assert status == 200 and headers["Content-Type"].startswith("text/plain")
    found = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(found['devise_serving_requests_total{api="rest",code="OK",method="predict"}']) >= 1
    assert float(found['devise_serving_requests_total{api="rest",code="INVALID_ARGUMENT",method="predict"}']) >= 1
    assert float(found['devise_serving_request_seconds_count{api="rest",method="predict"}']) >= 2
    assert float(found['devise_serving_request_seconds_bucket{api="rest",le="+Inf",method="predict"}']) >= 2
    assert float(found["devise_serving_model_version"]) == 1
    assert float(found["devise_serving_requests_in_flight"]) == 0


def test_the_page_may_run_nothing_but_itself(server):
    status, page, headers = rest(server, "/")
    assert status == 200 and headers["Content-Type"] == "text/html; charset=utf-8"
    policy = dict(rule.split(" ", 1) for rule in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'" and policy["connect-src"] == "'self'"
    assert re.fullmatch(r"'sha256-[A-Za-z0-9+/]{43}='", policy["script-src"])
    assert re.fullmatch(r"'sha256-[A-Za-z0-9+/]{43}='", policy["style-src"])
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["X-Frame-Options"] == "DENY"
    assert 'data-model="devise"' in page and "{{" not in page
    # Neither resources of others, nor code in attributes.
    assert not re.search(r"(src|href)=\"(?!data:,)|https?:|\son\w+=|style=|innerHTML|eval\(", page)
    assert rest(server, "/", method="HEAD")[0] == 200


def _classify_body(**body):
    return {"signature_name": "classify_examples", **body}


def _label_body(**body):
    return {"signature_name": "embed_label", **body}


ERRORS = {
    "empty body": (PREDICT, b"", 400, "The document is empty"),
    "no JSON": (PREDICT, b"nonsense", 400, "JSON Parse error"),
    "no UTF-8": (PREDICT, b'{"instances": ["\xff"]}', 400, "JSON Parse error"),
    "half a document": (PREDICT, b'{"instances": [', 400, "JSON Parse error"),
    "deeply nested": (PREDICT, b'{"instances": ' + b"[" * 500_000, 400, "JSON Parse error"),
    "nested deeper than tensors": (PREDICT, b'{"instances": ' + b"[" * 40 + b"]" * 40 + b"}", 400, ""),
    "a huge integer": (PREDICT, b'{"instances": [' + b"9" * 100_000 + b"]}", 400, "JSON Parse error"),
    "a huge number": (PREDICT, b'{"instances": [1e99999]}', 400, "Number too big"),
    "a list": (PREDICT, [1, 2], 400, "Is not object"),
    "neither rows nor columns": (PREDICT, {"image_bytes": ["x"]}, 400, "Missing 'inputs' or 'instances' key"),
    "rows and columns": (PREDICT, {"instances": ["x"], "inputs": ["x"]}, 400, "expecting only one of"),
    "no rows": (PREDICT, {"instances": []}, 400, "not empty"),
    "rows that are none": (PREDICT, {"instances": "x"}, 400, "must be a list"),
    "ragged": (PREDICT, _label_body(instances=[["a"], ["b", "c"]]), 400, "different sizes"),
    "mixed depths": (PREDICT, _label_body(instances=["a", ["b"]]), 400, "incorrect level"),
    "too deep": (PREDICT, _label_body(instances=[["a"]]), 400, "the shape [?]"),
    "numbers for strings": (PREDICT, _label_body(instances=[1]), 400, "not of expected type: string"),
    "null": (PREDICT, _label_body(instances=[None]), 400, "Type: Null is not of expected type: string"),
    "half a character": (PREDICT, b'{"signature_name": "embed_label", "instances": ["\\ud800"]}', 400, "valid Unicode"),
    "half a character for a name": (PREDICT, b'{"signature_name": "\\ud800", "instances": ["a"]}', 400, "not found"),
    "half a character for a key": (PREDICT, b'{"instances": [{"\\ud800": 1}]}', 400, "keys must be equal to"),
    "bad base64": (PREDICT, {"instances": [{"b64": "%%%"}]}, 400, "Unable to base64 decode"),
    "base64 of a number": (PREDICT, {"instances": [{"b64": 1}]}, 400, "keys must be equal to: image_bytes"),
    "strings for numbers": (
        PREDICT,
        {"signature_name": "embed_pixels", "instances": ["x"]},
        400,
        "expected type: float",
    ),
    "pixels of another size": (
        PREDICT,
        {"signature_name": "embed_pixels", "instances": [[[[1, 2, 3]]]]},
        400,
        "the shape [?,24,24,3]",
    ),
    "unkeyed": (PREDICT, {"signature_name": "classify", "instances": ["x"]}, 400, "expecting list of objects"),
    "missing input": (
        PREDICT,
        {"signature_name": "classify", "inputs": {"labels": [["x"]]}},
        400,
        "Missing named input: image_bytes",
    ),
    "unknown key": (PREDICT, {"instances": [{"photo": "x"}]}, 400, "keys must be equal to: image_bytes"),
    "unknown signature": (
        PREDICT,
        {"signature_name": "nothing", "instances": ["x"]},
        400,
        'Serving signature name: "nothing" not found',
    ),
    "signature of another type": (PREDICT, {"signature_name": 7, "instances": ["x"]}, 400, "must be a string value"),
    "no image": (PREDICT, {"instances": ["x"]}, 400, "not a JPEG, PNG, GIF or BMP"),
    "too many labels": (PREDICT, _label_body(instances=["a"] * 70_000), 400, "at most 16384 labels"),
    "unknown model": (
        "/v1/models/other:predict",
        {"instances": ["x"]},
        404,
        "Servable not found for request: Latest(other)",
    ),
    "unknown version": (
        f"{MODEL}/versions/7:predict",
        {"instances": ["x"]},
        404,
        "Servable not found for request: Specific(devise, 7)",
    ),
    "huge version": (f"{MODEL}/versions/{2**63}:predict", {"instances": ["x"]}, 400, "Failed to convert version"),
    "longer version": (
        f"{MODEL}/versions/{'9' * 5000}:predict",
        {"instances": ["x"]},
        400,
        "Failed to convert version",
    ),
    "label": (
        f"{MODEL}/labels/stable:predict",
        {"instances": ["x"]},
        400,
        "Unrecognized servable version label: stable",
    ),
    "unknown method": (
        f"{MODEL}:explain",
        {"instances": ["x"]},
        400,
        "Malformed request: POST /v1/models/devise:explain",
    ),
    "no method": (MODEL, {"instances": ["x"]}, 400, "Malformed request: POST /v1/models/devise"),
    "regress": (f"{MODEL}:regress", {"examples": [{"x": 1}]}, 400, "Regression is not served"),
    "classify without examples": (f"{MODEL}:classify", _classify_body(), 400, "key 'examples' must hold a list"),
    "classify nothing": (f"{MODEL}:classify", _classify_body(examples=[]), 400, "not empty"),
    "classify what is no example": (
        f"{MODEL}:classify",
        _classify_body(examples=[1]),
        400,
        "Example must be JSON object",
    ),
    "classify mixed values": (f"{MODEL}:classify", _classify_body(examples=[{"a": [1, "x"]}]), 400, "different types"),
    "classify without an image": (f"{MODEL}:classify", _classify_body(examples=[{}]), 400, "image/encoded"),
    "classify by the default signature": (f"{MODEL}:classify", {"examples": [{}]}, 400, "No classification inputs"),
    "classify by no signature": (
        f"{MODEL}:classify",
        {"signature_name": "x", "examples": [{}]},
        400,
        "No signature was found",
    ),
    "status of an unknown model": ("/v1/models/other", None, 404, "Could not find any versions of model other"),
    "status of an unknown version": (f"{MODEL}/versions/7", None, 404, "Could not find version 7 of model devise"),
    "status of a label": (f"{MODEL}/labels/x", None, 400, "Unrecognized servable version label: x"),
    "metadata of an unknown model": ("/v1/models/other/metadata", None, 404, "Latest(other)"),
    "metadata of an unknown version": (f"{MODEL}/versions/7/metadata", None, 404, "Specific(devise, 7)"),
    "no model": ("/v1/models/", None, 400, "Malformed request: GET /v1/models/"),
    "get a prediction": (PREDICT, None, 400, "Malformed request: GET /v1/models/devise:predict"),
    "another path": ("/nothing", None, 404, "Not found: /nothing"),
    "the way out": ("/../../etc/passwd", None, 404, ""),
    "too large": (PREDICT, b" " * (2 * 2**20 + 1), 413, "larger than 2097152 bytes"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_the_clients_and_the_server_goes_on(server, name):
    path, body, status, message = ERRORS[name]
    found, answer, headers = rest(server, path, body)
    assert found == status and headers["Content-Type"] == "application/json; charset=utf-8"
    assert list(answer) == ["error"] and message in answer["error"], answer
    assert "Traceback" not in answer["error"] and len(answer["error"]) < 700
    assert rest(server, PREDICT, _label_body(instances=["cat"]))[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", PREDICT, 400),
        ("DELETE", MODEL, 400),
        ("OPTIONS", PREDICT, 400),
        ("POST", "/", 405),
        ("PUT", "/monitoring/prometheus/metrics", 405),
    ],
)
def test_methods_that_are_not_served(server, method, path, status):
    found, answer, headers = rest(server, path, method=method)
    assert found == status and list(answer) == ["error"]
    assert headers["Allow"] == ("GET, HEAD" if status == 405 else None)


def _send(server, data):
    """Sends bytes as they are; returns the status line."""
    parts = urllib.parse.urlsplit(server.rest_address)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        connection.sendall(data)
        return connection.makefile("rb").readline()


@pytest.mark.parametrize(
    ("head", "body", "status"),
    [
        # More than announced beforehand, and more than is announced at all.
        ("Content-Length: 99999999999999", b"", b"413"),
        ("Transfer-Encoding: chunked", b"100000\r\n" + b" " * 2**20 + b"\r\n", None),
        ("Content-Length: -5", b"", b"400"),
        ("Content-Length: 5\r\nContent-Encoding: gzip", b"hello", b"400"),
        ("Transfer-Encoding: chunked", b"zz\r\n", b"400"),
    ],
)
def test_bodies_that_lie(server, head, body, status):
    request = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode()
    if status is None:
        body, status = body * 3 + b"0\r\n\r\n", b"413"
    assert _send(server, request + body).split()[1] == status
    assert rest(server, PREDICT, _label_body(instances=["cat"]))[0] == 200


def test_a_compressed_body_may_not_grow_beyond_the_limit(server):
    body = gzip.compress(b" " * 50_000_000)
    assert len(body) < 100_000
    assert rest(server, PREDICT, body, headers={"Content-Encoding": "gzip"})[0] == 413
