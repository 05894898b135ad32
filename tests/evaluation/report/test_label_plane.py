import numpy as np
import pytest

from devise_tf.evaluation.report.label_plane import place_names, t_sne


def overlap(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def test_names_hide_nothing():
    points = np.random.default_rng(1).uniform(0, 100, (200, 2))
    offered = {}

    def boxes_of(point):
        x, y = points[point]
        offered[point] = [(x + 1, y - 2, x + 13, y + 2), (x - 13, y - 2, x - 1, y + 2)]
        return offered[point]

    chosen = place_names(points, boxes_of, (0, 0, 100, 100), 30)
    assert 5 < len(chosen) <= 30 and len({point for point, _ in chosen}) == len(chosen)
    boxes = [offered[point][position] for point, position in chosen]
    for i, box in enumerate(boxes):
        assert box[0] > 0 and box[1] > 0 and box[2] < 100 and box[3] < 100
        assert not any(overlap(box, other) for other in boxes[:i])
        assert not any(box[0] < x < box[2] and box[1] < y < box[3] for x, y in points)


def test_names_begin_far_apart():
    # The mean is (4.2, 2): (0, 10) is farthest from it, (10, 0) from that, and (0, 0) from both.
    points = np.array([[1.0, 0], [0, 10], [10, 0], [10, 0.1], [0, 0]])
    chosen = place_names(points, lambda point: [np.tile(points[point], 2)], (-1, -1, 11, 11), 3)
    assert [point for point, _ in chosen] == [1, 2, 4]


@pytest.mark.parametrize(
    ("frame", "expected"), [((0, 0, 9, 9), [(0, 0)]), ((3, 0, 9, 9), [(0, 1)]), ((5, 0, 9, 9), [])]
)
def test_names_stay_in_the_frame(frame, expected):
    boxes = [(2, 2, 4, 4), (4, 2, 6, 4)]
    assert place_names(np.array([[1.0, 1]]), lambda point: boxes, frame, 5) == expected


def test_t_sne_takes_as_few_as_four_vectors():
    vectors = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    points = t_sne(vectors, 1)
    assert points.shape == (4, 2) and np.isfinite(points).all()
    np.testing.assert_array_equal(points, t_sne(vectors, 1))
