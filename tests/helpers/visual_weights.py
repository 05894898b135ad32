"""Visual models with drawn weights, saved in files of every kind."""

import numpy as np

import tests.helpers.tiny_architectures  # noqa: F401  registers them
from devise_tf.models.weights_file import save_weights


def weights_of(model):
    return {weight.path: weight.numpy() for weight in model.weights}


def give_values(model, seed=0):
    """Draws every weight anew, so that none has a value that a new model would have, too."""
    rng = np.random.default_rng(seed)
    model.set_weights([rng.uniform(0.1, 1, weight.shape) for weight in model.weights])
    return model


def save_model(model, path):
    if path.endswith(".npz"):
        save_weights(model, path)
    elif path.endswith(".weights.h5"):
        model.save_weights(path)
    else:
        model.save(path)
    return path
