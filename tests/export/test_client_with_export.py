"""The client against a server that runs an export."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from devise_tf.export.client import ServingClient, ServingError
from devise_tf.export.server.server import Server
from tests.helpers.tiny_model_dir import photo

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model_server(tiny_export):
    with Server(tiny_export, model_name="devise", rest_port=0, grpc_port=0) as server:
        yield {"grpc": int(server.grpc_address.rpartition(":")[2]), "rest": int(server.rest_address.rpartition(":")[2])}


def test_answers_of_an_export_equal_its_signatures_over_both_protocols(model_server, tiny_export):
    signatures = tf.saved_model.load(os.path.join(tiny_export, "1")).signatures
    images = [photo(1), photo(2, form="PNG", mode="L"), photo(3, size=(30, 90))]
    labels = ["snow leopard", "no such label", "Polar  BEAR", "café", "zebra"]
    inputs = {
        "predict": ("serving_default", {"image_bytes": images}),
        "embed_image": ("embed_image", {"image_bytes": images}),
        "embed_label": ("embed_label", {"labels": labels}),
        "classify": ("classify", {"image_bytes": images, "labels": [labels]}),
    }
    for method, (signature, tensors) in inputs.items():
        expected = signatures[signature](**{name: tf.constant(value) for name, value in tensors.items()})
        answers = {}
        for protocol, port in model_server.items():
            with ServingClient(port=port, protocol=protocol, version=1) as client:
                arguments = [labels if name == "labels" else value for name, value in tensors.items()]
                answers[protocol] = getattr(client, method)(*arguments)
        assert answers["grpc"].keys() == answers["rest"].keys() == expected.keys()
        for name, tensor in expected.items():
            for answer in answers.values():
                if name == "labels":
                    assert answer[name].tolist() == np.vectorize(bytes.decode)(tensor.numpy()).tolist()
                else:
                    assert answer[name].dtype == tensor.numpy().dtype
                    np.testing.assert_allclose(answer[name], tensor.numpy(), rtol=0, atol=1e-5)
            if name != "labels":
                np.testing.assert_allclose(answers["grpc"][name], answers["rest"][name], rtol=0, atol=1e-6)
    assert not answers["rest"]["known"][:, -1].any()  # "no such label", the last in each row
    assert (answers["rest"]["scores"][:, -1] == -1).all()


def test_bad_images_and_missing_models_are_refused(model_server, protocol):
    with ServingClient(port=model_server[protocol], protocol=protocol) as client:
        with pytest.raises(ServingError, match="refused the request. Received: .*(JPEG|image)") as info:
            client.predict([photo(1), photo(1)[:100]])
        assert info.value.code == "INVALID_ARGUMENT"
    for name, version in (("other", None), ("devise", 9)):
        with ServingClient(port=model_server[protocol], protocol=protocol, model_name=name, version=version) as client:
            with pytest.raises(ServingError, match=f"has no model '{name}'") as info:
                client.predict([photo(1)])
            assert info.value.code == "NOT_FOUND"


def test_command_reports_a_bad_photo_and_answers_the_next(model_server, protocol, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(photo(4))
    (tmp_path / "cut.jpg").write_bytes(photo(4)[:200])
    completed = subprocess.run(
        [
            *(sys.executable, "-m", "devise_tf.serving_client", f"--protocol={protocol}"),
            *(f"--port={model_server[protocol]}", "cut.jpg", "photo.jpg", "--labels=cat, no such label, dog", "--json"),
        ],
        env={**os.environ, "PYTHONPATH": ROOT},
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    cut, whole = map(json.loads, completed.stdout.splitlines())
    assert completed.returncode == 1
    assert cut["error"]["code"] == "INVALID_ARGUMENT"
    assert [row["label"] for row in whole["labels"]][-1] == "no such label"
    assert [row["known"] for row in whole["labels"]] == [True, True, False]
