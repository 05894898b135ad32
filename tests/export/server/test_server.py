import os
import shutil
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest

from devise_tf.export.server.server import Limits, Server
from tests.helpers.clients import arrays, predict_request, rest, until
from tests.helpers.queue_model import make_version

X = np.array([1.0], np.float32)
PREDICT = "/v1/models/base:predict"


@pytest.fixture
def base(tmp_path):
    base = str(tmp_path / "base")
    make_version(base, 1)
    return base


@pytest.fixture
def serve(base):
    """Starts a server of the queue model, which a test can hold up."""
    started = []

    def start(limits=None, **settings):
        settings = {"rest_port": 0, "grpc_port": 0, "poll_seconds": 0.02, **settings}
        server = Server(base, limits=Limits(**(limits or {})), **settings)
        started.append(server)
        return server.start()

    yield start
    for server in started:
        server.stop()


class Both:
    """A client of either interface, for predictions from `X`."""

    def __init__(self, server, connect, api):
        self.server, self.api = server, api
        self.prediction, _ = connect(server)

    def ask(self, signature="serving_default", timeout=30):
        """The prediction, a list; or the error's gRPC code or HTTP status."""
        if self.api == "rest":
            body = {"signature_name": signature, "instances": X.tolist()}
            status, answer, _ = rest(self.server, f"/v1/models/{self.server.model_name}:predict", body)
            return answer["predictions"] if status == 200 else status
        try:
            request = predict_request(self.server, {"x": X}, signature)
            return arrays(self.prediction.Predict(request, timeout=timeout))["y"].tolist()
        except grpc.RpcError as error:
            return error.code().name


@pytest.fixture(params=["grpc", "rest"])
def both(request, connect):
    return lambda server: Both(server, connect, request.param)


def test_no_request_fails_while_versions_change(serve, base, both):
    client = both(serve())
    answers, stop = [[] for _ in range(4)], threading.Event()

    def go_on(series):
        while not stop.is_set():
            series.append(client.ask())

    threads = [threading.Thread(target=go_on, args=(series,)) for series in answers]
    for thread in threads:
        thread.start()
    until(lambda: all(answers))
    for number in (2, 3):
        make_version(base, number)
        until(lambda number=number: all(series and series[-1] == [number + 1.0] for series in answers))
    shutil.rmtree(f"{base}/3")
    until(lambda: all(series[-1] == [3.0] for series in answers))
    stop.set()
    for thread in threads:
        thread.join()
    for series in answers:
        steps = [answer for answer, last in zip(series, [None, *series], strict=False) if answer != last]
        assert steps == [[2.0], [3.0], [4.0], [3.0]]


def test_running_request_is_answered_by_the_version_it_began_with(serve, base, both):
    server = serve()
    client = both(server)
    with ThreadPoolExecutor(1) as threads, server.versions.acquire("base") as old:
        waiting = threads.submit(client.ask, "wait")
        until(lambda: server.in_flight == 1)
        make_version(base, 2)
        until(lambda: client.ask() == [3.0])
        status = {s.number: s.state for s in server.versions.statuses()}
        assert status == {2: "AVAILABLE", 1: "UNLOADING"}
        old.run(old.signatures["release"], {"x": X})
        assert waiting.result(10) == [2.0]
    until(lambda: server.versions.statuses(1)[0].state == "END")


def test_failed_version_reports_its_states(serve, base):
    server = serve()
    os.mkdir(f"{base}/2")
    until(lambda: server.versions.statuses(2))
    until(lambda: server.versions.statuses(2)[0].state == "END")
    status, answer, _ = rest(server, "/v1/models/base")
    failed, served = answer["model_version_status"]
    assert status == 200 and (failed["version"], failed["state"]) == ("2", "END")
    assert failed["status"]["error_code"] == "UNKNOWN"
    assert "SavedModel file does not exist" in failed["status"]["error_message"]
    assert served == {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    assert rest(server, PREDICT, {"instances": [1.0]})[1] == {"predictions": [2.0]}


def test_requests_above_max_in_flight_are_refused(serve, both):
    server = serve({"max_in_flight": 2})
    client = both(server)
    with ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(client.ask, "wait") for _ in range(2)]
        until(lambda: server.in_flight == 2)
        assert [client.ask() for _ in range(20)] == [503 if client.api == "rest" else "RESOURCE_EXHAUSTED"] * 20
        # Questions about the model are answered.
        assert rest(server, "/v1/models/base")[0] == 200
        with server.versions.acquire("base") as version:
            for _ in waiting:
                version.run(version.signatures["release"], {"x": X})
        assert [future.result(10) for future in waiting] == [[2.0], [2.0]]
    until(lambda: client.ask() == [2.0])
    text = rest(server, "/monitoring/prometheus/metrics")[1]
    method = "predict" if client.api == "rest" else "Predict"
    counted = f'devise_serving_requests_total{{api="{client.api}",code="RESOURCE_EXHAUSTED",method="{method}"}} 20.0'
    assert counted in text


def test_stopping_waits_for_running_requests(serve, both):
    server = serve({"grace_seconds": 20.0})
    client = both(server)
    with ThreadPoolExecutor(2) as threads:
        waiting = threads.submit(client.ask, "wait")
        until(lambda: server.in_flight == 1)
        with server.versions.acquire("base") as version:
            stopping = threads.submit(server.stop)
            # New ones are not taken.
            until(lambda: not _listens(server.rest_address) and not _listens(f"http://{server.grpc_address}"))
            assert not stopping.done() and not waiting.done()
            version.run(version.signatures["release"], {"x": X})
            assert waiting.result(10) == [2.0]
        assert stopping.result(10)
    assert [status.state for status in server.versions.statuses()] == ["END"]
    assert server.stop()  # once more does nothing


def _listens(address):
    host, port = address.removeprefix("http://").split(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (ConnectionRefusedError, ConnectionResetError):
        return False
    return True


def test_stopping_gives_up_after_the_grace_period(serve, both):
    server = serve({"grace_seconds": 0.3})
    client = both(server)
    with ThreadPoolExecutor(1) as threads, server.versions.acquire("base") as version:
        waiting = threads.submit(_outcome, client)
        until(lambda: server.in_flight == 1)
        start = time.monotonic()
        assert not server.stop()
        assert 0.3 <= time.monotonic() - start < 5
        assert waiting.result(10) in ("CANCELLED", "UNAVAILABLE", "closed")
        # Its thread ends only now.
        version.run(version.signatures["release"], {"x": X})
    until(lambda: server.in_flight == 0 and server.versions.stop(1.0))


def test_stopping_at_once(serve):
    server = serve({"grace_seconds": 0.0})
    assert server.stop()
    assert not _listens(server.rest_address) and not _listens(f"http://{server.grpc_address}")


def _outcome(client):
    try:
        return client.ask("wait")
    except OSError:
        return "closed"


def test_internal_error_details_stay_in_the_log(serve, both, monkeypatch):
    client = both(serve())

    def fail(*_):
        raise KeyError("secret")

    monkeypatch.setattr("devise_tf.export.server.loaded_version.LoadedVersion.run", fail)
    assert client.ask() == (500 if client.api == "rest" else "INTERNAL")
    status, answer, _ = rest(client.server, PREDICT, {"instances": [1.0]})
    assert (status, answer) == (500, {"error": "The server failed to answer; its log says why."})
    monkeypatch.undo()
    assert client.ask() == [2.0]


def test_session_error_is_an_invalid_argument(serve, both):
    client = both(serve())
    assert client.ask("fail") == (400 if client.api == "rest" else "INVALID_ARGUMENT")


def test_ports_in_use_are_refused(serve, base):
    server = serve()
    ports = [int(address.rsplit(":", 1)[1]) for address in (server.rest_address, server.grpc_address)]
    assert 0 not in ports
    for flag, port in zip(("rest_port", "grpc_port"), ports, strict=True):
        with pytest.raises(OSError, match=rf"Cannot listen on 127.0.0.1:{port}: .* --{flag}, 0 for a free one"):
            serve(**{flag: port})
    # They are free again at once.
    server.stop()
    again = serve(rest_port=ports[0], grpc_port=ports[1])
    assert rest(again, "/v1/models/base")[0] == 200


def test_failed_start_leaves_no_open_port(base, tmp_path):
    shutil.rmtree(f"{base}/1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    before = threading.active_count()
    for _ in range(2):
        with pytest.raises(ValueError, match="There is no version under the base path"):
            Server(base, rest_port=port, grpc_port=0).start()
    assert threading.active_count() == before


def test_server_waits_for_the_first_version(serve, base, both):
    os.rename(f"{base}/1", f"{base}/.tmp-1")
    client = both(serve(wait_for_version=True))
    assert client.ask() == (404 if client.api == "rest" else "NOT_FOUND")
    assert rest(client.server, "/v1/models/base")[:2] == (404, {"error": "Could not find any versions of model base"})
    os.rename(f"{base}/.tmp-1", f"{base}/1")
    until(lambda: client.ask() == [2.0])


def test_unusable_address_raises_an_error(base):
    with pytest.raises(OSError, match=r"Cannot listen on 203\.0\.113\.1:0: "):
        Server(base, host="203.0.113.1", rest_port=0, grpc_port=0).start()


def test_ipv6(serve):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    server = serve(host="::1")
    assert server.rest_address.startswith("http://[::1]:") and server.grpc_address.startswith("[::1]:")
    assert rest(server, PREDICT, {"instances": [1.0]})[1] == {"predictions": [2.0]}
