"""The command line, and errors as those who use it see them."""

import importlib
import os
import subprocess
import sys

import pytest

from devise_tf import train as command
from devise_tf.config import Config
from devise_tf.packaged import packaged_files
from devise_tf.training import make_strategy, train
from tests.helpers import tiny_run
from tests.helpers.commands import call
from tests.helpers.tiny_run import SEEN, read_metrics, settings


def start_run(config):
    return train(Config(**config), make_strategy())


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return tiny_run.make_inputs(tmp_path_factory.mktemp("inputs"))


def test_help_is_the_documentation_and_needs_no_tensorflow(tmp_path):
    code = (
        "import runpy, sys\nsys.argv[1:] = ['--help']\n"
        "try:\n    runpy.run_module('devise_tf.train', run_name='__main__', alter_sys=True)\n"
        "finally:\n    print('imported', 'tensorflow' in sys.modules, 'keras' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=tiny_run.environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "imported False False" in done.stdout
    assert done.stdout.startswith(command.__doc__.split("\n")[0])
    assert "python -m devise_tf.train --recipe=quickstart" in done.stdout
    for name, default in (("--margin: Margin of the hinge rank loss", "0.1"), ("--recipe", None), ("--corpus", "")):
        assert name in done.stdout
        assert default is None or f"(default: '{default}')" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([], "Error: `model_dir` must name a directory. Received: model_dir=''\n"),
        (["--recipe=none"], "Error: --recipe must be one of ['"),
        (["--recipe", "quickstart"], "Error: Join the recipe's name with '=': --recipe=quickstart\n"),
        (["corpus.txt"], "Error: Unexpected arguments: corpus.txt; this command takes flags only.\n"),
        (["--nosuch=1"], "Error: Unknown command line flag 'nosuch'"),
    ],
)
def test_errors_of_flags_are_one_line(tmp_path, monkeypatch, arguments, error):
    monkeypatch.chdir(tmp_path)
    status, _, stderr = call(command.run, *arguments)
    assert status == 2
    assert error in stderr and stderr.count("\n") == 1
    assert os.listdir(tmp_path) == []


def test_preset_is_the_old_name_of_recipe():
    status, _, stderr = call(command.run, "--preset=none")
    said, error = stderr.splitlines()
    assert status == 2 and said == "--preset is called --recipe now; the old name still works."
    assert error.startswith("Error: --recipe must be one of ['")


def test_recipes_are_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = command.with_recipe(["--recipe=quickstart", "--seed=3"])
    assert arguments[1:] == ["--seed=3"]
    path = arguments[0].removeprefix("--flagfile=")
    assert os.path.isabs(path)
    known = {field for field in Config.__dataclass_fields__}
    for path in packaged_files("recipe").values():
        with open(path) as file:
            names = {line.partition("=")[0][2:].strip() for line in file if line.startswith("--")}
        assert names and names <= known, path


@pytest.mark.slow
def test_flagfile_of_a_run_repeats_and_resumes_it(inputs, tmp_path, monkeypatch):
    """`flags.txt` starts the run again, which finds all done; it starts the same run elsewhere, too."""
    config = settings(inputs, tmp_path / "run", phase="skip_gram")
    start_run(config)
    again = [f"--flagfile={tmp_path}/run/flags.txt", "--phase=skip_gram", "--verbose=0", "--log_every=1"]
    monkeypatch.chdir(tmp_path)
    status, _, stderr = call(command.run, *again, f"--model_dir={tmp_path}/run", "--seed=1")
    assert status == 1
    assert "holds a run with other flags: --seed=0 (now --seed=1). Repeat" in stderr.splitlines()[-1]
    assert stderr.splitlines()[-1].startswith("Error: ") and "Traceback" not in stderr
    done = subprocess.run(
        [sys.executable, "-m", "devise_tf.train", *again, f"--model_dir={tmp_path}/copy"],
        env=tiny_run.environment(TF_CPP_MIN_LOG_LEVEL="3"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=tiny_run.SECONDS,
    )
    assert done.returncode == 0, done.stderr
    assert read_metrics(tmp_path / "copy") == read_metrics(config["model_dir"])
    status, _, stderr = call(command.run, *again, f"--model_dir={tmp_path}/run")
    assert status == 0, stderr
    assert read_metrics(tmp_path / "copy") == read_metrics(config["model_dir"])


def change_images(directory, change):
    """New inputs whose image folder `change` has been at."""
    directory.mkdir()
    inputs = tiny_run.make_inputs(directory)
    change(directory / "images" / "train")
    return inputs


def keep_one_label(root):
    for label in os.listdir(root):
        if label != "cat":
            os.rename(root / label, root.parent / label)


def empty_six_files(root):
    for path in list((root / "cat").iterdir())[:6]:
        path.write_bytes(b"")


def write(path, text):
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda i, d: {"corpus": f"{d}/none*.txt"}, "none"),
        (lambda i, d: {"corpus": write(d / "empty.txt", "")}, "empty"),
        (lambda i, d: {"corpus": write(d / "one.txt", "word word word\n"), "images": ""}, "two terms|at least 2|two"),
        (lambda i, d: {"unseen_labels": write(d / "unseen.txt", "fox\nunicorn\n")}, "unicorn"),
        (lambda i, d: {"unseen_labels": write(d / "unseen.txt", "\n".join(SEEN))}, "at least two labels"),
        (lambda i, d: {"labels_file": write(d / "labels.txt", "cat\tcat\nfox\tfox\n")}, "dog"),
        (lambda i, d: {"labels_file": f"{d}/none.txt"}, "none.txt"),
        (lambda i, d: {"images": "folder:" + str(d / "none")}, "does not exist"),
        (lambda i, d: {"images": change_images(d / "x", keep_one_label)["images"]}, "at least two labels"),
        (lambda i, d: {"hierarchy": f"{d}/none.txt"}, "none.txt"),
        (lambda i, d: {"phase": "devise"}, "vectors.bin is missing: run --phase=skip_gram in that directory first"),
        (lambda i, d: {"phase": "cnn", "visual_model": "resnet_smal"}, "Did you mean 'resnet_small'"),
        (lambda i, d: {"phase": "cnn", "image_size": 1}, "image_size"),
        (lambda i, d: {"phase": "cnn", "cnn_epochs": 0.01, "cnn_batch_size": 0}, "cnn_batch_size"),
        (lambda i, d: {"phase": "skip_gram", "corpus": "", "vectors": f"{d}/none.bin"}, "none.bin"),
        (lambda i, d: {"strategy": "multi_worker"}, "TF_CONFIG"),
    ],
)
def test_bad_input_is_an_error_that_says_what(inputs, tmp_path, make, error):
    """One line, of the kinds that the command prints as `Error: ...` without a traceback."""
    changes = {"phase": "skip_gram"} | make(inputs, tmp_path)
    config = settings(inputs, tmp_path / "run", **changes)
    with pytest.raises((ValueError, OSError), match=error) as raised:
        config = Config(**config)
        train(config, make_strategy(config.strategy))
    assert "\n" not in str(raised.value)


def test_too_many_bad_images(inputs, tmp_path):
    """The input pipeline's error is the user's, too, and names the files."""
    bad = change_images(tmp_path / "x", empty_six_files)
    config = settings(bad, tmp_path / "run", phase="cnn")
    with pytest.raises(
        ValueError, match="images of .*train cannot be used, more than the allowed share of 0.05"
    ) as raised:
        start_run(config)
    assert "Traceback" not in str(raised.value)
    assert "train/cat/" in (tmp_path / "run" / "bad_images.log").read_text()
    start_run({**config, "model_dir": str(tmp_path / "other"), "max_bad_images": 0.2, "cnn_epochs": 0.2})


def test_a_huge_learning_rate(inputs, tmp_path):
    config = settings(inputs, tmp_path / "run", phase="cnn", cnn_learning_rate=1e30)
    with pytest.raises(FloatingPointError, match="cnn: .*not finite.*step"):
        start_run(config)


def test_phases_one_by_one_with_vectors_from_elsewhere(inputs, tmp_path):
    """Vectors in word2vec's text format stand in for phase 1; no random models, no fine-tuning, no unseen labels."""
    terms = [*SEEN, "fox", "word"]
    lines = [f"{term} {' '.join(str((7 * i + 3 * j) % 11 - 5) for j in range(6))}" for i, term in enumerate(terms)]
    changes = {
        "corpus": "",
        "unseen_labels": "",
        "vectors": write(tmp_path / "vectors.txt", f"{len(terms)} 6\n" + "\n".join(lines) + "\n"),
        "random_models": 0,
        "finetune_epochs": 0.0,
        "cnn_epochs": 0.4,
        "projection_epochs": 0.4,
    }
    config = settings(inputs, tmp_path / "run", **changes)
    for phase in ("skip_gram", "cnn"):
        assert start_run({**config, "phase": phase}) == ""
    assert "Seen labels" in start_run({**config, "phase": "devise"})
    assert {line["phase"] for line in read_metrics(config["model_dir"])} == {"cnn", "devise_projection"}
    assert start_run(config)  # all phases are done: the report alone


def test_every_public_name_is_there():
    module = importlib.import_module("devise_tf.training")
    assert all(getattr(module, name) for name in module.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        module.nothing  # noqa: B018
