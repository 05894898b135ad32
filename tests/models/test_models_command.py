"""The command `python -m devise_tf.models`, as those who use it see it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import devise_tf.models
from devise_tf.models import __main__ as command
from devise_tf.models import pretrained
from devise_tf.models.__main__ import description, listing
from devise_tf.packaged import packaged_files
from tests.helpers.commands import call

ROOT = Path(__file__).resolve().parents[2]
IMPORTED = """
import runpy, sys
try:
    runpy.run_module("devise_tf.models", run_name="__main__", alter_sys=True)
finally:
    print("imported", sorted({"tensorflow", "keras", "numpy", "PIL"} & set(sys.modules)), file=sys.stderr)
"""
FACTS = {
    **{"summary": "A small one.", "licence": "CC0-1.0", "provenance": "Drawn at random.", "model": "devise"},
    **{"image_size": 24, "resize_size": 28, "labels": "labels.txt", "vectors": "label_terms_300", "card": "card.md"},
    "results": {"softmax": {"hit@1": 0.25, "hit@5": 0.5}, "devise": {"hit@1": 1 / 3}},
    "networks": {
        "softmax": {"visual_model": "resnet_micro", "weights": "softmax.npz", "sha256": 64 * "0"},
        "devise": {"ridge": 0.5, "settings": {}},
    },
}


@pytest.fixture
def preset(tmp_path):
    """The path of a preset whose weights have 1,234,567 bytes; no command reads them."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "labels.txt").write_text("n1\tcat\n")
    (folder / "softmax.npz").write_bytes(bytes(1_234_567))
    (folder / "card.md").write_text("# Tiny\n\nMeasured on nothing: été, 虎.\n\n", encoding="utf-8")
    (folder / "tiny.json").write_text(json.dumps(FACTS))
    return folder / "tiny.json"


def run(*arguments, cwd=ROOT, code=None):
    """As a user runs it, or `code` with the arguments."""
    return subprocess.run(
        [sys.executable, *(["-c", code] if code else ["-m", "devise_tf.models"]), *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_list_has_a_line_for_each_model(preset, monkeypatch):
    """A line a model: the name to say, bytes, what was measured."""
    monkeypatch.setattr("devise_tf.models.__main__.packaged_files", lambda kind: {"tiny": str(preset)})
    monkeypatch.setattr("devise_tf.models.__main__.load_preset", lambda name: pretrained.load_preset(str(preset)))
    assert listing() == (
        "--model_dir  --model           MB   figures                licence\n"
        "tiny         softmax           1.2  hit@1 0.25, hit@5 0.5  CC0-1.0\n"
        "tiny         devise (default)  1.2  hit@1 0.333333         CC0-1.0\n"
        "tiny         conse             1.2                         CC0-1.0\n"
        "\n"
        "What the figures are: python -m devise_tf.models show NAME"
    )


def test_list_shows_every_packaged_model():
    status, out, err = call(command.run, "list")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    for name in packaged_files("preset"):
        for model in pretrained.load_preset(name).models():
            assert sum(line.split()[:2] == [name, model] for line in lines) == 1
    assert sum("(default)" in line for line in lines) == len(packaged_files("preset"))


def test_show_describes_a_preset(preset):
    done = run("show", "tiny.json", cwd=preset.parent)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "tiny\n"
        "  summary     A small one.\n"
        "  models      softmax, devise (default), conse\n"
        "  images      shorter side to 28, center crop of 24 pixels\n"
        "  labels      labels.txt\n"
        "  vectors     label_terms_300\n"
        "  licence     CC0-1.0\n"
        "  provenance  Drawn at random.\n"
        f"  weights     {preset.parent}/\n"
        "  softmax     hit@1 0.25, hit@5 0.5\n"
        "  devise      hit@1 0.333333\n"
        "\n"
        "# Tiny\n"
        "\n"
        "Measured on nothing: été, 虎.\n"
    )
    preset.write_text(json.dumps({**FACTS, "card": ""}))
    assert description(str(preset)).endswith("devise      hit@1 0.333333")


def test_show_ends_with_the_card_of_a_packaged_preset(tmp_path, monkeypatch):
    """With its card, also where an evaluation left a folder of its name."""
    name = devise_tf.models.DEFAULT_PRESET
    monkeypatch.chdir(tmp_path)
    (tmp_path / name / "report").mkdir(parents=True)
    preset = pretrained.load_preset(name)
    done = description(name)
    assert done.startswith(f"{name}\n  summary ") and preset.summary in done
    assert done.endswith(Path(preset.file(preset.card)).read_text(encoding="utf-8").rstrip())


def test_show_describes_a_model_directory(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "flags.txt").write_text("--image_size=24\n--seed=3\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    expected = f"{tmp_path}/mine\n\n--image_size=24\n--seed=3"
    for named in ("mine", "mine/", "~/mine", str(tmp_path / "mine")):
        assert description(named) == expected
    (tmp_path / "mine" / "report").mkdir()
    (tmp_path / "mine" / "report" / "tables.md").write_text("# Results\n\n| model |\n", encoding="utf-8")
    assert description("mine") == f"{expected}\n\n# Results\n\n| model |"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([], "Error: Say `list` or `show NAME`. Received: ''"),
        (["list", "all"], "Error: Say `list` or `show NAME`. Received: 'list all'"),
        (["show"], "Error: Say `list` or `show NAME`. Received: 'show'"),
        (["show", "a", "b"], "Error: Say `list` or `show NAME`. Received: 'show a b'"),
        (["lists"], "Error: Say `list` or `show NAME`. Received: 'lists'"),
        (["show", "efficientnet"], "Did you mean 'efficientnet_lite2'? Received: 'efficientnet'"),
        (["show", "tests"], "Error: This must be a preset, one of ["),
        (["show", "nowhere.json"], "or the model directory of a run (python -m devise_tf.train --model_dir=…)."),
        (["show", "pyproject.toml"], "Error: This must be a preset, one of ["),
        (["--lst"], "Error: Unknown command line flag 'lst'"),
    ],
)
def test_wrong_usage_error_is_one_line(arguments, error, monkeypatch):
    monkeypatch.chdir(ROOT)
    status, out, err = call(command.run, *arguments)
    assert status == (2 if "Say" in error or "flag" in error else 1)
    assert out == "" and error in err and err.count("\n") == 1


def test_wrong_preset_error_is_one_line(preset):
    preset.write_text(json.dumps({**FACTS, "colour": 1}))
    status, _, err = call(command.run, "show", preset)
    assert status == 1 and err.startswith(f"Error: {preset} has unknown keys (colour): it must have ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["list"], ["show", devise_tf.models.DEFAULT_PRESET], ["--help"]])
def test_command_imports_no_framework(arguments):
    """Which is what makes it as quick as it is."""
    done = run(*arguments, code=IMPORTED)
    assert done.stderr.endswith("imported []\n")
    if arguments == ["--help"]:
        assert "python -m devise_tf.models show efficientnet_lite0" in done.stdout
