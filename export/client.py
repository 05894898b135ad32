"""Asks a server of an exported model, over gRPC or REST."""

import base64
import contextlib
import http.client
import json
import math
import random
import re
import threading
import time
import urllib.parse
from collections.abc import Sequence

import numpy as np

PORTS = {"grpc": 8500, "rest": 8501}

# What a signature answers: the type and the rank of each output.
_OUTPUTS = {
    "serving_default": {"labels": (object, 2), "scores": (np.float32, 2)},
    "embed_image": {"embedding": (np.float32, 2), "norm": (np.float32, 1)},
    "embed_label": {"embedding": (np.float32, 2), "known_tokens": (np.int32, 1), "num_tokens": (np.int32, 1)},
    "classify": {"labels": (object, 2), "scores": (np.float32, 2), "known": (bool, 2), "indices": (np.int32, 2)},
}
# The limit of TF Serving's own gRPC port; gRPC's default is 4 MB.
_MAX_MESSAGE_BYTES = 2**31 - 1
# TF Serving's HTTP statuses, as the gRPC statuses that they stand for.
_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    413: "RESOURCE_EXHAUSTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_TRANSIENT_STATUS = (429, 503, 504)
_TRANSIENT_CODES = ("UNAVAILABLE", "DEADLINE_EXCEEDED")
_FIRST_DELAY, _MAX_DELAY = 0.2, 5.0  # seconds


class ServingError(RuntimeError):
    """A request that failed.

    Attributes:
        code: Name of the gRPC status, over REST too: `"UNAVAILABLE"` (no server, or not ready), `"NOT_FOUND"` (no such
            model or version), `"INVALID_ARGUMENT"` (a bad image, or labels of a wrong shape), `"DEADLINE_EXCEEDED"`,
            `"DATA_LOSS"` (an answer that cannot be read), or another.
    """

    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.code = code


class ServingClient:
    """Asks TensorFlow Serving, or a server with its interface, about images and labels.

    Both protocols give the same results. A request that fails for a passing reason (no connection, a server that is
    busy or not ready) is repeated after a pause that doubles each time, as long as `timeout` leaves time; asking twice
    changes nothing on the server. One client may be used by several threads at once; over REST each has a connection
    of its own, which is kept for the next request. Connections are made directly, not through a proxy.

    gRPC needs the packages `grpcio` and `tensorflow-serving-api`, whose messages import TensorFlow; REST needs
    neither.

    Args:
        host: Name or address of the server.
        port: Its port; 8500 for gRPC, 8501 for REST by default.
        protocol: `"grpc"` or `"rest"`.
        model_name: Name that the server has for the model.
        version: Version to ask, an integer; by default the latest that is served.
        timeout: Seconds for an answer, all attempts and pauses together.
        retries: How often a request is repeated at most.

    Raises:
        ValueError: A protocol of another name, a `timeout` not above 0, or `retries` below 0.
        ModuleNotFoundError: A package that gRPC needs is not installed.

    Example:

    >>> with ServingClient("127.0.0.1") as client:
    ...     answer = client.classify([open("photo.jpg", "rb").read()], ["snow leopard", "cat"])
    >>> answer["labels"][0]
    array(['cat', 'snow leopard'], dtype=object)
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int | None = None,
        protocol: str = "grpc",
        model_name: str = "devise",
        version: int | None = None,
        timeout: float = 30.0,
        retries: int = 3,
    ):
        if protocol not in PORTS:
            raise ValueError(f"`protocol` must be 'grpc' or 'rest'. Received: {protocol=}")
        if timeout <= 0 or retries < 0:
            raise ValueError(
                f"`timeout` must be above 0 seconds, `retries` at least 0. Received: {timeout=}, {retries=}"
            )
        self.protocol, self.model_name, self.version = protocol, model_name, version
        self.timeout, self.retries = timeout, retries
        host = host.strip("[]")
        port = port or PORTS[protocol]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        transport = _Grpc if protocol == "grpc" else _Rest
        self._transport = transport(self.address, host, port, model_name, version)

    def classify(self, images: Sequence[bytes], labels: Sequence[str] | Sequence[Sequence[str]]) -> dict:
        """Scores labels for each image.

        Args:
            images: N encoded images (JPEG or PNG).
            labels: M labels for all the images, or a list of N lists of M labels each.

        Returns:
            Dict of NumPy arrays [N, M], the best label first: `"labels"` (str), `"scores"` float32, `"known"` bool,
            and `"indices"` int32, the places of the labels in the list that was given. A label with a word that has no
            vector is not known, and scores -1.

        Raises:
            ValueError: No images, no labels, or lists of different lengths.
            ServingError: The server could not be asked, or refused.
        """
        images = _images(images)
        if isinstance(labels, str) or not len(labels):
            raise ValueError(f"`labels` must be a list of labels, at least one. Received: labels={labels!r}")
        # One row is for all images: TF Serving need not be sent it N times.
        rows = [list(labels)] if isinstance(labels[0], str) else [list(row) for row in labels]
        if len(rows) not in (1, len(images)) or not rows[0] or len({len(row) for row in rows}) > 1:
            raise ValueError(
                "`labels` must be one list of labels for all images, or one an image, all of the same length. "
                f"Received: {len(images)} images, lists of lengths {[len(row) for row in rows][:20]}"
            )
        if not all(isinstance(label, str) for row in rows for label in row):
            raise ValueError(f"Labels must be strings. Received: labels={rows[0][:5]}…")
        return self._ask("classify", {"image_bytes": images, "labels": rows}, len(images))

    def predict(self, images: Sequence[bytes]) -> dict:
        """The best of the labels that were exported with the model.

        Args:
            images: N encoded images.

        Returns:
            Dict of NumPy arrays [N, k], the best label first: `"labels"` (str) and `"scores"` float32. The export
            decides k.

        Raises:
            ValueError, ServingError: As `classify`.
        """
        images = _images(images)
        return self._ask("serving_default", {"image_bytes": images}, len(images))

    def embed_image(self, images: Sequence[bytes]) -> dict:
        """Vectors of images.

        Args:
            images: N encoded images.

        Returns:
            Dict of NumPy arrays: `"embedding"` float32 [N, D], and `"norm"` float32 [N], the length that each had
            before it was brought to unit norm.

        Raises:
            ValueError, ServingError: As `classify`.
        """
        images = _images(images)
        return self._ask("embed_image", {"image_bytes": images}, len(images))

    def embed_label(self, labels: Sequence[str]) -> dict:
        """Vectors of labels.

        Args:
            labels: N labels.

        Returns:
            Dict of NumPy arrays: `"embedding"` float32 [N, D], `"known_tokens"` and `"num_tokens"` int32 [N], how many
            words of the label have a vector and how many it has.

        Raises:
            ValueError, ServingError: As `classify`.
        """
        if isinstance(labels, str) or not len(labels) or not all(isinstance(label, str) for label in labels):
            raise ValueError(f"`labels` must be a list of strings, at least one. Received: labels={labels!r}")
        return self._ask("embed_label", {"labels": list(labels)}, len(labels))

    def close(self) -> None:
        """Closes the connections. The client cannot be used again."""
        self._transport.close()

    def __enter__(self) -> "ServingClient":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _ask(self, signature, inputs, rows):
        deadline = time.monotonic() + self.timeout
        for attempt in range(self.retries + 1):
            try:
                return _checked(signature, self._transport.predict(signature, inputs, deadline), rows)
            except _Failure as failure:
                delay = min(_FIRST_DELAY * 2**attempt, _MAX_DELAY) * random.uniform(0.5, 1)
                delay = max(delay, failure.retry_after)
                hopeless = not failure.transient or attempt == self.retries
                if hopeless or time.monotonic() + delay >= deadline:
                    raise ServingError(failure.code, self._explain(failure, attempt + 1)) from failure.__cause__
                time.sleep(delay)

    def _explain(self, failure, attempts):
        what = {"grpc": "gRPC", "rest": "REST"}[self.protocol]
        tried = f" after {attempts} attempts" if attempts > 1 else ""
        match failure.code:
            case "UNAVAILABLE":
                start = (
                    f"No model server answers at {self.address}{tried}, or it is not ready: check that it runs, and "
                    f"that this is its {what} address"
                )
            case "DEADLINE_EXCEEDED":
                start = f"No answer from {self.address} in time{tried}, the timeout is {self.timeout:g} s"
            case "NOT_FOUND":
                version = "" if self.version is None else f" in version {self.version}"
                start = f"The server at {self.address} has no model {self.model_name!r}{version}: check its name there"
            case "INVALID_ARGUMENT":
                start = f"The server at {self.address} refused the request"
            case "DATA_LOSS":
                start = f"The answer of {self.address} is not that of an export of devise_tf: check what runs there"
            case code:
                start = f"The server at {self.address} failed with {code}{tried}"
        return f"{start}. Received: {_short(failure.message)}"


class _Failure(Exception):
    """An attempt that failed; `transient` says whether another may succeed, not before `retry_after` seconds."""

    def __init__(self, code, message, transient=False, retry_after=0.0):
        super().__init__(message)
        self.code, self.message, self.transient, self.retry_after = code, message, transient, retry_after


class _Grpc:
    def __init__(self, address, host, port, model_name, version):
        try:
            import grpc
            from tensorflow.core.framework import tensor_pb2, types_pb2
            from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "gRPC needs `pip install tensorflow-serving-api`; REST needs no package (protocol 'rest'). "
                f"Received: {error}",
                name=error.name,
            ) from error
        self._rpc_error, self._types = grpc.RpcError, types_pb2
        self._request, self._tensor = predict_pb2.PredictRequest, tensor_pb2.TensorProto
        self._model = predict_pb2.PredictRequest().model_spec
        self._model.name = model_name
        if version is not None:
            self._model.version.value = version
        options = {
            "grpc.max_send_message_length": _MAX_MESSAGE_BYTES,
            "grpc.max_receive_message_length": _MAX_MESSAGE_BYTES,
            "grpc.enable_http_proxy": 0,
            # A server that was not there is looked for again as soon as a request is repeated.
            "grpc.initial_reconnect_backoff_ms": int(_FIRST_DELAY * 500),
            "grpc.max_reconnect_backoff_ms": int(_MAX_DELAY * 1000),
        }
        self._channel = grpc.insecure_channel(address, options=list(options.items()))
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)

    def predict(self, signature, inputs, deadline):
        request = self._request(model_spec=self._model)
        request.model_spec.signature_name = signature
        for name, values in inputs.items():
            request.inputs[name].CopyFrom(self._strings(values))
        try:
            response = self._stub.Predict(request, timeout=max(deadline - time.monotonic(), 0.001))
        except self._rpc_error as error:
            code = error.code().name
            raise _Failure(code, error.details() or code, code in _TRANSIENT_CODES) from error
        try:
            return {name: self._array(tensor) for name, tensor in response.outputs.items()}
        except (KeyError, ValueError) as error:
            raise _Failure("DATA_LOSS", f"a tensor that cannot be read: {error!r}") from error

    def close(self):
        self._channel.close()

    def _strings(self, values):
        shape = [len(values)]
        if isinstance(values[0], list):
            shape.append(len(values[0]))
            values = [value for row in values for value in row]
        tensor = self._tensor(dtype=self._types.DT_STRING)
        for size in shape:
            tensor.tensor_shape.dim.add(size=size)
        tensor.string_val.extend(value.encode() if isinstance(value, str) else value for value in values)
        return tensor

    def _array(self, tensor):
        shape = [dimension.size for dimension in tensor.tensor_shape.dim]
        if tensor.dtype == self._types.DT_STRING:
            values = np.array([value.decode("utf-8", "replace") for value in tensor.string_val], object)
        else:
            dtype, field = {
                self._types.DT_FLOAT: (np.float32, "float_val"),
                self._types.DT_INT32: (np.int32, "int_val"),
                self._types.DT_BOOL: (np.bool_, "bool_val"),
            }[tensor.dtype]
            if tensor.tensor_content:
                return np.frombuffer(tensor.tensor_content, dtype).reshape(shape)
            values = np.array(getattr(tensor, field), dtype)
        # Values that are left out equal the last one.
        return np.pad(values, (0, math.prod(shape) - len(values)), "edge").reshape(shape)


class _Rest:
    def __init__(self, address, host, port, model_name, version):
        self._host, self._port = host, port
        version = "" if version is None else f"/versions/{version}"
        self._path = f"/v1/models/{urllib.parse.quote(model_name, safe='')}{version}:predict"
        self._idle, self._lock, self._closed = [], threading.Lock(), False

    def predict(self, signature, inputs, deadline):
        body = json.dumps({"signature_name": signature, "inputs": {n: _json(v) for n, v in inputs.items()}}).encode()
        try:
            status, headers, answer = self._post(body, deadline)
        except TimeoutError as error:
            raise _Failure("DEADLINE_EXCEEDED", str(error) or "timed out", True) from error
        except (ConnectionError, http.client.IncompleteRead) as error:
            raise _Failure("UNAVAILABLE", f"{type(error).__name__}: {error}", True) from error
        except OSError as error:  # a name that is not known, no route
            raise _Failure("UNAVAILABLE", str(error), True) from error
        except http.client.HTTPException as error:
            raise _Failure("UNAVAILABLE", f"no HTTP: {type(error).__name__}: {error}") from error
        if status != 200:
            retry_after = headers.get("Retry-After", "")
            raise _Failure(
                _STATUS.get(status, "UNKNOWN"),
                f"HTTP {status}: {_short(_error_text(answer))}",
                status in _TRANSIENT_STATUS,
                float(retry_after) if re.fullmatch(r"\d{1,4}", retry_after) else 0.0,
            )
        try:
            return json.loads(answer)["outputs"]
        except (ValueError, KeyError, TypeError) as error:
            text = answer[:100].decode("utf-8", "replace")
            raise _Failure("DATA_LOSS", f"an answer that is not TF Serving's: {text!r}") from error

    def close(self):
        with self._lock:
            self._closed, idle, self._idle = True, self._idle, []
        for connection in idle:
            connection.close()

    def _post(self, body, deadline):
        with self._lock:
            if self._closed:
                raise ValueError("The client is closed: make a new one. Received: closed=True")
            connection = self._idle.pop() if self._idle else None
        if connection:
            try:
                return self._exchange(connection, body, deadline)
            except (ConnectionError, http.client.BadStatusLine):
                pass  # the server closed it while it was idle
        return self._exchange(http.client.HTTPConnection(self._host, self._port), body, deadline)

    def _exchange(self, connection, body, deadline):
        try:
            connection.timeout = _left(deadline)
            if connection.sock is None:
                connection.connect()
            sock = connection.sock  # the connection drops it where the server will not keep it
            sock.settimeout(_left(deadline))
            # A server that refuses a body before it has all of it says so in its answer.
            with contextlib.suppress(BrokenPipeError):
                connection.request("POST", self._path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            length, answer = response.length, bytearray()
            # Piece by piece, so that a slow answer cannot outlast the deadline.
            while length is None or len(answer) < length:
                sock.settimeout(_left(deadline))
                piece = response.read1(65536 if length is None else length - len(answer))
                if not piece:
                    break
                answer.extend(piece)
            if length is not None and len(answer) < length:
                raise http.client.IncompleteRead(bytes(answer), length - len(answer))
            response.close()
        except BaseException:
            connection.close()
            raise
        with self._lock:
            keep = connection.sock is not None and not self._closed
            if keep:
                self._idle.append(connection)
        if not keep:
            connection.close()
        return response.status, response.headers, bytes(answer)


def _left(deadline):
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def _json(value):
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    return [_json(item) for item in value] if isinstance(value, list) else value


def _error_text(answer):
    """The message of an error; TF Serving escapes it as C does, which is not always JSON."""
    text = answer.decode("utf-8", "replace").strip()
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        found = re.fullmatch(r'\{\s*"error":\s*"(.*)"\s*\}', text, re.DOTALL)
        return re.sub(r"\\n", "\n", found[1]).replace("\\", "") if found else text


def _short(message):
    """The first line that says something, without the graph's node."""
    lines = [re.sub(r"\[\[\{\{.*", "", line).strip() for line in message.splitlines()]
    line = next((line for line in lines if line and not re.search(r"root error\(s\) found", line)), message)
    return line if len(line) <= 300 else f"{line[:300]}…"


def _images(images):
    if isinstance(images, (str, bytes)) or not len(images):
        raise ValueError(f"`images` must be a list of encoded images, at least one. Received: {type(images).__name__}")
    if not all(isinstance(image, bytes) for image in images):
        raise ValueError(f"Images must be bytes. Received: {sorted({type(image).__name__ for image in images})}")
    return list(images)


def _checked(signature, outputs, rows):
    """The outputs as arrays of the signature's types and ranks, with a row an image or label."""
    try:
        arrays = {name: np.array(outputs[name], dtype) for name, (dtype, _) in _OUTPUTS[signature].items()}
    except (KeyError, TypeError, ValueError) as error:
        raise _Failure("DATA_LOSS", f"{signature}: {error!r}") from error
    shapes = {name: array.shape for name, array in arrays.items()}
    if any(len(shapes[name]) != rank or shapes[name][0] != rows for name, (_, rank) in _OUTPUTS[signature].items()):
        raise _Failure("DATA_LOSS", f"{signature}: outputs of the shapes {shapes} for {rows} rows")
    return arrays
