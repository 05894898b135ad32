import importlib.util

import numpy as np
import pytest

from devise_tf.evaluation.measure.samples import Sample
from devise_tf.evaluation.report import label_map as mapping
from devise_tf.evaluation.report.label_map import LabelMap, label_map


def test_label_map_lays_near_vectors_together():
    rng = np.random.default_rng(0)
    vectors = np.repeat(np.eye(3, 8), 12, axis=0) + 0.05 * rng.normal(size=(36, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids, seen, groups = list(map(str, range(36))), [i % 2 == 0 for i in range(36)], list("abc" * 12)
    result = label_map(vectors, ids, seen, groups, seed=1)
    assert result.points.shape == (36, 2) and result.ids == ids and result.seen == seen and result.groups == groups
    # Every point's nearest one is of its own cluster.
    distances = np.linalg.norm(result.points[:, None] - result.points[None], axis=-1) + 1e9 * np.eye(36)
    assert (distances.argmin(axis=1) // 12 == np.arange(36) // 12).all()
    np.testing.assert_array_equal(result.points, label_map(vectors, ids, seen, groups, seed=1).points)


def test_label_map_takes_some_of_many(monkeypatch):
    monkeypatch.setattr(mapping, "MAX_POINTS", 20)
    vectors = np.random.default_rng(0).normal(size=(50, 4))
    ids = [f"n{i}" for i in range(50)]
    result = label_map(vectors, ids, [i < 25 for i in range(50)], [f"g{i}" for i in range(50)])
    assert len(result.ids) == len(set(result.ids)) == len(result.points) == 20
    rows = [ids.index(label) for label in result.ids]
    assert rows == sorted(rows) and result.groups == [f"g{i}" for i in rows] and result.seen == [i < 25 for i in rows]


def test_no_label_map_of_few_labels_or_without_scikit_learn(monkeypatch):
    messages = []
    monkeypatch.setattr(mapping.logging, "warning", lambda message, *values: messages.append(message % values))
    assert label_map(np.eye(3), list("abc"), [True] * 3, list("abc")) is None
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "sklearn" else find(name))
    assert label_map(np.eye(4), list("abcd"), [True] * 4, list("abcd")) is None
    assert len(messages) == 2 and "there are 3" in messages[0] and "pip install 'devise_tf[plots]'" in messages[1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sample(b"GIF89a", "n1", True, {}), r"JPEG file's bytes. Received: image_jpeg=b'GIF89a'"),
        (lambda: LabelMap(np.zeros((2, 3)), ["a", "b"], [True] * 2, ["x"] * 2), r"points of shape \(2, 3\), 2 ids"),
        (lambda: LabelMap(np.zeros((2, 2)), ["a", "b"], [True], ["x"] * 2), "1 flags, 2 groups"),
        (lambda: LabelMap(np.array([[0, 1], [0, np.nan]]), ["a", "b"], [True] * 2, ["x"] * 2), r"points\[1\].*'b'"),
        (lambda: label_map(np.zeros((5, 2)), list("abcd"), [True] * 5, ["x"] * 5), r"shape \(5, 2\), 4 ids"),
    ],
)
def test_wrong_lengths_and_infinite_points_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
