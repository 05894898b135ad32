"""The benchmark of predictions from end to end on a small model, and what its tables say."""

import json
import os
import subprocess
import sys

import pytest

from tests.benchmarks import harness, prediction_speed
from tests.helpers.commands import call

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def run(*arguments):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([ROOT, os.environ.get("PYTHONPATH", "")])}
    return subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.prediction_speed", *arguments],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.soak
def test_a_small_model(tmp_path):
    # Imported here: it imports TensorFlow.
    from tests.helpers.tiny_model_dir import make_model_dir

    directory, output = make_model_dir(tmp_path / "run"), tmp_path / "speed.json"
    done = run(
        *(f"--model_dir={directory}", f"--labels_file={directory}/labels.txt", "--candidates=4", "--batch_sizes=1,3"),
        *("--rounds=2", "--calls=2", "--starts=1", "--photo_size=32", f"--output={output}"),
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(output.read_text())
    assert list(result["seconds"]) == ["1", "3"]
    for models in result["seconds"].values():
        assert list(models) == [f"{directory}, {model}" for model in ("softmax", "devise", "conse")]
        for ways in models.values():
            assert list(ways) == ["whole", "decoding", "predictor", "bare"]
            assert all(len(seconds) == 2 and min(seconds) > 0 for seconds in ways.values())
    assert list(result["commands"]) == [
        *("import devise_tf", "python -m devise_tf.predict --help", "python -m devise_tf.models list")
    ]
    assert "prediction_speed --model_dir=" in result["machine"]["command"]
    assert "| ms a photo, one at a time " in done.stdout and "| images a second, batches of 3 " in done.stdout
    one = tmp_path / "one.json"
    done = run(
        *(f"--model_dir={directory}", f"--labels_file={directory}/labels.txt", "--models=devise", "--batch_sizes=2"),
        *("--rounds=1", "--calls=2", "--starts=0", "--photo_size=32", f"--output={one}"),
    )
    assert done.returncode == 0, done.stderr
    assert list(json.loads(one.read_text())["seconds"]["2"]) == [f"{directory}, devise"]
    assert "whole process" not in done.stdout


def test_ratios_are_taken_within_rounds():
    """Of seconds 0.1 is 100 ms; 64 photos in 2 seconds are 32 a second."""
    ways = {
        "whole": [0.2, 0.1, 0.3],
        "decoding": [0.01, 0.02, 0.03],
        "predictor": [0.11, 0.1, 0.4],
        "bare": [0.1, 0.2, 0.2],
    }
    slow = {name: [10 * each for each in seconds] for name, seconds in ways.items()}
    table = prediction_speed.table({1: {"a, devise": ways}, 64: {"a, devise": slow}})
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    header = ["whole way", "decoding", "predictor", "bare", "predictor's seconds / bare"]
    assert rows[0] == ["ms a photo, one at a time", *header]
    assert rows[2] == ["a, devise", "200.0", "20.0", "110.0", "200.0", "1.100 (0.500 to 2.000)"]
    assert rows[4] == ["images a second, batches of 64", *header]
    assert rows[6] == ["a, devise", "32", "320", "58", "32", "1.100 (0.500 to 2.000)"]
    assert len(rows) == 7


def test_commands_are_whole_processes(monkeypatch):
    """Each as often as asked; help ends with a status of its own, and what fails stops the measurement."""
    done = prediction_speed.seconds_of_commands(2)
    assert list(done) == list(prediction_speed.COMMANDS)
    assert all(len(seconds) == 2 and min(seconds) > 0.005 for seconds in done.values())
    assert prediction_speed.seconds_of_commands(0) == {name: [] for name in prediction_speed.COMMANDS}
    monkeypatch.setitem(prediction_speed.COMMANDS, "broken", ["-c", "raise SystemExit('no such thing')"])
    with pytest.raises(harness.TaskError, match="A process ended with status 1: broken\nno such thing"):
        prediction_speed.seconds_of_commands(1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--batch_sizes=64,"], "Error: --batch_sizes must hold numbers from 1. Received: 64,\n"),
        (["--batch_sizes=0"], "Error: --batch_sizes must hold numbers from 1. Received: 0\n"),
        (["--batch_sizes="], "Error: --batch_sizes must hold numbers from 1. Received: \n"),
        (["photo.jpg"], "Error: Unexpected arguments: photo.jpg; this command takes flags only.\n"),
    ],
)
def test_bad_flags_are_one_line(arguments, message):
    status, _, err = call(prediction_speed.run, *arguments)
    assert (status, err) == (2, message)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model_dir=efficientnet"], "Error: This must be a preset, one of "),
        (
            ["--labels_file=nowhere.txt"],
            "Error: `labels_file` must name a file that is there: correct the path. Received: labels_file=",
        ),
        (["--models=l2"], "Error: `model` must be one of "),
    ],
)
def test_missing_models_and_files_are_named(arguments, message):
    status, _, err = call(prediction_speed.run, *arguments, "--starts=0")
    assert status == 1 and message in err.splitlines()[-1]
