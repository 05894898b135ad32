"""What `python -m devise_tf.predict` answers about photos, and in which form."""

import csv
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest

from devise_tf import answer_printer
from tests.helpers import commands
from tests.helpers.tiny_model_dir import LABELS, photo

NOUNS = """  1 This software and database is being provided to you
02124272 05 n 02 cat 0 true_cat 0 000 | feline mammal
02391049 05 n 01 zebra 0 000 | any of several fleet black-and-white striped African equines
02403454 05 n 02 cow 0 moo-cow 0 000 | female of domestic cattle
"""


def expected(predictors, tiny_model_dir, path, labels=None, k=5, model=None):
    return predictors(tiny_model_dir, model).predict_labels(path, labels, k)[0]


def test_table(call, folder, predictors, tiny_model_dir):
    status, out, err = call("a.jpg", "b.png", "--k=2")
    assert (status, err) == (0, "")
    lines = []
    for path in ("a.jpg", "b.png"):
        answers = expected(predictors, tiny_model_dir, path, k=2)
        width = max(len(answer.label) for answer in answers)
        lines += [path, *(f"  {answer.label:<{width}}  {answer.score:7.3f}" for answer in answers)]
    assert out.splitlines() == lines


def test_k_above_the_number_of_labels_answers_all(call, folder):
    status, out, err = call("a.jpg", "--k=2147483648")
    assert (status, err) == (0, "") and len(out.splitlines()) == 1 + len(LABELS)


def test_labels_with_equal_names_show_their_ids(call, folder):
    Path("labels.txt").write_text("n1\tcat\nn2\tdog\nn3\tcat, tom\n")
    status, out, _ = call("a.jpg", "--labels_file=labels.txt")
    rows = {line.rsplit(maxsplit=1)[0].strip() for line in out.splitlines()[1:]}
    assert status == 0 and rows == {"cat (n1)", "cat (n3)", "dog"}


def test_json(call, folder, predictors, tiny_model_dir):
    status, out, err = call("a.jpg", "nowhere.jpg", "c.jpg", "--format=json", "--labels=polar bear, Café ,")
    assert (status, err) == (1, "Error: nowhere.jpg: No such file or directory\n")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["file"] for row in rows] == ["a.jpg", "nowhere.jpg", "c.jpg"]
    assert rows[1] == {"file": "nowhere.jpg", "error": "No such file or directory"}
    for row in (rows[0], rows[2]):
        answers = expected(predictors, tiny_model_dir, row["file"], ["polar bear", "Café"])
        assert [(entry["label"], entry["id"]) for entry in row["labels"]] == [(a.label, a.id) for a in answers]
        assert [entry["score"] for entry in row["labels"]] == pytest.approx([a.score for a in answers], abs=1e-6)
    assert '"Café"' in out


def test_csv(call, folder, predictors, tiny_model_dir):
    Path("bad, really.png").write_bytes(b"no image")
    status, out, err = call("bad, really.png", "b.png", "--format=csv", "--model=softmax", "--k=3")
    assert status == 1 and err.startswith("Error: bad, really.png: it is not a JPEG")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert rows[0]["file"] == "bad, really.png" and rows[0]["error"].startswith("it is not a JPEG")
    assert rows[0]["label"] == rows[0]["rank"] == rows[0]["score"] == ""
    answers = expected(predictors, tiny_model_dir, "b.png", k=3, model="softmax")
    assert [(row["file"], row["rank"], row["label"], row["id"], row["error"]) for row in rows[1:]] == [
        ("b.png", str(rank), answer.label, answer.id, "") for rank, answer in enumerate(answers, start=1)
    ]
    assert [float(row["score"]) for row in rows[1:]] == pytest.approx([a.score for a in answers], rel=1e-6)


def test_folders_patterns_and_standard_input_name_photos(call, folder, predictors, tiny_model_dir):
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
    assert [a["label"] for a in answers] == [a.label for a in expected(predictors, tiny_model_dir, photo(1))]
    status, out, err = call("empty", "a.jpg", "-", "--format=json", stdin=b"")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["file"] for row in rows] == ["empty", "a.jpg", "-"]
    assert rows[0]["error"].startswith("no photo is below this folder (.jpg, ")
    assert rows[2]["error"] == "it is empty, and no photo. Received: 0 bytes"
    assert status == 1 and err.splitlines()[1] == "Error: -: it is empty, and no photo. Received: 0 bytes"
    status, out, err = call("empty")
    assert (status, out) == (1, "") and err.startswith("Error: empty: no photo is below")


def test_undecodable_file_names_are_escaped(call, folder):
    os.rename(b"a.jpg", b"\xff\xe9.jpg")
    os.rename("b.png", "two\nlines, 猫.png")
    names = [os.fsdecode(b"\xff\xe9.jpg"), "two\nlines, 猫.png"]
    status, out, _ = call(*names, "--format=json")
    assert status == 0 and [json.loads(line)["file"] for line in out.splitlines()] == names
    for form in ("table", "csv"):
        status, out, _ = call(*names, f"--format={form}")
        assert status == 0 and r"\udcff\udce9.jpg" in out and "猫" in out


def test_labels_of_files_and_lists_and_what_is_ignored(call, folder):
    Path("dict").mkdir()
    Path("dict", "data.noun").write_text(NOUNS)
    Path("labels.csv").write_text('label,name\nx1,"cat;kitty"\nx2,yeti\n')
    line = "labels.csv: 2 labels; columns, ids in 'label', terms in 'name'\n"
    for arguments, ids, said, unknown in (
        (["--candidates=wordnet:dict"], {"n02124272": "cat", "n02391049": "zebra"}, "", "n02403454 (cow)"),
        (["--labels_file=labels.csv"], {"x1": "cat"}, line, "x2 (yeti)"),
        (["--labels=dog,yeti,🐱"], {"dog": "dog"}, "", "yeti, 🐱"),
    ):
        status, out, err = call("a.jpg", *arguments, "--format=json")
        assert {a["id"]: a["label"] for a in json.loads(out)["labels"]} == ids
        assert (status, err) == (0, f"{said}Ignored labels unknown to devise: {unknown}\n")
    status, out, err = call("a.jpg", "--labels=Zebra,dog,zebra,DOG")
    assert (status, err) == (0, "Ignored duplicates: zebra, DOG\n")
    # Of ImageNet's labels the few words of this run make some; the others are counted.
    for name, number in (("imagenet1k", 1000), ("imagenet21k", 21_841)):
        status, out, err = call("a.jpg", f"--candidates={name}", "--format=json", "--k=50")
        known = [a["label"] for a in json.loads(out)["labels"]]
        assert status == 0 and "zebra" in known and len(known) < 50
        assert err.endswith(f" and {number - len(known) - 20} more\n") and err.count("(") >= 20


def test_embeddings(call, folder, predictors, tiny_model_dir):
    Path("out.npz").write_bytes(b"old")
    status, out, _ = call("a.jpg", "bad.jpg", "b.png", "c.jpg", "--embeddings=out.npz", "--batch_size=2")
    assert status == 1 and [line for line in out.splitlines() if line[0] != " "] == ["a.jpg", "b.png", "c.jpg"]
    with np.load("out.npz") as saved:  # without pickle
        names, embeddings = saved["names"], saved["embeddings"]
    assert names.tolist() == ["a.jpg", "b.png", "c.jpg"] and embeddings.dtype == np.float32
    np.testing.assert_allclose(embeddings, predictors(tiny_model_dir).embed(["a.jpg", "b.png", "c.jpg"]), atol=1e-6)
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
