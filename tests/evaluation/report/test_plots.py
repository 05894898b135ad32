import importlib.util

import numpy as np
import pytest
from PIL import Image

from devise_tf.evaluation.report.plots import plot_label_vectors

RNG = np.random.default_rng(0)
# Three tight clusters.
VECTORS = np.repeat(np.eye(3, 8), 12, axis=0) + 0.05 * RNG.normal(size=(36, 8))
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
NAMES = [f"label {i}" for i in range(36)]
GROUPS = ["dog"] * 12 + ["bird, fish, …"] * 12 + ["other"] * 12


def test_picture_has_points_names_and_legend(tmp_path):
    points = plot_label_vectors(tmp_path / "a.png", VECTORS, NAMES, GROUPS, seed=1)
    assert points.shape == (36, 2)
    # Every point's nearest one is of its own cluster.
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1) + 1e9 * np.eye(36)
    assert (distances.argmin(axis=1) // 12 == np.arange(36) // 12).all()
    again = plot_label_vectors(tmp_path / "b.png", VECTORS, NAMES, GROUPS, seed=1)
    np.testing.assert_array_equal(points, again)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]
    with Image.open(tmp_path / "a.png") as image:
        pixels = np.array(image.convert("RGB")).reshape(-1, 3)
    for color in ((0x1F, 0x77, 0xB4), (0xFF, 0x7F, 0x0E), (0xA0, 0xA0, 0xA0)):  # Solid in the legend.
        assert (np.abs(pixels - np.array(color)).sum(axis=1) == 0).sum() > 30


def test_four_labels_make_a_picture(tmp_path):
    plot_label_vectors(tmp_path / "a.png", np.eye(4), NAMES[:4], ["x"] * 4, title="Four")
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (1650, 1125)


@pytest.mark.parametrize(
    ("vectors", "names", "groups", "message"),
    [
        (VECTORS[:3], NAMES[:3], GROUPS[:3], "four vectors or more"),
        (VECTORS, NAMES[1:], GROUPS, "36, 8.*35 names, 36 groups"),
        (VECTORS, NAMES, NAMES, "12 groups at most"),
    ],
)
def test_bad_arguments_are_named(tmp_path, vectors, names, groups, message):
    with pytest.raises(ValueError, match=message):
        plot_label_vectors(tmp_path / "a.png", vectors, names, groups)
    assert list(tmp_path.iterdir()) == []


def test_missing_packages_are_named(tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "matplotlib" else find(name))
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'devise_tf\[plots\]'. Received: no matplotlib"):
        plot_label_vectors(tmp_path / "a.png", VECTORS, NAMES, GROUPS)
