"""The benchmark of converted files."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.benchmarks import convert as benchmark
from tests.helpers.conversions import needs_litert, needs_onnx
from tests.helpers.tiny_model_dir import photo

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def test_measures_of_the_benchmark():
    """Two labels on the axes: the second model turns the first of two images from one label to the other."""
    matrix = np.eye(2, dtype=np.float32)
    first = np.array([[0.8, 0.6], [0.0, 1.0]], np.float32)
    second = np.array([[0.6, 0.8], [0.0, 1.0]], np.float32)
    models = {"first": lambda pixels: first[pixels], "second": lambda pixels: second[pixels]}
    batches = [(np.array([0]), np.array([0])), (np.array([1]), np.array([1]))]
    result = benchmark.measure(models, batches, matrix)
    assert result["first"] == pytest.approx(
        {"max_difference": 0.0, "mean_cosine": 1.0, "least_cosine": 1.0, "same_label": 1.0, "hit@1": 1.0}
    )
    # The cosine of the first image: 0.8 * 0.6 + 0.6 * 0.8 = 0.96.
    assert result["second"] == pytest.approx(
        {"max_difference": 0.2, "mean_cosine": 0.98, "least_cosine": 0.96, "same_label": 0.5, "hit@1": 0.5}
    )


def test_models_are_timed_in_turns():
    calls = []
    models = {name: lambda pixels, name=name: calls.append((name, pixels.shape)) for name in "ab"}
    times = benchmark.milliseconds(models, [np.zeros((4, 4, 3))], rounds=2)
    assert [name for name, _ in calls] == ["a", "b", "a", "b", "b", "a"]
    assert {shape for _, shape in calls} == {(1, 4, 4, 3)}
    assert [len(times[name]) for name in "ab"] == [2, 2]


def run_benchmark(*arguments):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([ROOT, os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "tests.benchmarks.convert", *arguments]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.mark.soak
@needs_litert
@needs_onnx
def test_benchmark_measures_every_form(tiny_export, tmp_path):
    for seed, (split, count) in enumerate((("train", 6), ("val", 3))):
        for label in ("n1", "n3", "n5", "n9"):  # the export does not answer the last
            folder = tmp_path / "images" / split / label
            folder.mkdir(parents=True)
            for number in range(count):
                (folder / f"{number}.jpg").write_bytes(photo(seed=100 * seed + 10 * int(label[1]) + number))
    output = tmp_path / "result.json"
    completed = run_benchmark(
        *(f"--export_dir={tiny_export}", f"--images=folder:{tmp_path}/images", "--calibration=20", "--timed=2"),
        *("--rounds=2", "--threads=2", f"--output={output}"),
    )
    assert completed.returncode == 0, completed.stderr
    assert "9 images of" in completed.stdout and "5 labels, int8 calibrated on 20 images" in completed.stdout
    results = json.loads(output.read_text())["results"]
    assert list(results) == ["SavedModel", "LiteRT", "LiteRT int8", "ONNX"]
    for name in ("LiteRT", "ONNX"):
        assert results[name]["max_difference"] < 1e-3 and results[name]["same_label"] == 1
        assert results[name]["hit@1"] == results["SavedModel"]["hit@1"]
    assert results["LiteRT int8"]["mean_cosine"] > 0.95
    assert results["LiteRT int8"]["bytes"] < 0.7 * results["LiteRT"]["bytes"]
    assert all(len(result["milliseconds"]) == 2 and min(result["milliseconds"]) > 0 for result in results.values())


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--images=builtin"], "`export_dir` must be given"),
        (["--export_dir=nowhere"], "`images` must be given"),
    ],
)
def test_benchmark_names_missing_flags(arguments, message):
    completed = run_benchmark(*arguments)
    assert completed.returncode == 2 and message in completed.stderr and "Traceback" not in completed.stderr
