"""Processes, figures and tables of the benchmarks."""

import sys

import pytest

from tests.benchmarks import harness


def test_time_and_memory_are_those_of_the_process():
    script = "import time; held = bytearray(b'x') * (200 << 20); time.sleep(0.3); print(len(held))"
    result = harness.run_process([sys.executable, "-c", script])
    assert result["output"] == f"{200 << 20}\n"
    assert 0.3 < result["wall_seconds"] < 20
    assert 200 << 20 < result["peak_bytes"]


def test_failed_process_error_shows_its_output():
    with pytest.raises(harness.TaskError, match="status 3.*\n.*the reason"):
        harness.run_process([sys.executable, "-c", "import sys; print('the reason'); sys.exit(3)"])


def test_a_failed_task_says_why(tmp_path):
    with pytest.raises(harness.TaskError, match="No corpus file matches"):
        harness.run_task("prepare", {"pattern": str(tmp_path / "none.txt"), "work_dir": str(tmp_path)})


def test_missing_trainers_are_skipped(monkeypatch, capsys):
    monkeypatch.setattr(harness.importlib.util, "find_spec", lambda name: None)
    assert harness.chosen_trainers(["devise_tf", "gensim", "fasttext"]) == ["devise_tf"]
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "gensim is not installed and left out; `pip install gensim` brings it.",
        "fasttext is not installed and left out; `pip install fasttext-wheel` brings it.",
    ]
    with pytest.raises(ValueError, match="None of `trainers`"):
        harness.chosen_trainers(["gensim"])
    with pytest.raises(ValueError, match="Received: \\['word2vec'\\]"):
        harness.chosen_trainers(["word2vec"])


def test_figures():
    assert harness.spread([3.0, 1.0, 2.5], ".1f") == "2.5 (1.0 to 3.0)"
    assert harness.spread([1234.0], ",.0f") == "1,234"
    assert harness.spread([], ".1f") == ""
    assert harness.mean_spread([1.0, 2.0, 6.0], ".1f") == "3.0 (1.0 to 6.0)"
    assert harness.markdown_table(["", "words/s"], [["a", "1"], ["long name", "22"]]) == (
        "|           | words/s |\n| --------- | ------: |\n| a         |       1 |\n| long name |      22 |"
    )
