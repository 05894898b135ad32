"""Servers on real sockets that give canned answers over gRPC or REST, or fail as real servers do."""

import base64
import concurrent.futures
import contextlib
import http.server
import json
import threading

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from devise_tf.export.client import ServingClient
from devise_tf.export.signatures import HTTP_STATUS, SIGNATURES

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
            dtype = SIGNATURES[signature].outputs[name].dtype
            array = np.array(values, object if dtype == "string" else dtype)
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
    body = json.dumps({"error": message}).encode()
    return lambda handler: handler.reply(HTTP_STATUS.get(code, code), body, **more)


@contextlib.contextmanager
def served(protocol, **kwargs):
    server = CannedServer(protocol)
    try:
        with ServingClient(port=server.port, protocol=protocol, **kwargs) as client:
            yield server, client
    finally:
        server.stop()
