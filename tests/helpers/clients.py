"""Plain clients of both interfaces."""

import http.client
import json
import time
import urllib.parse

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2


def rest(server, path, body=None, method=None, headers=None):
    """Sends a request; returns the status, the answer (parsed where it is JSON), and its headers."""
    parts = urllib.parse.urlsplit(server.rest_address)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    try:
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        connection.request(method or ("GET" if body is None else "POST"), path, body, headers or {})
        answer = connection.getresponse()
        text = answer.read()
        if answer.getheader("Content-Type", "").startswith("application/json"):
            return answer.status, json.loads(text), answer.headers
        return answer.status, text.decode(), answer.headers
    finally:
        connection.close()


def predict_request(server, inputs, signature="", version=None, name=None):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = server.model_name if name is None else name
    request.model_spec.signature_name = signature
    if version is not None:
        request.model_spec.version.value = version
    for alias, value in inputs.items():
        request.inputs[alias].CopyFrom(tf.make_tensor_proto(value))
    return request


def arrays(response):
    return {name: tf.make_ndarray(tensor) for name, tensor in response.outputs.items()}


def strings(*values):
    return np.array([value.encode() if isinstance(value, str) else value for value in values], object)


def until(condition, seconds=60):
    """Waits until `condition()` holds, and returns what it gave."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.01)
    return value
