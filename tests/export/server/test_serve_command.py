"""`python -m devise_tf.serve` as a process of its own."""

import contextlib
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading

import pytest

from devise_tf import serve as command
from tests.helpers.clients import until
from tests.helpers.commands import call
from tests.helpers.queue_model import make_version

COMMAND = [sys.executable, "-m", "devise_tf.serve"]


def _run(*flags):
    return subprocess.run([*COMMAND, *flags], capture_output=True, text=True, timeout=60, check=False)


@contextlib.contextmanager
def _started(*flags):
    process = subprocess.Popen([*COMMAND, *flags], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    watchdog = threading.Timer(90, process.kill)
    watchdog.start()
    try:
        yield process
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()


def _read_until(process, prefix):
    """The lines of its output up to one that begins with `prefix`."""
    lines = []
    while not lines or not lines[-1].startswith(prefix):
        lines.append(process.stdout.readline())
        assert lines[-1], lines
    return [line.rstrip("\n") for line in lines]


def _connect(address):
    host, port = address.removeprefix("http://").split(":")
    return http.client.HTTPConnection(host, int(port), timeout=30)


def _ask(address, path, body=None):
    connection = _connect(address)
    try:
        connection.request("POST" if body else "GET", path, json.dumps(body).encode() if body else None)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_help_loads_no_tensorflow():
    completed = _run("--help")
    assert "python -m devise_tf.serve --export_dir=" in completed.stdout and "--max_in_flight" in completed.stdout
    code = (
        "import sys, devise_tf.serve as serve; serve.run(['--help']); "
        "print([name for name in ('tensorflow', 'keras', 'grpc', 'aiohttp') if name in sys.modules])"
    )
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert completed.stdout.endswith("\n[]\n")


def test_port_in_use_error_is_one_line():
    with socket.create_server(("127.0.0.1", 0)) as occupied:
        port = occupied.getsockname()[1]
        for flag in ("rest_port", "grpc_port"):
            others = {"rest_port": 0, "grpc_port": 0, flag: port}
            completed = _run("--export_dir=nothing", *(f"--{name}={value}" for name, value in others.items()))
            assert completed.returncode == 1 and completed.stdout == ""
            assert re.fullmatch(
                rf"Error: Cannot listen on 127\.0\.0\.1:{port}: .* Choose another port with --{flag}, "
                rf"0 for a free one\. Received: port={port}\n",
                completed.stderr,
            )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "flag --export_dir=None: Flag --export_dir must have a value other than None."),
        (["--export_dir=x", "--rest_port=70000"], "flag --rest_port=70000"),
        (["--export_dir=x", "more"], "Error: Unexpected arguments: more; this command takes flags only."),
        (["--export_dir=x", "--model_name=a/b"], "Error: `model_name` must not be empty, and must not contain / or :."),
    ],
)
def test_wrong_flags_are_a_usage_error(flags, message):
    status, out, err = call(command.run, *flags)
    assert status == 2 and out == "" and message in err and err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize(("number", "grace", "seconds"), [(signal.SIGTERM, 20, 1.0), (signal.SIGINT, 0.2, 60.0)])
def test_command_serves_until_a_signal(tmp_path, number, grace, seconds):
    """Waits for a version, serves it, and ends with 0: after the request that is running, or when its time is up."""
    base = str(tmp_path / "cats")
    flags = ("--rest_port=0", "--grpc_port=0", "--poll_seconds=0.05", f"--grace_seconds={grace}", "--wait_for_version")
    with _started(f"--export_dir={base}", *flags) as process:
        lines = _read_until(process, "Try ")
        assert lines[0] == (
            "This server is for tests and laptops. In production, run TensorFlow Serving on the same directory."
        )
        assert lines[1] == f"Model cats, no version yet, from {base}"
        rest, grpc_address, page = (line.split()[-1] for line in lines[2:5])
        address = page.rstrip("/")
        assert rest == f"{address}/v1/models/cats" and re.fullmatch(r"127\.0\.0\.1:[1-9]\d*", grpc_address)
        request = """'{"signature_name": "embed_label", "instances": ["cat"]}'"""
        assert lines[5] == f"Try   curl -d {request} {rest}:predict"
        assert _ask(address, "/v1/models/cats")[0] == 404
        make_version(base, 1)
        until(lambda: _ask(address, "/v1/models/cats:predict", {"instances": [1.0]}) == (200, {"predictions": [2.0]}))

        running = _connect(address)
        body = json.dumps({"signature_name": "slow", "instances": [seconds]})
        running.request("POST", "/v1/models/cats:predict", body)
        until(lambda: _in_flight(address) == 1)
        process.send_signal(number)
        _read_until(process, "Stopping: no further requests are taken.")
        if seconds < grace:
            answer = running.getresponse()
            assert (answer.status, json.loads(answer.read())) == (200, {"predictions": [seconds + 1.0]})
        else:
            with pytest.raises(ConnectionError):
                running.getresponse()
            _read_until(process, "Requests were still running after 0.2 s.")
        running.close()
        assert process.wait(20) == 0


def _in_flight(address):
    connection = _connect(address)
    try:
        connection.request("GET", "/monitoring/prometheus/metrics")
        text = connection.getresponse().read().decode()
        return float(re.search(r"^devise_serving_requests_in_flight (\S+)$", text, re.MULTILINE)[1])
    finally:
        connection.close()
