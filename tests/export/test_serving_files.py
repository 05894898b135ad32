"""The requests and documents for TensorFlow Serving fit the signatures, and are answered."""

import base64
import glob
import io
import json
import os
import re
import shutil
import subprocess
import urllib.request

import grpc
import numpy as np
import pytest
from google.protobuf import text_format
from PIL import Image
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from devise_tf.export.signatures import SIGNATURES, signature_table
from tests.helpers.serving_files import FOLDER, README, code_blocks, text_of

# The ranks of the inputs, and the names of the outputs; all inputs are strings.
INPUTS = {
    name: {key: len(type_.shape) for key, type_ in signature.inputs.items()}
    for name, signature in SIGNATURES.items()
    if name != "embed_pixels"  # of which there is no request: pixels are many
}
OUTPUTS = {name: set(signature.outputs) for name, signature in SIGNATURES.items()}
REST = {
    "predict_rows": ("serving_default", "predictions", 2),
    "predict_columns": ("serving_default", "outputs", 2),
    "classify_rows": ("classify", "predictions", 2),
    "classify_columns": ("classify", "outputs", 2),
    "embed_image": ("embed_image", "outputs", 1),
    "embed_label": ("embed_label", "outputs", 4),
    "classify_examples": ("classify_examples", "results", 2),
}
GRPC = {"predict": "serving_default", "classify": "classify", "embed_label": "embed_label"}


def _image_size(encoded):
    with Image.open(io.BytesIO(encoded)) as image:
        image.load()
        return image.size


def test_every_request_is_tested():
    names = sorted(os.path.basename(path) for path in glob.glob(os.path.join(FOLDER, "requests", "*")))
    assert names == sorted([f"{n}.json" for n in REST] + [f"{n}.pbtxt" for n in [*GRPC, "status", "metadata"]])


@pytest.mark.parametrize("name", REST)
def test_json_fits_the_signature(name):
    body = json.loads(text_of(f"requests/{name}.json"))
    signature = body.pop("signature_name", "serving_default")
    assert signature == REST[name][0]
    if signature == "classify_examples":
        assert list(body) == ["examples"]
        rows = [{"inputs": example.pop("image/encoded")} for example in body["examples"] if example]
        assert not any(body["examples"])
    elif name.endswith("_rows"):
        assert list(body) == ["instances"]
        rows = body["instances"]
    else:
        assert list(body) == ["inputs"]
        columns = body["inputs"]
        assert columns.keys() == INPUTS[signature].keys()
        count = max(len(column) for column in columns.values())
        rows = [{key: column[i if len(column) > 1 else 0] for key, column in columns.items()} for i in range(count)]
    assert len(rows) == REST[name][2]
    for row in rows:
        assert row.keys() == INPUTS[signature].keys()
        for key, rank in INPUTS[signature].items():
            if key == "labels":
                labels = row[key] if rank == 2 else [row[key]]
                assert labels and all(isinstance(label, str) for label in labels)
            else:
                assert list(row[key]) == ["b64"]
                assert _image_size(base64.b64decode(row[key]["b64"], validate=True)) == (48, 36)
    assert len({len(row.get("labels", [])) for row in rows if signature == "classify"}) <= 1


@pytest.mark.parametrize("name", GRPC)
def test_pbtxt_fits_the_signature(name):
    text = text_of(f"requests/{name}.pbtxt")
    assert "# proto-message: tensorflow.serving.PredictRequest\n" in text
    request = text_format.Parse(text, predict_pb2.PredictRequest())
    signature = GRPC[name]
    assert (request.model_spec.name, request.model_spec.signature_name) == ("devise", signature)
    assert request.inputs.keys() == INPUTS[signature].keys()
    for key, rank in INPUTS[signature].items():
        tensor = request.inputs[key]
        shape = [dimension.size for dimension in tensor.tensor_shape.dim]
        assert tensor.dtype == 7  # DT_STRING
        assert len(shape) == rank
        assert np.prod(shape) == len(tensor.string_val)
        if key == "image_bytes":
            assert {_image_size(encoded) for encoded in tensor.string_val} == {(48, 36)}


def test_pbtxt_requests_for_status_and_metadata_parse():
    request = text_format.Parse(text_of("requests/status.pbtxt"), get_model_status_pb2.GetModelStatusRequest())
    assert request.model_spec.name == "devise"
    request = text_format.Parse(text_of("requests/metadata.pbtxt"), get_model_metadata_pb2.GetModelMetadataRequest())
    assert request.model_spec.name == "devise"
    assert list(request.metadata_field) == ["signature_def"]


def test_readme_names_every_file_and_signature():
    text = text_of("README.md")
    assert len(text.splitlines()) < 120
    for name in os.listdir(FOLDER):
        assert name == "README.md" or f"`{name}" in text
    assert all(f"`{name}`" in text for name in SIGNATURES)


def test_readme_of_exports_has_the_table_of_signatures():
    with open(os.path.join(os.path.dirname(FOLDER), "README.md"), encoding="utf-8") as file:
        assert signature_table() in file.read()


# By a server with TensorFlow Serving's interfaces.


@pytest.fixture(scope="module")
def server(tiny_export):
    from devise_tf.export.server.server import Server

    with Server(tiny_export, model_name="devise", rest_port=0, grpc_port=0) as server:
        yield server


@pytest.mark.slow
@pytest.mark.parametrize("name", REST)
def test_json_is_answered(server, name):
    signature, key, rows = REST[name]
    url = f"{server.rest_address}/v1/models/devise:{'classify' if key == 'results' else 'predict'}"
    body = text_of(f"requests/{name}.json").encode()
    with urllib.request.urlopen(urllib.request.Request(url, body), timeout=60) as response:
        answer = json.load(response)
    assert list(answer) == [key]
    if key == "predictions":
        assert len(answer[key]) == rows
        assert all(row.keys() == OUTPUTS[signature] for row in answer[key])
    elif key == "outputs":
        assert answer[key].keys() == OUTPUTS[signature]
        assert all(len(column) == rows for column in answer[key].values())
    else:
        assert [len(row) for row in answer[key]] == [3, 3]  # the export's k
    if signature == "classify":
        known = answer[key][1]["known"] if key == "predictions" else answer[key]["known"][1]
        assert known == ([True, True, False] if key == "predictions" else [True, True, True])


@pytest.mark.slow
@pytest.mark.parametrize("name", GRPC)
def test_pbtxt_is_answered(server, name):
    request = text_format.Parse(text_of(f"requests/{name}.pbtxt"), predict_pb2.PredictRequest())
    with grpc.insecure_channel(server.grpc_address) as channel:
        response = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=60)
    assert response.outputs.keys() == OUTPUTS[GRPC[name]]


@pytest.mark.slow
def test_status_and_metadata_requests_are_answered(server):
    status = text_format.Parse(text_of("requests/status.pbtxt"), get_model_status_pb2.GetModelStatusRequest())
    metadata = text_format.Parse(text_of("requests/metadata.pbtxt"), get_model_metadata_pb2.GetModelMetadataRequest())
    with grpc.insecure_channel(server.grpc_address) as channel:
        answer = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(status, timeout=60)
        assert [version.state for version in answer.model_version_status] == [30]  # AVAILABLE
        answer = prediction_service_pb2_grpc.PredictionServiceStub(channel).GetModelMetadata(metadata, timeout=60)
    signatures = get_model_metadata_pb2.SignatureDefMap.FromString(answer.metadata["signature_def"].value)
    for name, inputs in INPUTS.items():
        result = signatures.signature_def[name].inputs
        assert {key: len(info.tensor_shape.dim) for key, info in result.items()} == inputs


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_health_check(server, free_port):
    """The command of `compose.yaml`, at the ports of this server and of none."""
    [command] = re.findall(r"- -c\n        - >-\n((?:          .*\n)+)", text_of("compose.yaml"))
    command = " ".join(line.strip() for line in command.splitlines())
    for port, status in ((server.rest_address.rpartition(":")[2], 0), (free_port, 1)):
        completed = subprocess.run(
            ["bash", "-c", command.replace("/8501", f"/{port}")], capture_output=True, timeout=60
        )
        assert completed.returncode == status
    completed = subprocess.run(
        [
            "bash",
            "-c",
            command.replace("/8501", f"/{server.rest_address.rpartition(':')[2]}").replace("devise", "other"),
        ],
        capture_output=True,
        timeout=60,
    )
    assert completed.returncode == 1


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_curl_lines_of_the_readme(server, tmp_path):
    from tests.helpers.tiny_model_dir import photo

    (tmp_path / "photo.jpg").write_bytes(photo(1))
    shutil.copytree(os.path.join(FOLDER, "requests"), tmp_path / "requests")
    blocks = [block for block in code_blocks("sh") if "curl" in block]
    assert len(blocks) == 2
    for block in blocks:
        block = block.replace("127.0.0.1:8501", server.rest_address.removeprefix("http://"))
        block = block.replace("curl ", "curl -sS --fail-with-body ")
        completed = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", block], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert (completed.returncode, completed.stderr) == (0, ""), completed.stdout
        for expected in ("predictions", "outputs", "results", "AVAILABLE", "signature_def") if "@pred" in block else ():
            assert expected in completed.stdout


@pytest.mark.slow
def test_python_of_the_readme(server, monkeypatch, capsys):
    [code] = code_blocks("python")
    monkeypatch.chdir(FOLDER)
    exec(compile(code.replace("127.0.0.1:8500", server.grpc_address), README, "exec"), {})
    printed = capsys.readouterr().out
    assert 'string_val: "red panda"' in printed and 'key: "indices"' in printed
