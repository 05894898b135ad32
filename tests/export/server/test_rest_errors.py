import gzip
import socket
import urllib.parse

import pytest

from tests.helpers.clients import rest

MODEL = "/v1/models/devise"
PREDICT = f"{MODEL}:predict"


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
def test_bad_requests_get_an_error_and_the_server_goes_on(server, name):
    path, body, status, message = ERRORS[name]
    actual_status, answer, headers = rest(server, path, body)
    assert actual_status == status and headers["Content-Type"] == "application/json; charset=utf-8"
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
def test_unsupported_methods_and_paths_are_refused(server, method, path, status):
    actual_status, answer, headers = rest(server, path, method=method)
    assert actual_status == status and list(answer) == ["error"]
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
def test_bodies_with_wrong_lengths_are_refused(server, head, body, status):
    request = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode()
    if status is None:
        body, status = body * 3 + b"0\r\n\r\n", b"413"
    assert _send(server, request + body).split()[1] == status
    assert rest(server, PREDICT, _label_body(instances=["cat"]))[0] == 200


def test_compressed_body_above_the_limit_is_refused(server):
    body = gzip.compress(b" " * 50_000_000)
    assert len(body) < 100_000
    assert rest(server, PREDICT, body, headers={"Content-Encoding": "gzip"})[0] == 413
