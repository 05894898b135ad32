"""The command line: what it teaches, errors as those who use it see them, and kills."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from devise_tf import evaluate as command
from tests.helpers.commands import call
from tests.helpers.tiny_model_dir import LABELS, RESIZE_SIZE

ROOT = Path(__file__).resolve().parents[1]
# Runs the command, and dies without any farewell when the first file of the report takes its name.
KILLED = """
import os, runpy, signal, sys
os.replace = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)
runpy.run_module("devise_tf.evaluate", run_name="__main__", alter_sys=True)
"""
HELP = """
import runpy, sys
sys.argv[1:] = ["--help"]
try:
    runpy.run_module("devise_tf.evaluate", run_name="__main__", alter_sys=True)
finally:
    print("imported", "tensorflow" in sys.modules, "keras" in sys.modules)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_model_dir):
    """A finished run and images of its labels."""
    folder = tmp_path_factory.mktemp("command")
    shutil.copytree(tiny_model_dir, folder / "run")
    for number, label in enumerate(LABELS):
        (folder / "images" / "val" / label).mkdir(parents=True)
        pixels = np.random.default_rng(number).integers(0, 256, (RESIZE_SIZE, RESIZE_SIZE, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "images" / "val" / label / "0.png")
    (folder / "parents.txt").write_text("".join(f"root {label}\n" for label in LABELS))
    return folder


def start(arguments, cwd, code=None):
    run = ["-c", code] if code else ["-m", "devise_tf.evaluate"]
    return subprocess.run(
        [sys.executable, *run, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=240,
    )


def test_help_teaches_and_needs_no_tensorflow(tmp_path):
    done = start([], tmp_path, HELP)
    assert "imported False False" in done.stdout and done.stderr == ""
    assert done.stdout.startswith(command.__doc__.split("\n")[0])
    assert "--answers: <labels|terms>" in done.stdout and "(default: 'labels')" in done.stdout
    for text in (
        "python -m devise_tf.evaluate --model_dir=runs/mine",
        "--model_dir=runs/seed_0,runs/seed_1,runs/seed_2",
        "--unseen_labels=2_hop_ids.txt",
        "--hierarchy: ",
        "--conse_top: ",
        "--penalties_from: ",
        "--validation_share: ",
    ):
        assert text in done.stdout


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["runs/mine"], "Error: Unexpected arguments: runs/mine; this command takes flags only.\n"),
        (
            ["--wordnet_dir=w", "--hierarchy=imagenet"],
            "Error: `wordnet_dir` goes with --hierarchy=wordnet. Received: --hierarchy=imagenet\n",
        ),
        (["--answers=both"], "Error: flag --answers=both: value should be one of <labels|terms>\n"),
        (["--batch_size=0"], "flag --batch_size=0: 0 is not"),
    ],
)
def test_errors_of_flags_are_one_line(arguments, error, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, _, err = call(command.run, *arguments)
    assert status == 2 and error in err and err.count("\n") == 1
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("status", "arguments", "error"),
    [
        (2, [], "Error: `model_dir` must name a model directory. Received: none\n"),
        (1, ["--model_dir=images"], "Error: `model_dir` must be the directory of a run (python -m devise_tf.train"),
        (2, ["--model_dir=run", "--k=1,x"], "Error: `k` must hold numbers separated by commas. Received: --k=x\n"),
        (2, ["--model_dir=run", "--conse_top=0"], "Error: `conse_tops` must hold different integers >= 1"),
        (1, ["--model_dir=run", "--wordnet_dir=images", "--images=folder:images"], "data.noun"),
    ],
)
def test_errors_are_one_line(status, arguments, error, folder, monkeypatch):
    monkeypatch.chdir(folder)
    outcome = call(command.run, *arguments)
    assert outcome.status == status and error in outcome.err and outcome.err.count("\n") == 1
    assert not (folder / "run" / "report").exists()


@pytest.mark.soak
def test_report_survives_a_kill_while_the_next_is_written(folder):
    arguments = [
        *("--model_dir=run", "--images=folder:images", "--hierarchy=parents.txt", "--models=softmax,conse,conse_1"),
        *("--conse_top=2,1", "--k=1", "--samples=2", "--batch_size=8", "--report_dir=made/here"),
    ]
    done = start([*arguments, "--verbose=0"], folder)
    assert done.returncode == 0, done.stderr
    assert "| softmax " in done.stdout and done.stdout.endswith("Written to made/here\n")
    report = json.loads((folder / "made" / "here" / "metrics.json").read_text())
    assert report["command"] == "python -m devise_tf.evaluate " + " ".join([*arguments, "--verbose=0"])
    assert set(report["seen"]) == {"softmax", "conse", "conse_1", "chance"}
    assert set(report["seen"]["softmax"]) == {"hit@1", "hp@1"}
    before = {path.name: path.read_bytes() for path in (folder / "made" / "here").iterdir()}
    killed = start([*arguments, "--seed=1"], folder, KILLED)
    assert killed.returncode == -signal.SIGKILL
    after = {path.name: path.read_bytes() for path in (folder / "made" / "here").iterdir()}
    assert {name: text for name, text in after.items() if not name.endswith(".tmp")} == before
    assert len(after) == len(before) + 3
