"""A `DeViSE` of few weights, images for it, and its losses in NumPy."""

import keras
import numpy as np

from devise_tf.models.devise import DeViSE

LABELS, DIMENSION = 7, 5


def visual_model(size=8):
    """A small model with batch normalization and dropout, as the zoo's have."""
    pixels = keras.Input((size, size, 3), name="pixels")
    x = keras.layers.Rescaling(1 / 255)(pixels)
    x = keras.layers.Conv2D(4, 3, padding="same", use_bias=False, name="convolution")(x)
    inner = keras.Sequential([keras.Input(x.shape[1:]), keras.layers.BatchNormalization(name="inner_norm")])
    x = inner(keras.layers.BatchNormalization(name="norm")(x))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Activation("relu")(x))
    x = keras.layers.Dropout(0.2)(keras.layers.Dense(6, name="representation")(x))
    return keras.Model(pixels, x, name="visual")


def make_model(**arguments):
    rng = np.random.default_rng(0)
    return DeViSE(visual_model(), **{"label_vectors": rng.normal(size=(LABELS, DIMENSION)), **arguments})


def images(count=12):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, LABELS, count)
    pixels = rng.uniform(0, 255, (count, 8, 8, 3)) * np.linspace(0.2, 1, LABELS)[labels][:, None, None, None]
    return pixels.astype("float32"), labels


def loss_oracle(embeddings, labels, vectors, margin, loss, uniforms, temperature=0.05):
    values = []
    for e, label, u in zip(embeddings, labels, uniforms, strict=True):
        terms = [margin - vectors[label] @ e + vectors[j] @ e for j in range(len(vectors)) if j != label]
        terms = [term for term in terms if term > 0]
        if loss == "l2":
            values.append(np.sum((e - vectors[label]) ** 2))
        elif loss == "softmax":
            scores = vectors @ e / np.linalg.norm(e) / temperature
            values.append(np.log(np.exp(scores).sum()) - scores[label])
        elif not terms:
            values.append(0.0)
        else:
            values.append({"one": terms[int(u * len(terms))], "sum": sum(terms), "hardest": max(terms)}[loss])
    return np.array(values)
