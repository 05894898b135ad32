import base64
import gzip
import http.client
import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from devise_tf.photo_bytes import plain_bytes
from tests.helpers.clients import rest, strings
from tests.helpers.image_files import encode, noise

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


def test_classify_takes_a_label_list_for_each_row(server, photos):
    instances = [
        {"image_bytes": _b64(photos[0]), "labels": ["cat", "dog"]},
        {"image_bytes": _b64(photos[1]), "labels": ["zebra", "no such thing"]},
    ]
    status, answer, _ = rest(server, PREDICT, {"signature_name": "classify", "instances": instances})
    assert status == 200
    assert [sorted(row["labels"]) for row in answer["predictions"]] == [["cat", "dog"], ["no such thing", "zebra"]]
    assert answer["predictions"][1]["known"] == [True, False]


def test_single_output_is_not_keyed(server, eager):
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
    result = [[score for _, score in row] for row in answer["results"]]
    np.testing.assert_allclose(result, expected["scores"], atol=1e-6)
    shared = {**request, "context": {"image/encoded": _b64(photos[0])}, "examples": [{"more": 1}]}
    (row,) = rest(server, f"{MODEL}:classify", shared)[1]["results"]
    assert [label for label, _ in row] == [label for label, _ in answer["results"][0]]


@pytest.mark.parametrize(
    "path", [f"{MODEL}/versions/1:predict", "/V1/MODELS/devise:PREDICT", "/v1/models/dev%69se:predict"]
)
def test_equivalent_paths_reach_the_model(server, path):
    body = {"signature_name": "embed_label", "instances": ["cat"]}
    assert rest(server, path, body)[:2] == rest(server, PREDICT, body)[:2]
    assert rest(server, PREDICT, body)[0] == 200


def test_compressed_body_is_read(server):
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
    result = json.loads(re.sub(r'"name": "[a-zA-Z_0-9]+:\d+"', '"name": "NAME"', texts))
    signatures = result["metadata"]["signature_def"]["signature_def"]
    assert "__saved_model_init_op" in signatures and signatures.pop("__saved_model_init_op")
    images, answers = _tensor("STRING", -1), _tensor("FLOAT", -1, -1)
    assert status == 200
    # Sizes of outputs are TensorFlow's to infer.
    for signature in signatures.values():
        for output in signature["outputs"].values():
            for dim in output["tensor_shape"]["dim"]:
                dim["size"] = "-1"
    assert result == {
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
    result = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(result['devise_serving_requests_total{api="rest",code="OK",method="predict"}']) >= 1
    assert float(result['devise_serving_requests_total{api="rest",code="INVALID_ARGUMENT",method="predict"}']) >= 1
    assert float(result['devise_serving_request_seconds_count{api="rest",method="predict"}']) >= 2
    assert float(result['devise_serving_request_seconds_bucket{api="rest",le="+Inf",method="predict"}']) >= 2
    assert float(result["devise_serving_model_version"]) == 1
    assert float(result["devise_serving_requests_in_flight"]) == 0


def test_page_policy_allows_only_the_pages_own_code(server):
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


@pytest.mark.parametrize("signature", ["serving_default", "classify", "embed_image"])
@pytest.mark.parametrize("bad", [0, 1, 4])
def test_error_names_the_index_of_the_bad_image(server, photos, signature, bad):
    images = [photos[i % 3] for i in range(5)]
    images[bad] = photos[0][:300]
    inputs = {"image_bytes": [_b64(image) for image in images]} | (
        {"labels": [["cat"]]} if signature == "classify" else {}
    )
    status, answer, _ = rest(server, PREDICT, {"signature_name": signature, "inputs": inputs})
    assert status == 400 and answer["error"].startswith(f"image_bytes[{bad}]: ")
    status, answer, _ = rest(server, PREDICT, {"signature_name": signature, "instances": [_b64(images[bad])]})
    assert status == 400 and "image_bytes[" not in answer["error"]


def test_error_about_labels_names_no_image(server, photos):
    inputs = {"image_bytes": [_b64(photo) for photo in photos], "labels": [["cat"], ["dog"]]}
    status, answer, _ = rest(server, PREDICT, {"signature_name": "classify", "inputs": inputs})
    assert status == 400 and "one row an image" in answer["error"] and "image_bytes[" not in answer["error"]


def test_photos_are_prepared_for_the_page(server, photos):
    exif = Image.Exif()
    exif[0x0112] = 6
    for body, expected in ((photos[0], 204), (encode(noise(9, 7), "JPEG", exif=exif), 200), (b"no image", 204)):
        request = urllib.request.Request(f"{server.rest_address}/prepare", body)
        with urllib.request.urlopen(request) as response:
            assert response.status == expected and response.read() == (plain_bytes(body) if expected == 200 else b"")
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(urllib.request.Request(f"{server.rest_address}/prepare", encode(noise(), "TIFF")[:3000]))
