"""Asks a server of an exported model, over gRPC or REST."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from devise_tf.export.client.attempts import Failure, address, first_line, pause_before
from devise_tf.export.client.rest import RestTransport
from devise_tf.export.signatures import SIGNATURES
from devise_tf.photo_bytes import plain_bytes

Arrays = dict[str, np.ndarray]

PORTS = {"grpc": 8500, "rest": 8501}


class ServingError(RuntimeError):
    """A request that failed.

    Attributes:
        code: str. Name of the gRPC status, over REST too: `"UNAVAILABLE"` (no server, or not ready), `"NOT_FOUND"` (no
            such model or version), `"INVALID_ARGUMENT"` (a bad image, or labels of a wrong shape),
            `"DEADLINE_EXCEEDED"`, `"DATA_LOSS"` (an answer that cannot be read), or another.
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
        host: str. Name or address of the server.
        port: int. The server's port; by default 8500 for gRPC and 8501 for REST.
        protocol: str. `"grpc"` or `"rest"`.
        model_name: str. Name of the model on the server.
        version: int. Version of the model; by default the latest.
        timeout: float. Seconds for an answer, all attempts and pauses together.
        retries: int. How often a request is repeated at most.

    Raises:
        ValueError: `protocol` is neither of the two, `timeout` is not above 0, or `retries` is below 0.
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
        self.address = address(host, port)
        transport = _grpc_transport() if protocol == "grpc" else RestTransport
        self._transport = transport(host, port, model_name, version)

    def classify(self, images: Sequence[bytes], labels: Sequence[str] | Sequence[Sequence[str]]) -> Arrays:
        """Scores labels for each image.

        Args:
            images: list of bytes, [N]. Image files. Those that an export would not read as they are meant to be seen
                (turned by an EXIF tag, transparent, of other formats than JPEG, PNG, GIF and BMP) are sent as the PNG
                of what `devise_tf.predict` sees; all others as they are.
            labels: list of str, [M] or [N, M]. One list of labels for all images, or a list for each.

        Returns:
            Dict of NumPy arrays [N, M], the best label first: `"labels"` (str), `"scores"` float32, `"known"` bool,
            and `"indices"` int32, the positions of the labels in the given list. A label with a word that has no
            vector is not known, and scores -1.

        Raises:
            ValueError: No images, no labels, lists of different lengths, or an image that cannot be decoded here.
            ServingError: The server could not be reached, or it refused the request.
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

    def predict(self, images: Sequence[bytes]) -> Arrays:
        """The best of the labels that were exported with the model.

        Args:
            images: list of bytes, [N]. Image files, as for `classify`.

        Returns:
            Dict of NumPy arrays [N, k], the best label first: `"labels"` (str) and `"scores"` float32. The export
            decides k.

        Raises:
            ValueError, ServingError: As `classify`.
        """
        images = _images(images)
        return self._ask("serving_default", {"image_bytes": images}, len(images))

    def embed_image(self, images: Sequence[bytes]) -> Arrays:
        """Vectors of images.

        Args:
            images: list of bytes, [N]. Image files, as for `classify`.

        Returns:
            Dict of NumPy arrays: `"embedding"` float32 [N, D], and `"norm"` float32 [N], the length that each had
            before it was brought to unit norm.

        Raises:
            ValueError, ServingError: As `classify`.
        """
        images = _images(images)
        return self._ask("embed_image", {"image_bytes": images}, len(images))

    def embed_label(self, labels: Sequence[str]) -> Arrays:
        """Vectors of labels.

        Args:
            labels: list of str, [N]. The labels.

        Returns:
            Dict of NumPy arrays: `"embedding"` float32 [N, D], and int32 [N] `"num_tokens"`, the number of words in
            the label, and `"known_tokens"`, how many of them have a vector.

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

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, signature: str, inputs: Mapping[str, list[Any]], rows: int) -> Arrays:
        deadline, attempt = time.monotonic() + self.timeout, 0
        while True:
            try:
                return _checked(signature, self._transport.predict(signature, inputs, deadline), rows)
            except Failure as failure:
                delay = max(pause_before(attempt), failure.retry_after)
                hopeless = not failure.transient or attempt == self.retries
                if hopeless or time.monotonic() + delay >= deadline:
                    raise ServingError(failure.code, self._explain(failure, attempt + 1)) from failure.__cause__
            time.sleep(delay)
            attempt += 1

    def _explain(self, failure: Failure, attempts: int) -> str:
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
        return f"{start}. Received: {first_line(failure.message)}"


def _grpc_transport() -> Any:
    try:
        from devise_tf.export.client.grpc import GrpcTransport  # late: TensorFlow's messages, which REST does not need
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "gRPC needs `pip install tensorflow-serving-api`; REST needs no package (protocol 'rest'). "
            f"Received: {error}",
            name=error.name,
        ) from error
    return GrpcTransport


def _images(images: Sequence[bytes]) -> list[bytes]:
    if isinstance(images, (str, bytes)) or not len(images):
        raise ValueError(f"`images` must be a list of encoded images, at least one. Received: {type(images).__name__}")
    if not all(isinstance(image, bytes) for image in images):
        raise ValueError(f"Images must be bytes. Received: {sorted({type(image).__name__ for image in images})}")
    return [_prepared(image, index) for index, image in enumerate(images)]


def _prepared(image: bytes, index: int) -> bytes:
    try:
        return plain_bytes(image)
    except ValueError as error:
        raise ValueError(f"images[{index}]: {error}") from error


def _checked(signature: str, outputs: Mapping[str, Any], rows: int) -> Arrays:
    """The outputs as arrays of the signature's types and ranks, with a row an image or label."""
    types = SIGNATURES[signature].outputs
    try:
        arrays = {
            name: np.array(outputs[name], object if type_.dtype == "string" else type_.dtype)
            for name, type_ in types.items()
        }
    except (KeyError, TypeError, ValueError) as error:
        raise Failure("DATA_LOSS", f"{signature}: {error!r}") from error
    shapes = {name: array.shape for name, array in arrays.items()}
    if any(len(shapes[name]) != len(type_.shape) or shapes[name][0] != rows for name, type_ in types.items()):
        raise Failure("DATA_LOSS", f"{signature}: outputs of the shapes {shapes} for {rows} rows")
    return arrays
