"""The benchmark commands from end to end on a few words, and what their tables say."""

import importlib.util
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from tests.benchmarks import (
    evaluation_size,
    evaluation_speed,
    skip_gram_growth,
    skip_gram_input,
    skip_gram_quality,
    skip_gram_speed,
)
from tests.helpers.commands import call

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
needs_gensim = pytest.mark.skipif(importlib.util.find_spec("gensim") is None, reason="compares with gensim")


def run(script, *arguments):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([ROOT, os.environ.get("PYTHONPATH", "")])}
    return subprocess.run(
        [sys.executable, "-m", f"tests.benchmarks.{script}", *arguments],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture
def corpus(tmp_path):
    """Words of the word-pair benchmarks and of one analogy, at random."""
    rng = np.random.default_rng(0)
    words = np.array("tiger cat dog king queen man woman car train money cash old new smart sea boy girl bread".split())
    path = tmp_path / "text.txt"
    path.write_text("".join(" ".join(line) + "\n" for line in rng.choice(words, (600, 20))))
    return str(path)


def result(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


@pytest.mark.soak
@needs_gensim
def test_speed(corpus, tmp_path):
    output = tmp_path / "speed.json"
    done = run(
        "skip_gram_speed",
        *("--configurations=16x3", "--pairs=2", "--slow_pairs=1", "--words=8000", "--trial_words=2000"),
        *("--trainers=devise_tf,gensim", f"--corpus={corpus}", f"--work_dir={tmp_path}", f"--output={output}"),
    )
    assert done.returncode == 0, done.stderr
    assert "16-D, window 3 a side" in done.stdout and "| devise_tf |" in done.stdout
    measured = result(output)
    assert "skip_gram_speed --configurations=16x3" in measured["machine"]["command"]
    runs = measured["results"][0]["runs"]
    assert [len(runs[name]) for name in ("devise_tf", "gensim")] == [2, 2]
    for name in runs:
        for each in runs[name]:
            assert each["words"] == 8000 and each["words_per_second"] >= 7999 / each["seconds"]
            assert each["peak_bytes"] > 10 << 20


@pytest.mark.soak
@pytest.mark.parametrize("trainer", ["fasttext", "keras"])
def test_speed_of_the_slow_ones(trainer, corpus, tmp_path):
    if trainer == "fasttext":
        pytest.importorskip("fasttext")
    output = tmp_path / "speed.json"
    done = run(
        "skip_gram_speed",
        *("--configurations=16x3", "--pairs=1", "--words=8000", "--gensim_mode=lists", f"--trainers={trainer}"),
        *("--keras_words=6000", f"--corpus={corpus}", f"--work_dir={tmp_path}", f"--output={output}"),
    )
    assert done.returncode == 0, done.stderr
    (each,) = result(output)["results"][0]["runs"][trainer]
    assert each["words_per_second"] > 0 and each["setup_seconds"] >= 0


@pytest.mark.slow
@needs_gensim
def test_whole_run(corpus, tmp_path):
    done = run(
        "skip_gram_speed",
        *("--whole_run", "--configurations=16x3", "--pairs=1", "--trainers=devise_tf,gensim"),
        *(f"--corpus={corpus}", f"--work_dir={tmp_path}"),
    )
    assert done.returncode == 0, done.stderr
    assert "whole first runs" in done.stdout and "times as fast as gensim" in done.stdout


@pytest.mark.soak
@needs_gensim
def test_interrupted_quality_benchmark_resumes(corpus, tmp_path):
    output = tmp_path / "quality.json"
    arguments = [
        *("--dimension=16", "--window=3", "--epochs=1", f"--corpus={corpus}", f"--work_dir={tmp_path}"),
        f"--output={output}",
    ]
    done = run("skip_gram_quality", *arguments, "--seeds=1")
    assert done.returncode == 0, done.stderr
    first = result(output)["runs"]
    # 18 words, all about as frequent: no model of random text can do better than ln 18, nor much worse.
    for trainer in ("devise_tf", "gensim"):
        assert first[trainer][0]["nats"] == pytest.approx(np.log(18), abs=0.1)
    assert first["devise_tf"][0]["held_out_pairs"] == first["gensim"][0]["held_out_pairs"] > 0
    assert first["devise_tf"][0]["wordsim353_coverage"] == first["gensim"][0]["wordsim353_coverage"] > 0
    again = run("skip_gram_quality", *arguments, "--seeds=1,2", "--shuffle")
    assert again.returncode == 0, again.stderr
    second = result(output)["runs"]
    shuffled = second.pop("gensim, shuffled")
    assert len(shuffled) == 2 and shuffled[0]["nats"] != second["gensim"][0]["nats"]
    assert [second[trainer][0] for trainer in second] == [first[trainer][0] for trainer in second]  # times as well
    assert [len(second[trainer]) for trainer in second] == [2, 2]
    assert "devise_tf against gensim" in again.stdout


@pytest.mark.soak
def test_growth(tmp_path):
    done = run(
        "skip_gram_growth",
        *("--vocabularies=100,200", "--axes=vocabulary,words", "--corpora=1500,2000", "--vocabulary=200"),
        *("--words=2000", "--dimension=16", "--repeats=1", "--gemm_size=256", "--copy_megabytes=8"),
        f"--work_dir={tmp_path}",
    )
    assert done.returncode == 0, done.stderr
    assert "Growth with vocabulary" in done.stdout and "Growth with words" in done.stdout


@pytest.mark.soak
def test_input(corpus, tmp_path):
    output, labels = tmp_path / "input.json", tmp_path / "labels.txt"
    labels.write_text("n1\tcar train, boy\n")
    arguments = [
        f"--corpus={corpus}",
        f"--work_dir={tmp_path}",
        f"--output={output}",
        f"--labels_file={labels}",
    ]
    done = run("skip_gram_input", "--configurations=16x3", *arguments)
    assert done.returncode == 0, done.stderr
    measured = result(output)
    assert measured["words"] == 12_000 and measured["stages"]["encode"]["terms"] == 19  # "car train" is one
    assert list(measured["stages"]) == ["phrases", "count", "encode"]
    rates = [stage["words_per_second"] for stage in measured["stages"].values()]
    rates += measured["configurations"][0]["windows"].values()
    assert len(rates) == 5 and min(rates) > 0
    assert "| training, 16-D, window 3 " in done.stdout
    assert skip_gram_input.together([2.0, 2.0]) == 1.0


@pytest.mark.soak
def test_evaluation_speed(tmp_path):
    output = tmp_path / "speed.json"
    done = run(
        "evaluation_speed",
        *("--seen=6", "--unseen=4", "--count=40", "--visual_model=resnet_micro", "--image_size=16"),
        *("--resize_size=18", "--photo_size=20", "--batch_sizes=8", "--rounds=2", f"--output={output}"),
    )
    assert done.returncode == 0, done.stderr
    measured = result(output)["images_per_second"]
    assert list(measured) == ["one model, batches of 8", "three models, batches of 8"]
    for rates in measured.values():
        assert {name: len(each) for name, each in rates.items()} == {"bare": 2, "evaluate": 2, "decoding": 2}
        assert min(rates["bare"] + rates["decoding"]) > 0  # of so few images the evaluation's rate is noise
    assert "evaluate / bare" in done.stdout


@pytest.mark.soak
def test_evaluation_size(tmp_path):
    output = tmp_path / "size.json"
    done = run(
        "evaluation_size",
        *("--images=200", "--candidates=60", "--seen=30", "--models=softmax,devise,random", "--k=1,5"),
        *("--batch_size=16", "--samples=2", f"--output={output}"),
    )
    assert done.returncode == 0, done.stderr
    measured = result(output)
    assert measured["seconds_per_1000_images"] == pytest.approx(5 * measured["stages"]["evaluate"]["seconds"])
    assert set(measured["report_bytes"]) == {"index.html", "metrics.json", "tables.md"}
    assert "| writing " in done.stdout and "s for 1,000 images" in done.stdout


def test_evaluation_speed_is_compared_within_rounds():
    rates = {"bare": [10.0, 20.0, 40.0], "evaluate": [9.0, 10.0, 38.0], "decoding": [50.0, 60.0, 70.0]}
    table = evaluation_speed.table({"one model, batches of 8": rates})
    assert "| one model, batches of 8 |             60 |            20 |       10 | 0.900 (0.500 to 0.950) |" in table


@pytest.mark.parametrize(
    "script, arguments, message",
    [
        (skip_gram_speed, [], "`corpus` must name text"),
        (skip_gram_speed, ["--corpus=x", "--configurations=100"], "Received: '100'"),
        (skip_gram_input, [], "`corpus` must name text"),
        (skip_gram_growth, ["--axes=depth"], "Received: 'depth'"),
        (skip_gram_quality, ["--corpus=x", "--seeds=a"], "Received: seeds=\\['a'\\]"),
        (evaluation_size, ["--seen=50", "--candidates=50"], "--seen must be below --candidates. Received: 50 and 50"),
        (evaluation_size, ["--models=softmax,best"], "--models must be out of .* Received: --models=softmax,best"),
        (evaluation_speed, ["--batch_sizes=64,"], "--batch_sizes must hold numbers from 1. Received: 64,"),
    ],
)
def test_bad_flags_are_one_line(script, arguments, message, tmp_path):
    work_dir = [] if "evaluation" in script.__name__ else [f"--work_dir={tmp_path}"]
    status, _, err = call(script.run, *arguments, *work_dir)
    assert status == 2 and err.count("\n") == 1
    assert re.search(message, err)


def test_ratios_are_taken_within_pairs():
    runs = {
        "devise_tf": [{"words_per_second": 4.0}, {"words_per_second": 9.0}],
        "gensim": [{"words_per_second": 2.0}, {"words_per_second": 3.0}],
        "fasttext": [{"words_per_second": 1.0}, None],
    }
    assert skip_gram_speed.ratios(runs, "devise_tf", "gensim") == [2.0, 3.0]
    assert skip_gram_speed.ratios(runs, "devise_tf", "fasttext") == [4.0]


def test_order_alternates():
    trainers = ["devise_tf", "keras", "gensim"]
    assert skip_gram_speed.in_order(trainers, 0) == ["devise_tf", "gensim", "keras"]
    assert skip_gram_speed.in_order(trainers, 1) == ["gensim", "devise_tf", "keras"]


def test_verdicts():
    assert skip_gram_quality.verdict([0.6, 0.7], [0.6, 0.6], 1) == "equal or better"
    assert skip_gram_quality.verdict([0.5, 0.62], [0.6, 0.7], 1) == "within the spread"
    assert skip_gram_quality.verdict([0.5, 0.55], [0.6, 0.7], 1) == "worse"
    assert skip_gram_quality.verdict([7.0, 7.1], [7.2, 7.3], -1) == "equal or better"
    assert skip_gram_quality.verdict([7.4, 7.5], [7.2, 7.3], -1) == "worse"


def test_shares_of_a_limit():
    runs = [{"stats": {"flops": 50e9}, "seconds": 1.0}, {"stats": {"flops": 50e9}, "seconds": 2.0}]
    assert skip_gram_growth.share_of(runs[:1], "flops", 100.0) == "50%"
    assert skip_gram_growth.share_of(runs, "bytes", 100.0) == ""
