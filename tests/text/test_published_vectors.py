"""The vectors that come with the package, themselves."""

import os
import zipfile

import numpy as np
import pytest

from devise_tf.labels import LabelSet
from devise_tf.labels.coverage import label_coverage
from devise_tf.packaged import packaged_files
from devise_tf.text import TermVectors
from devise_tf.text.npz_vectors import load_npz

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NAME = "label_terms_300"


@pytest.fixture(scope="module")
def vectors():
    return TermVectors.load(NAME)


def labels(name):
    return LabelSet.load(os.path.join(ROOT, "models", "imagenet", name))


def test_the_file():
    assert list(packaged_files("vectors")) == [NAME]
    path = packaged_files("vectors")[NAME]
    assert os.path.getsize(path) <= 21_000_000
    with zipfile.ZipFile(path) as archive:
        assert sorted(archive.namelist()) == ["counts.npy", "scales.npy", "terms.npy", "vectors.npy"]
    terms, values, counts = load_npz(path)
    assert values.shape == (len(terms), 300) and len(terms) > 60_000
    assert counts.min() >= 1 and np.linalg.norm(values, axis=1).min() > 0.1


@pytest.mark.parametrize(("name", "number"), [("labels_1k.txt", 1000), ("labels_21k.txt", 21_841)])
def test_imagenet_is_covered(vectors, name, number):
    """Each label has a vector; n04399382 aside, the larger list holds the smaller."""
    listed = labels(name)
    assert len(listed) == number
    result = label_coverage(listed, vectors.index)
    assert not result.missing


def test_the_lists_agree():
    assert set(labels("labels_1k.txt")) - set(labels("labels_21k.txt")) == {"n04399382"}


def test_neighbors_of_label_terms_make_sense(vectors):
    """A word is nearer to its like than to a thing of another kind, multi-word terms included."""
    for term, near, far in [
        ("tiger", "leopard", "piano"),
        ("electric guitar", "violin", "volcano"),
        ("golden retriever", "terrier", "volcano"),
        ("grand piano", "violin", "goldfish"),
        ("sports car", "vehicle", "broccoli"),
        ("great white shark", "hammerhead", "teapot"),
    ]:
        assert vectors.similarity(term, near) > vectors.similarity(term, far) + 0.1, (term, near, far)
