"""The server as a whole."""

import contextlib
import dataclasses
import ipaddress
import os
import re
import socket
import time
from typing import Any


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a server takes on.

    Attributes:
        max_request_mb: int. Largest request, MiB.
        max_in_flight: int. Most predict and classify requests that run at the same time; further ones are refused.
        grace_seconds: float. How long running requests may take to end when the server stops.

    Raises:
        ValueError: A number is out of range.
    """

    max_request_mb: int = 64
    max_in_flight: int = 64
    grace_seconds: float = 10.0

    def __post_init__(self) -> None:
        if min(self.max_request_mb, self.max_in_flight) <= 0 or self.grace_seconds < 0:
            raise ValueError(
                "`max_request_mb` and `max_in_flight` must be above 0, `grace_seconds` at least 0. Received: "
                f"max_request_mb={self.max_request_mb}, max_in_flight={self.max_in_flight}, "
                f"grace_seconds={self.grace_seconds}"
            )


class Server:
    """Serves the newest exported version under a base path over gRPC and REST, as TF Serving does.

    For tests and laptops: there is neither authentication nor TLS. It follows the base path as `ModelVersions` says,
    and is used as a context or by `start` and `stop`.

    Every request that is let in has a thread of its own, so that in-graph batching sees all of them.

    Args:
        export_dir: str. The base path, which has versions as children; local, or one that `tf.io.gfile` reaches.
        model_name: str. Name of the model; by default that of the base path, or `devise` where that is not a name.
        host: str. Address to listen on.
        rest_port: int. Port for REST, 0 for a free one.
        grpc_port: int. Port for gRPC, 0 for a free one.
        poll_seconds: float. Seconds between looks at the base path.
        limits: Limits. What it takes on.
        wait_for_version: bool. Whether to start without a version, and to serve one as soon as there is one.

    Attributes:
        rest_port, grpc_port: int. The ports; once started, the actual ones.
        versions: ModelVersions. The model's versions, once started.

    Raises:
        ValueError: A number or the name is out of range; or, by `start`, the newest version cannot be served or there
            is none.
        FileNotFoundError: By `start`, the base path does not exist.
        OSError: By `start`, an address cannot be listened on.

    Example:

    >>> with Server("exports/devise", rest_port=0, grpc_port=0) as server:
    ...     print(server.rest_address, server.grpc_address)
    http://127.0.0.1:38211 127.0.0.1:42107
    """

    def __init__(
        self,
        export_dir: str,
        model_name: str | None = None,
        host: str = "127.0.0.1",
        rest_port: int = 8501,
        grpc_port: int = 8500,
        poll_seconds: float = 1.0,
        limits: Limits = Limits(),
        wait_for_version: bool = False,
    ):
        if poll_seconds <= 0:
            raise ValueError(f"`poll_seconds` must be above 0. Received: {poll_seconds=}")
        self.export_dir = export_dir if "://" in export_dir else os.path.abspath(os.path.expanduser(export_dir))
        self.model_name = _model_name(self.export_dir) if model_name is None else model_name
        if not re.fullmatch("[^/:]+", self.model_name):
            raise ValueError(f"`model_name` must not be empty, and must not contain / or :. Received: {model_name=}")
        self.host = host
        self.rest_port, self.grpc_port = rest_port, grpc_port
        self._limits, self._poll_seconds, self._wait_for_version = limits, poll_seconds, wait_for_version
        self.versions: Any = None
        self._listeners: Any = None
        self._gate: Any = None

    @property
    def rest_address(self) -> str:
        """`http://HOST:PORT`."""
        return f"http://{_join(self.host, self.rest_port)}"

    @property
    def grpc_address(self) -> str:
        """`HOST:PORT`."""
        return _join(self.host, self.grpc_port)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        try:
            return all(
                ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback
                for *_, address in socket.getaddrinfo(self.host, None)
            )
        except OSError:
            return False

    @property
    def in_flight(self) -> int:
        """Number of predict and classify requests that are running."""
        return self._gate.in_flight if self._gate else 0

    def start(self) -> "Server":
        """Loads the newest version, unless told to wait for one, and begins to answer."""
        with contextlib.ExitStack() as undo:
            # Before TensorFlow is imported and the model is loaded: a port that is taken is known at once.
            rest_socket = undo.enter_context(_bind(self.host, self.rest_port, "--rest_port"))
            _bind(self.host, self.grpc_port, "--grpc_port").close()
            try:
                from devise_tf.export.server.listeners import GrpcListener, ModelVersions, RequestGate, RestListener
            except ModuleNotFoundError as error:
                raise ModuleNotFoundError(
                    f"Serving needs {error.name}, which is not installed: pip install 'devise_tf[serving]'"
                ) from None
            self.versions = ModelVersions(self.export_dir, self.model_name, self._poll_seconds)
            undo.callback(self.versions.stop, 0.0)
            self.versions.start(self._wait_for_version)
            limits, max_bytes = self._limits, self._limits.max_request_mb * 2**20
            self._gate = gate = RequestGate(limits.max_in_flight, lambda: self.versions.served)
            grpc = GrpcListener(self.versions, gate, self.grpc_address, limits.max_in_flight, max_bytes)
            rest = RestListener(self.versions, gate, rest_socket, limits.max_in_flight, max_bytes, limits.grace_seconds)
            self._listeners, self.grpc_port, self.rest_port = (grpc, rest), grpc.port, rest.port
            undo.pop_all()
        return self

    def stop(self) -> bool:
        """Takes no further requests, and waits for the running ones as long as `grace_seconds` say.

        Returns:
            Whether all of them ended. Threads of those that did not go on until the process ends.
        """
        if self._listeners is None:
            return True
        (grpc, rest), self._listeners = self._listeners, None
        deadline = time.monotonic() + self._limits.grace_seconds
        # Both at the same time.
        grpc_stopped = grpc.begin_to_stop(self._limits.grace_seconds)
        rest.stop()
        grpc_stopped.wait()
        for listener in (rest, grpc):
            listener.close()
        return self.versions.stop(max(0.0, deadline - time.monotonic()))

    def __enter__(self) -> "Server":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def _model_name(export_dir: str) -> str:
    name = os.path.basename(export_dir.rstrip("/"))
    return name if re.fullmatch("[^/:]+", name) else "devise"


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _bind(host: str, port: int, flag: str) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise OSError(f"Cannot listen on {_join(host, port)}: {error.strerror}. Received: {host=}") from None
    try:
        if os.name == "posix":
            # A port whose last connections have only just been closed is free.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except (OSError, OverflowError) as error:
        bound.close()
        raise OSError(
            f"Cannot listen on {_join(host, port)}: {error}. Choose another port with {flag}, 0 for a free one. "
            f"Received: {port=}"
        ) from None
    return bound
