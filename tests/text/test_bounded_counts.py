import numpy as np

from devise_tf.text.bounded_counts import BoundedCounts


def test_counts_are_exact_below_the_bound():
    counts = BoundedCounts(max_entries=10**6)
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 5000, (20, 1000))
    size = 0
    for part in ids:
        size = max(size, part.max() + 1)
        counts.add(part, size)
        assert counts.forget() is None
    np.testing.assert_array_equal(counts.values, np.bincount(ids.ravel()))


def test_the_rarest_are_forgotten_until_a_quarter_is_free():
    counts = BoundedCounts(max_entries=4, protected=1)
    counts.add(np.repeat(np.arange(6), [0, 1, 3, 2, 5, 3]), 6)
    assert counts.forget().tolist() == [True, False, True, False, True, True]
    assert counts.values.tolist() == [0, 3, 5, 3]
    counts.add(np.array([4, 0]), 5)
    assert counts.forget() is None and counts.values.tolist() == [1, 3, 5, 3, 1]
    counts.add(np.array([5]), 6)
    # The limit only rises: now it is three.
    assert counts.forget().tolist() == [True, False, True, False, False, False]
    assert counts.values.tolist() == [1, 5]
