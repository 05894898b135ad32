"""How `python -m devise_tf.predict` is called: its help, wrong usage, pipes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from devise_tf import predict as command
from tests.helpers.tiny_model_dir import photo

ROOT = Path(__file__).resolve().parents[2]
HELP = """
import runpy, sys, time
sys.argv[1:] = ["--help"]
start = time.monotonic()
try:
    runpy.run_module("devise_tf.predict", run_name="__main__", alter_sys=True)
finally:
    print("imported", "tensorflow" in sys.modules, "keras" in sys.modules, "seconds", time.monotonic() - start)
"""


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
        (["a.jpg", "--labels=okapi,yeti"], "None of these labels is known: none has a vector, nor a"),
        (["a.jpg", "--model=l2"], "`model` must be one of ['softmax', 'devise', 'conse']"),
        (["a.jpg", "--model=softmax", "--labels=zebra"], "None of these labels is known: the softmax has the 4"),
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


@pytest.mark.slow
def test_answers_come_before_the_last_photo_is_read_and_through_pipes(folder, tiny_model_dir):
    """Results come before the last photo is read, from a pipe and to one that is closed early."""
    for number in range(300):
        Path(f"many_{number:03}.png").write_bytes(photo(number, form="PNG"))
    arguments = (f"--model_dir={tiny_model_dir}", "--labels=cat,yeti", "--format=json", "--batch_size=4")
    with start(".", *arguments, cwd=folder) as process:
        first = json.loads(process.stdout.readline())
        process.stdout.close()
        err = process.stderr.read().decode()
    assert process.returncode == 0 and first["file"] == "./a.jpg"
    assert "Traceback" not in err and "Broken" not in err and "Ignored labels unknown to devise: yeti\n" in err
    process = start("a.jpg", "-", f"--model_dir={tiny_model_dir}", "--format=csv", cwd=folder, stdin=subprocess.PIPE)
    out, err = process.communicate(photo(0), timeout=60)
    assert process.returncode == 0 and b"Error" not in err and out.count(b"\n") == 11
