"""The client against servers that answer with errors, or late."""

import contextlib
import json
import time

import pytest

from devise_tf.export.client import ServingError, attempts
from tests.helpers.canned_server import fail, served


@pytest.mark.parametrize("code", ["UNAVAILABLE", "DEADLINE_EXCEEDED"])
def test_transient_failures_are_retried(protocol, code, quick):
    with served(protocol, retries=2) as (server, client):
        server.steps = [fail(protocol, code)] * 2
        assert client.predict([b"x"])["labels"].tolist() == [["cat", "snow leopard"]]
        assert len(server.requests) == 3


def test_error_after_all_retries_says_how_many_attempts(protocol, quick):
    with served(protocol, retries=2) as (server, client):
        server.steps = [fail(protocol, "UNAVAILABLE", "no time")] * 9
        with pytest.raises(
            ServingError, match=rf"answers at 127.0.0.1:{server.port} after 3 attempts.*no time$"
        ) as info:
            client.predict([b"x"])
        assert info.value.code == "UNAVAILABLE"
        assert len(server.requests) == 3


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "NOT_FOUND", "INTERNAL"])
def test_permanent_failures_are_not_retried(protocol, code, quick):
    with served(protocol) as (server, client):
        server.steps = [fail(protocol, code)] * 9
        with pytest.raises(ServingError) as info:
            client.predict([b"x"])
        assert info.value.code == code
        assert len(server.requests) == 1


def test_refusal_message_is_one_line(protocol):
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


def test_errors_with_c_escapes_are_read():
    """TensorFlow Serving writes `\\'` into its JSON, which no JSON parser takes."""
    with served("rest") as (server, client):
        body = rb"""{ "error": "can\'t parse \"x\" at offset: 3\n\t [[{{node a}}]]" }"""
        with pytest.raises(ValueError):
            json.loads(body)
        server.steps = [lambda handler: handler.reply(400, body)]
        with pytest.raises(ServingError, match='Received: HTTP 400: can\'t parse "x" at offset: 3$'):
            client.predict([b"x"])


def test_missing_model_error_names_model_and_version(protocol):
    with served(protocol, model_name="other", version=3) as (server, client):
        server.steps = [fail(protocol, "NOT_FOUND", "Servable not found for request: Specific(other, 3)")]
        with pytest.raises(
            ServingError, match=rf"{server.port} has no model 'other' in version 3: .*Specific\(other, 3\)$"
        ):
            client.predict([b"x"])


def test_retry_after_is_respected(quick, monkeypatch):
    pauses = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    with served("rest") as (server, client):
        server.steps = [
            fail("rest", 429, headers=[("Retry-After", "2")]),
            fail("rest", "UNAVAILABLE", headers=[("Retry-After", "Wed, 21 Oct 2026 07:28:00 GMT")]),
        ]
        client.predict([b"x"])
        assert len(server.requests) == 3
    assert pauses[0] == 2
    assert 0.02 <= pauses[1] <= 0.04


def test_too_large_a_message_is_not_sent_again():
    """Over gRPC, RESOURCE_EXHAUSTED also says that a message is too large."""
    with served("grpc") as (server, client):
        server.steps = [fail("grpc", "RESOURCE_EXHAUSTED", "message larger than max")]
        with pytest.raises(ServingError, match="RESOURCE_EXHAUSTED. Received: message larger than max"):
            client.predict([b"x"])
        assert len(server.requests) == 1


def test_pauses_double_and_vary(protocol, monkeypatch):
    pauses = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    with served(protocol, retries=7, timeout=100) as (server, client):
        server.steps = [fail(protocol, "UNAVAILABLE")] * 8
        with pytest.raises(ServingError):
            client.predict([b"x"])
    longest = [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert len(pauses) == 7
    for pause, most in zip(pauses, longest, strict=True):
        assert most / 2 <= pause <= most
    assert len({pause / most for pause, most in zip(pauses, longest, strict=True)}) > 1


def test_slow_answer_is_deadline_exceeded(protocol):
    with served(protocol, timeout=0.4) as (server, client):
        server.steps = [server.hang]
        start = time.monotonic()
        with pytest.raises(ServingError, match="in time, the timeout is 0.4 s") as info:
            client.predict([b"x"])
        assert info.value.code == "DEADLINE_EXCEEDED"
        assert 0.3 < time.monotonic() - start < 5
        assert len(server.requests) == 1


def test_timeout_covers_all_attempts(protocol, monkeypatch):
    monkeypatch.setattr(attempts, "FIRST_DELAY", 0.1)
    with served(protocol, timeout=0.6, retries=50) as (server, client):
        server.steps = [fail(protocol, "UNAVAILABLE")] * 100
        start = time.monotonic()
        with pytest.raises(ServingError) as info:
            client.predict([b"x"])
        assert info.value.code == "UNAVAILABLE"
        assert time.monotonic() - start < 5
        assert 2 <= len(server.requests) <= 4  # pauses of 0.05-0.1, 0.1-0.2 and 0.2-0.4 s


def test_trickling_answer_does_not_outlast_the_timeout():
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
