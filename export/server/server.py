"""The server as a whole."""

import asyncio
import contextlib
import ipaddress
import os
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

_SPARE_THREADS = 8


class Server:
    """Serves the newest exported version under a base path over gRPC and REST, as TF Serving does.

    For tests and laptops: there is neither authentication nor TLS. It follows the base path as `ModelVersions` says,
    and is used as a context or by `start` and `stop`.

    Every request that is let in has a thread of its own, so that in-graph batching sees all of them.

    Args:
        export_dir: The base path, which has versions as children; local or what else `tf.io.gfile` reaches.
        model_name: Name of the model; that of the base path by default, or `devise` where that is no name.
        host: Address to listen on.
        rest_port: Port for REST, 0 for a free one.
        grpc_port: Port for gRPC, 0 for a free one.
        poll_seconds: How often the base path is looked at.
        max_request_mb: Largest request, MiB.
        max_in_flight: Most predict and classify requests that run at the same time; further ones are refused.
        grace_seconds: How long running requests may take to end when the server stops.
        wait_for_version: Whether to start without a version, and serve one as soon as there is one.

    Attributes:
        rest_port, grpc_port: The ports, those that were found once started.
        versions: The model's versions, a `ModelVersions`, once started.

    Raises:
        ValueError: A number or the name is out of range; or, by `start`, the newest version cannot be served or there
            is none.
        FileNotFoundError: By `start`, the base path is not there.
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
        max_request_mb: int = 64,
        max_in_flight: int = 64,
        grace_seconds: float = 10.0,
        wait_for_version: bool = False,
    ):
        if min(poll_seconds, max_request_mb, max_in_flight) <= 0 or grace_seconds < 0:
            raise ValueError(
                "`poll_seconds`, `max_request_mb` and `max_in_flight` must be above 0, `grace_seconds` not below. "
                f"Received: {poll_seconds=}, {max_request_mb=}, {max_in_flight=}, {grace_seconds=}"
            )
        self.export_dir = export_dir if "://" in export_dir else os.path.abspath(os.path.expanduser(export_dir))
        self.model_name = _model_name(self.export_dir) if model_name is None else model_name
        if not re.fullmatch("[^/:]+", self.model_name):
            raise ValueError(f"A model's name is not empty and has no / and no : in it. Received: {model_name=}")
        self.host = host
        self.rest_port, self.grpc_port = rest_port, grpc_port
        self._poll_seconds, self._max_bytes = poll_seconds, max_request_mb * 2**20
        self._max_in_flight, self._grace_seconds = max_in_flight, grace_seconds
        self._wait_for_version = wait_for_version
        self.versions = self._loop = None

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
                ipaddress.ip_address(found[4][0].partition("%")[0]).is_loopback
                for found in socket.getaddrinfo(self.host, None)
            )
        except OSError:
            return False

    def start(self) -> "Server":
        """Loads the newest version, unless told to wait for one, and begins to answer."""
        with contextlib.ExitStack() as undo:
            # Before TensorFlow is imported and the model is loaded: a port that is taken is known at once.
            self._rest_socket = undo.enter_context(_bind(self.host, self.rest_port, "--rest_port"))
            _bind(self.host, self.grpc_port, "--grpc_port").close()
            try:
                from devise_tf.export.server.grpc_methods import GrpcMethods
                from devise_tf.export.server.model_versions import ModelVersions
                from devise_tf.export.server.request_gate import RequestGate
                from devise_tf.export.server.rest_app import RestApp
            except ModuleNotFoundError as error:
                raise ModuleNotFoundError(
                    f"Serving needs {error.name}, which is not installed: pip install 'devise_tf[serving]'"
                ) from None
            self.versions = ModelVersions(self.export_dir, self.model_name, self._poll_seconds)
            undo.callback(self.versions.stop, 0.0)
            self.versions.start(self._wait_for_version)
            self._gate = RequestGate(self._max_in_flight, lambda: self.versions.served)
            self._rest_threads = ThreadPoolExecutor(self._max_in_flight, "rest")
            rest = RestApp(self.versions, self._gate, self._rest_threads, self._max_bytes)
            self._start_grpc(GrpcMethods(self.versions, self._gate, self._max_bytes))
            self._start_rest(rest)
            undo.pop_all()
        return self

    def _start_grpc(self, methods):
        import grpc

        # Those beyond the limit, and questions about the model, are answered by the spare threads.
        self._grpc_threads = ThreadPoolExecutor(self._max_in_flight + _SPARE_THREADS, "grpc")
        self._grpc = grpc.server(
            self._grpc_threads,
            methods.handlers(),
            options=[
                ("grpc.max_receive_message_length", self._max_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 0),  # else a second server would share the port, silently
            ],
            maximum_concurrent_rpcs=4 * self._max_in_flight + _SPARE_THREADS,
        )
        try:
            self.grpc_port = self._grpc.add_insecure_port(self.grpc_address)
        except RuntimeError as error:
            raise OSError(f"gRPC cannot listen on {self.grpc_address}: {error}") from None
        self._grpc.start()

    def _start_rest(self, rest):
        from aiohttp import web

        self._runner = web.AppRunner(rest.application(), access_log=None, shutdown_timeout=self._grace_seconds)

        async def listen():
            await self._runner.setup()
            await web.SockSite(self._runner, self._rest_socket).start()

        self._loop = asyncio.new_event_loop()
        self._loop_thread = threading.Thread(target=self._loop.run_forever, name="rest", daemon=True)
        self._loop_thread.start()
        asyncio.run_coroutine_threadsafe(listen(), self._loop).result()
        self.rest_port = self._rest_socket.getsockname()[1]

    def stop(self) -> bool:
        """Takes no further requests, and waits for the running ones as long as `grace_seconds` say.

        Returns:
            Whether all of them ended. Threads of those that did not go on until the process ends.
        """
        if self._loop is None:
            return True
        deadline = time.monotonic() + self._grace_seconds
        rest_stopped = asyncio.run_coroutine_threadsafe(self._stop_rest(), self._loop)
        grpc_stopped = self._grpc.stop(self._grace_seconds)
        rest_stopped.result()
        grpc_stopped.wait()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._loop_thread.join()
        self._loop.close()
        self._loop = None
        for threads in (self._grpc_threads, self._rest_threads):
            threads.shutdown(wait=False, cancel_futures=True)
        return self.versions.stop(max(0.0, deadline - time.monotonic()))

    async def _stop_rest(self):
        # Connections that came at the last moment are still being set up. asyncio loses them if it stops listening
        # meanwhile; so it stops accepting first.
        with contextlib.suppress(NotImplementedError):  # on Windows
            self._loop.remove_reader(self._rest_socket)
        await asyncio.sleep(0.02)
        for site in self._runner.sites:
            await site.stop()
        with contextlib.suppress(TimeoutError):
            # Its own time-out may pass twice.
            await asyncio.wait_for(self._runner.cleanup(), self._grace_seconds)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:  # of connections that are closed, and of requests that were given up
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def __enter__(self) -> "Server":
        return self.start()

    def __exit__(self, *_) -> None:
        self.stop()


def _model_name(export_dir):
    name = os.path.basename(export_dir.rstrip("/"))
    return name if re.fullmatch("[^/:]+", name) else "devise"


def _join(host, port):
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _bind(host, port, flag):
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise OSError(f"{_join(host, port)} is no address to listen on: {error.strerror}. Received: {host=}") from None
    try:
        if os.name == "posix":
            # A port whose last connections have only just been closed is free.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except (OSError, OverflowError) as error:
        bound.close()
        raise OSError(
            f"{_join(host, port)} cannot be listened on: {error}. Choose another with {flag}, 0 for a free one. "
            f"Received: {port=}"
        ) from None
    return bound
