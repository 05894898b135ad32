"""Saved networks in a process that has imported nothing of the package yet."""

import contextlib
import importlib
import re
import sys

import keras
import numpy as np
import pytest

from devise_tf.models.alexnet import AlexNet
from devise_tf.models.devise import DeViSE
from devise_tf.models.registry import representation_model
from tests.helpers.wheel import CHECKOUT

OWN = re.compile(r"devise_tf([.>]|$)")


@contextlib.contextmanager
def nothing_imported():
    """Python has no module of the package, and Keras none of the classes; what is imported meanwhile is forgotten."""
    everything = (sys.modules, keras.saving.get_custom_objects())

    def take():
        return [{name: names.pop(name) for name in list(names) if OWN.match(name)} for names in everything]

    taken = take()
    try:
        yield
    finally:
        take()
        for names, before in zip(everything, taken, strict=True):
            names.update(before)


@pytest.fixture
def saved(tmp_path):
    visual = representation_model(AlexNet(num_labels=3, image_size=64, width=0.02))
    DeViSE(visual, np.eye(3)).save(tmp_path / "devise.keras")
    return tmp_path / "devise.keras"


def test_what_the_card_says_to_import_is_enough(saved):
    card = (CHECKOUT / "models/devise/README.md").read_text(encoding="utf-8").partition("**Files.**")[2]
    modules = re.findall(r"`import (devise_tf[\w.]+)`", card.partition("\n\n")[0])
    with nothing_imported():
        with pytest.raises(TypeError, match="Could not locate class 'DeViSE'"):
            keras.saving.load_model(saved)
        for module in modules:
            importlib.import_module(module)
        assert keras.saving.load_model(saved).name == "devise"


def test_runs_load_with_the_layers_of_their_architecture(saved):
    with nothing_imported():
        registry = importlib.import_module("devise_tf.models.registry")
        importlib.import_module("devise_tf.models.devise")
        with pytest.raises(TypeError, match="Could not locate class 'LocalResponseNormalization'"):
            registry.load_network(saved, "an architecture of another program")
        assert registry.load_network(saved, "alexnet").name == "devise"
