"""What listens for requests over gRPC and REST."""

import asyncio
import contextlib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
from aiohttp import web

from devise_tf.export.server.grpc_methods import GrpcMethods
from devise_tf.export.server.model_versions import ModelVersions
from devise_tf.export.server.request_gate import RequestGate
from devise_tf.export.server.rest_app import RestApp

_SPARE_THREADS = 8


class GrpcListener:
    """A gRPC server in threads of its own, which answers from the start.

    Args:
        versions: ModelVersions. The model.
        gate: RequestGate. Admits the requests.
        address: str. `HOST:PORT` to listen on.
        max_in_flight: int. Most requests that run at the same time.
        max_bytes: int. Largest request.

    Attributes:
        port: int. The port, the actual one where 0 was requested.

    Raises:
        OSError: It cannot listen on the address.
    """

    def __init__(self, versions: ModelVersions, gate: RequestGate, address: str, max_in_flight: int, max_bytes: int):
        # Those beyond the limit, and questions about the model, are answered by the spare threads.
        self._threads = ThreadPoolExecutor(max_in_flight + _SPARE_THREADS, "grpc")
        self._server = grpc.server(
            self._threads,
            GrpcMethods(versions, gate, max_bytes).handlers(),
            options=[
                ("grpc.max_receive_message_length", max_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 0),  # else a second server would share the port, silently
            ],
            maximum_concurrent_rpcs=4 * max_in_flight + _SPARE_THREADS,
        )
        try:
            self.port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise OSError(f"Cannot listen on {address} for gRPC: {error}") from None
        self._server.start()

    def begin_to_stop(self, grace_seconds: float) -> threading.Event:
        """Takes no further requests; the event is set when the running ones have ended or were given up."""
        return self._server.stop(grace_seconds)

    def close(self) -> None:
        """Lets the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class RestListener:
    """An HTTP server in threads of its own, which answers from the start.

    Args:
        versions: ModelVersions. The model.
        gate: RequestGate. Admits the requests.
        bound: socket. Bound to the address, not yet listening.
        max_in_flight: int. Most requests that run at the same time.
        max_bytes: int. Largest request.
        grace_seconds: float. How long running requests may take to end.

    Attributes:
        port: int. The port, the actual one where 0 was requested.
    """

    def __init__(
        self,
        versions: ModelVersions,
        gate: RequestGate,
        bound: socket.socket,
        max_in_flight: int,
        max_bytes: int,
        grace_seconds: float,
    ):
        self._socket, self._grace_seconds = bound, grace_seconds
        self._threads = ThreadPoolExecutor(max_in_flight, "rest")
        application = RestApp(versions, gate, self._threads, max_bytes).application()
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=grace_seconds)
        self._loop = asyncio.new_event_loop()
        self._loop_thread = threading.Thread(target=self._loop.run_forever, name="rest", daemon=True)
        self._loop_thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        self.port = bound.getsockname()[1]

    async def _listen(self) -> None:
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket).start()

    def stop(self) -> None:
        """Takes no further requests, and waits until the running ones have ended or were given up."""
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()

    def close(self) -> None:
        """Lets the threads go."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._loop_thread.join()
        self._loop.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _stop(self) -> None:
        # Connections that came at the last moment are still being set up. asyncio loses them if it stops listening
        # meanwhile; so it stops accepting first.
        with contextlib.suppress(NotImplementedError):  # on Windows
            self._loop.remove_reader(self._socket)
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
