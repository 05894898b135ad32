"""The client against servers on real sockets that give canned answers, or fail as real servers do."""

import base64
import concurrent.futures
import contextlib
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from devise_tf.export import client as client_module
from devise_tf.export.client import ServingClient, ServingError

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROTOCOLS = ["grpc", "rest"]


def _score(image, label):
    """A third of a sum of both, so that it has no short decimal form."""
    return float(np.float32((len(image) + len(label)) / 300)) if label != "nonsense" else -1.0


def _answer(signature, inputs):
    """What the canned model answers, as nested lists; a label's score grows with its length."""
    images = inputs.get("image_bytes", [])
    if signature == "serving_default":
        return {
            "labels": [["cat", "snow leopard"]] * len(images),
            "scores": [[_score(image, "cat"), _score(image, "")] for image in images],
        }
    if signature == "embed_image":
        return {
            "embedding": [[_score(image, "a"), _score(image, "bc"), 0.0] for image in images],
            "norm": [_score(image, "") for image in images],
        }
    if signature == "embed_label":
        return {
            "embedding": [[_score(b"", label), 1.0] for label in inputs["labels"]],
            "known_tokens": [0 if label == "nonsense" else 1 for label in inputs["labels"]],
            "num_tokens": [len(label.split()) for label in inputs["labels"]],
        }
    rows = inputs["labels"] * (len(images) if len(inputs["labels"]) == 1 else 1)
    answer = {"labels": [], "scores": [], "known": [], "indices": []}
    for image, labels in zip(images, rows, strict=True):
        order = sorted(range(len(labels)), key=lambda i: (-_score(image, labels[i]), i))
        answer["labels"].append([labels[i] for i in order])
        answer["scores"].append([_score(image, labels[i]) for i in order])
        answer["known"].append([labels[i] != "nonsense" for i in order])
        answer["indices"].append(order)
    return answer


_DTYPES = {"labels": object, "known": bool, "indices": np.int32, "known_tokens": np.int32, "num_tokens": np.int32}


class CannedServer:
    """Answers requests by `_answer`, after it has taken the next of `steps`, if any is left.

    A step is a function of the protocol's own request; see `_Servicer` and `_Handler`. `requests` holds what came:
    (model name, version or None, signature, inputs).
    """

    def __init__(self, protocol, port=0):
        self.steps, self.requests, self.connections = [], [], 0
        self.lock, self.stopped = threading.Lock(), threading.Event()
        if protocol == "grpc":
            self._server = grpc.server(
                concurrent.futures.ThreadPoolExecutor(16),
                options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
            )
            prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_Servicer(self), self._server)
            self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
            self._server.start()
        else:
            self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), _Handler)
            self._server.daemon_threads = True
            self._server.canned = self
            self.port = self._server.server_port
            self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
            self._thread.start()
        self.protocol = protocol

    def take(self, *request):
        with self.lock:
            self.requests.append(request)
            return self.steps.pop(0) if self.steps else None

    def hang(self, *_):
        """A step that lasts until the server stops."""
        self.stopped.wait(30)

    def stop(self):
        self.stopped.set()
        if self.protocol == "grpc":
            self._server.stop(None).wait()
        else:
            self._server.shutdown()
            self._thread.join()
            self._server.socket.close()  # not server_close, which waits for the connections


class _Servicer(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, canned):
        self.canned = canned

    def Predict(self, request, context):
        version = request.model_spec.version.value if request.model_spec.HasField("version") else None
        inputs = {}
        for name, tensor in request.inputs.items():
            values = tf.make_ndarray(tensor)
            text = np.vectorize(bytes.decode, otypes=[object])
            inputs[name] = (text(values) if name == "labels" else values).tolist()
        signature = request.model_spec.signature_name
        step = self.canned.take(request.model_spec.name, version, signature, inputs)
        response = predict_pb2.PredictResponse()
        if step and step(context, response):
            return response
        for name, values in _answer(signature, inputs).items():
            array = np.array(values, _DTYPES.get(name, np.float32))
            # TF Serving answers in the fields of each type; others in `tensor_content`.
            proto = tf.make_tensor_proto(array)
            if name == "scores":
                proto.ClearField("tensor_content")
                proto.ClearField("float_val")
                proto.float_val.extend(array.ravel())
            response.outputs[name].CopyFrom(proto)
        return response


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        with self.server.canned.lock:
            self.server.canned.connections += 1

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        path, _, method = self.path.rpartition(":")
        parts = path.split("/")
        assert parts[:3] == ["", "v1", "models"] and method == "predict"
        version = int(parts[5]) if parts[4:5] == ["versions"] else None
        inputs = body["inputs"]
        if "image_bytes" in inputs:
            inputs["image_bytes"] = [base64.b64decode(image["b64"]) for image in inputs["image_bytes"]]
        step = self.server.canned.take(parts[3], version, body["signature_name"], inputs)
        if step and step(self):
            return
        self.reply(200, json.dumps({"outputs": _answer(body["signature_name"], inputs)}).encode())

    def reply(self, status, body, headers=(), length=None):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        return True


def fail(protocol, code, message="as asked", **more):
    """A step that fails with a status, by name."""
    if protocol == "grpc":

        def step(context, response):
            context.abort(getattr(grpc.StatusCode, code), message)

        return step
    number = {"UNAVAILABLE": 503, "DEADLINE_EXCEEDED": 504, "INVALID_ARGUMENT": 400, "NOT_FOUND": 404, "INTERNAL": 500}
    body = json.dumps({"error": message}).encode()
    return lambda handler: handler.reply(number.get(code, code), body, **more)


@pytest.fixture(params=PROTOCOLS)
def protocol(request):
    return request.param


@contextlib.contextmanager
def served(protocol, **kwargs):
    server = CannedServer(protocol)
    try:
        with ServingClient(port=server.port, protocol=protocol, **kwargs) as client:
            yield server, client
    finally:
        server.stop()


@pytest.fixture
def quick(monkeypatch):
    """Short pauses, so that tests are quick."""
    monkeypatch.setattr(client_module, "_FIRST_DELAY", 0.02)


@pytest.fixture
def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


IMAGES = [b"\xff\xd8 one\x00\x00", b"another image", b"\x00"]


def test_classify_by_both_protocols():
    labels = ["cat", "nonsense", "snow leopard", "Ångström – 雪豹"]
    answers = {}
    for protocol in PROTOCOLS:
        with served(protocol, model_name="a model", version=7) as (server, client):
            answers[protocol] = answer = client.classify(IMAGES, labels)
        name = "a model" if protocol == "grpc" else "a%20model"
        assert server.requests == [(name, 7, "classify", {"image_bytes": IMAGES, "labels": [labels]})]
        assert answer["labels"].shape == (3, 4)
        # The longer the label, the higher the score: 13, 12 and 3 letters.
        assert answer["labels"].tolist() == [["Ångström – 雪豹", "snow leopard", "cat", "nonsense"]] * 3
        assert answer["known"].tolist() == [[True, True, True, False]] * 3
        assert answer["indices"].tolist() == [[3, 2, 0, 1]] * 3
        np.testing.assert_array_equal(
            answer["scores"],
            np.array(
                [
                    [21 / 300, 20 / 300, 11 / 300, -1],
                    [26 / 300, 25 / 300, 16 / 300, -1],
                    [14 / 300, 13 / 300, 4 / 300, -1],
                ]
            ).astype(np.float32),
        )
        assert [array.dtype for array in answer.values()] == [object, np.float32, bool, np.int32]
    for name in answers["grpc"]:
        np.testing.assert_array_equal(answers["grpc"][name], answers["rest"][name])


@pytest.mark.parametrize(
    "ask, expected",
    [
        (
            lambda client: client.predict(IMAGES[:2]),
            {
                "labels": (object, [["cat", "snow leopard"]] * 2),
                "scores": (np.float32, [[11 / 300, 8 / 300], [16 / 300, 13 / 300]]),
            },
        ),
        (
            lambda client: client.embed_image(IMAGES[:2]),
            {
                "embedding": (np.float32, [[9 / 300, 10 / 300, 0], [14 / 300, 15 / 300, 0]]),
                "norm": (np.float32, [8 / 300, 13 / 300]),
            },
        ),
        (
            lambda client: client.embed_label(["snow leopard", "nonsense"]),
            {
                "embedding": (np.float32, [[12 / 300, 1], [-1, 1]]),
                "known_tokens": (np.int32, [1, 0]),
                "num_tokens": (np.int32, [2, 1]),
            },
        ),
        (
            lambda client: client.classify(IMAGES[:2], [["a", "bc"], ["nonsense", "bc"]]),
            {
                "labels": (object, [["bc", "a"], ["bc", "nonsense"]]),
                "scores": (np.float32, [[10 / 300, 9 / 300], [15 / 300, -1]]),
                "known": (bool, [[True, True], [True, False]]),
                "indices": (np.int32, [[1, 0], [1, 0]]),
            },
        ),
    ],
    ids=["predict", "embed_image", "embed_label", "classify_rows"],
)
def test_answers(protocol, ask, expected):
    with served(protocol) as (_, client):
        answer = ask(client)
    assert sorted(answer) == sorted(expected)
    for name, (dtype, values) in expected.items():
        assert answer[name].dtype == dtype
        np.testing.assert_array_equal(answer[name], np.array(values, dtype))


def test_tensors_with_values_left_out():
    """A tensor whose last values are equal may hold them once."""

    def step(_, response):
        for name, array in {"labels": [["a", "b", "b"]], "scores": np.full((1, 3), 0.5, np.float32)}.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(array))
        response.outputs["labels"].string_val.pop()
        response.outputs["scores"].ClearField("tensor_content")
        response.outputs["scores"].float_val.extend([0.5])
        return True

    with served("grpc") as (server, client):
        server.steps = [step]
        answer = client.predict([b"x"])
    assert answer["labels"].tolist() == [["a", "b", "b"]]
    assert answer["scores"].tolist() == [[0.5, 0.5, 0.5]]


def test_messages_above_the_default_limit_of_grpc(protocol):
    image, label = b"\x00\xff" * 3_000_000, "x" * 5_000_000
    with served(protocol) as (server, client):
        answer = client.classify([image], [label])
        assert answer["labels"][0, 0] == label
        assert server.requests[0][3]["image_bytes"] == [image]


@pytest.mark.parametrize("code", ["UNAVAILABLE", "DEADLINE_EXCEEDED"])
def test_passing_failures_are_repeated(protocol, code, quick):
    with served(protocol, retries=2) as (server, client):
        server.steps = [fail(protocol, code)] * 2
        assert client.predict([b"x"])["labels"].tolist() == [["cat", "snow leopard"]]
        assert len(server.requests) == 3


def test_repeats_are_counted(protocol, quick):
    with served(protocol, retries=2) as (server, client):
        server.steps = [fail(protocol, "UNAVAILABLE", "no time")] * 9
        with pytest.raises(
            ServingError, match=rf"answers at 127.0.0.1:{server.port} after 3 attempts.*no time$"
        ) as info:
            client.predict([b"x"])
        assert info.value.code == "UNAVAILABLE"
        assert len(server.requests) == 3


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "NOT_FOUND", "INTERNAL"])
def test_other_failures_are_not_repeated(protocol, code, quick):
    with served(protocol) as (server, client):
        server.steps = [fail(protocol, code)] * 9
        with pytest.raises(ServingError) as info:
            client.predict([b"x"])
        assert info.value.code == code
        assert len(server.requests) == 1


def test_a_refusal_is_told_in_a_line(protocol):
    message = (
        "2 root error(s) found.\n  (0) INVALID_ARGUMENT: Unknown image file format. One of JPEG, PNG, GIF, BMP "
        "required.\n\t [[{{node map/while/DecodeImage}}]]\n  (1) the same\n"
    )
    with served(protocol) as (server, client):
        server.steps = [fail(protocol, "INVALID_ARGUMENT", message)]
        with pytest.raises(ServingError) as info:
            client.predict([b"x"])
    status = "" if protocol == "grpc" else "HTTP 400: "
    assert str(info.value) == (
        f"The server at {client.address} refused the request. Received: {status}(0) INVALID_ARGUMENT: Unknown image "
        "file format. One of JPEG, PNG, GIF, BMP required."
    )


def test_errors_escaped_as_in_c():
    """TensorFlow Serving writes `\\'` into its JSON, which no JSON parser takes."""
    with served("rest") as (server, client):
        body = rb"""{ "error": "can\'t parse \"x\" at offset: 3\n\t [[{{node a}}]]" }"""
        with pytest.raises(ValueError):
            json.loads(body)
        server.steps = [lambda handler: handler.reply(400, body)]
        with pytest.raises(ServingError, match='Received: HTTP 400: can\'t parse "x" at offset: 3$'):
            client.predict([b"x"])


def test_a_model_that_is_not_there(protocol):
    with served(protocol, model_name="other", version=3) as (server, client):
        server.steps = [fail(protocol, "NOT_FOUND", "Servable not found for request: Specific(other, 3)")]
        with pytest.raises(
            ServingError, match=rf"{server.port} has no model 'other' in version 3: .*Specific\(other, 3\)$"
        ):
            client.predict([b"x"])


def test_busy_servers_are_asked_again_when_they_say(quick, monkeypatch):
    pauses = []
    monkeypatch.setattr(client_module.time, "sleep", pauses.append)
    with served("rest") as (server, client):
        server.steps = [
            fail("rest", 429, headers=[("Retry-After", "2")]),
            fail("rest", "UNAVAILABLE", headers=[("Retry-After", "Wed, 21 Oct 2026 07:28:00 GMT")]),
        ]
        client.predict([b"x"])
        assert len(server.requests) == 3
    assert pauses[0] == 2
    assert 0.02 <= pauses[1] <= 0.04


def test_a_full_message_is_not_sent_again():
    """Over gRPC, RESOURCE_EXHAUSTED also says that a message is too large."""
    with served("grpc") as (server, client):
        server.steps = [fail("grpc", "RESOURCE_EXHAUSTED", "message larger than max")]
        with pytest.raises(ServingError, match="RESOURCE_EXHAUSTED. Received: message larger than max"):
            client.predict([b"x"])
        assert len(server.requests) == 1


def test_pauses_double_and_vary(protocol, monkeypatch):
    pauses = []
    monkeypatch.setattr(client_module.time, "sleep", pauses.append)
    with served(protocol, retries=7, timeout=100) as (server, client):
        server.steps = [fail(protocol, "UNAVAILABLE")] * 8
        with pytest.raises(ServingError):
            client.predict([b"x"])
    longest = [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert len(pauses) == 7
    for pause, most in zip(pauses, longest, strict=True):
        assert most / 2 <= pause <= most
    assert len({pause / most for pause, most in zip(pauses, longest, strict=True)}) > 1


def test_timeout(protocol):
    with served(protocol, timeout=0.4) as (server, client):
        server.steps = [server.hang]
        start = time.monotonic()
        with pytest.raises(ServingError, match="in time, the timeout is 0.4 s") as info:
            client.predict([b"x"])
        assert info.value.code == "DEADLINE_EXCEEDED"
        assert 0.3 < time.monotonic() - start < 5
        assert len(server.requests) == 1


def test_the_timeout_holds_for_all_attempts(protocol, monkeypatch):
    monkeypatch.setattr(client_module, "_FIRST_DELAY", 0.1)
    with served(protocol, timeout=0.6, retries=50) as (server, client):
        server.steps = [fail(protocol, "UNAVAILABLE")] * 100
        start = time.monotonic()
        with pytest.raises(ServingError) as info:
            client.predict([b"x"])
        assert info.value.code == "UNAVAILABLE"
        assert time.monotonic() - start < 5
        assert 2 <= len(server.requests) <= 4  # pauses of 0.05-0.1, 0.1-0.2 and 0.2-0.4 s


def test_an_answer_in_drips_does_not_outlast_the_timeout():
    with served("rest", timeout=0.4) as (server, client):

        def step(handler):
            handler.send_response(200)
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
            with contextlib.suppress(OSError):
                while not server.stopped.wait(0.05):
                    handler.wfile.write(b" ")
                    handler.wfile.flush()
            handler.close_connection = True
            return True

        server.steps = [step]
        start = time.monotonic()
        with pytest.raises(ServingError) as info:
            client.predict([b"x"])
        assert info.value.code == "DEADLINE_EXCEEDED"
        assert time.monotonic() - start < 5


def test_no_server(protocol, free_port, quick):
    with ServingClient(port=free_port, protocol=protocol, retries=1) as client:
        with pytest.raises(
            ServingError, match=f"No model server answers at 127.0.0.1:{free_port} after 2 attempts"
        ) as info:
            client.predict([b"x"])
    assert info.value.code == "UNAVAILABLE"
    assert "Connection refused" in str(info.value)


def test_a_server_that_comes_late(protocol, free_port):
    started = []
    timer = threading.Timer(0.5, lambda: started.append(CannedServer(protocol, free_port)))
    timer.start()
    try:
        with ServingClient(port=free_port, protocol=protocol, retries=6, timeout=20) as client:
            assert client.predict([b"x"])["labels"].tolist() == [["cat", "snow leopard"]]
    finally:
        timer.join()
        started[0].stop()


def test_the_port_of_the_other_protocol(protocol, quick):
    other = "rest" if protocol == "grpc" else "grpc"
    server = CannedServer(other)
    try:
        with ServingClient(port=server.port, protocol=protocol, retries=0, timeout=5) as client:
            what = {"grpc": "gRPC", "rest": "REST"}[protocol]
            with pytest.raises(ServingError, match=f"check that it runs, and that this is its {what} address") as info:
                client.predict([b"x"])
            assert info.value.code == "UNAVAILABLE"
    finally:
        server.stop()


def _truncated(handler):
    handler.reply(200, b'{"outputs": {"labels"', length=1000)
    handler.close_connection = True
    return True


def _reset(handler):
    # Closing with unread or unsent data sends a reset, where the linger time is 0.
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    handler.connection.close()
    handler.close_connection = True
    handler.wfile = open(os.devnull, "wb")  # noqa: SIM115 (closed by the handler)
    return True


def _hung_up(handler):
    handler.close_connection = True
    return True


@pytest.mark.parametrize("step", [_truncated, _reset, _hung_up])
def test_connections_that_break_are_made_again(step, quick):
    with served("rest", retries=2) as (server, client):
        server.steps = [step, step]
        assert client.predict([b"x"])["labels"].tolist() == [["cat", "snow leopard"]]
        assert len(server.requests) == 3


@pytest.mark.parametrize(
    "body",
    [
        b"<html>a proxy</html>",
        b"",
        b"\xff\xfe",
        b"[1]",
        b'{"predictions": []}',
        b'{"outputs": [[1]]}',
        b'{"outputs": {"labels": [["a"]]}}',
        b'{"outputs": {"labels": [["a"]], "scores": [["x"]]}}',
        b'{"outputs": {"labels": [["a"], ["a"]], "scores": [[1], [1]]}}',
        b'{"outputs": {"labels": ["a"], "scores": [1]}}',
    ],
)
def test_answers_that_are_not_those_of_an_export(body, quick):
    with served("rest") as (server, client):
        server.steps = [lambda handler: handler.reply(200, body)]
        with pytest.raises(ServingError, match="is not that of an export of devise_tf") as info:
            client.predict([b"x"])
        assert info.value.code == "DATA_LOSS"
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "outputs",
    [
        {},
        {"labels": [["a"]]},
        {"labels": [["a"]], "scores": np.zeros((2, 1), np.float32)},
        {"labels": [[1j]], "scores": [[1.0]]},
    ],
    ids=["none", "missing", "rows", "type"],
)
def test_tensors_that_are_not_those_of_an_export(outputs):
    def step(_, response):
        for name, value in outputs.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return True

    with served("grpc") as (server, client):
        server.steps = [step]
        with pytest.raises(ServingError, match="is not that of an export of devise_tf") as info:
            client.predict([b"x"])
        assert info.value.code == "DATA_LOSS"


def test_connections_are_kept():
    with served("rest") as (server, client):
        for _ in range(4):
            client.predict([b"x"])
        server.steps = [fail("rest", "INVALID_ARGUMENT")]
        with pytest.raises(ServingError):
            client.predict([b"x"])
        client.predict([b"x"])
        assert server.connections == 1


def test_a_kept_connection_that_the_server_has_closed(monkeypatch):
    """It is replaced at once; only then would a failure count."""
    monkeypatch.setattr(client_module.time, "sleep", lambda _: pytest.fail("a pause"))

    def step(handler):
        handler.close_connection = True  # without a word in the headers

    with served("rest", retries=0) as (server, client):
        server.steps = [step]
        for _ in range(2):
            assert client.predict([b"x"])["labels"].tolist() == [["cat", "snow leopard"]]
        assert (server.connections, len(server.requests)) == (2, 2)


def test_a_body_that_is_refused_before_it_was_read():
    """The server's reason is told, not that the connection broke."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse():
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo large")
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass

        thread = threading.Thread(target=refuse)
        thread.start()
        with ServingClient(port=listener.getsockname()[1], protocol="rest") as client:
            with pytest.raises(ServingError, match="RESOURCE_EXHAUSTED. Received: HTTP 413: too large$"):
                client.predict([bytes(2_000_000)])
        thread.join()


def test_many_threads(protocol):
    def ask(number):
        image = b"x" * number
        return client.predict([image])["scores"][0, 1], np.float32(number / 300)

    with served(protocol) as (server, client), concurrent.futures.ThreadPoolExecutor(8) as pool:
        for found, expected in pool.map(ask, range(1, 81)):
            assert found == expected
    assert len(server.requests) == 80
    assert server.connections <= 8


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"protocol": "http"}, "`protocol` must be 'grpc' or 'rest'. Received: protocol='http'"),
        ({"timeout": 0}, "`timeout` must be above 0 seconds, `retries` at least 0. Received: timeout=0, retries=3"),
        ({"retries": -1}, "Received: timeout=30.0, retries=-1"),
    ],
)
def test_arguments(arguments, message):
    with pytest.raises(ValueError) as info:
        ServingClient(**arguments)
    assert str(info.value).endswith(message)


@pytest.mark.parametrize(
    "ask, message",
    [
        (lambda c: c.predict([]), "`images` must be a list of encoded images, at least one. Received: list"),
        (lambda c: c.predict(b"abc"), "Received: bytes"),
        (lambda c: c.embed_image(["abc"]), "Images must be bytes. Received: ['str']"),
        (lambda c: c.classify([b"a"], []), "`labels` must be a list of labels, at least one. Received: labels=[]"),
        (lambda c: c.classify([b"a"], "cat"), "Received: labels='cat'"),
        (lambda c: c.classify([b"a"], [[]]), "Received: 1 images, lists of lengths [0]"),
        (lambda c: c.classify([b"a", b"b"], [["x"], ["y", "z"]]), "Received: 2 images, lists of lengths [1, 2]"),
        (lambda c: c.classify([b"a"] * 3, [["x"], ["y"]]), "Received: 3 images, lists of lengths [1, 1]"),
        (lambda c: c.classify([b"a"], ["x", 3]), "Labels must be strings. Received: labels=['x', 3]…"),
        (lambda c: c.embed_label([]), "`labels` must be a list of strings, at least one. Received: labels=[]"),
        (lambda c: c.embed_label("cat"), "Received: labels='cat'"),
        (lambda c: c.embed_label([b"cat"]), "Received: labels=[b'cat']"),
    ],
)
def test_requests_that_make_no_sense_are_not_sent(protocol, ask, message):
    with ServingClient(protocol=protocol, port=1) as client:
        with pytest.raises(ValueError) as info:
            ask(client)
    assert str(info.value).endswith(message)


def test_a_closed_client(protocol):
    with served(protocol) as (_, client):
        client.predict([b"x"])
        client.close()
        with pytest.raises(ValueError, match="closed"):
            client.predict([b"x"])


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_ipv6(host):
    assert ServingClient(host, protocol="rest").address == "[::1]:8501"


def test_without_the_packages_of_grpc(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    with pytest.raises(ModuleNotFoundError, match="pip install tensorflow-serving-api.*protocol 'rest'"):
        ServingClient()
    ServingClient(protocol="rest").close()


def _python(code, *arguments):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
    )


def test_rest_needs_no_tensorflow():
    server = CannedServer("rest")
    try:
        completed = _python(
            "import sys\n"
            "from devise_tf.export.client import ServingClient\n"
            "import devise_tf.serving_client\n"
            "with ServingClient(port=int(sys.argv[1]), protocol='rest') as client:\n"
            "    print(client.predict([b'x'])['labels'].tolist())\n"
            "print(sorted({'tensorflow', 'grpc', 'google', 'keras', 'requests', 'aiohttp'} & set(sys.modules)))\n",
            str(server.port),
        )
    finally:
        server.stop()
    assert completed.stderr == ""
    assert completed.stdout.splitlines() == ["[['cat', 'snow leopard']]", "[]"]


# The command line, in a process of its own.


@pytest.fixture
def command(protocol, tmp_path):
    """Runs the command in a folder with photos, against a canned server that knows that `bad.jpg` is bad."""
    server = CannedServer(protocol)
    for name, data in {
        "photo.jpg": b"x" * 57,
        "more.png": b"x" * 87,
        "empty.jpg": b"",
        "large.jpg": bytes(2000),
    }.items():
        (tmp_path / name).write_bytes(data)

    def run(*arguments, port=server.port, options=()):
        return subprocess.run(
            [sys.executable, "-m", "devise_tf.serving_client", f"--protocol={protocol}", f"--port={port}", *arguments],
            env={**os.environ, "PYTHONPATH": ROOT, "PYTHONWARNINGS": "error", "PYTHONIOENCODING": "utf-8"},
            cwd=tmp_path,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
        )

    run.server, run.folder, run.protocol = server, tmp_path, protocol
    yield run
    server.stop()


def test_table(command):
    done = command("photo.jpg", "more.png", "--labels=cat, nonsense,Ångström 雪豹,,cat")
    assert done.stderr == ""
    assert done.stdout == (
        "photo.jpg\n"
        "  Ångström 雪豹    0.227\n"  # (57 + 11) / 300
        "  cat            0.200\n"
        "  nonsense     unknown\n"
        "more.png\n"
        "  Ångström 雪豹    0.327\n"
        "  cat            0.300\n"
        "  nonsense     unknown\n"
    )
    assert done.returncode == 0
    assert [request[:3] for request in command.server.requests] == [("devise", None, "classify")] * 2
    assert command.server.requests[0][3]["labels"] == [["cat", "nonsense", "Ångström 雪豹"]]


def test_labels_of_the_export_and_k(command):
    done = command("photo.jpg", "--model_name=other", "--version=4")
    assert done.stdout == "photo.jpg\n  cat             0.200\n  snow leopard    0.190\n"
    assert command("photo.jpg", "--k=1").stdout == "photo.jpg\n  cat    0.200\n"
    assert [request[:3] for request in command.server.requests] == [
        ("other", 4, "serving_default"),
        ("devise", None, "serving_default"),
    ]


def test_labels_of_a_file(command):
    text = "\ufeff# a comment\nn02128757\tsnow leopard, ounce\n\n  red_panda \nÅngström, or cat\nn2\t cat\n"
    (command.folder / "labels.txt").write_text(text, encoding="utf-8")
    done = command("photo.jpg", "--labels=@labels.txt", "--k=2")
    assert (done.returncode, done.stderr) == (0, "")
    assert command.server.requests[0][3]["labels"] == [["snow leopard", "red_panda", "Ångström, or cat", "cat"]]
    assert len(done.stdout.splitlines()) == 3


def test_json(command):
    done = command("photo.jpg", "none.jpg", "--labels=cat,nonsense", "--json")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {
            "file": "photo.jpg",
            "labels": [
                {"label": "cat", "score": float(np.float32(60 / 300)), "known": True},
                {"label": "nonsense", "score": -1.0, "known": False},
            ],
        },
        {"file": "none.jpg", "error": {"code": "FILE", "message": "No such file or directory"}},
    ]
    assert (done.returncode, done.stderr) == (1, "")


def test_bad_photos_do_not_stop_the_others(command):
    (command.folder / "bad.jpg").write_bytes(b"bad")
    (command.folder / "folder.jpg").mkdir()
    message = "Unknown image file format. One of JPEG, PNG, GIF, BMP required.\n\t [[{{node DecodeImage}}]]"
    command.server.steps = [fail(command.protocol, "INVALID_ARGUMENT", message)]
    photos = ["bad.jpg", "none.jpg", "empty.jpg", "folder.jpg", "large.jpg", "photo.jpg"]
    done = command(*photos, "--max_mb=0.001", "--k=1")
    assert done.returncode == 1
    assert done.stdout == "photo.jpg\n  cat    0.200\n"
    status = "" if command.protocol == "grpc" else "HTTP 400: "
    assert done.stderr.splitlines() == [
        f"Error: bad.jpg: The server at 127.0.0.1:{command.server.port} refused the request. Received: {status}Unknown "
        "image file format. One of JPEG, PNG, GIF, BMP required.",
        "Error: none.jpg: No such file or directory",
        "Error: empty.jpg: The file is empty; nothing was sent. Received: 0 bytes",
        "Error: folder.jpg: Is a directory",
        "Error: large.jpg: The file is larger than --max_mb=0.001; nothing was sent. Received: 0.002 MB",
    ]
    assert len(command.server.requests) == 2


def test_no_server_to_ask(command, free_port):
    done = command("none.jpg", "photo.jpg", "more.png", "large.jpg", "--retries=0", port=free_port)
    assert (done.returncode, done.stdout) == (1, "")
    missing, unreachable = done.stderr.splitlines()
    assert missing == "Error: none.jpg: No such file or directory"
    assert unreachable.startswith(f"Error: photo.jpg: No model server answers at 127.0.0.1:{free_port}, or it is not")
    assert unreachable.endswith("(2 more not sent)")
    done = command("photo.jpg", "more.png", "--retries=0", "--json", port=free_port)
    assert [json.loads(line)["error"]["code"] for line in done.stdout.splitlines()] == ["UNAVAILABLE"] * 2


def test_a_server_that_fails_later_is_asked_again(command):
    command.server.steps = [None, fail(command.protocol, "UNAVAILABLE"), None]
    done = command("photo.jpg", "more.png", "photo.jpg", "--retries=0", "--k=1")
    assert done.returncode == 1
    assert done.stdout == "photo.jpg\n  cat    0.200\n" * 2
    assert len(done.stderr.splitlines()) == 1


def test_no_model_of_that_name(command):
    command.server.steps = [fail(command.protocol, "NOT_FOUND", "Servable not found for request: Latest(devise)")]
    done = command("photo.jpg", "more.png")
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(
        f"Error: photo.jpg: The server at 127.0.0.1:{command.server.port} has no model 'devise': check its name there."
    )
    assert "Latest(devise)" in line and line.endswith("(1 more not sent)")


def test_a_slow_server(command):
    command.server.steps = [command.server.hang]
    done = command("photo.jpg", "more.png", "--timeout=2", "--k=1")
    assert done.returncode == 1
    assert done.stdout == "more.png\n  cat    0.300\n"
    [line] = done.stderr.splitlines()
    assert line.startswith(f"Error: photo.jpg: No answer from 127.0.0.1:{command.server.port} in time")


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "Error: Name a photo at least; --help shows examples. Received: none"),
        (["photo.jpg", "--labels= ,"], "Error: --labels must name a label at least. Received: --labels=' ,'"),
        (["photo.jpg", "--labels="], "Error: --labels must name a label at least. Received: --labels=''"),
        (["photo.jpg", "--labels=@none"], "Error: [Errno 2] No such file or directory: 'none'"),
        (["photo.jpg", "--labels=@latin"], "Error: latin must be UTF-8 text; save it in that encoding. Received: "),
        (["photo.jpg", "--lables=cat"], "Error: Unknown command line flag 'lables'. Did you mean: labels ?"),
        (["photo.jpg", "--k=0"], "Error: flag --k=0: 0 is not a positive integer"),
        (["photo.jpg", "--timeout=0"], "Error: flag --timeout=0: "),
        (["photo.jpg", "--retries=-1"], "Error: flag --retries=-1: "),
        (["photo.jpg", "--protocol=http"], "Error: flag --protocol=http: value should be one of <grpc|rest>"),
    ],
)
def test_usage(command, arguments, message):
    (command.folder / "latin").write_bytes("Ångström".encode("latin-1"))
    done = command(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(message)
    assert command.server.requests == []


def test_help():
    command = [sys.executable, "-m", "devise_tf.serving_client", "--help"]
    completed = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=60)
    for text in ("--labels=@labels.txt", "--[no]json", "--max_mb", "The exit status is 0 if all were answered"):
        assert text in completed.stdout


def test_the_command_does_not_wait_for_tensorflow():
    server = CannedServer("grpc")
    try:
        completed = _python(
            "import atexit, sys\n"
            "atexit.register(lambda: print('tensorflow.python' in sys.modules))\n"
            "from devise_tf.serving_client import run\n"
            "run()\n",
            __file__,
            "--k=1",
            f"--port={server.port}",
        )
    finally:
        server.stop()
    assert completed.stderr == ""
    assert completed.stdout.splitlines()[0] == __file__
    assert completed.stdout.splitlines()[-1] == "False"


# Against a server that runs an export.


@pytest.fixture(scope="module")
def model_server(tiny_export):
    from devise_tf.export.server.server import Server

    with Server(tiny_export, model_name="devise", rest_port=0, grpc_port=0) as server:
        yield {"grpc": int(server.grpc_address.rpartition(":")[2]), "rest": int(server.rest_address.rpartition(":")[2])}


@pytest.mark.slow
def test_an_export_by_both_protocols(model_server, tiny_export):
    from tests.helpers.tiny_model_dir import photo

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


@pytest.mark.slow
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_refusals_of_an_export(model_server, protocol):
    from tests.helpers.tiny_model_dir import photo

    with ServingClient(port=model_server[protocol], protocol=protocol) as client:
        with pytest.raises(ServingError, match="refused the request. Received: .*(JPEG|image)") as info:
            client.predict([photo(1), photo(1)[:100]])
        assert info.value.code == "INVALID_ARGUMENT"
    for name, version in (("other", None), ("devise", 9)):
        with ServingClient(port=model_server[protocol], protocol=protocol, model_name=name, version=version) as client:
            with pytest.raises(ServingError, match=f"has no model '{name}'") as info:
                client.predict([photo(1)])
            assert info.value.code == "NOT_FOUND"


@pytest.mark.slow
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_command_with_an_export(model_server, protocol, tmp_path):
    from tests.helpers.tiny_model_dir import photo

    (tmp_path / "photo.jpg").write_bytes(photo(4))
    (tmp_path / "cut.jpg").write_bytes(photo(4)[:200])
    done = subprocess.run(
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
    cut, whole = map(json.loads, done.stdout.splitlines())
    assert done.returncode == 1
    assert cut["error"]["code"] == "INVALID_ARGUMENT"
    assert [row["label"] for row in whole["labels"]][-1] == "no such label"
    assert [row["known"] for row in whole["labels"]] == [True, True, False]
