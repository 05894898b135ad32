"""A tiny run of several models."""

import numpy as np
import pytest

import devise_tf.models
from devise_tf.images.decode_image import decode_image, resize_and_crop
from tests.helpers.predictions import (
    PHOTOS,
    TEMPERATURE,
)
from tests.helpers.tiny_model_dir import (
    IMAGE_SIZE,
    RESIZE_SIZE,
    add_devise,
    make_model_dir,
)


@pytest.fixture(scope="session")
def directory(tmp_path_factory):
    """A run with a softmax, `devise`, `means` whose label vectors are of all terms and heads, and `profiles`."""
    directory = tmp_path_factory.mktemp("predictor") / "run"
    make_model_dir(directory)
    add_devise(directory, "means", "heads")
    add_devise(directory, "profiles", "first", TEMPERATURE)
    return str(directory)


@pytest.fixture(scope="session")
def heads_directory(tmp_path_factory):
    """A run whose `devise` has label vectors of all terms and heads."""
    directory = tmp_path_factory.mktemp("predictor") / "heads"
    make_model_dir(directory)
    add_devise(directory, "devise", "heads")
    return str(directory)


@pytest.fixture(scope="session")
def load(directory):
    """Loads a model of the run, once."""
    loaded = {}

    def load(model=None):
        if model not in loaded:
            loaded[model] = devise_tf.models.load(directory, model)
        return loaded[model]

    return load


@pytest.fixture(scope="session")
def pixels():
    return np.stack([resize_and_crop(decode_image(image), IMAGE_SIZE, RESIZE_SIZE) for image in PHOTOS])
