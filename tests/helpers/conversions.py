"""SavedModels with random weights, to be converted, and pixels for them."""

import functools
import importlib.util
import os

import keras
import numpy as np
import pytest
import tensorflow as tf

from devise_tf.export.label_graph import OutputGraph, VectorGraph
from devise_tf.export.served_model import ServedModel
from devise_tf.images import Crop
from devise_tf.labels import OutputSpace, WordSpace
from devise_tf.models.devise import DeViSE
from devise_tf.models.registry import build_visual_model, representation_model

LABELS = ["snow leopard", "cat", "dog", "red panda", "zebra"]
DIMENSION = 8


def has(*names):
    return all(importlib.util.find_spec(name) for name in names)


needs_litert = pytest.mark.skipif(not has("ai_edge_litert"), reason="ai-edge-litert is not installed")
needs_onnx = pytest.mark.skipif(not has("tf2onnx", "onnx", "onnxruntime"), reason="tf2onnx or onnxruntime is missing")
# Every builder, every preset that is small, and the other kind of model; AlexNet with fewer channels.
FAMILIES = {
    "resnet_micro": ("resnet_micro", 24, {}),
    "resnet_small": ("resnet_small", 40, {}),
    "alexnet": ("alexnet", 56, {"width": 0.1}),
    "softmax": ("resnet_micro", 24, {}),
}


def families(*soaking):
    """The families for `parametrize`; those in `soaking` are tested by .ci/run only: others have the same layers."""
    return [pytest.param(family, marks=pytest.mark.soak if family in soaking else ()) for family in FAMILIES]


def save_version(family, directory):
    preset, size, overrides = FAMILIES[family]
    keras.utils.set_random_seed(1)
    network = build_visual_model(preset, len(LABELS), size, **overrides)
    rng = np.random.default_rng(0)
    for layer in network.layers:  # as after training: statistics and scales that are not 0 and 1
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    vectors = rng.normal(size=(len(LABELS), DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    terms = [label.replace(" ", "_") for label in LABELS]
    terms_file = f"{os.path.dirname(directory)}/terms.txt"
    if family == "softmax":
        columns = np.arange(len(LABELS))
        space = OutputSpace(LABELS, dict(zip(terms, columns.tolist(), strict=True)))
        labels = OutputGraph(LABELS, columns, space, terms_file)
    else:
        network = DeViSE(representation_model(network), vectors)
        labels = VectorGraph(LABELS, vectors, WordSpace(terms, vectors), terms_file)
    model = ServedModel(network, labels, Crop(size, size + 4), k=3)
    tf.saved_model.save(model, directory, model.signatures())


def images(size, count, seed=0):
    """Smooth pictures, which reach from dark to bright."""
    coarse = np.random.default_rng(seed).uniform(0, 255, (count, 6, 6, 3)).astype(np.float32)
    return tf.image.resize(coarse, (size, size)).numpy()


# Loading takes seconds, and versions do not change.
load = functools.cache(tf.saved_model.load)


def embeddings(version, pixels):
    return load(version).signatures["embed_pixels"](pixels=tf.constant(pixels))["embedding"].numpy()
