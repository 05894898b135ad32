"""The serving client's command, against servers that give canned answers."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from devise_tf import serving_client
from tests.helpers.canned_server import CannedServer, fail
from tests.helpers.commands import call

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.fixture
def command(protocol, tmp_path, monkeypatch):
    """Runs the command in a folder with photos, against a canned server that knows that `bad.jpg` is bad."""
    server = CannedServer(protocol)
    for name, data in {
        "photo.jpg": b"x" * 57,
        "more.png": b"x" * 87,
        "empty.jpg": b"",
        "large.jpg": bytes(2000),
    }.items():
        (tmp_path / name).write_bytes(data)

    def run(*arguments, port=server.port):
        return call(serving_client.run, f"--protocol={protocol}", f"--port={port}", *arguments)

    monkeypatch.chdir(tmp_path)
    run.server, run.folder, run.protocol = server, tmp_path, protocol
    yield run
    server.stop()


def test_command_prints_a_table_of_scores(command):
    outcome = command("photo.jpg", "more.png", "--labels=cat, nonsense,Ångström 雪豹,,cat")
    assert outcome.err == ""
    assert outcome.out == (
        "photo.jpg\n"
        "  Ångström 雪豹    0.227\n"  # (57 + 11) / 300
        "  cat            0.200\n"
        "  nonsense     unknown\n"
        "more.png\n"
        "  Ångström 雪豹    0.327\n"
        "  cat            0.300\n"
        "  nonsense     unknown\n"
    )
    assert outcome.status == 0
    assert [request[:3] for request in command.server.requests] == [("devise", None, "classify")] * 2
    assert command.server.requests[0][3]["labels"] == [["cat", "nonsense", "Ångström 雪豹"]]


def test_labels_of_the_export_and_k(command):
    outcome = command("photo.jpg", "--model_name=other", "--version=4")
    assert outcome.out == "photo.jpg\n  cat             0.200\n  snow leopard    0.190\n"
    assert command("photo.jpg", "--k=1").out == "photo.jpg\n  cat    0.200\n"
    assert [request[:3] for request in command.server.requests] == [
        ("other", 4, "serving_default"),
        ("devise", None, "serving_default"),
    ]


@pytest.mark.parametrize("flag", ["--labels_file=labels.txt", "--labels=@labels.txt"])
def test_labels_of_a_file(command, flag):
    text = "\ufeff# a comment\nn02128757\tsnow leopard, ounce\n\n  red_panda \nÅngström, or cat\nn2\t cat\n"
    (command.folder / "labels.txt").write_text(text, encoding="utf-8")
    outcome = command("photo.jpg", flag, "--k=2")
    assert (outcome.status, outcome.err) == (0, "labels.txt: 4 labels; an id, a tab and terms a line\n")
    assert command.server.requests[0][3]["labels"] == [["snow leopard", "red panda", "Ångström, or cat", "cat"]]
    assert len(outcome.out.splitlines()) == 3


def test_command_prints_json_lines(command):
    outcome = command("photo.jpg", "none.jpg", "--labels=cat,nonsense", "--json")
    assert [json.loads(line) for line in outcome.out.splitlines()] == [
        {
            "file": "photo.jpg",
            "labels": [
                {"label": "cat", "score": float(np.float32(60 / 300)), "known": True},
                {"label": "nonsense", "score": -1.0, "known": False},
            ],
        },
        {"file": "none.jpg", "error": {"code": "FILE", "message": "No such file or directory"}},
    ]
    assert (outcome.status, outcome.err) == (1, "")


def test_command_goes_on_after_bad_photos(command):
    (command.folder / "bad.jpg").write_bytes(b"bad")
    (command.folder / "folder.jpg").mkdir()
    message = "Unknown image file format. One of JPEG, PNG, GIF, BMP required.\n\t [[{{node DecodeImage}}]]"
    command.server.steps = [fail(command.protocol, "INVALID_ARGUMENT", message)]
    photos = ["bad.jpg", "none.jpg", "empty.jpg", "folder.jpg", "large.jpg", "photo.jpg"]
    outcome = command(*photos, "--max_mb=0.001", "--k=1")
    assert outcome.status == 1
    assert outcome.out == "photo.jpg\n  cat    0.200\n"
    status = "" if command.protocol == "grpc" else "HTTP 400: "
    assert outcome.err.splitlines() == [
        f"Error: bad.jpg: The server at 127.0.0.1:{command.server.port} refused the request. Received: {status}Unknown "
        "image file format. One of JPEG, PNG, GIF, BMP required.",
        "Error: none.jpg: No such file or directory",
        "Error: empty.jpg: The file is empty; nothing was sent. Received: 0 bytes",
        "Error: folder.jpg: Is a directory",
        "Error: large.jpg: The file is larger than --max_mb=0.001; nothing was sent. Received: 0.002 MB",
    ]
    assert len(command.server.requests) == 2


def test_command_stops_if_no_server_answers(command, free_port):
    outcome = command("none.jpg", "photo.jpg", "more.png", "large.jpg", "--retries=0", port=free_port)
    assert (outcome.status, outcome.out) == (1, "")
    missing, unreachable = outcome.err.splitlines()
    assert missing == "Error: none.jpg: No such file or directory"
    assert unreachable.startswith(f"Error: photo.jpg: No model server answers at 127.0.0.1:{free_port}, or it is not")
    assert unreachable.endswith("(2 more not sent)")
    outcome = command("photo.jpg", "more.png", "--retries=0", "--json", port=free_port)
    assert [json.loads(line)["error"]["code"] for line in outcome.out.splitlines()] == ["UNAVAILABLE"] * 2


def test_command_goes_on_after_a_later_failure(command):
    command.server.steps = [None, fail(command.protocol, "UNAVAILABLE"), None]
    outcome = command("photo.jpg", "more.png", "photo.jpg", "--retries=0", "--k=1")
    assert outcome.status == 1
    assert outcome.out == "photo.jpg\n  cat    0.200\n" * 2
    assert len(outcome.err.splitlines()) == 1


def test_command_names_a_missing_model(command):
    command.server.steps = [fail(command.protocol, "NOT_FOUND", "Servable not found for request: Latest(devise)")]
    outcome = command("photo.jpg", "more.png")
    assert (outcome.status, outcome.out) == (1, "")
    [line] = outcome.err.splitlines()
    assert line.startswith(
        f"Error: photo.jpg: The server at 127.0.0.1:{command.server.port} has no model 'devise': check its name there."
    )
    assert "Latest(devise)" in line and line.endswith("(1 more not sent)")


def test_command_goes_on_after_a_slow_answer(command):
    command.server.steps = [command.server.hang]
    outcome = command("photo.jpg", "more.png", "--timeout=2", "--k=1")
    assert outcome.status == 1
    assert outcome.out == "more.png\n  cat    0.300\n"
    [line] = outcome.err.splitlines()
    assert line.startswith(f"Error: photo.jpg: No answer from 127.0.0.1:{command.server.port} in time")


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "Error: Name at least one photo; --help shows examples. Received: none"),
        (["photo.jpg", "--labels= ,"], "Error: --labels must name at least one label. Received: --labels=' ,'"),
        (["photo.jpg", "--labels="], "Error: --labels must name at least one label. Received: --labels=''"),
        (["photo.jpg", "--labels=@none"], "Error: `labels_file` must name a file that is there"),
        (["photo.jpg", "--labels_file=none"], "Error: `labels_file` must name a file that is there"),
        (["photo.jpg", "--labels=cat", "--labels_file=x"], "Error: Give one list of labels. Received: --labels, --"),
        (["photo.jpg", "--labels=@latin"], "Error: latin must be UTF-8 text; save it in that encoding. Received: "),
        (["photo.jpg", "--lables=x"], "Error: Unknown command line flag 'lables'. Did you mean: labels, labels_file ?"),
        (["photo.jpg", "--k=0"], "Error: flag --k=0: 0 is not a positive integer"),
        (["photo.jpg", "--timeout=0"], "Error: flag --timeout=0: "),
        (["photo.jpg", "--retries=-1"], "Error: flag --retries=-1: "),
        (["photo.jpg", "--protocol=http"], "Error: flag --protocol=http: value should be one of <grpc|rest>"),
    ],
)
def test_usage(command, arguments, message):
    (command.folder / "latin").write_bytes("Ångström".encode("latin-1"))
    outcome = command(*arguments)
    assert (outcome.status, outcome.out) == (2, "")
    [line] = outcome.err.splitlines()
    assert line.startswith(message)
    assert command.server.requests == []


def test_help():
    command = [sys.executable, "-m", "devise_tf.serving_client", "--help"]
    completed = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=60)
    for text in ("--labels_file=labels.txt", "--[no]json", "--max_mb", "The exit status is 0 if all were answered"):
        assert text in completed.stdout


def test_command_loads_no_tensorflow():
    server = CannedServer("grpc")
    try:
        code = (
            "import atexit, sys\n"
            "atexit.register(lambda: print('tensorflow.python' in sys.modules))\n"
            "from devise_tf.serving_client import run\n"
            "run()\n"
        )
        command = [sys.executable, "-W", "error", "-c", code, __file__, "--k=1", f"--port={server.port}"]
        completed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    finally:
        server.stop()
    assert completed.stderr == ""
    assert completed.stdout.splitlines()[0] == __file__
    assert completed.stdout.splitlines()[-1] == "False"
