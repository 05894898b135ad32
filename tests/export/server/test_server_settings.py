import subprocess
import sys

import numpy as np
import pytest

from devise_tf.export.server.server import Limits, Server

X = np.array([1.0], np.float32)
PREDICT = "/v1/models/base:predict"


def test_importing_the_server_loads_no_tensorflow():
    code = (
        "import sys, devise_tf.serve, devise_tf.export.server.server as s; "
        "s.Server('x'); print([m for m in ('tensorflow', 'keras', 'grpc', 'aiohttp', 'numpy') if m in sys.modules])"
    )
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert completed.stdout == "[]\n"


@pytest.mark.parametrize(
    ("path", "name", "expected"),
    [
        ("/models/cats", None, "cats"),
        ("/models/cats/", None, "cats"),
        ("gs://bucket/models/cats/", None, "cats"),
        ("/models/a:b", None, "devise"),
        ("/", None, "devise"),
        ("/models/cats", "my cats", "my cats"),
    ],
)
def test_model_name_defaults_to_the_base_paths(path, name, expected):
    assert Server(path, name).model_name == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model_name": "a/b"}, "must not contain / or :. Received: model_name='a/b'"),
        ({"model_name": ""}, "Received: model_name=''"),
        ({"poll_seconds": 0}, "Received: poll_seconds=0"),
        ({"limits": {"max_request_mb": 0}}, "max_request_mb=0"),
        ({"limits": {"max_in_flight": 0}}, "max_in_flight=0"),
        ({"limits": {"grace_seconds": -1}}, "grace_seconds=-1"),
    ],
)
def test_server_settings_out_of_range_raise_an_error(settings, message):
    with pytest.raises(ValueError, match=message):
        Server("x", **{name: Limits(**value) if name == "limits" else value for name, value in settings.items()})


@pytest.mark.parametrize(
    ("host", "expected"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False)]
)
def test_loopback_addresses_are_recognized(host, expected):
    assert Server("x", host=host).is_loopback is expected
