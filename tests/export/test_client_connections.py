"""The client's connections: refused, broken, kept."""

import os
import socket
import threading
import time

import pytest

from devise_tf.export.client import ServingClient, ServingError
from tests.helpers.canned_server import CannedServer, fail, served


def test_refused_connection_is_unavailable(protocol, free_port, quick):
    with ServingClient(port=free_port, protocol=protocol, retries=1) as client:
        with pytest.raises(
            ServingError, match=f"No model server answers at 127.0.0.1:{free_port} after 2 attempts"
        ) as info:
            client.predict([b"x"])
    assert info.value.code == "UNAVAILABLE"
    assert "Connection refused" in str(info.value)


def test_client_waits_for_a_server_that_starts_late(protocol, free_port):
    started = []
    timer = threading.Timer(0.5, lambda: started.append(CannedServer(protocol, free_port)))
    timer.start()
    try:
        with ServingClient(port=free_port, protocol=protocol, retries=6, timeout=20) as client:
            assert client.predict([b"x"])["labels"].tolist() == [["cat", "snow leopard"]]
    finally:
        timer.join()
        started[0].stop()


def test_port_of_the_other_protocol_is_unavailable(protocol, quick):
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
def test_broken_connections_are_replaced(step, quick):
    with served("rest", retries=2) as (server, client):
        server.steps = [step, step]
        assert client.predict([b"x"])["labels"].tolist() == [["cat", "snow leopard"]]
        assert len(server.requests) == 3


def test_connections_are_reused():
    with served("rest") as (server, client):
        for _ in range(4):
            client.predict([b"x"])
        server.steps = [fail("rest", "INVALID_ARGUMENT")]
        with pytest.raises(ServingError):
            client.predict([b"x"])
        client.predict([b"x"])
        assert server.connections == 1


def test_idle_connection_closed_by_the_server_is_replaced_at_once(monkeypatch):
    """It is replaced at once; only then would a failure count."""
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("a pause"))

    def step(handler):
        handler.close_connection = True  # without a word in the headers

    with served("rest", retries=0) as (server, client):
        server.steps = [step]
        for _ in range(2):
            assert client.predict([b"x"])["labels"].tolist() == [["cat", "snow leopard"]]
        assert (server.connections, len(server.requests)) == (2, 2)


def test_refusal_of_an_unread_body_is_reported():
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
