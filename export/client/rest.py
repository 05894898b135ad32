"""Requests over REST, by Python's own HTTP."""

import base64
import contextlib
import http.client
import json
import re
import threading
import time
import urllib.parse
from collections.abc import Mapping
from typing import Any

from devise_tf.export.client.attempts import Failure, first_line
from devise_tf.export.signatures import GRPC_STATUS

_TRANSIENT_STATUS = (429, 503, 504)


class RestTransport:
    """Asks a server over REST; see `ServingClient`."""

    def __init__(self, host: str, port: int, model_name: str, version: int | None):
        self._host, self._port = host, port
        path_of_version = "" if version is None else f"/versions/{version}"
        self._path = f"/v1/models/{urllib.parse.quote(model_name, safe='')}{path_of_version}:predict"
        self._idle: list[http.client.HTTPConnection] = []
        self._lock, self._closed = threading.Lock(), False

    def predict(self, signature: str, inputs: Mapping[str, list[Any]], deadline: float) -> dict[str, Any]:
        """Asks once, until `time.monotonic()` is `deadline`; gives nested lists.

        Raises:
            Failure: There was no answer, or an error.
            ValueError: The client is closed.
        """
        body = json.dumps({"signature_name": signature, "inputs": {n: _json(v) for n, v in inputs.items()}}).encode()
        try:
            status, headers, answer = self._post(body, deadline)
        except TimeoutError as error:
            raise Failure("DEADLINE_EXCEEDED", str(error) or "timed out", True) from error
        except (ConnectionError, http.client.IncompleteRead) as error:
            raise Failure("UNAVAILABLE", f"{type(error).__name__}: {error}", True) from error
        except OSError as error:  # a name that is not known, no route
            raise Failure("UNAVAILABLE", str(error), True) from error
        except http.client.HTTPException as error:
            raise Failure("UNAVAILABLE", f"no HTTP: {type(error).__name__}: {error}") from error
        if status != 200:
            retry_after = headers.get("Retry-After", "")
            raise Failure(
                GRPC_STATUS.get(status, "UNKNOWN"),
                f"HTTP {status}: {first_line(_error_text(answer))}",
                status in _TRANSIENT_STATUS,
                float(retry_after) if re.fullmatch(r"\d{1,4}", retry_after) else 0.0,
            )
        try:
            outputs: dict[str, Any] = json.loads(answer)["outputs"]
            return outputs
        except (ValueError, KeyError, TypeError) as error:
            text = answer[:100].decode("utf-8", "replace")
            raise Failure("DATA_LOSS", f"an answer that is not TF Serving's: {text!r}") from error

    def close(self) -> None:
        """Closes the connections."""
        with self._lock:
            self._closed, idle, self._idle = True, self._idle, []
        for connection in idle:
            connection.close()

    def _post(self, body: bytes, deadline: float) -> tuple[int, Any, bytes]:
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

    def _exchange(self, connection: http.client.HTTPConnection, body: bytes, deadline: float) -> tuple[int, Any, bytes]:
        try:
            connection.timeout = _seconds_until(deadline)
            if connection.sock is None:
                connection.connect()
            sock = connection.sock  # the connection drops it where the server will not keep it
            sock.settimeout(_seconds_until(deadline))
            # A server that refuses a body before it has all of it says so in its answer.
            with contextlib.suppress(BrokenPipeError):
                connection.request("POST", self._path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            length, answer = response.length, bytearray()
            # Piece by piece, so that a slow answer cannot outlast the deadline.
            while length is None or len(answer) < length:
                sock.settimeout(_seconds_until(deadline))
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


def _seconds_until(deadline: float) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("timed out")
    return seconds


def _json(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    return [_json(item) for item in value] if isinstance(value, list) else value


def _error_text(answer: bytes) -> str:
    """The message of an error; TF Serving escapes it as C does, which is not always JSON."""
    text = answer.decode("utf-8", "replace").strip()
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        match = re.fullmatch(r'\{\s*"error":\s*"(.*)"\s*\}', text, re.DOTALL)
        return re.sub(r"\\n", "\n", match[1]).replace("\\", "") if match else text
