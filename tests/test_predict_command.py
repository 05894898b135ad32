"""The command `python -m devise_tf.predict`, as those who use it see it."""

import csv
import io
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import devise_tf.models
from devise_tf import answer_printer
from devise_tf import predict as command
from devise_tf.images.photo_files import list_photos
from tests.helpers import commands
from tests.helpers.tiny_model_dir import LABELS, make_model_dir, photo

ROOT = Path(__file__).resolve().parents[1]
NAMES = {label: terms[0] for label, terms in LABELS.items()}
HELP = """
import runpy, sys, time
sys.argv[1:] = ["--help"]
start = time.monotonic()
try:
    runpy.run_module("devise_tf.predict", run_name="__main__", alter_sys=True)
finally:
    print("imported", "tensorflow" in sys.modules, "keras" in sys.modules, "seconds", time.monotonic() - start)
"""
NOUNS = """  1 This software and database is being provided to you
02124272 05 n 02 cat 0 true_cat 0 000 | feline mammal
02391049 05 n 01 zebra 0 000 | any of several fleet black-and-white striped African equines
02403454 05 n 02 cow 0 moo-cow 0 000 | female of domestic cattle
"""


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    return make_model_dir(tmp_path_factory.mktemp("predict") / "run")


@pytest.fixture(scope="module")
def predictors(run_dir):
    """Loads each model of the run once."""
    load, loaded = devise_tf.models.load, {}

    def load_once(model_dir, model=None):
        if (model_dir, model) not in loaded:
            loaded[model_dir, model] = load(model_dir, model)
        return loaded[model_dir, model]

    return load_once


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("a.jpg", "b.png", "c.jpg")):
        Path(name).write_bytes(photo(number, form="PNG" if name == "b.png" else "JPEG"))
    return tmp_path


@pytest.fixture
def call(monkeypatch, predictors, run_dir):
    """Runs the command in this process; returns its status and what it printed."""

    def run(*arguments, model_dir=run_dir, stdin=b""):
        monkeypatch.setattr(devise_tf.models, "load", predictors)
        monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(stdin)))
        return commands.call(command.run, *arguments, f"--model_dir={model_dir}")

    return run


def start(*arguments, cwd, code=None, **options):
    run = ["-c", code] if code else ["-m", "devise_tf.predict"]
    environment = {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen(
        [sys.executable, *run, *map(str, arguments)],
        env={**os.environ, **environment},
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def expected(predictors, run_dir, path, labels=None, k=5, model=None):
    return predictors(run_dir, model).predict_labels(path, labels, k)[0]


def test_help_teaches_and_needs_no_tensorflow(tmp_path):
    out, err = (text.decode() for text in start(cwd=tmp_path, code=HELP).communicate(timeout=60))
    assert "imported False False" in out and err == ""
    assert float(out.split()[-1]) < 5  # a fraction of a second where nothing else runs
    assert out.startswith(command.__doc__.split("\n")[0])
    for text in (
        "python -m devise_tf.predict photo.jpg\n",
        '--labels="tabby cat,sports car,snow leopard"',
        "--candidates=imagenet21k",
        "| python -m devise_tf.predict - --format=json",
        "--embeddings: ",
        "--labels_file: ",
        "(default: 'efficientnet_lite0')",
    ):
        assert text in out


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([], "Error: Name at least one photo, and `-` once; --help shows examples. Received: []\n"),
        (["-", "a.jpg", "-"], "Received: ['-', 'a.jpg', '-']\n"),
        (["a.jpg", "--labels=cat", "--labels_file=x"], "Error: Give one list of labels. Received: --labels, --"),
        (["a.jpg", "--labels=", "--candidates=wordnet"], "Received: --labels, --candidates\n"),
        (["a.jpg", "--labels= , "], "Error: `labels` must name at least one label. Received: --labels=' , '\n"),
        (["a.jpg", "--embeddings=nowhere/out.npz"], "`embeddings` must name a file in an existing folder. Received"),
        (["a.jpg", "--embeddings=."], "Received: '.'\n"),
        (["a.jpg", "--candidates=imagenet"], "`candidates` must be one of imagenet1k, imagenet21k, wordnet, wor"),
        (["a.jpg", "--candidates=wordnet:."], "No file `data.noun` of WordNet 3.0 in "),
        (["a.jpg", "--candidates=wordnet:bad"], "bad/data.noun, line 1: expected a synset"),
        (["a.jpg", "--labels_file=none.txt"], "`labels_file` must name a file that is there: correct the path."),
        (["a.jpg", "--labels=okapi,yeti"], "devise knows none of these labels: neither they nor all the words"),
        (["a.jpg", "--model=l2"], "`model` must be one of ['softmax', 'devise', 'conse']"),
        (["a.jpg", "--model=softmax", "--labels=zebra"], "softmax knows none of these labels: it has the 4"),
    ],
    ids=str,
)  # fmt: skip
def test_wrong_usage(call, folder, arguments, error):
    Path("bad").mkdir()
    Path("bad", "data.noun").write_text("entity\n")
    status, out, err = call(*arguments)
    assert status == 2 and out == "" and error in err and err.startswith("Error: ") and err.count("\n") == 1


def test_wrong_model_directory(call, folder):
    for name, error in (("nowhere", "or the model directory of a run"), (".", "must be the directory of a run")):
        status, out, err = call("a.jpg", model_dir=name)
        assert status == 2 and out == "" and error in err


@pytest.mark.parametrize("arguments", [["--format=xml"], ["--k=0"], ["--batch_size=0"], ["--nosuch"]])
def test_wrong_flags(call, arguments):
    status, out, err = call("a.jpg", *arguments)
    assert status == 2 and out == "" and err.startswith("Error: ") and err.count("\n") == 1


def test_old_flag_names_work_and_say_so_once(call, folder):
    new, old = call("a.jpg", "--k=2"), call("a.jpg", "b.png", "--top_k=1", "--top_k", "2")
    assert old.status == 0 and old.out.startswith(new.out) and len(old.out.splitlines()) == 6
    assert old.err == "--top_k is called --k now; the old name still works.\n"
    Path("flags.txt").write_text("--top_k=2\n")
    assert call("a.jpg", "--flagfile=flags.txt") == new


def test_table(call, folder, predictors, run_dir):
    status, out, err = call("a.jpg", "b.png", "--k=2")
    assert (status, err) == (0, "")
    lines = []
    for path in ("a.jpg", "b.png"):
        answers = expected(predictors, run_dir, path, k=2)
        width = max(len(answer.label) for answer in answers)
        lines += [path, *(f"  {answer.label:<{width}}  {answer.score:7.3f}" for answer in answers)]
    assert out.splitlines() == lines


def test_more_labels_asked_for_than_there_are(call, folder):
    status, out, err = call("a.jpg", "--k=2147483648")
    assert (status, err) == (0, "") and len(out.splitlines()) == 1 + len(LABELS)


def test_labels_of_one_name_are_told_apart(call, folder):
    Path("labels.txt").write_text("n1\tcat\nn2\tdog\nn3\tcat, tom\n")
    status, out, _ = call("a.jpg", "--labels_file=labels.txt")
    rows = {line.rsplit(maxsplit=1)[0].strip() for line in out.splitlines()[1:]}
    assert status == 0 and rows == {"cat (n1)", "cat (n3)", "dog"}


def test_json(call, folder, predictors, run_dir):
    status, out, err = call("a.jpg", "nowhere.jpg", "c.jpg", "--format=json", "--labels=polar bear, Café ,")
    assert (status, err) == (1, "Error: nowhere.jpg: No such file or directory\n")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["file"] for row in rows] == ["a.jpg", "nowhere.jpg", "c.jpg"]
    assert rows[1] == {"file": "nowhere.jpg", "error": "No such file or directory"}
    for row in (rows[0], rows[2]):
        answers = expected(predictors, run_dir, row["file"], ["polar bear", "Café"])
        assert [(entry["label"], entry["id"]) for entry in row["labels"]] == [(a.label, a.id) for a in answers]
        assert [entry["score"] for entry in row["labels"]] == pytest.approx([a.score for a in answers], abs=1e-6)
    assert '"Café"' in out


def test_csv(call, folder, predictors, run_dir):
    Path("bad, really.png").write_bytes(b"no image")
    status, out, err = call("bad, really.png", "b.png", "--format=csv", "--model=softmax", "--k=3")
    assert status == 1 and err.startswith("Error: bad, really.png: it is not a JPEG")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert rows[0]["file"] == "bad, really.png" and rows[0]["error"].startswith("it is not a JPEG")
    assert rows[0]["label"] == rows[0]["rank"] == rows[0]["score"] == ""
    answers = expected(predictors, run_dir, "b.png", k=3, model="softmax")
    assert [(row["file"], row["rank"], row["label"], row["id"], row["error"]) for row in rows[1:]] == [
        ("b.png", str(rank), answer.label, answer.id, "") for rank, answer in enumerate(answers, start=1)
    ]
    assert [float(row["score"]) for row in rows[1:]] == pytest.approx([a.score for a in answers], rel=1e-6)


def test_photos(call, folder, predictors, run_dir):
    """Folders with all below them, sorted; patterns; files of any name; the standard input."""
    for name in ("d/z.JPG", "d/e/y.png", "d/.hidden/x.png", "d/._y.png", "d/notes.txt", "d/a/x.webp", "[a].png"):
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo(len(name)))
    Path("empty").mkdir()
    arguments = ("c.jpg", "d", "-", "*.png", "**/y.*", "[a].png", "x*.png", "c.jpg")
    status, out, err = call(*arguments, "--format=json", stdin=photo(1))
    files = [json.loads(line)["file"] for line in out.splitlines()]
    assert files == [
        *("c.jpg", "d/a/x.webp", "d/e/y.png", "d/z.JPG", "-", "[a].png", "b.png", "x*.png"),
    ]
    assert status == 1 and err == "Error: x*.png: No such file or directory\n"
    answers = json.loads(out.splitlines()[4])["labels"]
    assert [a["label"] for a in answers] == [a.label for a in expected(predictors, run_dir, photo(1))]
    status, out, err = call("empty", "a.jpg", "-", "--format=json", stdin=b"")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["file"] for row in rows] == ["empty", "a.jpg", "-"]
    assert rows[0]["error"].startswith("no photo is below this folder (.jpg, ")
    assert rows[2]["error"] == "it is empty, and no photo. Received: 0 bytes"
    assert status == 1 and err.splitlines()[1] == "Error: -: it is empty, and no photo. Received: 0 bytes"
    status, out, err = call("empty")
    assert (status, out) == (1, "") and err.startswith("Error: empty: no photo is below")


@pytest.mark.parametrize(
    ("arguments", "paths", "failed"),
    [
        # Files of folders that `**` went through come once, and texts are no photos.
        (["d/**"], ["d/a/x.webp", "d/e/y.png", "d/z.JPG"], []),
        (["d/**/*"], ["d/a/x.webp", "d/e/y.png", "d/z.JPG"], []),
        (["**"], ["a.jpg", "d/a/x.webp", "d/e/y.png", "d/z.JPG"], []),
        # Folders that another pattern matches are walked, in order.
        (["d/*"], ["d/a/x.webp", "d/e/y.png", "d/z.JPG"], ["d/none"]),
        (["d/[ae]", "d/e", "d/e/y.png", "d/e/*"], ["d/a/x.webp", "d/e/y.png"], []),
        # What is named is tried, once, whatever its ending.
        (["d/notes.txt", "a.jpg", "d/notes.txt", "-", "a.jpg"], ["d/notes.txt", "a.jpg", "-"], []),
        (["*.txt", "d/*.txt", "d/none/**"], ["*.txt"], ["d/*.txt", "d/none/**"]),
    ],
)  # fmt: skip
def test_which_files_are_photos(folder, arguments, paths, failed):
    for name in ("b.png", "c.jpg"):
        os.remove(name)
    for name in ("d/z.JPG", "d/e/y.png", "d/a/x.webp", "d/notes.txt", "d/none/more.txt"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    found, failures = list_photos(arguments)
    assert found == paths
    assert [name for name, _ in failures] == failed and all("no photo " in message for _, message in failures)


def test_names_that_are_no_text(call, folder):
    os.rename(b"a.jpg", b"\xff\xe9.jpg")
    os.rename("b.png", "two\nlines, 猫.png")
    names = [os.fsdecode(b"\xff\xe9.jpg"), "two\nlines, 猫.png"]
    status, out, _ = call(*names, "--format=json")
    assert status == 0 and [json.loads(line)["file"] for line in out.splitlines()] == names
    for form in ("table", "csv"):
        status, out, _ = call(*names, f"--format={form}")
        assert status == 0 and r"\udcff\udce9.jpg" in out and "猫" in out


def test_lists_of_labels(call, folder):
    Path("dict").mkdir()
    Path("dict", "data.noun").write_text(NOUNS)
    Path("labels.csv").write_text('label,name\nx1,"cat;kitty"\nx2,yeti\n')
    for arguments, ids, unknown in (
        (["--candidates=wordnet:dict"], {"n02124272": "cat", "n02391049": "zebra"}, "n02403454 (cow)"),
        (["--labels_file=labels.csv"], {"x1": "cat"}, "x2 (yeti)"),
        (["--labels=dog,yeti,🐱"], {"dog": "dog"}, "yeti, 🐱"),
    ):
        status, out, err = call("a.jpg", *arguments, "--format=json")
        assert {a["id"]: a["label"] for a in json.loads(out)["labels"]} == ids
        assert (status, err) == (0, f"Ignored labels unknown to devise: {unknown}\n")
    status, out, err = call("a.jpg", "--labels=Zebra,dog,zebra,DOG")
    assert (status, err) == (0, "Ignored duplicates: zebra, DOG\n")
    # Of ImageNet's labels the few words of this run make some; the others are counted.
    for name, number in (("imagenet1k", 1000), ("imagenet21k", 21_841)):
        status, out, err = call("a.jpg", f"--candidates={name}", "--format=json", "--k=50")
        known = [a["label"] for a in json.loads(out)["labels"]]
        assert status == 0 and "zebra" in known and len(known) < 50
        assert err.endswith(f" and {number - len(known) - 20} more\n") and err.count("(") >= 20


def test_embeddings(call, folder, predictors, run_dir):
    Path("out.npz").write_bytes(b"old")
    status, out, _ = call("a.jpg", "bad.jpg", "b.png", "c.jpg", "--embeddings=out.npz", "--batch_size=2")
    assert status == 1 and [line for line in out.splitlines() if line[0] != " "] == ["a.jpg", "b.png", "c.jpg"]
    with np.load("out.npz") as saved:  # without pickle
        names, embeddings = saved["names"], saved["embeddings"]
    assert names.tolist() == ["a.jpg", "b.png", "c.jpg"] and embeddings.dtype == np.float32
    np.testing.assert_allclose(embeddings, predictors(run_dir).embed(["a.jpg", "b.png", "c.jpg"]), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-6)
    assert sorted(os.listdir()) == ["a.jpg", "b.png", "c.jpg", "out.npz"]
    status, _, _ = call("bad.jpg", "--embeddings=out.npz")
    with np.load("out.npz") as saved:
        assert status == 1 and saved["names"].shape == (0,) and len(saved["embeddings"]) == 0


def test_batches_answer_alike(call, folder):
    Path("bad.png").write_bytes(b"no image")
    whole = call("a.jpg", "bad.png", "b.png", "bad.png", "c.jpg", "--format=csv")
    for size in (1, 2, 3):
        status, out, err = call("a.jpg", "bad.png", "b.png", "bad.png", "c.jpg", "--format=csv", f"--batch_size={size}")
        assert (status, err) == (whole[0], whole[2])
        for row, same in zip(csv.DictReader(io.StringIO(out)), csv.DictReader(io.StringIO(whole[1])), strict=True):
            assert {**row, "score": ""} == {**same, "score": ""}
            assert not row["score"] or float(row["score"]) == pytest.approx(float(same["score"]), abs=1e-5)


def test_progress(call, folder, monkeypatch):
    status, _, err = call("a.jpg", "b.png", "--batch_size=1")
    assert err == ""
    monkeypatch.setattr(answer_printer, "_LONG_LIST", 3)
    monkeypatch.setattr(answer_printer, "_SECONDS", 0)
    _, _, err = call("a.jpg", "b.png", "c.jpg", "--batch_size=1")
    assert [line.split(",")[0] for line in err.splitlines()] == [f"{n} of 3 photos" for n in (1, 2, 3)]

    class Terminal(commands.Stream):
        def isatty(self):
            return True

    monkeypatch.setattr(commands, "Stream", Terminal)
    status, out, shown = call("a.jpg", "bad.jpg", "c.jpg", "--batch_size=1", "--format=json")
    assert status == 1 and len(out.splitlines()) == 3
    assert "\r[==========                    ] 1 of 3 photos, " in shown
    # The bar is taken away before a line, and at the end.
    last = shown.split("Error: ")[0].rsplit("\r", 1)
    assert last[1] == "" and last[0].rsplit("\r", 1)[1].strip() == ""
    assert shown.endswith("\r") and shown.rstrip("\r").rsplit("\r", 1)[1].strip() == ""


@pytest.mark.slow
def test_the_command_itself(folder, run_dir):
    """Results come before the last photo is read, from a pipe and to one that is closed early."""
    for number in range(300):
        Path(f"many_{number:03}.png").write_bytes(photo(number, form="PNG"))
    arguments = (f"--model_dir={run_dir}", "--labels=cat,yeti", "--format=json", "--batch_size=4")
    with start(".", *arguments, cwd=folder) as process:
        first = json.loads(process.stdout.readline())
        process.stdout.close()
        err = process.stderr.read().decode()
    assert process.returncode == 0 and first["file"] == "./a.jpg"
    assert "Traceback" not in err and "Broken" not in err and "Ignored labels unknown to devise: yeti\n" in err
    process = start("a.jpg", "-", f"--model_dir={run_dir}", "--format=csv", cwd=folder, stdin=subprocess.PIPE)
    out, err = process.communicate(photo(0), timeout=60)
    assert process.returncode == 0 and b"Error" not in err and out.count(b"\n") == 11
