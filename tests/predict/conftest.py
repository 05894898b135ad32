"""The command `python -m devise_tf.predict` in this process, on a small model and a few photos."""

import io
import sys
import types
from pathlib import Path

import pytest

import devise_tf.models
from devise_tf import predict as command
from tests.helpers import commands
from tests.helpers.tiny_model_dir import photo


@pytest.fixture(scope="session")
def predictors():
    """Loads each model of the run once."""
    load, loaded = devise_tf.models.load, {}

    def load_once(*arguments):
        if arguments not in loaded:
            loaded[arguments] = load(*arguments)
        return loaded[arguments]

    return load_once


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("a.jpg", "b.png", "c.jpg")):
        Path(name).write_bytes(photo(number, form="PNG" if name == "b.png" else "JPEG"))
    return tmp_path


@pytest.fixture
def call(monkeypatch, predictors, tiny_model_dir):
    """Runs the command in this process; returns its status and what it printed."""

    def run(*arguments, model_dir=tiny_model_dir, stdin=b""):
        monkeypatch.setattr(devise_tf.models, "load", predictors)
        monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(stdin)))
        return commands.call(command.run, *arguments, f"--model_dir={model_dir}")

    return run
