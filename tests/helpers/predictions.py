"""Photos, and what a tiny run should answer to them, by NumPy."""

import keras
import numpy as np

from devise_tf.models.predictor import Answer
from devise_tf.text import load_vectors
from tests.helpers.tiny_model_dir import (
    TERMS,
    photo,
)

PHOTOS = [
    photo(0),
    photo(1, (33, 60)),
    photo(2, (24, 24), "PNG"),
    photo(3, mode="L"),
    photo(4, (90, 30), "PNG", "RGBA"),
]
SEEN = ["n1", "n2", "n3", "n4"]
TEMPERATURE = 0.3
SINGLE_WORDS = [term for term in TERMS if "_" not in term]


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors brought to unit norm."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def term_vectors(directory):
    terms, vectors = load_vectors(f"{directory}/vectors.bin")
    assert terms == TERMS
    return dict(zip(terms, unit(vectors.astype(np.float64)), strict=True)), dict(zip(terms, vectors, strict=True))


def loaded_network(directory, name):
    return keras.models.load_model(f"{directory}/{name}.keras", compile=False)


def ranked(scores, labels, ids, k):
    """The answers that scores [N, L] are worth, by a stable sort."""
    return [[Answer(labels[i], row[i], ids[i]) for i in np.argsort(-row, kind="stable")[:k]] for row in scores]


def assert_answers(result, expected, atol=1e-5):
    assert [[(a.label, a.id) for a in row] for row in result] == [[(a.label, a.id) for a in row] for row in expected]
    for row, wanted in zip(result, expected, strict=True):
        np.testing.assert_allclose([a.score for a in row], [a.score for a in wanted], atol=atol)
