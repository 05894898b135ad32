"""The command `python -m devise_tf.vectors`, as those who use it see it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from devise_tf import vectors as command
from devise_tf.text import load_vectors, save_vectors
from devise_tf.text.npz_vectors import load_npz, save_npz
from tests.helpers import commands

ROOT = Path(__file__).resolve().parents[1]
TERMS = ["the", "cat", "dog", "snow_leopard", "snow", "leopard", "tiger", "red", "fox"]
LABELS = "n1\tsnow leopard, ounce\nn2\tred fox\nn3\tokapi\nn4\tcat\nn5\tfelis, tiger\nn6\tdog\n"
HIERARCHY = (
    "thing animal\nanimal feline\nanimal canine\nfeline n1\ncanine n2\nfeline n4\nfeline n5\ncanine n6\nanimal n3\n"
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    values = np.random.default_rng(0).normal(size=(len(TERMS), 6))
    save_vectors("vectors.bin", TERMS, values, "word2vec_binary")
    Path("labels.txt").write_text(LABELS)
    Path("hierarchy.txt").write_text(HIERARCHY)
    Path("vocabulary.txt").write_text("".join(f"{term}\t{20 - i}\n" for i, term in enumerate(TERMS)))
    return tmp_path


def call(*arguments):
    """Runs the command in this process; returns what it printed."""
    status, out, err = commands.call(command.run, *arguments)
    assert status == 0, err
    return out


def start(*arguments, cwd, code=None):
    run = ["-c", code] if code else ["-m", "devise_tf.vectors"]
    return subprocess.run(
        [sys.executable, *run, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("arguments", [["--help"], ["nearest", "cat", "snow tiger", "--vectors=vectors.bin"]])
def test_help_and_neighbors_need_no_tensorflow(folder, arguments):
    code = (
        "import runpy, sys\n"
        "try:\n    runpy.run_module('devise_tf.vectors', run_name='__main__', alter_sys=True)\n"
        "finally:\n    print('imported', 'tensorflow' in sys.modules, 'keras' in sys.modules)"
    )
    done = start(*arguments, cwd=folder, code=code)
    assert "imported False False" in done.stdout and done.stderr == ""
    if arguments == ["--help"]:
        for name in command.COMMANDS:
            assert f"python -m devise_tf.vectors {name}" in done.stdout
        assert "--restrict: nearest, analogy, evaluate" in done.stdout


@pytest.mark.parametrize(
    ("status", "arguments", "error"),
    [
        (2, [], "Error: The first argument must be one of nearest, similarity, "),
        (2, ["neighbours", "cat"], "Received: 'neighbours'\n"),
        (1, ["nearest", "cta", "--vectors=vectors.bin"], "Error: 'cta' is not among the 9 terms"),
        (1, ["nearest", "cat", "--vectors=nothing.bin"], "Error: There is no such vector file"),
        (1, ["nearest", "cat", "--vectors=a", "--model_dir=b"], "Error: Give --vectors or --model_dir, not both."),
        (2, ["nearest", "cat", "--k=0"], "Error: flag --k=0: 0 is not a positive integer"),
    ],
)
def test_errors_are_one_line(folder, status, arguments, error):
    outcome = commands.call(command.run, *arguments)
    assert outcome.status == status and error in outcome.err and outcome.err.count("\n") == 1
    assert outcome.out == ""


def test_bad_rows_are_left_out_with_a_line_and_stop_the_command_above_the_limit(folder):
    # White space and a vector that is none, as in published files; the terms that remain are those of the folder.
    values = load_vectors("vectors.bin")[1]
    lines = [f"{term} {' '.join(map(repr, row))}" for term, row in zip(TERMS, values.tolist(), strict=True)]
    Path("bad.txt").write_text("\n".join([*lines[:2], "\u00a0 1 2 3 4 5 6", "sun 1 2 nan 4 5 6", *lines[2:], ""]))
    done = start("nearest", "cat", "--vectors=bad.txt", cwd=folder)
    assert done.returncode == 0 and done.stdout == call("nearest", "cat", "--vectors=vectors.bin")
    assert re.fullmatch(
        r"Warning: Not all of 'bad.txt' can be read, 2 bad rows: .*line 3 .*line 4, .*'sun'.*\n", done.stderr
    )
    commands_of_all = [
        ("similarity", "cat", "dog"), ("analogy", "cat", "dog", "fox"), ("nearest", "cat"),
        ("coverage", "--labels_file=labels.txt"), ("projector", "--limit=3", "--output=out"),
        ("projector", "--labels_file=labels.txt", "--output=out"), ("convert", "bad.txt", "out.bin", "--limit=4"),
        ("plot", "--labels_file=labels.txt", "--hierarchy=hierarchy.txt", "--output=a.png"),
        ("convert", "bad.txt", "out.npz"), ("convert", "bad.txt", "out.vec", "--labels_file=labels.txt"),
    ]  # fmt: skip
    for arguments in commands_of_all:
        source = [] if arguments[0] == "convert" else ["--vectors=bad.txt"]
        with pytest.warns(UserWarning, match="line 3 is nothing but white space"):
            call(*arguments, *source)
        status, _, err = commands.call(command.run, *arguments, *source, "--max_bad_rows=0")
        assert status == 1 and "`max_bad_rows` allows 0" in err and "bad.txt" in err


def test_nearest_similarity_analogy(folder):
    out = call("nearest", "Snow Leopard", "snow tiger", "--model_dir=.", "--k=2").splitlines()
    assert out[0] == "Snow Leopard (snow_leopard)" and out[3] == "snow tiger (composed of snow + tiger)"
    assert len(out) == 6 and all(len(line.split()) == 2 for line in out[1:3] + out[4:])
    assert call("similarity", "cat", "CAT", "--vectors=vectors.bin") == "cat (cat)\nCAT (cat)\ncosine 1.000\n"
    out = call("analogy", "cat", "dog", "fox", "--vectors=vectors.bin", "--k=3", "--restrict=8").splitlines()
    assert out[0] == "cat is to dog as fox is to" and len(out) == 4


def test_evaluate(folder):
    os.mkdir("bench")
    for name in ("wordsim353.tsv", "simlex999.txt"):
        Path("bench", name).write_text("cat\tdog\t9\nsnow\tred\t2\nfox\ttiger\t5\nno\tcat\t1\n")
    Path("bench", "questions-words.txt").write_text(": family\ncat dog snow leopard\ncat dog no leopard\n")
    out = call("evaluate", "--vectors=vectors.bin", "--benchmarks=bench", "--output=metrics.json")
    metrics = json.loads(Path("metrics.json").read_text())
    assert metrics["terms"] == 9 and metrics["dimension"] == 6
    assert f"{metrics['simlex999']['spearman']:.3f}" in out
    assert metrics["analogies"]["total"]["covered"] == 1 and metrics["analogies"]["total"]["questions"] == 2


def test_coverage(folder):
    out = call("coverage", "--model_dir=.", "--output=coverage.json")
    assert out.splitlines()[-1] == "Missing: n3 (okapi)"
    result = json.loads(Path("coverage.json").read_text())
    assert result == {
        "first_whole": ["n1", "n4", "n6"], "other_whole": ["n5"], "composed": ["n2"], "missing": ["n3"], "folded": [],
    }  # fmt: skip


def test_convert(folder):
    assert call("convert", "vectors.bin", "all.glove").startswith("all.glove: 9 terms, dimension 6, glove, ")
    np.testing.assert_array_equal(load_vectors("all.glove")[1], load_vectors("vectors.bin")[1])
    out = call("convert", ".", "slice.npz", "--labels_file=labels.txt")
    assert out.startswith("5 of 6 labels have a vector there.\nslice.npz: 6 terms")
    terms, _, counts = load_npz("slice.npz")
    assert terms == ["snow_leopard", "red", "fox", "cat", "tiger", "dog"]
    assert counts.tolist() == [20 - TERMS.index(term) for term in terms]
    call("convert", "vectors.bin", "first.npz", "--limit=3")
    assert load_npz("first.npz")[0] == TERMS[:3] and load_npz("first.npz")[2] is None
    Path("terms.txt").write_text("Snow leopard\ncat\t7\nnosuch\n")
    out = call("convert", "vectors.bin", "some", "--format=word2vec_text", "--terms=terms.txt")
    assert out.startswith("2 of 3 terms have a vector there.") and load_vectors("some")[0] == ["snow_leopard", "cat"]


def test_packaged_vectors_are_the_default(folder, monkeypatch):
    (folder / "package" / "skip_gram").mkdir(parents=True)
    save_npz("package/skip_gram/small.npz", *load_vectors("vectors.bin"))
    monkeypatch.setattr("devise_tf.packaged.models_folder", lambda: folder / "package")
    assert call("nearest", "cat") == call("nearest", "cat", "--vectors=small")
    save_npz("package/skip_gram/other.npz", *load_vectors("vectors.bin"))
    status, _, err = commands.call(command.run, "nearest", "cat")
    assert status == 1 and "comes with other, small" in err


def test_projector(folder):
    assert "5 vectors" in call("projector", "--model_dir=.", "--output=out")
    lines = [line.split("\t") for line in Path("out/metadata.tsv").read_text().splitlines()]
    assert lines[0] == ["term", "label", "group", "ancestor 1", "ancestor 2", "ancestor 3"]
    assert ["red fox", "n2", "canine", "canine", "", ""] in lines
    call("projector", "--vectors=vectors.bin", "--limit=4", "--output=out")
    assert Path("out/metadata.tsv").read_text().splitlines() == TERMS[:4]


def test_plot(folder):
    assert call("plot", "--model_dir=.", "--output=a.png") == "a.png: 5 label vectors in 2 groups\n"
    assert Path("a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["similarity", "cat"], "similarity takes 2 arguments"),
        (["nearest", "--vectors=vectors.bin"], "nearest takes at least one argument"),
        (["nearest", "cat", "--seed=1"], "nearest takes --k, .*--model_dir, .* only. Received: --seed"),
        (["convert", "vectors.bin", "out.npz", "--k=3"], "Received: --k"),
        (["convert", "vectors.bin", "out"], "must end in .bin, "),
        (["convert", "vectors.bin", "out.npz", "--terms=a", "--labels_file=b"], "--terms or --labels_file, not both"),
        (["coverage", "--vectors=vectors.bin"], "needs the labels"),
        (["plot", "--vectors=vectors.bin", "--labels_file=labels.txt", "--output=a.png"], "give --hierarchy=FILE"),
        (["plot", "--model_dir=.", "--output=a.jpg"], "must name a .png file"),
        (["plot", "--model_dir=."], "with --output"),
        (["projector", "--labels_file=labels.txt", "--limit=3", "--output=o", "--vectors=vectors.bin"], "or --limit"),
        (["evaluate", "--vectors=vectors.bin", "--benchmarks=nothing"], "lacks wordsim353.tsv"),
        (["nearest", "cat", "--model_dir=nothing"], "holds no vectors.bin"),
    ],
)
def test_errors_name_what_is_wrong_and_write_nothing(folder, arguments, error):
    before = sorted(os.listdir())
    status, out, err = commands.call(command.run, *arguments)
    assert status in (1, 2) and out == "" and re.search(error, err.splitlines()[-1])
    assert sorted(os.listdir()) == before
