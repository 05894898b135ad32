"""The commands out of an installed wheel, in a folder away from the checkout."""

import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.wheel import away, run

COLORS = {"cat": (200, 60, 40), "dog": (60, 180, 60), "oak": (40, 60, 200)}
# As short as a run with a report and a model to export can be.
SETTINGS = """--vectors=vectors.txt --images=folder:images --unseen_labels=unseen.txt --model_dir=run --verbose=0
--visual_model=resnet_micro --image_size=16 --resize_size=18 --cnn_epochs=1 --cnn_batch_size=4 --devise_batch_size=4
--projection_epochs=1 --finetune_epochs=0 --random_models=1""".split()


@pytest.fixture
def environment(installed, tmp_path, monkeypatch):
    """Python finds the installed package, and no checkout: not by the folder where it starts either."""
    for name, value in away(installed).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_inputs(folder):
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for label, color in COLORS.items():
            (folder / "images" / split / label).mkdir(parents=True)
            for number in range(4):
                pixels = (rng.integers(-40, 40, (20, 22, 3)) + color).clip(0, 255).astype("uint8")
                Image.fromarray(pixels).save(folder / "images" / split / label / f"{number}.png")
    rows = (" ".join([label, *map(str, rng.normal(size=8))]) for label in COLORS)
    (folder / "vectors.txt").write_text("3 8\n" + "".join(f"{row}\n" for row in rows))
    (folder / "unseen.txt").write_text("oak\n")


def command(name, *arguments, cwd):
    return run(sys.executable, "-m", f"devise_tf.{name}", *arguments, cwd=cwd)


def test_imports_come_from_the_installed_package(environment, installed):
    code = "import devise_tf, devise_tf.models.resnet as r; from devise_tf.models.resnet.resnet import ResNet\n"
    code += "print(devise_tf.__file__, r.__file__, ResNet.__name__)"
    package, module, function = run(sys.executable, "-c", code, cwd=environment).split()
    assert Path(package) == installed / "devise_tf" / "__init__.py"
    assert Path(module) == installed / "devise_tf" / "models" / "resnet" / "__init__.py"
    assert function == "ResNet"


@pytest.mark.parametrize("arguments", [["--help"], ["--recipe=quickstart", "--help"]])
def test_train_help_names_the_installed_file_and_its_recipes(environment, installed, arguments):
    result = subprocess.run(
        [sys.executable, "-m", "devise_tf.train", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert f"{installed / 'devise_tf' / 'train.py'}:" in result.stdout
    assert re.search(r"--recipe: A flagfile that comes with the package:[^-]*\bquickstart\b", result.stdout)
    assert list(environment.iterdir()) == []


@pytest.mark.slow
def test_predict_answers_from_the_packaged_weights(environment):
    pixels = np.linspace(0, 255, 64 * 64 * 3).reshape(64, 64, 3)
    Image.fromarray(pixels.astype("uint8")).save(environment / "photo.jpg")
    answer = json.loads(command("predict", "photo.jpg", "--format=json", cwd=environment))
    assert answer["file"] == "photo.jpg" and len(answer["labels"]) == 5
    named = command("predict", "photo.jpg", "--labels=cat,steam engine", "--format=json", cwd=environment)
    assert {label["label"] for label in json.loads(named)["labels"]} == {"cat", "steam engine"}


@pytest.mark.slow
def test_train_report_export_and_serve(environment):
    write_inputs(environment)
    command("train", *SETTINGS, cwd=environment)
    (page,) = (environment / "run" / "report").glob("*.html")
    text = page.read_text(encoding="utf-8")
    assert text.lower().startswith("<!doctype html>") and "</script>" in text and "oak" in text
    command("export", "--model_dir=run", "--export_dir=exports/tiny", cwd=environment)
    assert (environment / "exports" / "tiny" / "1" / "saved_model.pb").is_file()
    with subprocess.Popen(
        [sys.executable, "-m", "devise_tf.serve", "--export_dir=exports/tiny", "--rest_port=0", "--grpc_port=0"],
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            address = next(line.split()[-1] for line in server.stdout if line.startswith("Page"))
            with urllib.request.urlopen(address, timeout=60) as response:
                assert response.status == 200 and b'type="file"' in response.read()
        finally:
            server.terminate()
    assert os.listdir(environment / "exports" / "tiny") == ["1"]
